//! Server-side encryption: whose keys, and what is told of them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway_kms::{KeyName, NewKey};
use md5::{Digest as _, Md5};

use crate::forms::Form;
use crate::harness::{Answer, Ask, Edge};

const SSE: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const CONTEXT: &str = "x-amz-server-side-encryption-context";
const BUCKET_KEY: &str = "x-amz-server-side-encryption-bucket-key-enabled";
const CUSTOMER: &str = "x-amz-server-side-encryption-customer";
const SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer";

/// MD5 of `bytes`, whose ETag it is without a key.
const MD5_OF_BYTES: &str = "\"4b3a6218bb3e3a7303e8a171a60fcf92\"";

impl Ask {
    /// Adds the three headers of a client's key.
    fn with_key(self, prefix: &str, byte: u8) -> Self {
        let key = [byte; 32];
        self.header(&format!("{prefix}-algorithm"), "AES256")
            .header(&format!("{prefix}-key"), &STANDARD.encode(key))
            .header(&format!("{prefix}-key-md5"), &digest(byte))
    }

    fn kms(self, key: &str) -> Self {
        self.header(SSE, "aws:kms").header(KMS_KEY, key)
    }
}

fn digest(byte: u8) -> String {
    STANDARD.encode(Md5::digest([byte; 32]))
}

impl Edge {
    async fn make_key(&self, id: &str, alias: &str) {
        let alias = Some(alias.to_owned());
        let new = NewKey { id: Some(id.to_owned()), alias, ..NewKey::default() };
        self.kms.create(new).await.unwrap();
    }

    async fn configure(&self, document: &str) -> Answer {
        self.put("?encryption").body(document.to_owned()).send().await
    }
}

fn told(answer: &Answer) -> (&str, &str, &str) {
    (answer.header(SSE), answer.header(KMS_KEY), answer.header(BUCKET_KEY))
}

const ONE: &str = "arn:aws:kms:us-east-1:000000000001:key/one";

#[tokio::test]
async fn clients_key_is_needed_to_read_and_never_told() {
    let edge = Edge::start().await;
    let put = edge.put("k").body("bytes").with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_ne!(put.header("etag"), MD5_OF_BYTES);
    let got = edge.get("k").with_key(CUSTOMER, 1).send().await.expect_status(200);
    let head = edge.head("k").with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_eq!(got.body, "bytes");
    for answer in [&put, &got, &head] {
        assert_eq!(answer.header("etag"), put.header("etag"));
        assert_eq!(answer.header(&format!("{CUSTOMER}-algorithm")), "AES256");
        assert_eq!(answer.header(&format!("{CUSTOMER}-key-md5")), digest(1));
        assert_eq!(answer.header(&format!("{CUSTOMER}-key")), "");
        assert_eq!(answer.header(SSE), "");
    }
    let missing = edge.get("k").send().await.expect_error(400, "InvalidRequest");
    assert_eq!(
        missing.element("Message"),
        "The object was stored using a form of Server Side Encryption. The correct parameters must \
         be provided to retrieve the object."
    );
    edge.get("k").with_key(CUSTOMER, 2).send().await.expect_error(403, "AccessDenied");
    edge.head("k").send().await.expect_status(400);
    edge.head("k").with_key(CUSTOMER, 2).send().await.expect_status(403);
    let attributes = || edge.get("k?attributes").header("x-amz-object-attributes", "ObjectSize");
    attributes().send().await.expect_error(400, "InvalidRequest");
    let known = attributes().with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_eq!(known.element("ObjectSize"), "5");
    edge.store("plain", "bytes").await;
    let unwanted = edge.get("plain").with_key(CUSTOMER, 1).send().await;
    let unwanted = unwanted.expect_error(400, "InvalidRequest");
    assert!(unwanted.element("Message").contains("not applicable"));
}

#[tokio::test]
async fn broken_headers_of_clients_keys_are_told() {
    let edge = Edge::start().await;
    let (algorithm, key, md5) =
        (format!("{CUSTOMER}-algorithm"), format!("{CUSTOMER}-key"), format!("{CUSTOMER}-key-md5"));
    let right = STANDARD.encode([1; 32]);
    let put = |headers: &[(&str, &str)]| {
        let ask = edge.put("k").body("bytes");
        headers.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
    };
    let md5_of_key = digest(1);
    let all = [(algorithm.as_str(), "AES256"), (&key, &right), (&md5, &md5_of_key)];
    put(&all).send().await.expect_status(200);
    for left_out in 0..3 {
        let mut some = all.to_vec();
        some.remove(left_out);
        let answer = put(&some).send().await.expect_error(400, "InvalidArgument");
        assert!(answer.element("Message").contains("must provide"), "{}", answer.text());
        assert!(!answer.text().contains(&right));
    }
    let weak = [(algorithm.as_str(), "AES128"), all[1], all[2]];
    put(&weak).send().await.expect_error(400, "InvalidEncryptionAlgorithmError");
    let other_digest = digest(2);
    let mismatch = [all[0], all[1], (md5.as_str(), other_digest.as_str())];
    let answer = put(&mismatch).send().await.expect_error(400, "InvalidArgument");
    assert_eq!(
        answer.element("Message"),
        "The calculated MD5 hash of the key did not match the hash that was provided."
    );
    let both = edge.put("k").body("b").with_key(CUSTOMER, 1).header(SSE, "AES256");
    both.send().await.expect_error(400, "InvalidArgument");
}

