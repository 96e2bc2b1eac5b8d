//! Parsed policies, so that a request does not read JSON.
//!
//! Invariants:
//! - a policy is used only for the very text it was read from.
//!
//! *Limits:* [`POLICIES_MAX`].

use std::{collections::HashMap, sync::Arc};

use gateway_iam::Policy;
use gateway_meta::{BucketId, record::BucketPolicyRecord};
use parking_lot::RwLock;

/// Most parsed policies that are kept. Chosen: a policy of a page takes a few kilobytes.
const POLICIES_MAX: usize = 1024;

/// Parsed policies by bucket.
#[derive(Default)]
pub(crate) struct Policies(RwLock<HashMap<BucketId, Parsed>>);

struct Parsed {
    record: Arc<BucketPolicyRecord>,
    policy: Option<Arc<Policy>>,
}

impl Policies {
    /// The policy of a record; `None` when it cannot be read, which was logged.
    pub(crate) fn parsed(
        &self,
        bucket: BucketId,
        name: &str,
        record: &Arc<BucketPolicyRecord>,
    ) -> Option<Arc<Policy>> {
        if let Some(known) = self.0.read().get(&bucket)
            && (Arc::ptr_eq(&known.record, record) || known.record == *record)
        {
            return known.policy.clone();
        }
        let policy = match Policy::parse(&record.text, name) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(error) => {
                tracing::error!(%error, bucket = name, "a stored policy cannot be read");
                None
            }
        };
        let mut kept = self.0.write();
        if kept.len() >= POLICIES_MAX
            && let Some(any) = kept.keys().next().copied()
        {
            kept.remove(&any);
        }
        kept.insert(bucket, Parsed { record: Arc::clone(record), policy: policy.clone() });
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(action: &str) -> Arc<BucketPolicyRecord> {
        let text = format!(
            r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"{action}",
                "Resource":"arn:aws:s3:::bucket/*"}}}}"#
        );
        Arc::new(BucketPolicyRecord { text })
    }

    #[test]
    fn policy_is_parsed_once_for_each_text() {
        let policies = Policies::default();
        let id = BucketId(1);
        let first = policies.parsed(id, "bucket", &record("s3:GetObject")).unwrap();
        let again = policies.parsed(id, "bucket", &record("s3:GetObject")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = policies.parsed(id, "bucket", &record("s3:PutObject")).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(policies.parsed(id, "bucket", &record("nonsense")).is_none());
    }

    #[test]
    fn kept_policies_stay_bounded() {
        let policies = Policies::default();
        let record = record("s3:GetObject");
        for id in 0..2 * POLICIES_MAX as u64 {
            policies.parsed(BucketId(id), "bucket", &record);
        }
        assert_eq!(policies.0.read().len(), POLICIES_MAX);
    }
}
