//! Pages of other origins.

use http::Method;

use crate::harness::{Answer, Ask, Edge};

const ORIGIN: &str = "http://www.example.com";

const RULES: &str = "<CORSConfiguration><CORSRule><ID>pages</ID>\
    <AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>PUT</AllowedMethod><AllowedHeader>content-*</AllowedHeader>\
    <AllowedHeader>X-Amz-Meta-A</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
    <ExposeHeader>x-amz-request-id</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>\
    <CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>\
    </CORSConfiguration>";

async fn put_rules(edge: &Edge, document: &str) -> Answer {
    edge.put("?cors").body(document.to_owned()).send().await
}

async fn edge_with_rules() -> Edge {
    let edge = Edge::start().await;
    put_rules(&edge, RULES).await.expect_status(200);
    edge
}

fn preflight(edge: &Edge, target: &str, origin: &str, method: &str) -> Ask {
    let ask = edge.request(Method::OPTIONS, target).anonymous();
    ask.header("origin", origin).header("access-control-request-method", method)
}

#[tokio::test]
async fn rules_are_told_as_they_were_given_until_they_are_removed() {
    let edge = Edge::start().await;
    let none = edge.get("?cors").send().await.expect_error(404, "NoSuchCORSConfiguration");
    assert_eq!(none.element("BucketName"), "bucket");
    put_rules(&edge, RULES).await.expect_status(200);
    let told = edge.get("?cors").send().await.expect_status(200);
    assert_eq!(told.elements("AllowedOrigin"), ["http://*.example.com", "*"]);
    assert_eq!(told.elements("AllowedMethod"), ["GET", "PUT", "GET"]);
    assert_eq!(told.elements("AllowedHeader"), ["content-*", "X-Amz-Meta-A"]);
    assert_eq!(told.elements("ExposeHeader"), ["ETag", "x-amz-request-id"]);
    assert_eq!(
        (told.element("ID"), told.element("MaxAgeSeconds")),
        ("pages".into(), "3000".into())
    );
    for _ in 0..2 {
        edge.delete("?cors").send().await.expect_status(204);
    }
    edge.get("?cors").send().await.expect_error(404, "NoSuchCORSConfiguration");
    edge.put("/nosuch?cors").body(RULES).send().await.expect_error(404, "NoSuchBucket");
}

fn document(rules: &str) -> String {
    format!("<CORSConfiguration>{rules}</CORSConfiguration>")
}

fn rule(more: &str) -> String {
    let get = "<AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod>";
    format!("<CORSRule>{get}{more}</CORSRule>")
}

#[tokio::test]
async fn wrong_rules_are_refused_and_the_old_ones_stay() {
    let edge = edge_with_rules().await;
    let long = |len| format!("<ID>{}</ID>", "é".repeat(len));
    let refused = [
        (String::new(), 400, "MissingRequestBodyError"),
        ("<CORSConfiguration>".into(), 400, "MalformedXML"),
        ("<Other/>".into(), 400, "MalformedXML"),
        (document(""), 400, "MalformedXML"),
        (document("<CORSRule/>"), 400, "MalformedXML"),
        (document(&rule("<Unknown/>")), 400, "MalformedXML"),
        (document(&(rule("") + "<Unknown/>")), 400, "MalformedXML"),
        (document("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>"), 400, "MalformedXML"),
        (document("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>"), 400, "MalformedXML"),
        (document(&rule("<AllowedMethod>PATCH</AllowedMethod>")), 400, "InvalidRequest"),
        (document(&rule("<AllowedMethod>get</AllowedMethod>")), 400, "InvalidRequest"),
        (document(&rule("<AllowedOrigin>*.*</AllowedOrigin>")), 400, "InvalidRequest"),
        (document(&rule("<AllowedOrigin/>")), 400, "MalformedXML"),
        (document(&rule("<AllowedHeader>*x*</AllowedHeader>")), 400, "InvalidRequest"),
        (document(&rule("<ExposeHeader>x-*</ExposeHeader>")), 400, "InvalidRequest"),
        (document(&rule("<MaxAgeSeconds>soon</MaxAgeSeconds>")), 400, "MalformedXML"),
        (document(&rule("<MaxAgeSeconds>-1</MaxAgeSeconds>")), 400, "MalformedXML"),
        (
            document(&rule("<MaxAgeSeconds>1</MaxAgeSeconds><MaxAgeSeconds>2</MaxAgeSeconds>")),
            400,
            "MalformedXML",
        ),
        (document(&rule(&long(256))), 400, "InvalidArgument"),
        (document(&(rule("<ID>a</ID>") + &rule("<ID>a</ID>"))), 400, "InvalidArgument"),
        (document(&rule("").repeat(101)), 400, "InvalidRequest"),
        (document(&rule(&" ".repeat(64 << 10))), 400, "MaxMessageLengthExceeded"),
    ];
    for (text, status, code) in refused {
        let shown: String = text.chars().take(200).collect();
        let answer = put_rules(&edge, &text).await;
        assert_eq!(
            (answer.status.as_u16(), answer.element("Code").as_str()),
            (status, code),
            "{shown}"
        );
    }
    let told = edge.get("?cors").send().await.expect_status(200);
    assert_eq!(told.element("ID"), "pages");
    put_rules(&edge, &document(&rule(&long(255)))).await.expect_status(200);
    put_rules(&edge, &document(&rule("").repeat(100))).await.expect_status(200);
}

