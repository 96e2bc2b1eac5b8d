use http::{HeaderName, HeaderValue};

use super::*;

/// 32 times `k`, and its MD5.
const KEY: &str = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s=";

fn digest() -> String {
    STANDARD.encode(Md5::digest([b'k'; 32]))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn code<T>(outcome: Outcome<T>) -> Result<T, (Code, String)> {
    outcome.map_err(|failure| (failure.code(), failure.message().to_owned()))
}

fn refused<T: std::fmt::Debug>(outcome: Outcome<T>, wanted: Code, part: &str) {
    let (code, message) = code(outcome).unwrap_err();
    assert_eq!(code, wanted, "{message}");
    assert!(message.contains(part), "{message}");
}

#[test]
fn requests_say_whose_keys() {
    use EncryptionRequest as E;
    let asked = |pairs: &[(&'static str, &str)]| request(&headers(pairs)).unwrap();
    assert_eq!(asked(&[]), E::BucketDefault);
    assert_eq!(asked(&[(ALGORITHM, "AES256")]), E::Managed);
    let kms = |key_id: Option<&str>, context: Option<&str>, bucket_key| E::Kms {
        key_id: key_id.map(str::to_owned),
        context: context.map(str::to_owned),
        bucket_key,
    };
    assert_eq!(asked(&[(ALGORITHM, "aws:kms")]), kms(None, None, None));
    let all =
        [(ALGORITHM, "aws:kms"), (KMS_KEY, "alias/k"), (KMS_CONTEXT, "e30="), (BUCKET_KEY, "true")];
    assert_eq!(asked(&all), kms(Some("alias/k"), Some("e30="), Some(true)));
    let digest = digest();
    let key = [(TARGET.algorithm, "AES256"), (TARGET.key, KEY), (TARGET.md5, &digest)];
    assert_eq!(asked(&key), E::Customer(CustomerKey::new([b'k'; 32])));
}

#[test]
fn requests_that_contradict_themselves_are_refused() {
    let invalid = Code::InvalidArgument;
    let asked = |pairs: &[(&'static str, &str)]| request(&headers(pairs));
    refused(asked(&[(ALGORITHM, "aes256")]), invalid, "not supported");
    refused(asked(&[(ALGORITHM, "aws:kms:dsse")]), Code::NotImplemented, "dsse");
    refused(asked(&[(KMS_KEY, "k")]), invalid, "aws:kms");
    refused(asked(&[(ALGORITHM, "AES256"), (KMS_CONTEXT, "e30=")]), invalid, "aws:kms");
    refused(asked(&[(BUCKET_KEY, "yes")]), invalid, "true or false");
    let digest = digest();
    let both = [
        (ALGORITHM, "AES256"),
        (TARGET.algorithm, "AES256"),
        (TARGET.key, KEY),
        (TARGET.md5, &digest),
    ];
    refused(asked(&both), invalid, "incompatible");
}

#[test]
fn clients_keys_come_whole_or_not_at_all() {
    let invalid = Code::InvalidArgument;
    let digest = digest();
    let other = STANDARD.encode(Md5::digest(b"other"));
    let short = STANDARD.encode([1; 16]);
    for names in [TARGET, SOURCE] {
        let read = |algorithm: &str, key: &str, md5: &str| {
            let all = [(names.algorithm, algorithm), (names.key, key), (names.md5, md5)];
            customer(&headers(&all), &names)
        };
        assert!(read("AES256", KEY, &digest).unwrap().is_some());
        refused(read("AES128", KEY, &digest), Code::InvalidEncryptionAlgorithm, "AES256");
        refused(read("", KEY, &digest), invalid, "valid encryption algorithm");
        refused(read("AES256", "", &digest), invalid, "appropriate secret key");
        refused(read("AES256", KEY, ""), invalid, "client calculated MD5");
        refused(read("AES256", &short, &digest), invalid, "invalid for the specified");
        refused(read("AES256", "%", &digest), invalid, "invalid for the specified");
        refused(read("AES256", KEY, &other), invalid, "did not match");
    }
}

#[test]
fn reads_cannot_say_how_to_encrypt() {
    for (name, value) in [(ALGORITHM, "AES256"), (ALGORITHM, "aws:kms"), (KMS_KEY, "k")] {
        let asked = customer_key(&headers(&[(name, value)]));
        refused(asked, Code::InvalidArgument, "not supported for this operation");
    }
    assert_eq!(customer_key(&HeaderMap::new()).unwrap(), None);
}

#[test]
fn keys_are_told_by_their_arns() {
    let kms = |key_id: &str| KmsEncryption {
        key_id: key_id.to_owned(),
        sealed_key: Vec::new(),
        context: None,
        bucket_key: false,
    };
    assert_eq!(arn("eu-west-1", &kms("k")), "arn:aws:kms:eu-west-1:000000000001:key/k");
    assert_eq!(arn("eu-west-1", &kms("arn:x")), "arn:x");
}

#[test]
fn this_machine_is_private() {
    for (peer, local) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("10.0.0.1", false),
        ("::ffff:10.0.0.1", false),
    ] {
        assert_eq!(is_local(peer.parse().unwrap()), local, "{peer}");
    }
}

#[test]
fn keys_are_refused_where_others_can_read_them() {
    for names in [TARGET, SOURCE] {
        let given = headers(&[(names.key, KEY)]);
        refused(refuse_readable_keys(false, &given), Code::InvalidRequest, "secure connection");
        assert!(refuse_readable_keys(true, &given).is_ok());
    }
    assert!(refuse_readable_keys(false, &headers(&[(ALGORITHM, "aws:kms")])).is_ok());
}
