//! Who is let in: the decision on every request, with what the bucket's policy says about it.
//!
//! Owns [`Rules`], a bucket's policy together with the facts of one request, and [`judge`].
//!
//! Invariants:
//! - deny by default: an action happens only after [`judge`] allowed it;
//! - a bucket without a policy costs nothing more than a comparison of accounts;
//! - a policy that cannot be read denies everything but looking at it and changing it;
//! - what a request says counts only where it takes effect: a header that the operation ignores
//!   fulfils no condition.
//!
//! Deliberately absent: what policies mean (`gateway-iam`).

mod facts;
mod needs;
mod policies;

use std::sync::Arc;

use gateway_iam::{
    Action, Budget, Decision, Policy, PolicyContext, PolicyRequest, Principal, Resource, Verdict,
    authorize,
};
use gateway_object::{Bucket, ObjectRef, TaggingError};
use http::HeaderMap;

use crate::{
    call::{Gateway, Origin},
    convert,
    error::{Code, Failure, Outcome},
    operation::Operation,
    query::Query,
};

pub(crate) use facts::{lock_facts, tag_facts};
pub(crate) use needs::{Needs, needs};
pub(crate) use policies::Policies;

/// What policies may look at besides who asks for what.
#[derive(Clone, Copy)]
pub(crate) struct Evidence<'a> {
    /// The headers, those of a presigned URL's query and of a form's fields included.
    pub(crate) headers: &'a HeaderMap,
    /// The query.
    pub(crate) query: &'a Query,
    /// Where it came from.
    pub(crate) from: Origin,
    /// Whether the request is a browser's form.
    pub(crate) form: bool,
    /// What is asked for of the bucket; `None` for what only goes along with it.
    pub(crate) operation: Option<Operation>,
    /// What else is known.
    pub(crate) more: Option<&'a (dyn Fn(&mut PolicyContext) + Sync)>,
}

impl<'a> Evidence<'a> {
    /// What a request says that is no form.
    pub(crate) fn of(headers: &'a HeaderMap, query: &'a Query, from: Origin) -> Self {
        Self { headers, query, from, form: false, operation: None, more: None }
    }
}

/// A bucket's policy, and what is known of a request.
#[derive(Clone)]
pub(crate) struct Rules {
    /// `None` denies everything.
    policy: Option<Arc<Policy>>,
    context: PolicyContext,
    /// What all judgements of the request share, however many things it names.
    budget: Arc<Budget>,
}

impl Rules {
    /// The rules for a request; `None` where the bucket has no policy.
    ///
    /// # Errors
    /// Faults of the stores that facts are read from.
    pub(crate) async fn of(
        gateway: &Gateway,
        principal: &Principal,
        bucket: &Bucket,
        key: Option<&str>,
        evidence: &Evidence<'_>,
    ) -> Outcome<Option<Self>> {
        let Some(record) = &bucket.configs.policy else {
            return Ok(None);
        };
        let policy = gateway.policies.parsed(bucket.id, &bucket.name, record);
        let context = facts::known(gateway, principal, bucket, evidence)?;
        let rules = Self { policy, context, budget: Arc::default() };
        let version = evidence.query.get("versionId");
        match key {
            Some(key) => Ok(Some(rules.on(gateway, &bucket.name, key, version).await?)),
            None => Ok(Some(rules)),
        }
    }

    /// The rules with the tags of an object that is there, if the policy looks at them.
    ///
    /// # Errors
    /// Faults: without the tags there is no decision.
    pub(crate) async fn on(
        mut self,
        gateway: &Gateway,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Outcome<Self> {
        let looks = self.policy.as_ref().is_some_and(|policy| policy.looks_at_existing_tags());
        if !looks {
            return Ok(self);
        }
        let target = ObjectRef { bucket: bucket.to_owned(), key: key.to_owned() };
        let version = version.and_then(convert::parse_version_id);
        match gateway.service.object_tags(&target, version).await {
            Ok((_, tags)) => {
                for (name, value) in tags {
                    self.context.add(&format!("s3:ExistingObjectTag/{name}"), value);
                }
                Ok(self)
            }
            Err(TaggingError::Object(gateway_object::ObjectReadError::Fault(fault))) => {
                Err(fault.into())
            }
            // What is not there has no tags.
            Err(_) => Ok(self),
        }
    }

    /// The rules with more facts, such as those in the request's body.
    pub(crate) fn with(&self, add: impl FnOnce(&mut PolicyContext)) -> Self {
        let mut rules = self.clone();
        add(&mut rules.context);
        rules
    }

    fn verdict(
        &self,
        principal: &Principal,
        action: Action,
        bucket: &str,
        key: Option<&str>,
    ) -> Verdict {
        let context = &self.context;
        match &self.policy {
            Some(policy) => {
                let request = PolicyRequest { principal, action, bucket, key, context };
                policy.judge_within(&self.budget, &request)
            }
            None => Verdict::Denied,
        }
    }
}

/// Decides whether `principal` may do `action` to a bucket, or to the object `key` in it. `rules`
/// are those of the request; `None` where the bucket has no policy.
///
/// # Errors
/// `AccessDenied`.
pub(crate) fn judge(
    principal: &Principal,
    action: Action,
    bucket: &Bucket,
    key: Option<&str>,
    rules: Option<&Rules>,
) -> Outcome<()> {
    let policy =
        rules.map(|rules| rules.verdict(principal, action, &bucket.name, key)).unwrap_or_default();
    match authorize(principal, action, &Resource::Bucket { owner: bucket.owner, policy }) {
        Decision::Allow => Ok(()),
        Decision::Deny => Err(Failure::new(Code::AccessDenied)),
    }
}

/// Whether somebody asks who has nothing to lose in the bucket: neither its owner nor the operator.
pub(crate) fn is_guest(principal: &Principal, bucket: &Bucket) -> bool {
    !principal.is_root() && principal.account() != Some(bucket.owner)
}
