//! Default encryption of buckets.

use gateway_kms::KeyName;
use gateway_meta::record::{BucketEncryptionRecord, CustomerKeys, DefaultEncryption};
use http::StatusCode;

use crate::{
    answer::Answer,
    call::Call,
    error::{Code, Failure, Outcome},
    xml::{Element, Writer},
};

/// Objects are always encrypted: a bucket that was never told how answers with what holds.
pub(super) async fn get_bucket_encryption(call: Call<'_>) -> Outcome<Answer> {
    let bucket = call.bucket.as_ref().ok_or(Code::InternalError)?;
    let record = bucket.configs.encryption.as_deref().cloned().unwrap_or_default();
    let mut xml = Writer::rooted("ServerSideEncryptionConfiguration");
    xml.open("Rule");
    xml.open("ApplyServerSideEncryptionByDefault");
    match &record.default {
        DefaultEncryption::Managed => xml.text("SSEAlgorithm", "AES256"),
        DefaultEncryption::Kms { key } => {
            xml.text("SSEAlgorithm", "aws:kms");
            xml.text_if("KMSMasterKeyID", key.as_deref());
        }
    }
    xml.close("ApplyServerSideEncryptionByDefault");
    xml.value("BucketKeyEnabled", record.bucket_key);
    if let Some(customer_keys) = record.customer_keys {
        xml.open("BlockedEncryptionTypes");
        xml.text("EncryptionType", blocked_name(customer_keys));
        xml.close("BlockedEncryptionTypes");
    }
    xml.close("Rule");
    xml.close("ServerSideEncryptionConfiguration");
    Ok(Answer::document(xml.finish()))
}

pub(super) async fn put_bucket_encryption(call: Call<'_>) -> Outcome<Answer> {
    let document = call.document().await?;
    let record = read(document.root.as_ref().ok_or(Code::MalformedXml)?)?;
    call.gateway.service.put_config(call.target.bucket(), record).await?;
    Ok(Answer::empty(StatusCode::OK))
}

pub(super) async fn delete_bucket_encryption(call: Call<'_>) -> Outcome<Answer> {
    let bucket = call.target.bucket();
    call.gateway.service.delete_config::<BucketEncryptionRecord>(bucket).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn read(root: &Element) -> Outcome<BucketEncryptionRecord> {
    let malformed = || Failure::new(Code::MalformedXml);
    let mut rules = root.all("Rule");
    let (Some(rule), None) = (rules.next(), rules.next()) else { return Err(malformed()) };
    if root.name != "ServerSideEncryptionConfiguration" {
        return Err(malformed());
    }
    let default = rule.child("ApplyServerSideEncryptionByDefault");
    let blocked = rule.child("BlockedEncryptionTypes");
    if default.is_none() && blocked.is_none() {
        return Err(malformed());
    }
    let bucket_key = match rule.child_text("BucketKeyEnabled").map(str::trim) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed()),
    };
    Ok(BucketEncryptionRecord {
        default: default.map(read_default).transpose()?.unwrap_or_default(),
        bucket_key,
        customer_keys: blocked.map(read_blocked).transpose()?,
    })
}

fn read_default(element: &Element) -> Outcome<DefaultEncryption> {
    let malformed = || Failure::new(Code::MalformedXml);
    let key = element.child_text("KMSMasterKeyID").map(str::trim).filter(|key| !key.is_empty());
    match element.child_text("SSEAlgorithm").map(str::trim) {
        Some("AES256") => match key {
            None => Ok(DefaultEncryption::Managed),
            Some(key) => Err(Failure::invalid_argument(
                "KMSMasterKeyID",
                key,
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms",
            )),
        },
        Some("aws:kms") => {
            if let Some(key) = key.filter(|key| KeyName::parse(key).is_err()) {
                let message = "The KMSMasterKeyID is no key id, alias or ARN of a key.";
                return Err(Failure::invalid_argument("KMSMasterKeyID", key, message));
            }
            Ok(DefaultEncryption::Kms { key: key.map(str::to_owned) })
        }
        Some("aws:kms:dsse") => Err(Failure::not_implemented("Encryption with aws:kms:dsse")),
        Some(_) | None => Err(malformed()),
    }
}

