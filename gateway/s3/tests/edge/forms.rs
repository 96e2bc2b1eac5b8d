//! Uploads by a browser's form.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::harness::{ANN, Answer, Edge, encode};

const FAR: &str = "2099-01-01T00:00:00.000Z";

#[expect(clippy::disallowed_methods, reason = "signatures are judged by the system clock")]
fn hours_ago(count: i64) -> (String, String) {
    let now = time::OffsetDateTime::from(std::time::SystemTime::now());
    let now = now - time::Duration::hours(count);
    let day = format!("{:04}{:02}{:02}", now.year(), u8::from(now.month()), now.day());
    let (hour, minute, second) = now.to_hms();
    let date = format!("{day}T{hour:02}{minute:02}{second:02}Z");
    (day, date)
}

fn mac(key: &[u8], data: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, data.as_bytes()).as_ref().to_vec()
}

/// A form being filled in.
pub(crate) struct Form {
    expiration: &'static str,
    signed_hours_ago: i64,
    conditions: Vec<String>,
    fields: Vec<(String, String)>,
    file: &'static str,
}

impl Form {
    /// A form for `key` whose policy says as much.
    pub(crate) fn new(key: &str) -> Self {
        Self {
            expiration: FAR,
            signed_hours_ago: 0,
            conditions: vec!["{\"bucket\":\"bucket\"}".to_owned()],
            fields: Vec::new(),
            file: "data",
        }
        .field("key", key)
    }

    /// Adds a field and a condition that it is so.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Self {
        let value_json = value.replace('"', "\\\"");
        self.conditions.push(format!("[\"eq\",\"${name}\",\"{value_json}\"]"));
        self.open_field(name, value)
    }

    /// Adds a field only.
    pub(crate) fn open_field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn condition(mut self, condition: &str) -> Self {
        self.conditions.push(condition.to_owned());
        self
    }

    pub(crate) async fn post(mut self, edge: &Edge) -> Answer {
        let (day, date) = hours_ago(self.signed_hours_ago);
        let credential = format!("{}/{day}/us-east-1/s3/aws4_request", ANN.0);
        self = self
            .field("x-amz-algorithm", "AWS4-HMAC-SHA256")
            .field("x-amz-credential", &credential)
            .field("x-amz-date", &date);
        let policy = format!(
            "{{\"expiration\":\"{}\",\"conditions\":[{}]}}",
            self.expiration,
            self.conditions.join(",")
        );
        let policy = STANDARD.encode(policy);
        let key = mac(format!("AWS4{}", ANN.1).as_bytes(), &day);
        let key = ["us-east-1", "s3", "aws4_request"].iter().fold(key, |key, part| mac(&key, part));
        let signature = hex::encode(mac(&key, &policy));
        self = self.open_field("policy", &policy).open_field("x-amz-signature", &signature);
        self.send(edge).await
    }

    pub(crate) async fn send(self, edge: &Edge) -> Answer {
        let mut body = String::new();
        for (name, value) in &self.fields {
            body += &format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        body += &format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"photo.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n{}\r\n--XX--\r\n",
            self.file
        );
        let ask = edge.post("").anonymous().body(body);
        ask.header("content-type", "multipart/form-data; boundary=XX").send().await
    }
}

#[tokio::test]
async fn signed_form_stores_its_file() {
    let edge = Edge::start().await;
    let form = Form::new("up/${filename}")
        .field("Content-Type", "image/png")
        .field("x-amz-meta-by", "ann")
        .field("acl", "private")
        .field(
            "tagging",
            "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>",
        );
    let form = Form {
        conditions: form.conditions.into_iter().filter(|c| !c.contains("$key")).collect(),
        ..form
    };
    let answer = form.condition("[\"starts-with\",\"$key\",\"up/\"]").post(&edge).await;
    let answer = answer.expect_status(204);
    assert_eq!(answer.header("etag"), "\"8d777f385d3dfec8815d20f7496026dc\"");
    assert_eq!(answer.header("location"), format!("http://{}/bucket/up/photo.jpg", edge.address));
    let got = edge.get("up/photo.jpg").send().await.expect_status(200);
    assert_eq!(got.body, "data");
    assert_eq!(got.header("content-type"), "image/png");
    assert_eq!(got.header("x-amz-meta-by"), "ann");
    assert_eq!(got.header("x-amz-tagging-count"), "1");
}

