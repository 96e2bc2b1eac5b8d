//! Buckets as websites.

use http::Method;

use crate::harness::{Answer, Ask, Edge};

const PAGES: &str = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>\
                     <ErrorDocument><Key>error.html</Key></ErrorDocument>";

const READABLE: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\
    \"Principal\":\"*\",\"Action\":\"s3:GetObject\",\"Resource\":\"arn:aws:s3:::bucket/*\"}]}";

const LISTABLE: &str = "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\
    \"Principal\":\"*\",\"Action\":[\"s3:GetObject\",\"s3:ListBucket\"],\
    \"Resource\":[\"arn:aws:s3:::bucket\",\"arn:aws:s3:::bucket/*\"]}]}";

fn document(inner: &str) -> String {
    format!("<WebsiteConfiguration>{inner}</WebsiteConfiguration>")
}

async fn configure(edge: &Edge, inner: &str) -> Answer {
    edge.put("?website").body(document(inner)).send().await
}

async fn open_to_everyone(edge: &Edge, policy: &'static str) {
    edge.put("?policy").body(policy).send().await.expect_status(204);
}

async fn store_page(edge: &Edge, key: &str, body: &'static str) {
    let put = edge.put(key).header("content-type", "text/html").body(body);
    put.send().await.expect_status(200);
}

/// A website whose pages everyone may read and list.
async fn site(inner: &str) -> Edge {
    let edge = Edge::start().await;
    configure(&edge, inner).await.expect_status(200);
    open_to_everyone(&edge, LISTABLE).await;
    store_page(&edge, "index.html", "home").await;
    store_page(&edge, "docs/index.html", "docs").await;
    store_page(&edge, "error.html", "sorry").await;
    edge
}

fn visit(edge: &Edge, target: &str) -> Ask {
    edge.visit("bucket.web.test", target)
}

#[tokio::test]
async fn configuration_is_told_as_it_was_given_until_it_is_removed() {
    let edge = Edge::start().await;
    let none = edge.get("?website").send().await;
    let none = none.expect_error(404, "NoSuchWebsiteConfiguration");
    assert_eq!(none.element("BucketName"), "bucket");
    let rule = "<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals>\
        <HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>\
        <Protocol>https</Protocol><HostName>example.com</HostName>\
        <ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith>\
        <HttpRedirectCode>302</HttpRedirectCode></Redirect></RoutingRule>\
        <RoutingRule><Redirect><ReplaceKeyWith>k</ReplaceKeyWith></Redirect></RoutingRule>";
    let inner = format!("{PAGES}<RoutingRules>{rule}</RoutingRules>");
    configure(&edge, &inner).await.expect_status(200);
    let told = edge.get("?website").send().await.expect_status(200);
    for (element, text) in [
        ("Suffix", "index.html"),
        ("Key", "error.html"),
        ("KeyPrefixEquals", "docs/"),
        ("HttpErrorCodeReturnedEquals", "404"),
        ("Protocol", "https"),
        ("HostName", "example.com"),
        ("ReplaceKeyPrefixWith", "documents/"),
        ("HttpRedirectCode", "302"),
        ("ReplaceKeyWith", "k"),
    ] {
        assert_eq!(told.element(element), text, "{element}");
    }
    let all = "<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>";
    configure(&edge, all).await.expect_status(200);
    let told = edge.get("?website").send().await.expect_status(200);
    assert_eq!(
        (told.element("HostName"), told.element("Suffix")),
        ("example.com".into(), "".into())
    );
    for _ in 0..2 {
        edge.delete("?website").send().await.expect_status(204);
    }
    edge.get("?website").send().await.expect_error(404, "NoSuchWebsiteConfiguration");
}

