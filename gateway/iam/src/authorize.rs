//! Who may do what. Pure: everything it looks at is an argument.

use gateway_meta::AccountId;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Nobody: the request carries no credentials.
    Anonymous,
    /// An account, by one of its access keys.
    Account {
        /// The account.
        account: AccountId,
        /// The access key that signed the request.
        access_key_id: String,
    },
}

impl Principal {
    /// The account that asks, if any.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        match self {
            Self::Anonymous => None,
            Self::Account { account, .. } => Some(*account),
        }
    }

    /// Whether the operator asks.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.account() == Some(AccountId::ROOT)
    }
}

/// What is asked for, under IAM's names (`s3:` left out).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Read the configuration of the server and of every account, and change it.
    Administer,
    /// List the caller's buckets.
    ListAllMyBuckets,
    /// Make a bucket.
    CreateBucket,
    /// Remove a bucket.
    DeleteBucket,
    /// List a bucket's objects, or see that the bucket exists.
    ListBucket,
    /// List a bucket's multipart uploads.
    ListBucketMultipartUploads,
    /// Read a bucket's location.
    GetBucketLocation,
    /// Read an object or its metadata.
    GetObject,
    /// Read a summary of an object and its parts.
    GetObjectAttributes,
    /// Write an object, or any part of a multipart upload.
    PutObject,
    /// Delete an object.
    DeleteObject,
    /// Read an object's tags.
    GetObjectTagging,
    /// Replace an object's tags.
    PutObjectTagging,
    /// Remove an object's tags.
    DeleteObjectTagging,
    /// Abort a multipart upload.
    AbortMultipartUpload,
    /// List the parts of a multipart upload.
    ListMultipartUploadParts,
    /// `s3:PutBucketVersioning`.
    PutBucketVersioning,
    /// `s3:ListBucketVersions`.
    ListBucketVersions,
    /// `s3:GetBucketObjectLockConfiguration`.
    GetBucketObjectLockConfiguration,
    /// `s3:PutBucketObjectLockConfiguration`.
    PutBucketObjectLockConfiguration,
    /// `s3:GetObjectRetention`.
    GetObjectRetention,
    /// `s3:PutObjectRetention`.
    PutObjectRetention,
    /// `s3:GetObjectLegalHold`.
    GetObjectLegalHold,
    /// `s3:PutObjectLegalHold`.
    PutObjectLegalHold,
    /// `s3:GetLifecycleConfiguration`.
    GetLifecycleConfiguration,
    /// `s3:PutLifecycleConfiguration`.
    PutLifecycleConfiguration,
    /// `s3:GetEncryptionConfiguration`.
    GetEncryptionConfiguration,
    /// `s3:PutEncryptionConfiguration`.
    PutEncryptionConfiguration,
    /// `s3:GetBucketCORS`.
    GetBucketCors,
    /// `s3:PutBucketCORS`.
    PutBucketCors,
    /// `s3:GetBucketWebsite`.
    GetBucketWebsite,
    /// `s3:PutBucketWebsite`.
    PutBucketWebsite,
    /// `s3:DeleteBucketWebsite`.
    DeleteBucketWebsite,
    /// `s3:GetBucketTagging`.
    GetBucketTagging,
    /// `s3:PutBucketTagging`.
    PutBucketTagging,
    /// `s3:GetBucketRequestPayment`.
    GetBucketRequestPayment,
    /// `s3:PutBucketRequestPayment`.
    PutBucketRequestPayment,
    /// `s3:GetBucketLogging`.
    GetBucketLogging,
    /// `s3:PutBucketLogging`.
    PutBucketLogging,
    /// `s3:GetAccelerateConfiguration`.
    GetAccelerateConfiguration,
    /// `s3:PutAccelerateConfiguration`.
    PutAccelerateConfiguration,
    /// `s3:GetBucketAbac`.
    GetBucketAbac,
    /// `s3:PutBucketAbac`.
    PutBucketAbac,
    /// `s3:GetBucketPolicy`.
    GetBucketPolicy,
    /// `s3:PutBucketPolicy`.
    PutBucketPolicy,
    /// `s3:DeleteBucketPolicy`.
    DeleteBucketPolicy,
    /// `s3:GetBucketPolicyStatus`.
    GetBucketPolicyStatus,
    /// `s3:GetAnalyticsConfiguration`.
    GetAnalyticsConfiguration,
    /// `s3:PutAnalyticsConfiguration`.
    PutAnalyticsConfiguration,
    /// `s3:GetMetricsConfiguration`.
    GetMetricsConfiguration,
    /// `s3:PutMetricsConfiguration`.
    PutMetricsConfiguration,
    /// `s3:GetIntelligentTieringConfiguration`.
    GetIntelligentTieringConfiguration,
    /// `s3:PutIntelligentTieringConfiguration`.
    PutIntelligentTieringConfiguration,
    /// `s3:GetBucketVersioning`.
    GetBucketVersioning,
    /// `s3:GetBucketAcl`.
    GetBucketAcl,
    /// `s3:GetObjectVersion`.
    GetObjectVersion,
    /// `s3:DeleteObjectVersion`.
    DeleteObjectVersion,
    /// `s3:BypassGovernanceRetention`.
    BypassGovernanceRetention,
}

