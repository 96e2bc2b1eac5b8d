//! Policies of buckets: who may do what to a bucket and its objects, in IAM's language.
//!
//! Owns [`Policy`], the parsed document, and what it says about a request. Pure.
//!
//! Invariants:
//! - what a statement denies is denied, whatever the others say and whatever their order;
//! - a document is understood whole, or refused: no element, action, principal or condition is
//!   skipped because it is not known;
//! - a policy speaks of its own bucket only;
//! - judging takes bounded time; a request that takes longer is denied.
//!
//! *Limits:* [`POLICY_LEN_BYTES_MAX`].
//!
//! Deliberately absent: policies of users, groups and roles, and lists of grants (not built yet);
//! where the facts about a request come from.

mod condition;
mod context;
mod json;
mod key;
mod known_action;
mod operator;
mod parse;
mod pattern;
mod principal;
mod text;

use self::{condition::Condition, pattern::Steps, text::Text};
use crate::{Action, Principal, Verdict};

pub use context::PolicyContext;
pub use pattern::Budget;
pub use principal::PolicyPrincipal;

/// Longest document, which is S3's limit.
pub const POLICY_LEN_BYTES_MAX: usize = 20 << 10;

/// A bucket's policy.
#[derive(Clone, Debug)]
pub struct Policy {
    statements: Vec<Statement>,
}

/// What is asked, as a policy looks at it.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRequest<'a> {
    /// Who asks.
    pub principal: &'a Principal,
    /// What is asked for.
    pub action: Action,
    /// The bucket.
    pub bucket: &'a str,
    /// The key, for what is asked of an object.
    pub key: Option<&'a str>,
    /// What else is known.
    pub context: &'a PolicyContext,
}

/// A document is not a policy of its bucket. The messages are AWS's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is longer than allowed.
    #[error(
        "Normalized policy document exceeds the maximum allowed size of {POLICY_LEN_BYTES_MAX} \
         bytes."
    )]
    TooLong,
    /// It is no JSON object, or gives a name twice.
    #[error("Policies must be valid JSON and the first byte must be '{{'")]
    NoJson,
    /// It is of no version that there is.
    #[error("The policy must contain a valid version string")]
    Version,
    /// An element that must be there is not.
    #[error("Missing required field {name}")]
    Missing {
        /// The element.
        name: &'static str,
    },
    /// There is no such element.
    #[error("Unknown field {name}")]
    Unknown {
        /// As given.
        name: String,
    },
    /// An element is not of the kind it must be.
    #[error("Syntax errors in policy: {name}")]
    Syntax {
        /// The element.
        name: &'static str,
    },
    /// There are no statements.
    #[error("Could not parse the policy: Statement is empty!")]
    NoStatement,
    /// Two statements have the same name.
    #[error("Statement IDs (SID) in a single policy must be unique.")]
    Sid,
    /// It neither allows nor denies.
    #[error("Invalid effect: {effect}")]
    Effect {
        /// As given.
        effect: String,
    },
    /// A principal cannot be.
    #[error("Invalid principal in policy")]
    Principal {
        /// As given.
        detail: String,
    },
    /// There is no such action.
    #[error("Policy has invalid action")]
    Action,
    /// A resource is not of the bucket.
    #[error("Policy has invalid resource")]
    Resource,
    /// An action is asked of nothing that the statement is about.
    #[error("Action does not apply to any resource(s) in statement")]
    ActionWithoutResource,
    /// Conditions are not objects in an object.
    #[error("Syntax errors in policy: Condition")]
    Condition,
    /// There is no such operator.
    #[error("Invalid Condition type : {name}")]
    ConditionType {
        /// As given.
        name: String,
    },
    /// There is no such key.
    #[error("Policy has an invalid condition key")]
    ConditionKey,
    /// A value means nothing to its operator.
    #[error("Policy has an invalid condition value for {key}")]
    ConditionValue {
        /// The key.
        key: String,
    },
}