/// `NONE` blocks nothing; what else may be listed is `SSE-C`.
fn read_blocked(element: &Element) -> Outcome<CustomerKeys> {
    let mut types = element.all("EncryptionType").map(|listed| listed.text.trim());
    match (types.next(), types.next()) {
        (Some("NONE"), None) => Ok(CustomerKeys::Allowed),
        (Some("SSE-C"), None) => Ok(CustomerKeys::Blocked),
        _ => Err(Failure::new(Code::MalformedXml)),
    }
}

fn blocked_name(customer_keys: CustomerKeys) -> &'static str {
    match customer_keys {
        CustomerKeys::Allowed => "NONE",
        CustomerKeys::Blocked => "SSE-C",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(inner: &str) -> Result<BucketEncryptionRecord, Code> {
        document(&format!("<Rule>{inner}</Rule>"))
    }

    fn document(inner: &str) -> Result<BucketEncryptionRecord, Code> {
        let text = format!(
            "<ServerSideEncryptionConfiguration>{inner}</ServerSideEncryptionConfiguration>"
        );
        read(&crate::xml::parse(text.as_bytes()).unwrap()).map_err(|failure| failure.code())
    }

    fn by_default(inner: &str) -> String {
        format!("<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>")
    }

    const AES: &str = "<SSEAlgorithm>AES256</SSEAlgorithm>";
    const KMS: &str = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";
    const SSE_C: &str = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>\
                         </BlockedEncryptionTypes>";

    #[test]
    fn rules_are_read() {
        let managed = BucketEncryptionRecord::default();
        assert_eq!(rule(&by_default(AES)), Ok(managed.clone()));
        assert_eq!(rule(&format!("{}<Unknown/>", by_default(AES))), Ok(managed.clone()));
        let key = format!("{KMS}<KMSMasterKeyID>alias/k</KMSMasterKeyID>");
        let text = format!("{}<BucketKeyEnabled>true</BucketKeyEnabled>", by_default(&key));
        let default = DefaultEncryption::Kms { key: Some("alias/k".to_owned()) };
        let expected = BucketEncryptionRecord { default, bucket_key: true, customer_keys: None };
        assert_eq!(rule(&text), Ok(expected));
        let blocked = Some(CustomerKeys::Blocked);
        let expected = BucketEncryptionRecord { customer_keys: blocked, ..managed };
        assert_eq!(rule(SSE_C), Ok(expected));
    }

    #[test]
    fn other_documents_are_refused() {
        let aes = by_default(AES);
        for text in [
            String::new(),
            format!("<Rule>{aes}</Rule><Rule>{aes}</Rule>"),
            "<Rule></Rule>".to_owned(),
            format!("<Rule>{}</Rule>", by_default("")),
            format!("<Rule>{}</Rule>", by_default("<SSEAlgorithm>rot13</SSEAlgorithm>")),
            format!("<Rule>{aes}<BucketKeyEnabled>yes</BucketKeyEnabled></Rule>"),
            "<Rule><BlockedEncryptionTypes/></Rule>".to_owned(),
        ] {
            assert_eq!(document(&text), Err(Code::MalformedXml), "{text}");
        }
        let key = "<KMSMasterKeyID>k</KMSMasterKeyID>";
        assert_eq!(rule(&by_default(&format!("{AES}{key}"))), Err(Code::InvalidArgument));
        let no_key = "<KMSMasterKeyID>a b</KMSMasterKeyID>";
        assert_eq!(rule(&by_default(&format!("{KMS}{no_key}"))), Err(Code::InvalidArgument));
        let dsse = by_default("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>");
        assert_eq!(rule(&dsse), Err(Code::NotImplemented));
    }
}