#[tokio::test]
async fn messages_name_what_is_wrong() {
    let edge = Edge::start().await;
    let told = |answer: Answer| answer.element("Message");
    let method = put_rules(&edge, &document(&rule("<AllowedMethod>PATCH</AllowedMethod>"))).await;
    let wanted = "Found unsupported HTTP method in CORS config. Unsupported method is PATCH";
    assert_eq!(told(method), wanted);
    let origin = put_rules(&edge, &document(&rule("<AllowedOrigin>*.*</AllowedOrigin>"))).await;
    assert_eq!(told(origin), "AllowedOrigin &quot;*.*&quot; can not have more than one wildcard.");
}

#[tokio::test]
async fn preflights_need_no_signature_and_tell_what_is_allowed() {
    let edge = edge_with_rules().await;
    let ask = preflight(&edge, "k", ORIGIN, "PUT");
    let ask = ask.header("access-control-request-headers", "Content-Type, x-amz-meta-a");
    let allowed = ask.send().await.expect_status(200);
    assert_eq!(allowed.body, "");
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, PUT"),
        ("access-control-allow-headers", "content-type, x-amz-meta-a"),
        ("access-control-expose-headers", "ETag, x-amz-request-id"),
        ("access-control-max-age", "3000"),
        ("vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"),
    ] {
        assert_eq!(allowed.header(name), value, "{name}");
    }
    assert!(!allowed.header("x-amz-request-id").is_empty());
    let anyone = preflight(&edge, "", "https://elsewhere.org", "GET").send().await;
    let anyone = anyone.expect_status(200);
    assert_eq!(anyone.header("access-control-allow-origin"), "*");
    assert_eq!(anyone.header("access-control-allow-credentials"), "");
}

#[tokio::test]
async fn preflights_that_no_rule_allows_are_forbidden() {
    let edge = edge_with_rules().await;
    let forbidden = |answer: Answer| {
        let answer = answer.expect_error(403, "AccessForbidden");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        (answer.element("Method"), answer.element("ResourceType"), answer.element("Message"))
    };
    let put = preflight(&edge, "k", "https://elsewhere.org", "PUT").send().await;
    let (method, kind, message) = forbidden(put);
    assert_eq!((method.as_str(), kind.as_str()), ("PUT", "OBJECT"));
    assert!(message.starts_with("CORSResponse: This CORS request is not allowed."), "{message}");
    forbidden(preflight(&edge, "", ORIGIN, "DELETE").send().await);
    let header = preflight(&edge, "k", ORIGIN, "PUT");
    forbidden(header.header("access-control-request-headers", "authorization").send().await);
    let (_, kind, message) = forbidden(preflight(&edge, "/nosuch", ORIGIN, "GET").send().await);
    assert_eq!((kind.as_str(), message.as_str()), ("BUCKET", "CORSResponse: Bucket not found"));
    forbidden(preflight(&edge, "/", ORIGIN, "GET").send().await);
    edge.delete("?cors").send().await.expect_status(204);
    let (.., message) = forbidden(preflight(&edge, "k", ORIGIN, "GET").send().await);
    assert_eq!(message, "CORSResponse: CORS is not enabled for this bucket.");
}

