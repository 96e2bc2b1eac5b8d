//! How many hedges are allowed: a share of the calls, and some saved up.

use std::sync::atomic::{AtomicU32, Ordering};

/// Tokens that calls earn and hedges cost.
pub(crate) struct Budget {
    tokens: AtomicU32,
    calls_per_hedge: u32,
    tokens_max: u32,
}

impl Budget {
    /// A budget of one hedge for so many calls, with `burst` hedges saved up at most and at first.
    pub(crate) fn new(calls_per_hedge: u32, burst: u32) -> Self {
        let tokens_max = calls_per_hedge * burst;
        Self { tokens: AtomicU32::new(tokens_max), calls_per_hedge, tokens_max }
    }

    /// Counts a call.
    pub(crate) fn earn(&self) {
        let earned = |tokens: u32| (tokens < self.tokens_max).then(|| tokens + 1);
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, earned);
    }

    /// Whether a hedge is allowed; takes it.
    pub(crate) fn spend(&self) -> bool {
        let spent = |tokens: u32| tokens.checked_sub(self.calls_per_hedge);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hedges_are_a_share_of_the_calls_beyond_what_was_saved() {
        let budget = Budget::new(20, 2);
        (0..1000).for_each(|_| budget.earn());
        assert_eq!((0..10).filter(|_| budget.spend()).count(), 2);
        (0..19).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
    }
}