#[tokio::test]
async fn wrong_configurations_are_refused_and_the_old_one_stays() {
    let edge = Edge::start().await;
    configure(&edge, PAGES).await.expect_status(200);
    let index = "<IndexDocument><Suffix>i</Suffix></IndexDocument>";
    let all = "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>";
    let rule = |inner: &str| {
        format!("{index}<RoutingRules><RoutingRule>{inner}</RoutingRule></RoutingRules>")
    };
    let redirect = |inner: &str| rule(&format!("<Redirect>{inner}</Redirect>"));
    let condition = |inner: &str| {
        rule(&format!("<Condition>{inner}</Condition><Redirect><HostName>h</HostName></Redirect>"))
    };
    let many = "<RoutingRule><Redirect/></RoutingRule>".repeat(51);
    for (inner, code) in [
        (String::new(), "InvalidArgument"),
        ("<Unknown/>".into(), "MalformedXML"),
        (format!("{index}{index}"), "MalformedXML"),
        ("<IndexDocument/>".into(), "InvalidArgument"),
        ("<IndexDocument><Suffix/></IndexDocument>".into(), "InvalidArgument"),
        ("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>".into(), "InvalidArgument"),
        (format!("{index}<ErrorDocument/>"), "MalformedXML"),
        (format!("{index}<ErrorDocument><Key/></ErrorDocument>"), "MalformedXML"),
        (format!("{index}{all}"), "InvalidArgument"),
        ("<RedirectAllRequestsTo/>".into(), "MalformedXML"),
        (
            "<RedirectAllRequestsTo><HostName>h</HostName><Protocol>ftp</Protocol>\
             </RedirectAllRequestsTo>"
                .into(),
            "InvalidRequest",
        ),
        (format!("{index}<RoutingRules/>"), "MalformedXML"),
        (format!("{index}<RoutingRules>{many}</RoutingRules>"), "InvalidRequest"),
        (rule(""), "MalformedXML"),
        (redirect("<Unknown/>"), "MalformedXML"),
        (redirect("<Protocol>ftp</Protocol>"), "InvalidRequest"),
        (redirect("<HttpRedirectCode>200</HttpRedirectCode>"), "InvalidRequest"),
        (redirect("<HttpRedirectCode>300</HttpRedirectCode>"), "InvalidRequest"),
        (redirect("<HostName>a/b</HostName>"), "InvalidRequest"),
        (
            redirect(
                "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>",
            ),
            "InvalidRequest",
        ),
        (condition(""), "InvalidRequest"),
        (
            condition("<HttpErrorCodeReturnedEquals>301</HttpErrorCodeReturnedEquals>"),
            "InvalidRequest",
        ),
    ] {
        let answer = configure(&edge, &inner).await;
        let told = (answer.status.as_u16(), answer.element("Code"));
        assert_eq!(told, (400, code.to_owned()), "{inner}");
    }
    edge.put("?website").send().await.expect_error(400, "MissingRequestBodyError");
    edge.put("?website").body("<WebsiteConf").send().await.expect_error(400, "MalformedXML");
    let long = document(&format!("{index}{}", " ".repeat(128 << 10)));
    let long = edge.put("?website").body(long).send().await;
    long.expect_error(400, "MaxMessageLengthExceeded");
    let told = edge.get("?website").send().await.expect_status(200);
    assert_eq!(told.element("Suffix"), "index.html");
}

#[tokio::test]
async fn folders_show_their_index() {
    let edge = site(PAGES).await;
    for (target, body) in
        [("/", "home"), ("/index.html", "home"), ("/docs/", "docs"), ("/?a=b", "home")]
    {
        let page = visit(&edge, target).send().await.expect_status(200);
        assert_eq!(page.body, body, "{target}");
        assert_eq!(page.header("content-type"), "text/html");
        assert!(!page.header("x-amz-request-id").is_empty());
    }
    let moved = visit(&edge, "/docs").send().await.expect_status(302);
    assert_eq!(moved.header("location"), "/docs/");
}

#[tokio::test]
async fn bucket_is_named_before_a_domain_or_by_the_whole_host() {
    let edge = site(PAGES).await;
    for host in ["bucket.web.test", "bucket.WEB.test:8080", "bucket", "Bucket:80"] {
        assert_eq!(edge.visit(host, "/").send().await.expect_status(200).body, "home", "{host}");
    }
    let none = edge.visit("nosuch.web.test", "/").send().await.expect_status(404);
    assert!(none.text().contains("<li>Code: NoSuchBucket</li>"), "{}", none.text());
    assert!(none.text().contains("<li>BucketName: nosuch</li>"));
    edge.delete("?website").send().await.expect_status(204);
    let none = visit(&edge, "/").send().await.expect_status(404);
    assert!(none.text().contains("<li>Code: NoSuchWebsiteConfiguration</li>"));
    assert_eq!(none.header("content-type"), "text/html; charset=utf-8");
}

#[tokio::test]
async fn nobody_sees_what_no_policy_opens() {
    let edge = site(PAGES).await;
    edge.delete("?policy").send().await.expect_status(204);
    let denied = visit(&edge, "/").send().await.expect_status(403);
    assert!(denied.text().contains("<li>Code: AccessDenied</li>"), "{}", denied.text());
    assert!(denied.text().contains("Retrieve a Custom Error Document"));
    assert_eq!(denied.header("x-amz-error-code"), "AccessDenied");
    // A signature does not help: there are no credentials here.
    let signed = edge.get("index.html").into_target();
    visit(&edge, signed.trim_start_matches("/bucket")).send().await.expect_status(403);
}

