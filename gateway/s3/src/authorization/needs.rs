//! What a request must be allowed to do, for each operation.

use gateway_iam::Action;
use http::HeaderMap;

use crate::{header, operation::Operation, query::Query};

/// What must be allowed before an operation begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Needs {
    /// All of these.
    pub(crate) actions: Vec<Action>,
    /// Whether the decision needs what the operation reads first, its body or the source of a
    /// copy, where the bucket has a policy: the operation itself asks for it then.
    pub(crate) deferred: bool,
}

/// Whether headers that attach something to an object do so with this operation. Others ignore
/// them, and so must their judgement.
pub(crate) fn takes_attributes(operation: Operation) -> bool {
    use Operation as O;
    matches!(operation, O::PutObject | O::CopyObject | O::CreateMultipartUpload | O::PostObject)
}

/// Whether a copy takes the tags of its source rather than those of its headers.
pub(crate) fn copies_tags(operation: Operation, headers: &HeaderMap) -> bool {
    let directive = header::text(headers, "x-amz-tagging-directive");
    operation == Operation::CopyObject && !matches!(directive, Ok(Some("REPLACE")))
}

/// What an operation needs with these headers and this query.
pub(crate) fn needs(operation: Operation, headers: &HeaderMap, query: &Query) -> Needs {
    use Operation as O;
    let names_version = query.has("versionId");
    let named = |action: Action| if names_version { action.on_version() } else { action };
    let mut actions = Vec::with_capacity(2);
    actions.push(named(operation.action()));
    if operation == O::GetObjectAttributes {
        actions.push(named(Action::GetObject));
    }
    let has = |name: &str| headers.contains_key(name);
    let copies_tags = copies_tags(operation, headers);
    if takes_attributes(operation) {
        if has("x-amz-tagging") && !copies_tags {
            actions.push(Action::PutObjectTagging);
        }
        if has("x-amz-object-lock-mode") || has("x-amz-object-lock-retain-until-date") {
            actions.push(Action::PutObjectRetention);
        }
        if has("x-amz-object-lock-legal-hold") {
            actions.push(Action::PutObjectLegalHold);
        }
    }
    let in_body = matches!(
        operation,
        O::DeleteObjects | O::PutObjectTagging | O::PutObjectRetention | O::PutObjectLegalHold
    );
    Needs { actions, deferred: in_body || copies_tags }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn needed(operation: Operation, names: &[&'static str], query: &str) -> Vec<&'static str> {
        let headers = names
            .iter()
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("x")))
            .collect();
        let needs = needs(operation, &headers, &Query::parse(Some(query)).unwrap());
        needs.actions.into_iter().map(Action::name).collect()
    }

    #[test]
    fn versions_are_asked_for_by_name() {
        use Operation as O;
        assert_eq!(needed(O::GetObject, &[], ""), ["s3:GetObject"]);
        assert_eq!(needed(O::HeadObject, &[], "versionId=null"), ["s3:GetObjectVersion"]);
        assert_eq!(needed(O::DeleteObject, &[], "versionId=1"), ["s3:DeleteObjectVersion"]);
        assert_eq!(needed(O::GetObjectTagging, &[], "versionId=1"), ["s3:GetObjectVersionTagging"]);
        assert_eq!(
            needed(O::GetObjectAttributes, &[], "versionId=1"),
            ["s3:GetObjectVersionAttributes", "s3:GetObjectVersion"]
        );
        assert_eq!(needed(O::GetObjectAcl, &[], ""), ["s3:GetObjectAcl"]);
    }

    #[test]
    fn what_is_attached_needs_leave_of_its_own() {
        use Operation as O;
        let lock = ["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"];
        assert_eq!(needed(O::PutObject, &lock, ""), ["s3:PutObject", "s3:PutObjectRetention"]);
        let attached = ["x-amz-tagging", "x-amz-object-lock-legal-hold"];
        assert_eq!(
            needed(O::CreateMultipartUpload, &attached, ""),
            ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectLegalHold"]
        );
        assert_eq!(needed(O::GetObject, &lock, ""), ["s3:GetObject"]);
    }

    #[test]
    fn what_is_ignored_needs_no_leave() {
        use Operation as O;
        let attached = ["x-amz-tagging", "x-amz-object-lock-legal-hold"];
        assert_eq!(needed(O::UploadPart, &attached, ""), ["s3:PutObject"]);
        // The source's tags go along, which are judged when they are known.
        let copy = needed(O::CopyObject, &attached, "");
        assert_eq!(copy, ["s3:PutObject", "s3:PutObjectLegalHold"]);
        let mut headers = HeaderMap::new();
        assert!(needs(O::CopyObject, &headers, &Query::default()).deferred);
        headers.insert("x-amz-tagging-directive", HeaderValue::from_static("REPLACE"));
        headers.insert("x-amz-tagging", HeaderValue::from_static("a=b"));
        let replacing = needs(O::CopyObject, &headers, &Query::default());
        assert_eq!(replacing.actions, [Action::PutObject, Action::PutObjectTagging]);
        assert!(!replacing.deferred);
    }
}
