//! What is asked for, under IAM's names.
//!
//! Invariants:
//! - a name is the one that policies use; it never changes.

macro_rules! actions {
    ($($action:ident = $name:literal, $level:ident;)*) => {
        /// What is asked for. Each goes by its name in policies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = concat!("`", $name, "`.")] $action,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$action,)*];

            /// Its name in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$action => $name,)*
                }
            }

            /// What it is asked of.
            #[must_use]
            pub const fn level(self) -> Level {
                match self {
                    $(Self::$action => Level::$level,)*
                }
            }
        }
    };
}

/// What kind of thing an action is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The server itself.
    Service,
    /// A bucket.
    Bucket,
    /// An object.
    Object,
}

actions! {
    Administer = "datamesh:Administer", Service;
    AbortMultipartUpload = "s3:AbortMultipartUpload", Object;
    BypassGovernanceRetention = "s3:BypassGovernanceRetention", Object;
    CreateBucket = "s3:CreateBucket", Bucket;
    DeleteBucket = "s3:DeleteBucket", Bucket;
    DeleteBucketPolicy = "s3:DeleteBucketPolicy", Bucket;
    DeleteBucketWebsite = "s3:DeleteBucketWebsite", Bucket;
    DeleteObject = "s3:DeleteObject", Object;
    DeleteObjectTagging = "s3:DeleteObjectTagging", Object;
    DeleteObjectVersion = "s3:DeleteObjectVersion", Object;
    DeleteObjectVersionTagging = "s3:DeleteObjectVersionTagging", Object;
    GetAccelerateConfiguration = "s3:GetAccelerateConfiguration", Bucket;
    GetAnalyticsConfiguration = "s3:GetAnalyticsConfiguration", Bucket;
    GetBucketAbac = "s3:GetBucketAbac", Bucket;
    GetBucketAcl = "s3:GetBucketAcl", Bucket;
    GetBucketCors = "s3:GetBucketCORS", Bucket;
    GetBucketLocation = "s3:GetBucketLocation", Bucket;
    GetBucketLogging = "s3:GetBucketLogging", Bucket;
    GetBucketObjectLockConfiguration = "s3:GetBucketObjectLockConfiguration", Bucket;
    GetBucketPolicy = "s3:GetBucketPolicy", Bucket;
    GetBucketPolicyStatus = "s3:GetBucketPolicyStatus", Bucket;
    GetBucketRequestPayment = "s3:GetBucketRequestPayment", Bucket;
    GetBucketTagging = "s3:GetBucketTagging", Bucket;
    GetBucketVersioning = "s3:GetBucketVersioning", Bucket;
    GetBucketWebsite = "s3:GetBucketWebsite", Bucket;
    GetEncryptionConfiguration = "s3:GetEncryptionConfiguration", Bucket;
    GetIntelligentTieringConfiguration = "s3:GetIntelligentTieringConfiguration", Bucket;
    GetLifecycleConfiguration = "s3:GetLifecycleConfiguration", Bucket;
    GetMetricsConfiguration = "s3:GetMetricsConfiguration", Bucket;
    GetObject = "s3:GetObject", Object;
    GetObjectAcl = "s3:GetObjectAcl", Object;
    GetObjectAttributes = "s3:GetObjectAttributes", Object;
    GetObjectLegalHold = "s3:GetObjectLegalHold", Object;
    GetObjectRetention = "s3:GetObjectRetention", Object;
    GetObjectTagging = "s3:GetObjectTagging", Object;
    GetObjectVersion = "s3:GetObjectVersion", Object;
    GetObjectVersionAcl = "s3:GetObjectVersionAcl", Object;
    GetObjectVersionAttributes = "s3:GetObjectVersionAttributes", Object;
    GetObjectVersionTagging = "s3:GetObjectVersionTagging", Object;
    ListAllMyBuckets = "s3:ListAllMyBuckets", Service;
    ListBucket = "s3:ListBucket", Bucket;
    ListBucketMultipartUploads = "s3:ListBucketMultipartUploads", Bucket;
    ListBucketVersions = "s3:ListBucketVersions", Bucket;
    ListMultipartUploadParts = "s3:ListMultipartUploadParts", Object;
    PutAccelerateConfiguration = "s3:PutAccelerateConfiguration", Bucket;
    PutAnalyticsConfiguration = "s3:PutAnalyticsConfiguration", Bucket;
    PutBucketAbac = "s3:PutBucketAbac", Bucket;
    PutBucketCors = "s3:PutBucketCORS", Bucket;
    PutBucketLogging = "s3:PutBucketLogging", Bucket;
    PutBucketObjectLockConfiguration = "s3:PutBucketObjectLockConfiguration", Bucket;
    PutBucketPolicy = "s3:PutBucketPolicy", Bucket;
    PutBucketRequestPayment = "s3:PutBucketRequestPayment", Bucket;
    PutBucketTagging = "s3:PutBucketTagging", Bucket;
    PutBucketVersioning = "s3:PutBucketVersioning", Bucket;
    PutBucketWebsite = "s3:PutBucketWebsite", Bucket;
    PutEncryptionConfiguration = "s3:PutEncryptionConfiguration", Bucket;
    PutIntelligentTieringConfiguration = "s3:PutIntelligentTieringConfiguration", Bucket;
    PutLifecycleConfiguration = "s3:PutLifecycleConfiguration", Bucket;
    PutMetricsConfiguration = "s3:PutMetricsConfiguration", Bucket;
    PutObject = "s3:PutObject", Object;
    PutObjectLegalHold = "s3:PutObjectLegalHold", Object;
    PutObjectRetention = "s3:PutObjectRetention", Object;
    PutObjectTagging = "s3:PutObjectTagging", Object;
    PutObjectVersionTagging = "s3:PutObjectVersionTagging", Object;
}

impl Action {
    /// What the action is called when a version is named.
    #[must_use]
    pub const fn on_version(self) -> Self {
        match self {
            Self::GetObject => Self::GetObjectVersion,
            Self::GetObjectAcl => Self::GetObjectVersionAcl,
            Self::GetObjectAttributes => Self::GetObjectVersionAttributes,
            Self::GetObjectTagging => Self::GetObjectVersionTagging,
            Self::PutObjectTagging => Self::PutObjectVersionTagging,
            Self::DeleteObject => Self::DeleteObjectVersion,
            Self::DeleteObjectTagging => Self::DeleteObjectVersionTagging,
            other => other,
        }
    }

    /// Whether it looks at or changes the bucket's policy. The owner may always do so, or a policy
    /// could lock everybody out for good.
    #[must_use]
    pub const fn is_of_policy(self) -> bool {
        matches!(self, Self::GetBucketPolicy | Self::PutBucketPolicy | Self::DeleteBucketPolicy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let mut names: Vec<&str> = Action::ALL.iter().map(|action| action.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Action::ALL.len());
    }

    #[test]
    fn versions_are_asked_for_under_names_of_their_own() {
        assert_eq!(Action::GetObject.on_version().name(), "s3:GetObjectVersion");
        assert_eq!(Action::ListBucket.on_version(), Action::ListBucket);
    }
}