#[tokio::test]
async fn what_is_missing_is_hidden_from_those_who_may_not_list() {
    let edge = site(PAGES).await;
    open_to_everyone(&edge, READABLE).await;
    assert_eq!(visit(&edge, "/").send().await.expect_status(200).body, "home");
    let hidden = visit(&edge, "/nosuch").send().await.expect_status(403);
    assert_eq!(
        (hidden.body.as_ref(), hidden.header("x-amz-error-code")),
        (&b"sorry"[..], "AccessDenied")
    );
    let moved = visit(&edge, "/docs").send().await.expect_status(302);
    assert_eq!(moved.header("location"), "/docs/");
}

#[tokio::test]
async fn errors_show_the_error_document_with_their_status() {
    let edge = site(PAGES).await;
    let missing = visit(&edge, "/nosuch").send().await.expect_status(404);
    assert_eq!(missing.body, "sorry");
    assert_eq!(missing.header("x-amz-error-code"), "NoSuchKey");
    assert_eq!(missing.header("x-amz-error-detail-key"), "nosuch");
    assert_eq!(missing.header("content-type"), "text/html");
    // Its ranges and conditions are about another page.
    let ranged = visit(&edge, "/nosuch").header("range", "bytes=0-1").send().await;
    assert_eq!(ranged.expect_status(404).body, "sorry");
    let folder = visit(&edge, "/empty/").send().await.expect_status(404);
    assert_eq!(folder.header("x-amz-error-detail-key"), "empty/index.html");
    edge.delete("error.html").send().await.expect_status(204);
    let missing = visit(&edge, "/nosuch").send().await.expect_status(404);
    let title = "An Error Occurred While Attempting to Retrieve a Custom Error Document";
    assert!(missing.text().contains(title), "{}", missing.text());
    assert!(missing.text().contains("<li>Key: error.html</li>"));
    let id = missing.header("x-amz-request-id").to_owned();
    assert!(missing.text().contains(&format!("<li>RequestId: {id}</li>")));
}

#[tokio::test]
async fn names_on_error_pages_are_escaped() {
    let edge = site("<IndexDocument><Suffix>index.html</Suffix></IndexDocument>").await;
    let missing = visit(&edge, "/%3Cscript%3Ealert(1)%3C/script%3E").send().await;
    let missing = missing.expect_status(404);
    assert!(missing.text().contains("&lt;script&gt;"), "{}", missing.text());
    assert!(!missing.text().contains("<script>"));
    assert!(!missing.text().contains("Custom Error Document"));
}

#[tokio::test]
async fn objects_send_browsers_elsewhere() {
    let edge = site(PAGES).await;
    for (key, to) in [("old", "/new?a=b#c"), ("away", "https://example.com/ü")] {
        let put = edge.put(key).header("x-amz-website-redirect-location", to).body("x");
        put.send().await.expect_status(200);
    }
    let moved = visit(&edge, "/old").send().await.expect_status(301);
    assert_eq!(moved.header("location"), "/new?a=b#c");
    assert_eq!(moved.body, "");
    let away = visit(&edge, "/away").send().await.expect_status(301);
    assert_eq!(away.header("location"), "https://example.com/%C3%BC");
    // On the S3 port it is only told.
    edge.get("old").send().await.expect_status(200);
}

#[tokio::test]
async fn rules_come_before_the_object_and_after_the_error() {
    let rules = "<RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals>\
        </Condition><Redirect><ReplaceKeyPrefixWith>docs/</ReplaceKeyPrefixWith></Redirect>\
        </RoutingRule><RoutingRule><Condition>\
        <HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>\
        <HostName>report.example.com</HostName><ReplaceKeyPrefixWith>404/</ReplaceKeyPrefixWith>\
        <HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule></RoutingRules>";
    let edge = site(&format!("{PAGES}{rules}")).await;
    store_page(&edge, "old/page", "never shown").await;
    let moved = visit(&edge, "/old/page?x=1").send().await.expect_status(301);
    assert_eq!(moved.header("location"), "http://bucket.web.test/docs/page?x=1");
    let lost = visit(&edge, "/a%20b").send().await.expect_status(307);
    assert_eq!(lost.header("location"), "http://report.example.com/404/a%20b");
    assert_eq!(visit(&edge, "/").send().await.expect_status(200).body, "home");
}

#[tokio::test]
async fn whole_sites_move() {
    let all = "<RedirectAllRequestsTo><HostName>www.example.com</HostName>\
               <Protocol>https</Protocol></RedirectAllRequestsTo>";
    let edge = site(all).await;
    let moved = visit(&edge, "/a/b?c=d").send().await.expect_status(301);
    assert_eq!(moved.header("location"), "https://www.example.com/a/b?c=d");
    let all = "<RedirectAllRequestsTo><HostName>www.example.com</HostName></RedirectAllRequestsTo>";
    configure(&edge, all).await.expect_status(200);
    let moved = visit(&edge, "/").send().await.expect_status(301);
    assert_eq!(moved.header("location"), "http://www.example.com/");
}

