use super::*;

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn rule(origins: &[&str], methods: &[CorsMethod], headers: &[&str]) -> CorsRule {
    CorsRule {
        id: None,
        allowed_origins: texts(origins),
        allowed_methods: methods.to_vec(),
        allowed_headers: texts(headers),
        expose_headers: texts(&["ETag", "x-amz-meta-a"]),
        max_age_seconds: Some(60),
    }
}

fn crossing(method: &str, pairs: &[(&'static str, &str)]) -> Option<Crossing> {
    let headers = pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect();
    Crossing::of(&Method::from_bytes(method.as_bytes()).unwrap(), &headers)
}

fn told(rules: &[CorsRule], method: &str, pairs: &[(&'static str, &str)]) -> Option<HeaderMap> {
    let cors = CorsRecord { rules: rules.to_vec() };
    crossing(method, pairs).unwrap().allowed_by(&cors)
}

#[test]
fn patterns_have_one_star_for_any_text() {
    for (pattern, text, expected) in [
        ("http://a", "http://a", true),
        ("http://a", "http://A", false),
        ("*", "", true),
        ("*", "null", true),
        ("http://*.a", "http://x.a", true),
        ("http://*.a", "http://x.y.a", true),
        ("http://*.a", "http://.a", true),
        ("http://*.a", "http://a", false),
        ("ab*ba", "aba", false),
        ("ab*ba", "abba", true),
        ("a*", "b", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}

#[test]
fn origin_that_is_named_is_told_with_credentials() {
    let rules = [rule(&["http://*.a"], &[CorsMethod::Get, CorsMethod::Put], &[])];
    let told = told(&rules, "GET", &[("origin", "http://x.a")]).unwrap();
    assert_eq!(told["access-control-allow-origin"], "http://x.a");
    assert_eq!(told["access-control-allow-credentials"], "true");
    assert_eq!(told["access-control-allow-methods"], "GET, PUT");
    assert_eq!(told["access-control-expose-headers"], "ETag, x-amz-meta-a");
    assert_eq!(told["access-control-max-age"], "60");
    assert_eq!(told["vary"], VARY);
    assert!(!told.contains_key("access-control-allow-headers"));
}

#[test]
fn any_origin_gets_no_credentials() {
    let told = told(&[rule(&["*"], &[CorsMethod::Get], &[])], "GET", &[("origin", "x")]).unwrap();
    assert_eq!(told["access-control-allow-origin"], "*");
    assert!(!told.contains_key("access-control-allow-credentials"));
}

#[test]
fn first_rule_that_matches_counts() {
    let first = rule(&["http://a"], &[CorsMethod::Get], &[]);
    let second = rule(&["*"], &[CorsMethod::Get, CorsMethod::Delete], &[]);
    let rules = [first, second];
    let origin = |method| told(&rules, method, &[("origin", "http://a")]).unwrap();
    assert_eq!(origin("GET")["access-control-allow-origin"], "http://a");
    assert_eq!(origin("DELETE")["access-control-allow-origin"], "*");
    assert!(told(&rules, "PUT", &[("origin", "http://a")]).is_none());
    assert!(told(&rules, "PATCH", &[("origin", "http://a")]).is_none());
}

#[test]
fn announced_method_and_headers_count() {
    let rules = [rule(&["*"], &[CorsMethod::Put], &["Content-Type", "x-amz-*"])];
    let ask = |names: &str| {
        let pairs = [
            ("origin", "http://a"),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", names),
        ];
        told(&rules, "OPTIONS", &pairs)
    };
    let allowed = ask("content-type, X-Amz-Meta-A,").unwrap();
    assert_eq!(allowed["access-control-allow-headers"], "content-type, x-amz-meta-a");
    assert!(ask("content-type, authorization").is_none());
    let many = vec!["x-amz-a"; HEADER_NAMES_MAX].join(",");
    assert!(ask(&many).is_some());
    assert!(ask(&format!("{many},x-amz-a")).is_none());
}

#[test]
fn requests_of_no_page_are_not_crossing() {
    assert!(crossing("GET", &[("access-control-request-method", "GET")]).is_none());
}
