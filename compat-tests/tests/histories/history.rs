//! Operations with the moments between which they happened, checked key by key.

use std::sync::atomic::{AtomicU64, Ordering};

use todc_utils::{Action, History, WGLChecker};

use crate::register::{Operation, Register};

/// Moments in the order in which this process saw them.
#[derive(Debug, Default)]
pub(crate) struct Clock(AtomicU64);

/// When a request was sent or answered.
pub(crate) type Moment = u64;

/// A request to one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) client: usize,
    pub(crate) operation: Operation,
    pub(crate) sent: Moment,
    /// When it was answered; for one that was not, when it can no longer happen.
    pub(crate) over: Moment,
}

impl Clock {
    /// A moment after all that were returned before.
    pub(crate) fn now(&self) -> Moment {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// Whether some order of `events`, in which nothing happens before it was sent or after it was
/// over, explains every answer.
pub(crate) fn is_linearizable(events: &[Event]) -> bool {
    if events.is_empty() {
        return true;
    }
    // Each operation is a process of its own: a client that got no answer goes on.
    let mut actions = Vec::with_capacity(2 * events.len());
    for (process, event) in events.iter().enumerate() {
        actions.push((event.sent, process, Action::Call(event.operation)));
        actions.push((event.over, process, Action::Response(event.operation)));
    }
    actions.sort_by_key(|(moment, ..)| *moment);
    let actions = actions.into_iter().map(|(_, process, action)| (process, action)).collect();
    WGLChecker::<Register>::is_linearizable(History::from_actions(actions))
}

/// A history as a person reads it, a line per operation.
pub(crate) fn describe(events: &[Event]) -> String {
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.sent);
    let line = |event: &Event| {
        let Event { client, operation, sent, over } = event;
        format!("{sent:>6} … {over:<6} client {client}: {operation:?}\n")
    };
    events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::Condition::{Absent, Always, Holds};
    use crate::register::Value;

    fn event(sent: Moment, over: Moment, operation: Operation) -> Event {
        Event { client: 0, operation, sent, over }
    }

    fn put(value: u32) -> Operation {
        Operation::Write { condition: Always, value: Some(value) }
    }

    fn create(value: u32) -> Operation {
        Operation::Write { condition: Absent, value: Some(value) }
    }

    fn cut_off(value: Value) -> Operation {
        Operation::Unanswered { condition: Always, value }
    }

    #[test]
    fn a_read_sees_the_last_write() {
        let read =
            |value| [event(0, 1, put(1)), event(2, 3, put(2)), event(4, 5, Operation::Read(value))];
        assert!(is_linearizable(&read(Some(2))));
        assert!(!is_linearizable(&read(Some(1))), "a stale read");
        assert!(!is_linearizable(&read(None)), "a lost write");
    }

    #[test]
    fn reads_during_a_write_do_not_go_back() {
        let seen = |first, second| {
            [
                event(0, 9, put(1)),
                event(1, 2, Operation::Read(first)),
                event(3, 4, Operation::Read(second)),
            ]
        };
        assert!(is_linearizable(&seen(None, Some(1))));
        assert!(!is_linearizable(&seen(Some(1), None)));
    }

    #[test]
    fn one_of_two_creations_is_refused() {
        let refused = Operation::Refused { condition: Absent };
        assert!(is_linearizable(&[event(0, 3, create(1)), event(1, 2, refused)]));
        assert!(!is_linearizable(&[event(0, 3, create(1)), event(1, 2, create(2))]));
        assert!(!is_linearizable(&[event(0, 1, refused)]), "nothing was in the way");
    }

    #[test]
    fn one_of_two_replacements_is_refused() {
        let replace = |value| Operation::Write { condition: Holds(1), value: Some(value) };
        let refused = Operation::Refused { condition: Holds(1) };
        assert!(is_linearizable(&[
            event(0, 1, put(1)),
            event(2, 5, replace(2)),
            event(3, 4, refused)
        ]));
        let both = [event(0, 1, put(1)), event(2, 5, replace(2)), event(3, 4, replace(3))];
        assert!(!is_linearizable(&both));
    }

    #[test]
    fn what_was_cut_off_happened_before_its_process_ended_or_never() {
        let read = |at, value| event(at, at + 1, Operation::Read(value));
        let cut = event(0, 10, cut_off(Some(1)));
        assert!(is_linearizable(&[cut, read(20, Some(1)), read(30, Some(1))]));
        assert!(is_linearizable(&[cut, read(20, None), read(30, None)]));
        assert!(!is_linearizable(&[cut, read(20, None), read(30, Some(1))]), "it came late");
        assert!(!is_linearizable(&[cut, read(20, Some(1)), read(30, None)]), "it was undone");
    }

    #[test]
    fn a_repeated_completion_finds_its_object_or_is_refused() {
        let repeated = |found| Operation::Repeated { value: 1, found };
        assert!(is_linearizable(&[event(0, 1, put(1)), event(2, 3, repeated(true))]));
        assert!(!is_linearizable(&[event(0, 1, put(1)), event(2, 3, repeated(false))]));
        let replaced = [event(0, 1, put(1)), event(2, 3, put(2)), event(4, 5, repeated(true))];
        assert!(!is_linearizable(&replaced));
    }
}
