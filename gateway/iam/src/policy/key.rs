//! The keys that conditions may look at.

/// Keys of every service. Those that this server knows nothing of are never there.
const GLOBAL: &[&str] = &[
    "aws:calledvia",
    "aws:calledviafirst",
    "aws:calledvialast",
    "aws:currenttime",
    "aws:ec2instancesourceprivateipv4",
    "aws:ec2instancesourcevpc",
    "aws:epochtime",
    "aws:federatedprovider",
    "aws:multifactorauthage",
    "aws:multifactorauthpresent",
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalisawsservice",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalservicename",
    "aws:principalservicenameslist",
    "aws:principaltype",
    "aws:referer",
    "aws:requestedregion",
    "aws:resourceaccount",
    "aws:resourceorgid",
    "aws:resourceorgpaths",
    "aws:securetransport",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceidentity",
    "aws:sourceip",
    "aws:sourceorgid",
    "aws:sourceorgpaths",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpcarn",
    "aws:sourcevpce",
    "aws:tagkeys",
    "aws:tokenissuetime",
    "aws:useragent",
    "aws:userid",
    "aws:username",
    "aws:viaawsservice",
    "aws:vpceaccount",
    "aws:vpceorgid",
    "aws:vpceorgpaths",
    "aws:vpcsourceip",
];

/// Keys of S3.
const OF_S3: &[&str] = &[
    "s3:authtype",
    "s3:bucketkeyenabled",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:delimiter",
    "s3:existingjoboperation",
    "s3:if-match",
    "s3:if-none-match",
    "s3:inventoryaccessibleoptionalfields",
    "s3:locationconstraint",
    "s3:max-keys",
    "s3:object-lock-legal-hold",
    "s3:object-lock-mode",
    "s3:object-lock-remaining-retention-days",
    "s3:object-lock-retain-until-date",
    "s3:objectcreationoperation",
    "s3:prefix",
    "s3:requestobjecttagkeys",
    "s3:resourceaccount",
    "s3:signatureage",
    "s3:signatureversion",
    "s3:tlsversion",
    "s3:versionid",
    "s3:x-amz-acl",
    "s3:x-amz-content-sha256",
    "s3:x-amz-copy-source",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-object-ownership",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-website-redirect-location",
];

/// Keys that end in the name of a tag.
const OF_TAGS: &[&str] = &[
    "aws:principaltag/",
    "aws:requesttag/",
    "aws:resourcetag/",
    "s3:buckettag/",
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
];

/// Keys that make a statement about everybody one about few, as AWS tells what is public.
const NARROWING: &[&str] = &[
    "aws:principalaccount",
    "aws:principalarn",
    "aws:principalorgid",
    "aws:sourceaccount",
    "aws:sourcearn",
    "aws:sourceip",
    "aws:sourceowner",
    "aws:sourcevpc",
    "aws:sourcevpce",
    "aws:userid",
    "s3:dataaccesspointaccount",
    "s3:dataaccesspointarn",
    "s3:x-amz-server-side-encryption-aws-kms-key-id",
];

/// Where the tags of the object that is there are found.
pub(super) const EXISTING_TAGS: &str = "s3:existingobjecttag/";

/// Whether a key is one of AWS's.
pub(super) fn is_known(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    GLOBAL.contains(&lower.as_str())
        || OF_S3.contains(&lower.as_str())
        || OF_TAGS.iter().any(|tags| lower.len() > tags.len() && lower.starts_with(tags))
}

/// Whether naming its values leaves few requests. The key is in its normal form.
pub(super) fn narrows(key: &str) -> bool {
    NARROWING.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_aws_are_known_in_any_case() {
        for key in ["aws:SourceIp", "AWS:sourceip", "s3:prefix", "s3:ExistingObjectTag/Team"] {
            assert!(is_known(key), "{key}");
        }
        for key in ["", "aws:", "sourceip", "s3:nosuch", "s3:ExistingObjectTag/", "s3:prefix/a"] {
            assert!(!is_known(key), "{key}");
        }
    }

    #[test]
    fn tables_are_sorted_lower_case_and_known() {
        for table in [GLOBAL, OF_S3, OF_TAGS, NARROWING] {
            assert!(table.is_sorted());
            assert!(table.iter().all(|key| *key == key.to_ascii_lowercase()));
        }
        assert!(NARROWING.iter().all(|key| is_known(key)));
        assert!(OF_TAGS.contains(&EXISTING_TAGS));
    }
}