#[tokio::test]
async fn form_is_answered_as_it_asks() {
    let edge = Edge::start().await;
    let created = Form::new("k").field("success_action_status", "201").post(&edge).await;
    let created = created.expect_status(201);
    assert_eq!(created.element("Key"), "k");
    assert_eq!(created.element("ETag"), "&quot;8d777f385d3dfec8815d20f7496026dc&quot;");
    let redirect = "http://example.com/done?x=1";
    let form = Form::new("k").field("success_action_redirect", redirect);
    let moved = form.post(&edge).await.expect_status(303);
    let etag = encode("\"8d777f385d3dfec8815d20f7496026dc\"");
    let wanted = format!("{redirect}&bucket=bucket&key=k&etag={etag}");
    assert_eq!(moved.header("location"), wanted);
}

#[tokio::test]
async fn form_that_breaks_its_policy_is_denied() {
    let edge = Edge::start().await;
    let denied = |answer: Answer, what: &str| {
        let message = answer.expect_error(403, "AccessDenied").element("Message");
        assert_eq!(message, format!("Invalid according to Policy: {what}"));
    };
    let other = Form::new("k").condition("[\"eq\",\"$key\",\"other\"]").post(&edge).await;
    denied(other, "Policy Condition failed: [&quot;eq&quot;, &quot;$key&quot;, &quot;other&quot;]");
    let prefix = Form::new("k").condition("[\"starts-with\",\"$key\",\"up/\"]").post(&edge).await;
    denied(
        prefix,
        "Policy Condition failed: [&quot;starts-with&quot;, &quot;$key&quot;, &quot;up/&quot;]",
    );
    let unnamed = Form::new("k").open_field("x-amz-meta-a", "1").post(&edge).await;
    denied(unnamed, "Extra input fields: x-amz-meta-a");
    let sealed = Form::new("k").open_field("x-amz-server-side-encryption", "AES256").post(&edge);
    denied(sealed.await, "Extra input fields: x-amz-server-side-encryption");
    let expired = Form { expiration: "2020-01-01T00:00:00.000Z", ..Form::new("k") };
    denied(expired.post(&edge).await, "Policy expired.");
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn form_file_must_have_the_length_of_its_policy() {
    let edge = Edge::start().await;
    let range = |min, max| format!("[\"content-length-range\",{min},{max}]");
    let large = Form::new("k").condition(&range(0, 3)).post(&edge).await;
    large.expect_error(400, "EntityTooLarge");
    let small = Form::new("k").condition(&range(5, 9)).post(&edge).await;
    small.expect_error(400, "EntityTooSmall");
    Form::new("k").condition(&range(4, 4)).post(&edge).await.expect_status(204);
}

#[tokio::test]
async fn form_may_not_grant_or_ask_what_is_not_there() {
    let edge = Edge::start().await;
    let acl = Form::new("k").field("acl", "public-read").post(&edge).await;
    acl.expect_error(400, "AccessControlListNotSupported");
    let append = Form::new("k").field("x-amz-write-offset-bytes", "0").post(&edge).await;
    append.expect_error(501, "NotImplemented");
}

#[tokio::test]
async fn form_without_a_signature_is_denied() {
    let edge = Edge::start().await;
    Form::new("k").send(&edge).await.expect_error(403, "AccessDenied");
    let forged = Form::new("k").open_field("x-amz-signature", &"0".repeat(64)).send(&edge).await;
    assert!(forged.status.is_client_error(), "{}", forged.text());
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn form_signed_for_another_region_is_refused() {
    let config = gateway_s3::S3EdgeConfig {
        region: "eu-north-7".to_owned(),
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    Form::new("k").post(&edge).await.expect_error(400, "AuthorizationHeaderMalformed");
}

/// A policy says until when its form may be posted; S3's signing keys are good for a week.
#[tokio::test]
async fn form_may_be_posted_long_after_it_was_signed() {
    let edge = Edge::start().await;
    let hours = |count| Form { signed_hours_ago: count, ..Form::new("k") };
    hours(5).post(&edge).await.expect_status(204);
    hours(24 * 8).post(&edge).await.expect_error(403, "RequestTimeTooSkewed");
}

#[tokio::test]
async fn form_of_unknown_length_is_refused() {
    let edge = Edge::start().await;
    let ask = edge.post("").anonymous().chunked().body("--XX--\r\n");
    let ask = ask.header("content-type", "multipart/form-data; boundary=XX");
    ask.send().await.expect_error(411, "MissingContentLength");
}

#[tokio::test]
async fn form_that_is_none_is_malformed() {
    let edge = Edge::start().await;
    let ask = edge.post("").anonymous().body("no form");
    let ask = ask.header("content-type", "multipart/form-data; boundary=XX");
    ask.send().await.expect_error(400, "MalformedPOSTRequest");
}