#[tokio::test]
async fn only_reads_are_answered() {
    let edge = site(PAGES).await;
    for method in [Method::PUT, Method::POST, Method::DELETE, Method::PATCH] {
        let refused = visit(&edge, "/k").method(method).body("data").send().await;
        let refused = refused.expect_status(405);
        assert_eq!(refused.header("allow"), "GET, HEAD, OPTIONS");
        assert!(refused.text().contains("<li>Code: MethodNotAllowed</li>"));
    }
    let head = visit(&edge, "/").method(Method::HEAD).send().await.expect_status(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("4", 0));
    let head = visit(&edge, "/nosuch").method(Method::HEAD).send().await.expect_status(404);
    assert_eq!(head.body.len(), 0);
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn pages_have_ranges_and_conditions() {
    let edge = site(PAGES).await;
    let part = visit(&edge, "/").header("range", "bytes=1-2").send().await.expect_status(206);
    assert_eq!((part.body.as_ref(), part.header("content-range")), (&b"om"[..], "bytes 1-2/4"));
    let etag = part.header("etag").to_owned();
    let same = visit(&edge, "/").header("if-none-match", &etag).send().await.expect_status(304);
    assert_eq!((same.header("etag"), same.body.len()), (etag.as_str(), 0));
    let other = visit(&edge, "/").header("if-match", "\"other\"").send().await;
    assert_eq!(other.expect_status(412).header("x-amz-error-code"), "PreconditionFailed");
    let beyond = visit(&edge, "/").header("range", "bytes=9-").send().await.expect_status(416);
    assert_eq!(beyond.header("x-amz-error-code"), "InvalidRange");
}

#[tokio::test]
async fn websites_answer_pages_of_other_origins() {
    let edge = site(PAGES).await;
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>http://a.test</AllowedOrigin>\
                 <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";
    edge.put("?cors").body(rules).send().await.expect_status(200);
    let ask = |target: &str| visit(&edge, target).header("origin", "http://a.test");
    for (target, status) in [("/", 200), ("/nosuch", 404)] {
        let page = ask(target).send().await.expect_status(status);
        assert_eq!(page.header("access-control-allow-origin"), "http://a.test", "{target}");
    }
    let method = "access-control-request-method";
    let preflight = ask("/k").method(Method::OPTIONS).header(method, "GET").send().await;
    assert_eq!(preflight.expect_status(200).header("access-control-allow-methods"), "GET");
    let refused = ask("/k").method(Method::OPTIONS).header(method, "PUT").send().await;
    assert_eq!(refused.expect_status(403).header("x-amz-error-code"), "AccessForbidden");
}

#[tokio::test]
async fn requests_that_are_too_large_or_none_get_a_page() {
    let edge = site(PAGES).await;
    let long = format!("/{}", "a".repeat(33 << 10));
    let answer = visit(&edge, &long).send().await.expect_status(414);
    assert!(answer.text().contains("<li>Code: RequestURITooLong</li>"), "{}", answer.text());
    let bad = visit(&edge, "/%ff").send().await.expect_status(400);
    assert_eq!(bad.header("x-amz-error-code"), "InvalidURI");
    use tokio::io::AsyncWriteExt as _;
    let mut stream = tokio::net::TcpStream::connect(edge.website).await.unwrap();
    stream.write_all(b"no request\r\n\r\n").await.unwrap();
    let answer = crate::harness::read_to_end(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: text/html"), "{answer}");
    assert!(answer.contains("<li>Code: BadRequest</li>"), "{answer}");
}

#[tokio::test]
async fn what_somebody_would_have_to_pay_for_is_not_shown() {
    let edge = site(PAGES).await;
    let payer =
        "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>";
    edge.put("?requestPayment").body(payer).send().await.expect_status(200);
    visit(&edge, "/").send().await.expect_status(403);
}

#[tokio::test]
async fn objects_under_keys_of_clients_are_not_shown() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let config = gateway_s3::S3EdgeConfig {
        customer_keys_over_http: true,
        ..gateway_s3::S3EdgeConfig::default()
    };
    let edge = Edge::start_with(config, None).await;
    configure(&edge, PAGES).await.expect_status(200);
    open_to_everyone(&edge, LISTABLE).await;
    let key = [7; 32];
    let with_key = |ask: Ask| {
        ask.header("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .header("x-amz-server-side-encryption-customer-key", &STANDARD.encode(key))
            .header("x-amz-server-side-encryption-customer-key-md5", "y4HAEFCYWuvAXWFTtA1Qpg==")
    };
    with_key(edge.put("secret")).body("data").send().await.expect_status(200);
    for ask in [visit(&edge, "/secret"), with_key(visit(&edge, "/secret"))] {
        let refused = ask.send().await.expect_status(400);
        assert_eq!(refused.header("x-amz-error-code"), "InvalidRequest");
    }
}