/// What it is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The server itself: bucket lists and new buckets.
    Service,
    /// A bucket, or anything in it.
    Bucket {
        /// The account that owns it.
        owner: AccountId,
    },
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Something allows it.
    Allow,
    /// Nothing allows it.
    Deny,
}

/// Decides whether `principal` may perform `action` on `resource`.
///
/// The operator may do everything. An account may do everything to what it owns, may list its own
/// buckets and make new ones. Nobody else may do anything.
pub fn authorize(principal: &Principal, action: Action, resource: &Resource) -> Decision {
    let Some(account) = principal.account() else {
        return Decision::Deny;
    };
    let allowed = match (action, resource) {
        _ if principal.is_root() => true,
        (Action::Administer, _) => false,
        (Action::ListAllMyBuckets | Action::CreateBucket, Resource::Service) => true,
        (_, Resource::Service) => false,
        (_, Resource::Bucket { owner }) => *owner == account,
    };
    if allowed { Decision::Allow } else { Decision::Deny }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u64) -> Principal {
        Principal::Account { account: AccountId(id), access_key_id: format!("key{id}") }
    }

    const MINE: Resource = Resource::Bucket { owner: AccountId(2) };

    #[test]
    fn owner_may_use_what_it_owns_and_nobody_else_may() {
        assert_eq!(authorize(&account(2), Action::PutObject, &MINE), Decision::Allow);
        assert_eq!(authorize(&account(3), Action::PutObject, &MINE), Decision::Deny);
        assert_eq!(authorize(&account(3), Action::ListBucket, &MINE), Decision::Deny);
    }

    #[test]
    fn anonymous_is_denied_everything() {
        for resource in [Resource::Service, MINE] {
            for action in [Action::ListAllMyBuckets, Action::GetObject, Action::Administer] {
                assert_eq!(authorize(&Principal::Anonymous, action, &resource), Decision::Deny);
            }
        }
    }

    #[test]
    fn only_root_administers() {
        let root = account(AccountId::ROOT.0);
        assert_eq!(authorize(&root, Action::Administer, &Resource::Service), Decision::Allow);
        assert_eq!(authorize(&account(2), Action::Administer, &Resource::Service), Decision::Deny);
        assert_eq!(authorize(&account(2), Action::Administer, &MINE), Decision::Deny);
    }

    #[test]
    fn root_may_use_the_buckets_of_others() {
        let root = account(AccountId::ROOT.0);
        assert_eq!(authorize(&root, Action::GetObject, &MINE), Decision::Allow);
    }

    #[test]
    fn accounts_list_and_make_their_own_buckets() {
        for action in [Action::ListAllMyBuckets, Action::CreateBucket] {
            assert_eq!(authorize(&account(2), action, &Resource::Service), Decision::Allow);
        }
        assert_eq!(authorize(&account(2), Action::GetObject, &Resource::Service), Decision::Deny);
    }
}
