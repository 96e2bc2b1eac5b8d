//! The actions that policies may name: those there are here, and the rest of S3's, so that policies
//! written elsewhere are understood.

use super::pattern::{Steps, Symbol, matches, symbols};
use crate::{Action, Level};

/// Actions of S3 that are asked of a bucket and that nothing asks for here.
const ON_BUCKETS: &[&str] = &[
    "s3:CreateBucketMetadataTableConfiguration",
    "s3:DeleteBucketMetadataTableConfiguration",
    "s3:GetBucketMetadataTableConfiguration",
    "s3:GetBucketNotification",
    "s3:GetBucketOwnershipControls",
    "s3:GetBucketPublicAccessBlock",
    "s3:GetInventoryConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListTagsForResource",
    "s3:PutBucketAcl",
    "s3:PutBucketNotification",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutInventoryConfiguration",
    "s3:PutReplicationConfiguration",
    "s3:TagResource",
    "s3:UntagResource",
    "s3:UpdateBucketMetadataInventoryTableConfiguration",
    "s3:UpdateBucketMetadataJournalTableConfiguration",
];

/// Actions of S3 that are asked of an object and that nothing asks for here.
const ON_OBJECTS: &[&str] = &[
    "s3:GetObjectTorrent",
    "s3:GetObjectVersionForReplication",
    "s3:GetObjectVersionTorrent",
    "s3:InitiateReplication",
    "s3:ObjectOwnerOverrideToBucketOwner",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
    "s3:RestoreObject",
    "s3:UpdateObjectEncryption",
];

/// Which of them a pattern names; the pattern is in lower case.
pub(super) fn named(pattern: &str) -> Vec<Level> {
    let pattern: Vec<Symbol> = symbols(pattern).collect();
    let is_named = |name: &str| matches(&pattern, &name.to_ascii_lowercase(), &Steps::new());
    let here = Action::ALL.iter().filter(|action| **action != Action::Administer);
    let here = here.map(|action| (action.name(), action.level()));
    let on_buckets = ON_BUCKETS.iter().map(|name| (*name, Level::Bucket));
    let on_objects = ON_OBJECTS.iter().map(|name| (*name, Level::Object));
    here.chain(on_buckets)
        .chain(on_objects)
        .filter(|(name, _)| is_named(name))
        .map(|(_, level)| level)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_what_there_is() {
        assert_eq!(named("s3:getobject"), [Level::Object]);
        assert_eq!(named("s3:putobjectacl"), [Level::Object]);
        assert_eq!(named("s3:listbucket"), [Level::Bucket]);
        assert!(named("s3:get*").contains(&Level::Object));
        assert!(named("s3:get*").contains(&Level::Bucket));
        for pattern in ["s3:nosuch", "getobject", "ec2:*", "datamesh:administer", ""] {
            assert!(named(pattern).is_empty(), "{pattern}");
        }
    }

    #[test]
    fn tables_are_sorted_and_do_not_repeat_what_is_here() {
        for table in [ON_BUCKETS, ON_OBJECTS] {
            assert!(table.is_sorted());
            for name in table {
                assert!(Action::ALL.iter().all(|action| action.name() != *name), "{name}");
            }
        }
    }
}