#[tokio::test]
async fn key_services_keys_are_told_and_can_be_disabled() {
    let edge = Edge::start().await;
    edge.make_key("one", "team/logs").await;
    for name in ["one", "alias/team/logs", ONE, "arn:aws:kms:us-east-1:1:alias/team/logs"] {
        let put = edge.put("k").body("bytes").kms(name).header(BUCKET_KEY, "true");
        // {"a":"b"}
        let put = put.header(CONTEXT, "eyJhIjoiYiJ9").send().await.expect_status(200);
        assert_eq!(told(&put), ("aws:kms", ONE, "true"), "{name}");
        assert_eq!(put.header(CONTEXT), "eyJhIjoiYiJ9");
        assert_ne!(put.header("etag"), MD5_OF_BYTES);
        let got = edge.get("k").send().await.expect_status(200);
        assert_eq!((told(&got), got.text()), (("aws:kms", ONE, "true"), "bytes"));
        assert_eq!((got.header(CONTEXT), got.header("etag")), ("", put.header("etag")));
    }
    let put = edge.put("default").body("bytes").header(SSE, "aws:kms").send().await;
    let put = put.expect_status(200);
    let made = edge.kms.describe_default().await;
    assert_eq!(told(&put), ("aws:kms", &*made, ""));

    let missing = edge.put("k").body("b").kms("two").send().await;
    missing.expect_error(400, "KMS.NotFoundException");
    let malformed = edge.put("k").body("b").kms("one").header(CONTEXT, "e30");
    malformed.send().await.expect_error(400, "InvalidArgument");
    edge.put("k")
        .body("b")
        .header(KMS_KEY, "one")
        .send()
        .await
        .expect_error(400, "InvalidArgument");
    let dsse = edge.put("k").body("b").header(SSE, "aws:kms:dsse").send().await;
    dsse.expect_error(501, "NotImplemented");
    let read = edge.get("k").kms("one").send().await.expect_error(400, "InvalidArgument");
    assert_eq!(
        read.element("Message"),
        "x-amz-server-side-encryption header is not supported for this operation."
    );

    edge.kms.set_enabled(&KeyName::Id("one".into()), false).await.unwrap();
    edge.get("k").send().await.expect_error(400, "KMS.DisabledException");
    edge.put("k").body("b").kms("one").send().await.expect_error(400, "KMS.DisabledException");
    assert_eq!(told(&edge.head("k").send().await.expect_status(200)), ("aws:kms", ONE, "true"));
    edge.kms.set_enabled(&KeyName::Id("one".into()), true).await.unwrap();
    edge.get("k").send().await.expect_status(200);
}

trait DescribeDefault {
    async fn describe_default(&self) -> String;
}

impl DescribeDefault for gateway_kms::BuiltInKeyService {
    async fn describe_default(&self) -> String {
        use gateway_kms::KeyService as _;
        let key = self.describe(&KeyName::default_key()).await.unwrap();
        format!("arn:aws:kms:us-east-1:000000000001:key/{}", key.id)
    }
}

