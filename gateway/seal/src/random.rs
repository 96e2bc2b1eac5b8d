//! Randomness as an injected value.

/// A source of random bytes fit for keys.
///
/// Every closure that fills a slice is one. In production it is the operating system's generator,
/// and an implementation that cannot get randomness must not return: there is nothing safe to do
/// without it. Tests pass a deterministic one.
pub trait RandomSource {
    /// Overwrites all of `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> RandomSource for F {
    fn fill(&mut self, out: &mut [u8]) {
        self(out);
    }
}

/// Random bytes that tests can predict: 0, 1, 2, … and around.
#[cfg(test)]
pub(crate) fn counting_from(first: u8) -> impl RandomSource {
    let mut next = first;
    move |out: &mut [u8]| {
        for byte in out {
            *byte = next;
            next = next.wrapping_add(1);
        }
    }
}
