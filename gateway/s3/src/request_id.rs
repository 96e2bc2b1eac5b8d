//! Names for requests: `x-amz-request-id` and `x-amz-id-2`.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Makes request ids that no other process makes, in practice.
pub(crate) struct RequestIds {
    prefix: u64,
    next: AtomicU64,
    host_id: String,
}

impl RequestIds {
    /// Ids of this process. Without the operating system's randomness they start at zero, which
    /// costs uniqueness across processes and nothing else.
    pub(crate) fn new() -> Self {
        let mut random = [0; 32];
        let _ = getrandom::fill(&mut random);
        let [a, b, c, d, e, f, g, h, ..] = random;
        Self {
            prefix: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            next: AtomicU64::new(0),
            host_id: STANDARD.encode(random),
        }
    }

    /// The next id: 16 upper-case hex digits.
    pub(crate) fn next(&self) -> String {
        // An odd factor permutes the numbers, so that ids do not look like a count.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{:016X}", self.prefix ^ number.wrapping_mul(STEP))
    }

    /// The id of this process.
    pub(crate) fn host_id(&self) -> &str {
        &self.host_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_16_hex_digits_and_do_not_repeat() {
        let ids = RequestIds::new();
        let made: std::collections::HashSet<String> = (0..1000).map(|_| ids.next()).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| id.len() == 16 && u64::from_str_radix(id, 16).is_ok()));
        assert_ne!(RequestIds::new().host_id(), ids.host_id());
    }
}