#[tokio::test]
async fn parts_and_copies_take_keys() {
    let edge = Edge::start().await;
    let begun = edge.post("k?uploads").with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_eq!(begun.header(&format!("{CUSTOMER}-key-md5")), digest(1));
    let upload = begun.element("UploadId");
    let part = |number: u16| edge.put(&format!("k?partNumber={number}&uploadId={upload}"));
    part(1).body("b").send().await.expect_error(400, "InvalidRequest");
    let wrong = part(1).body("b").with_key(CUSTOMER, 2).send().await;
    wrong.expect_error(400, "InvalidRequest");
    let one = part(1).body("0123456789abcdef").with_key(CUSTOMER, 1).send().await;
    let one = one.expect_status(200);
    assert_eq!(one.header(&format!("{CUSTOMER}-algorithm")), "AES256");
    edge.put("source").body("tail").with_key(CUSTOMER, 3).send().await.expect_status(200);
    let from = |ask: Ask| ask.header("x-amz-copy-source", "/bucket/source");
    let copied = from(part(2)).with_key(CUSTOMER, 1);
    copied.clone().send().await.expect_error(400, "InvalidRequest");
    let two = copied.with_key(SOURCE, 3).send().await.expect_status(200);
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{}</ETag></Part>\
         <Part><PartNumber>2</PartNumber><ETag>{}</ETag></Part></CompleteMultipartUpload>",
        one.header("etag"),
        two.element("ETag"),
    );
    let complete = edge.post(&format!("k?uploadId={upload}")).body(document);
    let completed = complete.with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert!(completed.element("ETag").ends_with("-2&quot;"));
    let got = edge.get("k").with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_eq!(got.text(), "0123456789abcdeftail");

    let copy = from(edge.put("copy"));
    copy.clone().with_key(SOURCE, 4).send().await.expect_error(403, "AccessDenied");
    let managed = copy.clone().with_key(SOURCE, 3).send().await.expect_status(200);
    assert_eq!(managed.header(SSE), "AES256");
    assert_eq!(edge.get("copy").send().await.expect_status(200).text(), "tail");
    let rekeyed = copy.with_key(SOURCE, 3).with_key(CUSTOMER, 5).send().await.expect_status(200);
    assert_eq!(rekeyed.header(&format!("{CUSTOMER}-key-md5")), digest(5));
    let got = edge.get("copy").with_key(CUSTOMER, 5).send().await.expect_status(200);
    assert_eq!(got.text(), "tail");
}

fn rule(inner: &str) -> String {
    format!(
        "<ServerSideEncryptionConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Rule>{inner}</Rule></ServerSideEncryptionConfiguration>"
    )
}

const BY_KMS: &str = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm>\
    <KMSMasterKeyID>alias/team/logs</KMSMasterKeyID></ApplyServerSideEncryptionByDefault>\
    <BucketKeyEnabled>true</BucketKeyEnabled>";

#[tokio::test]
async fn bucket_says_how_objects_are_encrypted_by_default() {
    let edge = Edge::start().await;
    edge.make_key("one", "team/logs").await;
    let none = edge.get("?encryption").send().await.expect_status(200);
    assert_eq!(none.element("SSEAlgorithm"), "AES256");
    assert_eq!(none.element("BucketKeyEnabled"), "false");
    edge.configure(&rule(BY_KMS)).await.expect_status(200);
    let set = edge.get("?encryption").send().await.expect_status(200);
    assert_eq!(set.element("KMSMasterKeyID"), "alias/team/logs");
    assert_eq!(set.element("BucketKeyEnabled"), "true");
    let kms = ("aws:kms", ONE, "true");
    assert_eq!(told(&edge.put("k").body("bytes").send().await.expect_status(200)), kms);
    let copy = edge.put("copy").header("x-amz-copy-source", "/bucket/k").send().await;
    assert_eq!(told(&copy.expect_status(200)), kms);
    assert_eq!(told(&edge.post("k?uploads").send().await.expect_status(200)), kms);
    Form::new("form").post(&edge).await.expect_status(204);
    let form = edge.get("form").send().await.expect_status(200);
    assert_eq!((told(&form), form.text()), (kms, "data"));
    let asked = edge.put("k").body("bytes").header(SSE, "AES256").send().await.expect_status(200);
    assert_eq!(told(&asked), ("AES256", "", ""));
    assert_eq!(asked.header("etag"), MD5_OF_BYTES);
    edge.delete("?encryption").send().await.expect_status(204);
    let again = edge.get("?encryption").send().await.expect_status(200);
    assert_eq!(again.element("SSEAlgorithm"), "AES256");
    assert_eq!(edge.put("k").body("b").send().await.expect_status(200).header(SSE), "AES256");
}

#[tokio::test]
async fn broken_encryption_documents_change_nothing() {
    let edge = Edge::start().await;
    edge.configure(&rule(BY_KMS)).await.expect_status(200);
    let before = edge.get("?encryption").send().await.expect_status(200).text().to_owned();
    let aes = "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm>\
               </ApplyServerSideEncryptionByDefault>";
    let twice = rule(&format!("{aes}</Rule><Rule>{aes}"));
    for broken in ["", "no xml", "<Other/>", &rule(""), &twice, &rule(&aes.replace("256", "1"))] {
        let answer = edge.configure(broken).await;
        assert_eq!(answer.status, 400, "{broken}: {}", answer.text());
    }
    edge.configure(&twice).await.expect_error(400, "MalformedXML");
    let too_long = rule(&" ".repeat(5 << 20));
    edge.configure(&too_long).await.expect_error(400, "MaxMessageLengthExceeded");
    let after = edge.get("?encryption").send().await.expect_status(200);
    assert_eq!(after.text(), before);
    // What AWS does not know is ignored.
    edge.configure(&rule(&format!("{aes}<Unknown>1</Unknown>"))).await.expect_status(200);
}

