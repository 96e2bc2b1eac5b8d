//! `/usage/audit`.

use std::sync::Arc;

use axum::{Json, extract};
use gateway_object::{UsageCounter, UsageDrift};

use super::wire;
use crate::{error::ApiError, server::State};

/// Counts all objects and parts anew. The administrator who asks waits as long as that takes.
pub(crate) async fn audit(
    extract::State(state): extract::State<Arc<State>>,
) -> Result<Json<wire::UsageAudit>, ApiError> {
    let drift = state.objects.audit_usage().await?;
    Ok(Json(wire::UsageAudit { drift: drift.into_iter().map(counter).collect() }))
}

fn counter(drift: UsageDrift) -> wire::UsageDrift {
    let (name, account, bucket) = match drift.counter {
        UsageCounter::BucketBytes(bucket) => ("bucket-bytes", None, Some(bucket)),
        UsageCounter::BucketObjects(bucket) => ("bucket-objects", None, Some(bucket)),
        UsageCounter::AccountBytes(account) => ("account-bytes", Some(account), None),
        UsageCounter::AccountObjects(account) => ("account-objects", Some(account), None),
        UsageCounter::MeteredBytes(account, bucket) => {
            ("metered-bytes", Some(account), Some(bucket))
        }
    };
    wire::UsageDrift {
        counter: name.to_owned(),
        account: account.map(|account| account.0),
        bucket: bucket.map(|bucket| bucket.0),
        kept: drift.kept.to_string(),
        counted: drift.counted.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use gateway_meta::{AccountId, BucketId};
    use serde_json::json;

    use super::*;

    #[test]
    fn drift_names_its_counter_and_both_figures() {
        let drift = |counter| {
            let drift = UsageDrift { counter, kept: -3, counted: i128::from(u64::MAX) };
            serde_json::to_value(super::counter(drift)).unwrap()
        };
        assert_eq!(
            drift(UsageCounter::BucketObjects(BucketId(9))),
            json!({
                "counter": "bucket-objects", "bucket": 9,
                "kept": "-3", "counted": "18446744073709551615"
            })
        );
        let metered = drift(UsageCounter::MeteredBytes(AccountId(7), BucketId(9)));
        assert_eq!((&metered["account"], &metered["bucket"]), (&json!(7), &json!(9)));
    }
}
