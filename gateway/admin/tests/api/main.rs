//! The admin API's router in this process: tokens, refusals, probes.
//!
//! Metadata are in memory, the clock stands still until a test moves it, and the devices are
//! offline, because no route here reads or writes shards.

mod harness;
mod mesh;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use gateway_admin::Readiness;
use node_proto::UnixMillis;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, NOW, REASON, ROOT};

/// Every route that needs a token, with a method that it takes.
const PROTECTED: [(&str, &str); 41] = [
    ("GET", "/users"),
    ("POST", "/users"),
    ("DELETE", "/users/ann"),
    ("GET", "/users/ann/keys"),
    ("POST", "/users/ann/keys"),
    ("DELETE", "/keys/SOMEKEY"),
    ("GET", "/kms/keys"),
    ("POST", "/kms/keys"),
    ("GET", "/kms/keys/one"),
    ("POST", "/kms/keys/one/rotate"),
    ("POST", "/kms/keys/one/disable"),
    ("POST", "/kms/keys/one/enable"),
    ("GET", "/devices"),
    ("GET", "/lifecycle"),
    ("GET", "/repair"),
    ("GET", "/scrub"),
    ("POST", "/scrub"),
    ("GET", "/usage/audit"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/0011223344556677"),
    ("GET", "/nodes"),
    ("GET", "/nodes/bravo"),
    ("POST", "/nodes/bravo/approve"),
    ("POST", "/nodes/bravo/reject"),
    ("POST", "/nodes/bravo/drain"),
    ("POST", "/nodes/bravo/activate"),
    ("POST", "/nodes/bravo/retire"),
    ("GET", "/layout"),
    ("POST", "/layout/stage"),
    ("GET", "/layout/preview"),
    ("POST", "/layout/apply"),
    ("POST", "/layout/revert"),
    ("GET", "/layout/history"),
    ("GET", "/jobs"),
    ("POST", "/jobs/rebalance/pause"),
    ("POST", "/jobs/rebalance/resume"),
    ("GET", "/mesh"),
    ("POST", "/mesh/lookups"),
    ("GET", "/buckets/logs/acknowledge"),
    ("PUT", "/buckets/logs/acknowledge"),
];

#[tokio::test]
async fn probes_need_no_token_and_readiness_follows_the_server() {
    let api = Api::open().await;
    assert_eq!(api.probe("/healthz").await.status, StatusCode::OK);
    for (state, status, text) in [
        (Readiness::Starting, StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        (Readiness::Ready, StatusCode::OK, "ready\n"),
        (Readiness::Draining, StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    ] {
        api.readiness.send_replace(state);
        let answer = api.probe("/readyz").await;
        assert_eq!((answer.status, &answer.body[..]), (status, text.as_bytes()));
        assert_eq!(api.probe("/healthz").await.status, StatusCode::OK, "{state:?}");
    }
    let metrics = api.probe("/metrics").await;
    assert_eq!((metrics.status, &metrics.body[..]), (StatusCode::OK, &b"datamesh_example 1\n"[..]));
    let content_type = metrics.headers[header::CONTENT_TYPE].to_str().expect("text");
    assert!(content_type.starts_with("text/plain; version=0.0.4"), "{content_type}");
}

#[tokio::test]
async fn every_route_demands_a_token() {
    let api = Api::open().await;
    for (method, path) in PROTECTED {
        let answer = api.call(method, path, None, Some(json!({}))).await;
        let message = answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
        assert!(message.contains("POST /api/v1/session"), "{method} {path}: {message}");
    }
    let basic = Request::get("/api/v1/users").header(header::AUTHORIZATION, "Basic Um9vdA==");
    let answer = api.send(basic.body(Body::empty()).expect("well-formed")).await;
    answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let api = Api::open().await;
    let good = api.root_token().await;
    api.call("GET", "/users", Some(&good), None).await.expect(StatusCode::OK);
    let other_cluster = Api::with_token_secret([8; 32]).await.root_token().await;
    let mut parts = good.split('.');
    let (_, claims) = (parts.next(), parts.next().expect("claims"));
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let cut = good[..good.len() - 4].to_owned();
    for forged in [other_cluster, unsigned, cut, "x".to_owned(), String::new()] {
        let answer = api.call("GET", "/users", Some(&forged), None).await;
        answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
    }
}

#[tokio::test]
async fn token_lasts_until_its_expiry_and_no_longer() {
    let api = Api::open().await;
    let session = api.sign_in(ROOT.0, ROOT.1).await.expect(StatusCode::OK);
    let token = session["token"].as_str().expect("a token");
    let expires = session["expires_unix_seconds"].as_u64().expect("a number");
    assert_eq!(expires, NOW.0 / 1000 + 15 * 60);
    api.clock.set(UnixMillis(expires * 1000 - 1));
    api.call("GET", "/users", Some(token), None).await.expect(StatusCode::OK);
    api.clock.set(UnixMillis(expires * 1000));
    let answer = api.call("GET", "/users", Some(token), None).await;
    let message = answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
    assert!(message.contains("expired"), "{message}");
}

#[tokio::test]
async fn wrong_secret_and_unknown_key_are_told_alike_after_a_pause() {
    let api = Api::open().await;
    let mut messages = Vec::new();
    for (id, secret) in [(ROOT.0, "wrong"), (ROOT.0, ""), ("NOBODY", ROOT.1), ("a/b", ROOT.1)] {
        let began = Instant::now();
        let answer = api.sign_in(id, secret).await;
        assert!(began.elapsed() >= Duration::from_millis(200), "{id}: {:?}", began.elapsed());
        messages.push(answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized"));
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[tokio::test]
async fn sign_ins_at_once_are_bounded() {
    let api = Api::open().await;
    let guesses = (0..20).map(|_| api.sign_in(ROOT.0, "guess"));
    let mut pending: Vec<_> = guesses.map(Box::pin).collect();
    let mut statuses = Vec::new();
    // All are started before any ends: the first eight hold their places for a pause.
    std::future::poll_fn(|context| {
        pending.retain_mut(|guess| match guess.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                statuses.push(answer.status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    let refused = statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count();
    let busy = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS).count();
    assert_eq!((refused, busy), (8, 12));
    api.sign_in(ROOT.0, ROOT.1).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn only_administrators_pass_and_a_revoked_key_ends_its_sessions() {
    let api = Api::open().await;
    let root = api.root_token().await;
    api.directory.create_account("ann").await.expect("created");
    let ann = api.directory.create_access_key("ann", None).await.expect("created");
    let anns = api.token(&ann.key.id, ann.secret.expose()).await;
    for (method, path) in PROTECTED {
        let answer = api.call(method, path, Some(&anns), Some(json!({ "name": "eve" }))).await;
        answer.expect_failure(StatusCode::FORBIDDEN, "forbidden");
    }
    let second = api.directory.create_access_key("root", None).await.expect("created");
    let seconds = api.token(&second.key.id, second.secret.expose()).await;
    api.call("GET", "/users", Some(&seconds), None).await.expect(StatusCode::OK);
    let path = format!("/keys/{}", second.key.id);
    api.call("DELETE", &path, Some(&root), None).await.expect(StatusCode::NO_CONTENT);
    let answer = api.call("GET", "/users", Some(&seconds), None).await;
    answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
    let answer = api.sign_in(&second.key.id, second.secret.expose()).await;
    answer.expect_failure(StatusCode::UNAUTHORIZED, "unauthorized");
    let answer = api.call("DELETE", &path, Some(&root), None).await;
    answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
}

#[tokio::test]
async fn unknown_routes_and_methods_answer_json() {
    let api = Api::open().await;
    let root = api.root_token().await;
    for path in ["/api/v1/nosuch", "/api/v2/users", "/", "/api/v1", "/api/v1/users/a/b/c"] {
        api.probe(path).await.expect_failure(StatusCode::NOT_FOUND, "no-such-route");
    }
    for (method, path) in [("PUT", "/users"), ("PATCH", "/scrub"), ("GET", "/session")] {
        let answer = api.call(method, path, Some(&root), None).await;
        answer.expect_failure(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed");
    }
}

#[tokio::test]
async fn malformed_requests_answer_400_as_json() {
    let api = Api::open().await;
    let root = api.root_token().await;
    let invalid =
        |answer: Answer| answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    let unknown_field = json!({ "name": "ann", "role": "admin" });
    let message = invalid(api.call("POST", "/users", Some(&root), Some(unknown_field)).await);
    assert!(message.contains("role"), "{message}");
    invalid(api.call("POST", "/users", Some(&root), Some(json!({}))).await);
    invalid(api.call("POST", "/users", Some(&root), Some(json!({ "name": 7 }))).await);
    invalid(api.call("POST", "/users", Some(&root), Some(json!({ "name": "a/b" }))).await);
    invalid(api.call("POST", "/users", Some(&root), None).await);
    let half = json!({ "access_key_id": "HALFKEY" });
    invalid(api.call("POST", "/users/root/keys", Some(&root), Some(half)).await);
    invalid(api.call("GET", "/users?before=x", Some(&root), None).await);
    invalid(api.call("DELETE", "/users/%FF", Some(&root), None).await);
    invalid(api.call("POST", "/session", None, Some(json!({ "user": "root" }))).await);
    let large = json!({ "name": "a".repeat(65 << 10) });
    let message = invalid(api.call("POST", "/users", Some(&root), Some(large)).await);
    assert!(message.contains("length limit"), "{message}");

    let untyped = Request::post("/api/v1/session").body(Body::from("{}")).expect("well-formed");
    invalid(api.send(untyped).await);
    let users = api.call("GET", "/users", Some(&root), None).await.expect(StatusCode::OK);
    assert_eq!(users["users"].as_array().map(Vec::len), Some(1), "{users}");
}

#[tokio::test]
async fn users_and_keys_have_a_life() {
    let api = Api::open().await;
    let root = api.root_token().await;
    let call = async |method: &str, path: &str, body: Option<Value>| {
        api.call(method, path, Some(&root), body).await
    };
    let ann = || Some(json!({ "name": "ann" }));
    let made = call("POST", "/users", ann()).await.expect(StatusCode::CREATED);
    assert_eq!(made["created"], "2027-01-15T08:00:00Z");
    call("POST", "/users", ann()).await.expect_failure(StatusCode::CONFLICT, "conflict");
    let key = call("POST", "/users/ann/keys", Some(json!({}))).await.expect(StatusCode::CREATED);
    let id = key["access_key_id"].as_str().expect("an id");
    let imported =
        || Some(json!({ "access_key_id": "IMPORTED", "secret_access_key": "long-enough-secret" }));
    call("POST", "/users/ann/keys", imported()).await.expect(StatusCode::CREATED);
    let answer = call("POST", "/users/ann/keys", imported()).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    let keys = call("GET", "/users/ann/keys", None).await.expect(StatusCode::OK);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2), "{keys}");
    assert!(!keys.to_string().contains("secret"), "{keys}");

    let missing = |answer: Answer| answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    missing(call("GET", "/users/bob/keys", None).await);
    missing(call("POST", "/users/bob/keys", Some(json!({}))).await);
    missing(call("DELETE", "/users/bob", None).await);
    missing(call("DELETE", "/keys/NOSUCHKEY", None).await);
    for path in [format!("/keys/{}", ROOT.0), "/users/root".to_owned()] {
        call("DELETE", &path, None).await.expect_failure(StatusCode::CONFLICT, "conflict");
    }
    call("DELETE", &format!("/keys/{id}"), None).await.expect(StatusCode::NO_CONTENT);
    call("DELETE", "/users/ann", None).await.expect(StatusCode::NO_CONTENT);
    assert!(api.directory.resolve("IMPORTED").expect("reads").is_none(), "keys go with the user");
}

#[tokio::test]
async fn users_are_listed_in_pages() {
    let api = Api::open().await;
    let root = api.root_token().await;
    for index in 0..1_001 {
        api.directory.create_account(&format!("user-{index:04}")).await.expect("created");
    }
    let mut names = Vec::new();
    let mut path = "/users".to_owned();
    let mut pages = 0;
    loop {
        let page = api.call("GET", &path, Some(&root), None).await.expect(StatusCode::OK);
        pages += 1;
        let users = page["users"].as_array().expect("a list");
        names.extend(users.iter().map(|user| user["name"].as_str().expect("a name").to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/users?after={next}");
    }
    assert_eq!((pages, names.len()), (2, 1_002));
    assert!(names.is_sorted() && names[0] == "root", "{:?}", &names[..3]);
}

#[tokio::test]
async fn devices_tell_why_they_are_away() {
    let api = Api::open().await;
    let root = api.root_token().await;
    let list = api.call("GET", "/devices", Some(&root), None).await.expect(StatusCode::OK);
    let devices = list["devices"].as_array().expect("a list");
    assert_eq!(devices.len(), 3, "{list}");
    for (slot, device) in devices.iter().enumerate() {
        assert_eq!((&device["device"], &device["health"]), (&json!(slot), &json!("offline")));
        assert_eq!(
            (&device["reason"], &device["address"]),
            (&json!(REASON), &json!(format!("devices/{slot}")))
        );
        assert_eq!((&device["node"], &device["node_name"]), (&json!(0), &json!("gateway")));
        assert_eq!(device["failure_domain"], json!(format!("drive-{slot}")));
        assert_eq!((&device["breaker"], &device["draining"]), (&json!("closed"), &json!(false)));
    }
    let repair = api.call("GET", "/repair", Some(&root), None).await.expect(StatusCode::OK);
    assert_eq!(repair["queued_stripes"], 0, "{repair}");
    let scrub = api.call("POST", "/scrub", Some(&root), None).await.expect(StatusCode::ACCEPTED);
    assert_eq!(scrub["devices"].as_array().map(Vec::len), Some(3), "{scrub}");
    let audit = api.call("GET", "/usage/audit", Some(&root), None).await.expect(StatusCode::OK);
    assert_eq!(audit, json!({ "drift": [] }));
}

#[tokio::test]
async fn keys_of_the_key_service_have_a_life() {
    let api = Api::open().await;
    let token = api.root_token().await;
    let call = |method, path: &'static str, body| api.call(method, path, Some(&token), body);
    let made = call("POST", "/kms/keys", Some(json!({ "id": "one", "alias": "team/logs" }))).await;
    let made = made.expect(StatusCode::CREATED);
    assert_eq!((&made["id"], &made["aliases"][0]), (&json!("one"), &json!("team/logs")));
    assert_eq!((&made["enabled"], &made["versions"]), (&json!(true), &json!(1)));
    let random = call("POST", "/kms/keys", Some(json!({}))).await.expect(StatusCode::CREATED);
    assert_eq!(random["id"].as_str().map(str::len), Some(36));
    let again = call("POST", "/kms/keys", Some(json!({ "id": "one" }))).await;
    again.expect_failure(StatusCode::CONFLICT, "conflict");
    let broken = call("POST", "/kms/keys", Some(json!({ "id": "a b" }))).await;
    broken.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");

    let shown = call("GET", "/kms/keys/alias%2Fteam%2Flogs", None).await.expect(StatusCode::OK);
    assert_eq!(shown, made);
    let disabled = call("POST", "/kms/keys/one/disable", None).await.expect(StatusCode::OK);
    assert_eq!(disabled["enabled"], false);
    let rotated = call("POST", "/kms/keys/one/rotate", None).await.expect(StatusCode::OK);
    assert_eq!((&rotated["versions"], &rotated["enabled"]), (&json!(2), &json!(false)));
    let enabled = call("POST", "/kms/keys/one/enable", None).await.expect(StatusCode::OK);
    assert_eq!(enabled["enabled"], true);
    let list = call("GET", "/kms/keys", None).await.expect(StatusCode::OK);
    assert_eq!(list["keys"].as_array().map(Vec::len), Some(2));
    for (method, path) in [("GET", "/kms/keys/two"), ("POST", "/kms/keys/two/rotate")] {
        call(method, path, None).await.expect_failure(StatusCode::NOT_FOUND, "not-found");
    }
    let nameless = call("GET", "/kms/keys/a%20b", None).await;
    nameless.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
}