#[tokio::test]
async fn preflights_must_say_who_asks_for_what() {
    let edge = edge_with_rules().await;
    let ask = || edge.request(Method::OPTIONS, "k").anonymous();
    let told = |answer: Answer| answer.expect_error(400, "BadRequest").element("Message");
    let nobody = told(ask().header("access-control-request-method", "GET").send().await);
    assert_eq!(nobody, "Insufficient information. Origin request header needed.");
    let nothing = told(ask().header("origin", ORIGIN).send().await);
    assert_eq!(nothing, "Invalid Access-Control-Request-Method: null");
    let unknown = told(preflight(&edge, "k", ORIGIN, "PATCH").send().await);
    assert_eq!(unknown, "Invalid Access-Control-Request-Method: PATCH");
}

#[tokio::test]
async fn virtual_hosts_have_preflights() {
    let config = gateway_s3::S3EdgeConfig {
        domains: vec!["s3.test".to_owned()],
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    put_rules(&edge, RULES).await.expect_status(200);
    let ask = preflight(&edge, "/k", ORIGIN, "PUT").host("bucket.s3.test");
    ask.send().await.expect_status(200);
    let ask = preflight(&edge, "/k", ORIGIN, "PUT").host("other.s3.test");
    ask.send().await.expect_error(403, "AccessForbidden");
}

#[tokio::test]
async fn every_answer_tells_pages_what_they_may_read() {
    let edge = edge_with_rules().await;
    edge.store("k", "data").await;
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").to_owned();
    let from = |ask: Ask| ask.header("origin", ORIGIN);
    let got = from(edge.get("k")).send().await.expect_status(200);
    assert_eq!(allowed(&got), ORIGIN);
    assert_eq!(got.header("access-control-expose-headers"), "ETag, x-amz-request-id");
    assert_eq!(got.body, "data");
    let same = from(edge.get("k")).header("if-none-match", got.header("etag")).send().await;
    assert_eq!(allowed(&same.expect_status(304)), ORIGIN);
    let missing = from(edge.get("nosuch")).send().await.expect_error(404, "NoSuchKey");
    assert_eq!(allowed(&missing), ORIGIN);
    let denied = from(edge.get("k")).anonymous().send().await.expect_error(403, "AccessDenied");
    assert_eq!(allowed(&denied), ORIGIN);
    let put = from(edge.put("k")).body("new").send().await.expect_status(200);
    assert_eq!(allowed(&put), ORIGIN);
}

#[tokio::test]
async fn rules_do_not_decide_whether_a_request_is_let_in() {
    let edge = edge_with_rules().await;
    let put = edge.put("k").header("origin", "https://elsewhere.org").body("data").send().await;
    let put = put.expect_status(200);
    assert_eq!(put.header("access-control-allow-origin"), "");
    let plain = edge.get("k").send().await.expect_status(200);
    assert_eq!((plain.header("access-control-allow-origin"), plain.header("vary")), ("", ""));
    let get = edge.get("k").header("origin", "https://elsewhere.org").anonymous().send().await;
    let get = get.expect_error(403, "AccessDenied");
    assert_eq!(get.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn announced_method_counts_on_requests_too() {
    let edge = edge_with_rules().await;
    edge.store("k", "data").await;
    let ask = edge.get("k").header("origin", ORIGIN);
    let other = ask.header("access-control-request-method", "DELETE").send().await;
    assert_eq!(other.expect_status(200).header("access-control-allow-origin"), "");
}