impl Malformed {
    fn principal(kind: &str, name: &json::Json) -> Self {
        let name = name.text().unwrap_or_default();
        Self::Principal { detail: format!("\"{kind}\" : \"{name}\"") }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

/// A list, or everything but it.
#[derive(Clone, Debug)]
struct Listed<T> {
    items: Vec<T>,
    negated: bool,
}

impl<T> Listed<T> {
    fn has(&self, is: impl FnMut(&T) -> bool) -> bool {
        self.items.iter().any(is) != self.negated
    }
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    principals: Listed<PolicyPrincipal>,
    /// Patterns in lower case.
    actions: Listed<Text>,
    /// Patterns behind `arn:aws:s3:::`.
    resources: Listed<Text>,
    conditions: Vec<Condition>,
}

impl Policy {
    /// Reads the policy of the bucket called `bucket`.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str, bucket: &str) -> Result<Self, Malformed> {
        parse::policy(text, bucket)
    }

    /// What it says about a request that is judged once.
    #[must_use]
    pub fn judge(&self, request: &PolicyRequest<'_>) -> Verdict {
        self.judge_within(&Budget::default(), request)
    }

    /// What it says about one of the things that a request asks for, which share a budget.
    #[must_use]
    pub fn judge_within(&self, budget: &Budget, request: &PolicyRequest<'_>) -> Verdict {
        let steps = budget.steps();
        let given = steps.left();
        let verdict = self.verdict(request, &steps);
        budget.settle(given, &steps);
        verdict
    }

    fn verdict(&self, request: &PolicyRequest<'_>, steps: &Steps) -> Verdict {
        let asked = Asked::of(request);
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            if steps.are_used_up() {
                return Verdict::Denied;
            }
            // What is allowed already need not be allowed again, but may still be denied.
            let is_settled = statement.effect == Effect::Allow && verdict == Verdict::Allowed;
            if is_settled || !statement.is_about(request, &asked, steps) {
                continue;
            }
            match statement.effect {
                Effect::Deny => return Verdict::Denied,
                Effect::Allow => verdict = Verdict::Allowed,
            }
        }
        match steps.are_used_up() {
            true => Verdict::Denied,
            false => verdict,
        }
    }

    /// Whether it looks at the tags of the object that is there, which cost a read.
    #[must_use]
    pub fn looks_at_existing_tags(&self) -> bool {
        self.statements.iter().any(|statement| statement.mentions(key::EXISTING_TAGS))
    }

    /// Everybody it names.
    pub fn principals(&self) -> impl Iterator<Item = &PolicyPrincipal> {
        self.statements.iter().flat_map(|statement| &statement.principals.items)
    }

    /// Whether it lets in people that it does not name, as AWS tells what is public.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(Statement::is_public)
    }
}

/// What is compared with every statement.
struct Asked {
    action: String,
    resource: String,
}

impl Asked {
    fn of(request: &PolicyRequest<'_>) -> Self {
        Self {
            action: request.action.name().to_ascii_lowercase(),
            resource: match request.key {
                Some(key) => format!("{}/{key}", request.bucket),
                None => request.bucket.to_owned(),
            },
        }
    }
}

impl Statement {
    fn is_about(&self, request: &PolicyRequest<'_>, asked: &Asked, steps: &Steps) -> bool {
        let context = request.context;
        self.actions.has(|action| action.matches(&asked.action, context, steps))
            && self.principals.has(|principal| principal.is(request.principal))
            && self.resources.has(|resource| resource.matches(&asked.resource, context, steps))
            && self.conditions.iter().all(|condition| condition.holds(context, steps))
    }

    fn mentions(&self, prefix: &str) -> bool {
        self.resources.items.iter().any(|resource| resource.mentions(prefix))
            || self.conditions.iter().any(|condition| condition.mentions(prefix))
    }

    fn is_public(&self) -> bool {
        let everyone = self.principals.items.contains(&PolicyPrincipal::Everyone);
        // Everybody but some is still everybody.
        let is_wide = everyone != self.principals.negated;
        self.effect == Effect::Allow && is_wide && !self.conditions.iter().any(Condition::is_narrow)
    }
}

#[cfg(test)]
mod tests;