#[tokio::test]
async fn bucket_may_refuse_clients_keys() {
    let edge = Edge::start().await;
    let blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType>\
                   </BlockedEncryptionTypes>";
    edge.configure(&rule(blocked)).await.expect_status(200);
    let told = edge.get("?encryption").send().await.expect_status(200);
    assert_eq!(told.element("EncryptionType"), "SSE-C");
    let put = edge.put("k").body("bytes").with_key(CUSTOMER, 1).send().await;
    put.expect_error(403, "AccessDenied");
    edge.put("k").body("bytes").send().await.expect_status(200);
    edge.configure(&rule(&blocked.replace("SSE-C", "NONE"))).await.expect_status(200);
    edge.put("k").body("bytes").with_key(CUSTOMER, 1).send().await.expect_status(200);
}

#[tokio::test]
async fn forms_carry_clients_keys() {
    let edge = Edge::start().await;
    let key = STANDARD.encode([1; 32]);
    let form = Form::new("k")
        .field("x-amz-server-side-encryption-customer-algorithm", "AES256")
        .field("x-amz-server-side-encryption-customer-key", &key)
        .field("x-amz-server-side-encryption-customer-key-MD5", &digest(1));
    form.post(&edge).await.expect_status(204);
    edge.get("k").send().await.expect_error(400, "InvalidRequest");
    let got = edge.get("k").with_key(CUSTOMER, 1).send().await.expect_status(200);
    assert_eq!(got.text(), "data");
}

#[tokio::test]
async fn keys_in_urls_are_not_taken() {
    let edge = Edge::start().await;
    let key = crate::harness::encode(&STANDARD.encode([1; 32]));
    let md5 = crate::harness::encode(&digest(1));
    let target =
        format!("k?{CUSTOMER}-algorithm=AES256&{CUSTOMER}-key={key}&{CUSTOMER}-key-md5={md5}");
    // What shall be under a client's key is not stored without it.
    let put = edge.put(&target).body("bytes").presigned().send().await;
    let message = put.expect_error(400, "InvalidRequest").element("Message");
    assert!(message.contains("from headers only"), "{message}");
    for name in [CUSTOMER, SOURCE] {
        let part = format!("k?{}-Key-MD5={md5}", name.to_uppercase());
        let put = edge.put(&part).body("bytes").presigned().send().await;
        put.expect_error(400, "InvalidRequest");
    }
    edge.head("k").send().await.expect_status(404);
    edge.put("k").body("bytes").with_key(CUSTOMER, 1).send().await.expect_status(200);
    edge.get(&target).presigned().send().await.expect_error(400, "InvalidRequest");
}

#[tokio::test]
async fn owners_of_objects_are_told_without_the_clients_key() {
    let edge = Edge::start().await;
    edge.put("k").body("bytes").with_key(CUSTOMER, 1).send().await.expect_status(200);
    let told = edge.get("k?acl").send().await.expect_status(200);
    assert_eq!(told.elements("Permission"), ["FULL_CONTROL"]);
    edge.get("missing?acl").send().await.expect_error(404, "NoSuchKey");
}

#[tokio::test]
async fn policy_can_insist_on_encryption() {
    let edge = Edge::start().await;
    edge.make_key("one", "team/logs").await;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*",
              "Condition":{{"StringNotEquals":{{"s3:x-amz-server-side-encryption":"aws:kms"}}}}}},
            {{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::bucket/*",
              "Condition":{{"StringNotEqualsIfExists":
                {{"s3:x-amz-server-side-encryption-aws-kms-key-id":"{ONE}"}}}}}}]}}"#
    );
    edge.put("?policy").body(policy).send().await.expect_status(204);
    edge.put("k").body("b").send().await.expect_error(403, "AccessDenied");
    edge.put("k").body("b").header(SSE, "AES256").send().await.expect_error(403, "AccessDenied");
    edge.put("k").body("b").kms("other").send().await.expect_error(403, "AccessDenied");
    edge.put("k").body("b").kms(ONE).send().await.expect_status(200);
    edge.post("k?uploads").send().await.expect_error(403, "AccessDenied");
    edge.post("k?uploads").kms(ONE).send().await.expect_status(200);
}
