//! Text with wildcards: `*` for any run of characters, `?` for any one.
//!
//! Invariants:
//! - a match takes at most as many steps as the pattern's length times the text's, and all matches
//!   of one judgement together at most [`STEPS_MAX`];
//! - all judgements of one [`Budget`] together take at most [`BUDGET_STEPS_MAX`];
//! - a judgement that runs out of steps denies, so nobody gains by making one expensive.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

/// Most steps of all matches of one judgement. Chosen: the longest policy over the longest key
/// takes fewer unless it is made to take long, and this many take a few milliseconds.
const STEPS_MAX: u64 = 1 << 22;

/// Most steps of all judgements of one request. Chosen: a thousand keys that are judged by two
/// hundred statements take a quarter of it, and this many take some tenths of a second.
const BUDGET_STEPS_MAX: u64 = 1 << 27;

/// The steps left to all judgements of one request, which may name a thousand keys.
#[derive(Debug)]
pub struct Budget(AtomicU64);

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU64::new(BUDGET_STEPS_MAX))
    }
}

impl Budget {
    /// The steps of the next judgement.
    pub(super) fn steps(&self) -> Steps {
        Steps(Cell::new(STEPS_MAX.min(self.0.load(Ordering::Relaxed))))
    }

    /// Takes what a judgement has used of the steps it was given.
    pub(super) fn settle(&self, given: u64, steps: &Steps) {
        let used = given.saturating_sub(steps.left());
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(used))
        });
    }

    /// Fewer than usual.
    #[cfg(test)]
    pub(super) fn of(steps: u64) -> Self {
        Self(AtomicU64::new(steps))
    }
}

/// The steps left to one judgement.
#[derive(Debug)]
pub(super) struct Steps(Cell<u64>);

impl Steps {
    /// All of them.
    pub(super) fn new() -> Self {
        Self(Cell::new(STEPS_MAX))
    }

    /// How many there are.
    pub(super) fn left(&self) -> u64 {
        self.0.get()
    }

    /// Takes some; false once there are none.
    pub(super) fn take(&self, count: usize) -> bool {
        let left = self.0.get().saturating_sub(count as u64);
        self.0.set(left);
        left > 0
    }

    /// Whether there are none left.
    pub(super) fn are_used_up(&self) -> bool {
        self.0.get() == 0
    }
}

/// A symbol of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Symbol {
    /// This character.
    Char(char),
    /// Any one character.
    Any,
    /// Any run of characters, also none.
    Run,
}

/// The symbols of a pattern's text.
pub(super) fn symbols(text: &str) -> impl Iterator<Item = Symbol> {
    text.chars().map(|char| match char {
        '*' => Symbol::Run,
        '?' => Symbol::Any,
        char => Symbol::Char(char),
    })
}

/// Whether `text` is what `pattern` describes; false when the steps run out.
///
/// Only the last run can need to grow: what an earlier one would take, the later one can take.
pub(super) fn matches(pattern: &[Symbol], text: &str, steps: &Steps) -> bool {
    let text: Vec<char> = text.chars().collect();
    let least = pattern.iter().filter(|symbol| **symbol != Symbol::Run).count();
    if !steps.take(pattern.len() + text.len() + 1) || least > text.len() {
        return false;
    }
    let (mut at, mut seen) = (0, 0);
    // Behind the last run, and what it has taken so far ends here.
    let mut resume: Option<(usize, usize)> = None;
    while seen < text.len() {
        if !steps.take(1) {
            return false;
        }
        match pattern.get(at) {
            Some(Symbol::Run) => {
                at += 1;
                resume = Some((at, seen));
            }
            Some(Symbol::Any) => (at, seen) = (at + 1, seen + 1),
            Some(Symbol::Char(char)) if *char == text[seen] => (at, seen) = (at + 1, seen + 1),
            _ => match resume {
                Some((behind, taken)) => {
                    (at, seen) = (behind, taken + 1);
                    resume = Some((behind, taken + 1));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|symbol| *symbol == Symbol::Run)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matched(pattern: &str, text: &str) -> bool {
        matches(&symbols(pattern).collect::<Vec<_>>(), text, &Steps::new())
    }

    /// The definition, as slow as it likes.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                reference(rest, text) || (!text.is_empty() && reference(pattern, &text[1..]))
            }
            (Some(('?', rest)), Some((_, text))) => reference(rest, text),
            (Some((char, rest)), Some((first, text))) => char == first && reference(rest, text),
            _ => false,
        }
    }

    #[test]
    fn runs_and_single_characters_match() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a/*", "a/b/c", true),
            ("a/*/c", "a/b/x/c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*é?", "xéy", true),
            ("*ab", "aab", true),
            ("a*", "b", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matched(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn long_patterns_take_few_steps() {
        let pattern: Vec<Symbol> = symbols(&("*a".repeat(400) + "b")).collect();
        let steps = Steps::new();
        assert!(!matches(&pattern, &"a".repeat(1024), &steps));
        assert!(!steps.are_used_up());
    }

    #[test]
    fn steps_run_out() {
        let steps = Steps::new();
        let pattern: Vec<Symbol> = symbols("*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab").collect();
        let text = "a".repeat(1024);
        let mut count = 0;
        while !steps.are_used_up() {
            assert!(!matches(&pattern, &text, &steps));
            count += 1;
        }
        assert!((20..2000).contains(&count), "{count}");
        assert!(!matches(&[Symbol::Run], "", &steps));
    }

    proptest! {
        #[test]
        fn matcher_agrees_with_its_definition(pattern in "[ab?*]{0,8}", text in "[abc]{0,8}") {
            let wanted = reference(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(matched(&pattern, &text), wanted);
        }
    }
}
