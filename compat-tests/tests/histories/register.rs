//! What one S3 key does, as a specification for the linearizability checker.
//!
//! - A key is a register: it holds no object, or one whose content has a number of its own.
//! - Everything a request observed is part of the operation: an answer is valid in the states it
//!   can be given in, and nowhere else.
//! - A request without an answer happened at one moment up to the end of the process it was sent
//!   to, or never. Either is possible, so the state is the set of states the key may be in.

use std::collections::BTreeSet;

use todc_utils::Specification;

/// What a key holds: the number of a content, or no object.
pub(crate) type Value = Option<u32>;

/// What has to hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    /// `If-None-Match: *`.
    Absent,
    /// `If-Match` with the ETag of this content.
    Holds(u32),
}

/// One request to a key and what its answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A read returned this.
    Read(Value),
    /// A copy took one of these two from here: the same bytes under either ETag.
    CopiedFrom([u32; 2]),
    /// A PUT, copy, completion or DELETE that made the key hold `value` was answered with success.
    Write { condition: Condition, value: Value },
    /// A write was refused because its condition does not hold.
    Refused { condition: Condition },
    /// A write got no answer that says whether it happened.
    Unanswered { condition: Condition, value: Value },
    /// A completion was sent again after another request for it was answered: it succeeds while
    /// the object it made is there and changes nothing.
    Repeated { value: u32, found: bool },
}

/// The register.
#[derive(Debug)]
pub(crate) struct Register;

impl Condition {
    fn holds(self, value: Value) -> bool {
        match self {
            Self::Always => true,
            Self::Absent => value.is_none(),
            Self::Holds(content) => value == Some(content),
        }
    }
}

impl Operation {
    /// The states after the operation when the key was in `before`; none when its answer cannot be
    /// given there.
    fn after(self, before: Value) -> Vec<Value> {
        match self {
            Self::Read(value) => only_if(value == before, before),
            Self::CopiedFrom(contents) => {
                only_if(before.is_some_and(|content| contents.contains(&content)), before)
            }
            Self::Write { condition, value } => only_if(condition.holds(before), value),
            Self::Refused { condition } => only_if(!condition.holds(before), before),
            Self::Unanswered { condition, value } if condition.holds(before) => {
                vec![before, value]
            }
            Self::Unanswered { .. } => vec![before],
            Self::Repeated { value, found } => only_if((before == Some(value)) == found, before),
        }
    }
}

fn only_if(holds: bool, state: Value) -> Vec<Value> {
    holds.then_some(state).into_iter().collect()
}

impl Specification for Register {
    type State = BTreeSet<Value>;
    type Operation = Operation;

    fn init() -> Self::State {
        [None].into()
    }

    fn apply(operation: &Self::Operation, state: &Self::State) -> (bool, Self::State) {
        let after: Self::State = state.iter().flat_map(|before| operation.after(*before)).collect();
        (!after.is_empty(), after)
    }
}
