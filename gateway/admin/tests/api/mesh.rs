//! Nodes, tokens, the layout and jobs.

use axum::http::StatusCode;
use gateway_admin::{BootstrapReport, MeshPeer};
use node_proto::join::{OfferedDrive, proof, proof_key};
use node_proto::{Epoch, JoinAnswer, JoinRequest, JoinToken, PeerKey, UnixMillis};
use serde_json::{Value, json};

use crate::harness::{Answer, Api, GATEWAY, GATEWAY_ADDRESS, NOW};

/// An administrator.
struct Operator {
    api: Api,
    token: String,
}

fn peer(index: u8) -> PeerKey {
    PeerKey([index; 32])
}

impl Operator {
    async fn new() -> Self {
        let api = Api::open().await;
        let token = api.root_token().await;
        Self { api, token }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.api.call(method, path, Some(&self.token), body).await
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.expect(StatusCode::OK)
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.call("POST", path, Some(body)).await.expect(StatusCode::OK)
    }

    async fn make_token(&self, wanted: Value) -> Value {
        self.call("POST", "/tokens", Some(wanted)).await.expect(StatusCode::CREATED)
    }

    /// A node asks to join with a token.
    async fn ask(&self, index: u8, name: &str, token: &Value) -> JoinAnswer {
        let token: JoinToken =
            token["token"].as_str().expect("a token").parse().expect("as it was made");
        let key = proof_key(&token.secret);
        let proof = proof(&key, token.cluster, token.id, peer(index), token.gateway);
        let request = JoinRequest {
            proof: Some((token.id, proof)),
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            addresses: vec![format!("/ip4/10.0.0.{index}/tcp/9002")],
            drives: vec![OfferedDrive {
                path: "/mnt/d1".to_owned(),
                mount_point: true,
                capacity_bytes: 1 << 40,
            }],
        };
        self.api.cluster.join(peer(index), request).await
    }

    /// A node that waits for approval.
    async fn pending(&self, index: u8, name: &str) {
        let token = self.make_token(json!({ "zone": format!("z-{name}") })).await;
        assert_eq!(self.ask(index, name, &token).await, JoinAnswer::Pending);
    }

    /// A member.
    async fn member(&self, index: u8, name: &str) {
        self.pending(index, name).await;
        self.post(&format!("/nodes/{name}/approve"), json!({})).await;
    }

    #[track_caller]
    fn connected(&self, indexes: &[u8], epoch: u64) {
        let peer = |index: &u8| MeshPeer {
            peer: peer(*index),
            is_connected: true,
            addresses: vec![format!("/ip4/10.0.0.{index}/tcp/9002")],
            security: Some("tls1.3".to_owned()),
            round_trip: Some(std::time::Duration::from_micros(250)),
            lanes: 4,
            requests_in_flight: 1,
            sent_bytes: 10,
            received_bytes: 20,
            epoch: Some(Epoch(epoch)),
            version: None,
            clock_ahead_ms: None,
            last_error: None,
        };
        let mut mesh = self.api.mesh.0.lock().expect("no test panics in it");
        mesh.peers = indexes.iter().map(peer).collect();
    }
}

fn names(list: &Value) -> Vec<(&str, &str)> {
    let nodes = list["nodes"].as_array().expect("a list");
    let text = |node: &'_ Value, field: &str| node[field].as_str().map(str::len);
    assert!(nodes.iter().all(|node| text(node, "name").is_some()), "{list}");
    nodes
        .iter()
        .map(|node| {
            (node["name"].as_str().unwrap_or_default(), node["state"].as_str().unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn tokens_are_made_listed_used_and_revoked() {
    let operator = Operator::new().await;
    let wanted = json!({ "zone": "rack-a", "name": "bravo", "expires_seconds": 60 });
    let made = operator.make_token(wanted).await;
    assert_eq!((&made["zone"], &made["state"]), (&json!("rack-a"), &json!("open")));
    assert_eq!(made["expires"], "2027-01-15T08:01:00Z");
    let carried: JoinToken = made["token"].as_str().expect("text").parse().expect("a token");
    assert_eq!(
        (carried.gateway, &carried.addresses[..]),
        (GATEWAY, &[GATEWAY_ADDRESS.to_owned()][..])
    );
    assert_eq!(made["id"], carried.id.to_string());

    let second = operator.make_token(json!({})).await;
    let list = operator.get("/tokens").await;
    assert_eq!(list["tokens"].as_array().map(Vec::len), Some(2), "{list}");
    let secret = made["token"].as_str().expect("text");
    assert!(!list.to_string().contains(secret), "a list tells secrets");

    assert_eq!(operator.ask(1, "other", &made).await, JoinAnswer::Pending);
    let path = format!("/tokens/{}", second["id"].as_str().expect("an id"));
    operator.call("DELETE", &path, None).await.expect(StatusCode::NO_CONTENT);
    let refused = operator.ask(2, "late", &second).await;
    assert!(matches!(refused, JoinAnswer::Refused { .. }), "{refused:?}");
    let third = operator.make_token(json!({ "expires_seconds": 1 })).await;
    operator.api.clock.set(UnixMillis(NOW.0 + 2_000));
    let list = operator.get("/tokens").await;
    let state = |id: &Value| {
        let tokens = list["tokens"].as_array().expect("a list");
        let found = tokens.iter().find(|token| token["id"] == *id).expect("it is listed");
        found["state"].as_str().expect("text").to_owned()
    };
    assert_eq!(state(&made["id"]), "used");
    assert_eq!(state(&second["id"]), "revoked");
    assert_eq!(state(&third["id"]), "expired");
    assert!(list.to_string().contains(&peer(1).to_string()), "{list}");
}

#[tokio::test]
async fn token_requests_that_break_a_rule_are_refused() {
    let operator = Operator::new().await;
    for wrong in [
        json!({ "zone": "" }),
        json!({ "zone": "two words" }),
        json!({ "zone": "drive-3" }),
        json!({ "name": "a/b" }),
        json!({ "name": "x".repeat(64) }),
        json!({ "expires_seconds": 0 }),
        json!({ "expires_seconds": 31 * 24 * 3600 }),
        json!({ "expires_seconds": "1h" }),
        json!({ "secret": "mine" }),
    ] {
        let answer = operator.call("POST", "/tokens", Some(wrong)).await;
        answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    }
    for id in ["0011223344556677", "x", "%20"] {
        let answer = operator.call("DELETE", &format!("/tokens/{id}"), None).await;
        answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    }
    operator.api.cluster.set_addresses(Vec::new());
    let answer = operator.call("POST", "/tokens", Some(json!({}))).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
}

#[tokio::test]
async fn a_node_waits_is_approved_drained_activated_and_retired() {
    let operator = Operator::new().await;
    operator.pending(1, "bravo").await;
    let list = operator.get("/nodes").await;
    assert_eq!(names(&list), [("bravo", "pending"), ("gateway", "active")]);
    let waiting = &list["nodes"][0];
    assert_eq!((&waiting["zone"], &waiting["version"]), (&json!("z-bravo"), &json!("1.2.3")));
    assert_eq!(waiting["offered"][0]["path"], "/mnt/d1");
    assert_eq!(waiting["peer"], peer(1).to_string());
    assert_eq!(waiting["node"], Value::Null);

    let approval = json!({ "zone": "rack-a", "name": "beta" });
    let approved = operator.post("/nodes/bravo/approve", approval).await;
    assert_eq!((&approved["name"], &approved["state"]), (&json!("beta"), &json!("active")));
    let answer = operator.call("POST", "/nodes/beta/approve", Some(json!({}))).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    let layout = operator.get("/layout").await;
    let number = approved["node"].as_u64().expect("a number");
    assert_eq!(layout["nodes"][0]["zone"], "rack-a", "{layout}");
    assert_eq!(layout["devices"].as_array().map(Vec::len), Some(4), "{layout}");

    // By number, by the start of the peer id, by the whole of it.
    let whole = peer(1).to_string();
    for text in [number.to_string(), whole[..16].to_owned(), whole] {
        let shown = operator.get(&format!("/nodes/{text}")).await;
        assert_eq!((&shown["name"], &shown["held_shards"]), (&json!("beta"), &json!(0)), "{text}");
    }
    let retire = json!({});
    let answer = operator.call("POST", "/nodes/beta/retire", Some(retire.clone())).await;
    let message = answer.expect_failure(StatusCode::CONFLICT, "refused");
    assert!(message.contains("node beta still takes") && message.contains("drain it first"));
    let drained = operator.post("/nodes/beta/drain", json!({})).await;
    assert_eq!(drained["state"], "draining");
    let active = operator.call("POST", "/nodes/beta/activate", None).await.expect(StatusCode::OK);
    assert_eq!(active["state"], "active");
    operator.post("/nodes/beta/drain", json!({})).await;
    let gone = operator.post("/nodes/beta/retire", retire).await;
    assert_eq!((&gone["name"], &gone["state"]), (&json!("beta"), &json!("retired")));
    let answer = operator.call("GET", "/nodes/beta", None).await;
    answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    let history = operator.get("/layout/history").await;
    let what = history["revisions"][0]["what"].as_str().expect("words");
    assert!(what.contains("beta was retired"), "{history}");
}

#[tokio::test]
async fn nodes_are_rejected_and_preapproved() {
    let operator = Operator::new().await;
    operator.pending(1, "bravo").await;
    let rejected = operator.call("POST", "/nodes/bravo/reject", None).await.expect(StatusCode::OK);
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(names(&operator.get("/nodes").await), [("gateway", "active")]);
    let answer = operator.call("POST", "/nodes/bravo/reject", None).await;
    answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    let token = operator.make_token(json!({ "approved": true })).await;
    let admitted = operator.ask(2, "charlie", &token).await;
    assert!(matches!(admitted, JoinAnswer::Admitted { .. }), "{admitted:?}");
    let answer = operator.call("POST", "/nodes/charlie/reject", None).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
}

#[tokio::test]
async fn node_requests_that_break_a_rule_are_refused() {
    let operator = Operator::new().await;
    operator.pending(1, "bravo").await;
    operator.pending(2, "charlie").await;
    for (path, wrong) in [
        ("/nodes/bravo/approve", json!({ "zone": "a b" })),
        ("/nodes/bravo/approve", json!({ "name": "" })),
        ("/nodes/bravo/approve", json!({ "rack": "a" })),
        ("/nodes/bravo/approve", json!([1])),
        ("/nodes/gateway/drain", json!({ "forced": true })),
        ("/nodes/gateway/retire", json!({ "force": "yes" })),
        ("/nodes/12D3KooW/drain", json!({})),
        ("/nodes/%FF/drain", json!({})),
    ] {
        let answer = operator.call("POST", path, Some(wrong)).await;
        answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    }
    for verb in ["approve", "reject", "drain", "activate", "retire"] {
        let answer = operator.call("POST", &format!("/nodes/nobody/{verb}"), Some(json!({}))).await;
        answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    }
    for verb in ["drain", "activate", "retire"] {
        let answer = operator.call("POST", &format!("/nodes/bravo/{verb}"), Some(json!({}))).await;
        answer.expect_failure(StatusCode::CONFLICT, "conflict");
    }
    let answer = operator.call("POST", "/nodes/gateway/reject", None).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    // Its three drives are all there is: nothing could be written without them.
    let answer = operator.call("POST", "/nodes/gateway/drain", Some(json!({}))).await;
    let message = answer.expect_failure(StatusCode::CONFLICT, "refused");
    assert!(message.contains("too few"), "{message}");
    let state = &operator.get("/nodes/gateway").await["state"];
    assert_eq!(state, "active");
}

#[tokio::test]
async fn changes_are_staged_previewed_applied_and_reverted() {
    let operator = Operator::new().await;
    operator.member(1, "bravo").await;
    operator.pending(2, "charlie").await;
    let before = operator.get("/layout").await["epoch"].as_u64().expect("a number");
    let staged = operator.post("/nodes/charlie/approve", json!({ "stage": true })).await;
    assert_eq!(staged["state"], "staged");
    let more = json!({ "changes": [
        { "change": "set-zone", "node": "bravo", "zone": "rack-b" },
        { "change": "rename", "node": "bravo", "name": "beta" },
        { "change": "set-zone", "node": "0", "zone": "home" },
        { "change": "set-zone", "node": "0" },
    ] });
    let staged = operator.post("/layout/stage", more).await;
    assert_eq!(staged["base_epoch"], before);
    assert_eq!(staged["changes"][0], json!({ "change": "add-node", "node": "charlie" }));
    assert_eq!(staged["changes"].as_array().map(Vec::len), Some(5), "{staged}");
    let layout = operator.get("/layout").await;
    assert_eq!(
        (&layout["epoch"], &layout["staged"]["base_epoch"]),
        (&json!(before), &json!(before))
    );

    let preview = operator.get("/layout/preview").await;
    assert_eq!(preview["epoch"], before);
    assert_eq!(preview["devices"].as_array().map(Vec::len), Some(5), "{preview}");
    assert!(preview["assumptions"].as_array().is_some_and(|all| !all.is_empty()), "{preview}");
    assert_eq!(preview["after"]["domains"], 5, "{preview}");

    let answer = operator.call("POST", "/layout/apply", Some(json!({ "epoch": before - 1 }))).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    let applied = operator.post("/layout/apply", json!({ "epoch": before, "force": true })).await;
    assert_eq!(applied["epoch"], before + 1);
    let layout = operator.get("/layout").await;
    assert_eq!(layout["staged"], Value::Null);
    let nodes = names(&layout);
    assert!(
        nodes.contains(&("beta", "active")) && nodes.contains(&("charlie", "active")),
        "{layout}"
    );

    let reverted = operator.post("/layout/revert", json!({ "epoch": before })).await;
    let text = reverted.to_string();
    assert!(text.contains("charlie came since") && text.contains("\"name\":\"bravo\""), "{text}");
    let answer = operator.call("POST", "/layout/revert", Some(json!({ "epoch": before }))).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    let discarded = operator.post("/layout/revert", json!({})).await;
    assert_eq!(discarded, json!({ "notes": [] }));
    assert_eq!(operator.get("/layout").await["staged"], Value::Null);
}

#[tokio::test]
async fn layout_requests_that_break_a_rule_are_refused() {
    let operator = Operator::new().await;
    operator.pending(1, "bravo").await;
    let stage = |change: Value| Some(json!({ "changes": [change] }));
    for wrong in [
        json!({}),
        json!({ "changes": [] }),
        json!({ "changes": [{ "change": "explode", "node": "bravo" }] }),
        json!({ "changes": [{ "change": "drain" }] }),
        json!({ "changes": [{ "change": "drain", "node": "0", "force": true }] }),
        json!({ "changes": [{ "change": "set-zone", "node": "0", "zone": "a b" }] }),
        json!({ "changes": [{ "change": "remove-node", "node": "0" }] }),
    ] {
        let answer = operator.call("POST", "/layout/stage", Some(wrong)).await;
        answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    }
    for (change, status, code) in [
        (json!({ "change": "drain", "node": "nobody" }), StatusCode::NOT_FOUND, "not-found"),
        (json!({ "change": "drain", "node": "bravo" }), StatusCode::CONFLICT, "conflict"),
        (json!({ "change": "add-node", "node": "gateway" }), StatusCode::CONFLICT, "conflict"),
        (json!({ "change": "add-drives", "node": "gateway" }), StatusCode::CONFLICT, "conflict"),
    ] {
        let answer = operator.call("POST", "/layout/stage", stage(change)).await;
        answer.expect_failure(status, code);
    }
    let answer = operator.call("POST", "/layout/apply", Some(json!({ "epoch": 1 }))).await;
    answer.expect_failure(StatusCode::CONFLICT, "conflict");
    for wrong in [json!({}), json!({ "epoch": -1 }), json!({ "epoch": 1, "yes": true })] {
        let answer = operator.call("POST", "/layout/apply", Some(wrong)).await;
        answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    }
    let answer = operator.call("POST", "/layout/revert", Some(json!({ "epoch": 99 }))).await;
    answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    let answer = operator.call("POST", "/layout/revert", Some(json!({ "to": 1 }))).await;
    answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    let epoch = operator.get("/layout").await["epoch"].clone();
    let drained = json!({ "change": "drain", "node": "0" });
    operator.call("POST", "/layout/stage", stage(drained)).await.expect(StatusCode::OK);
    let preview = operator.get("/layout/preview").await;
    assert_eq!((&preview["refused"], &preview["verdict"]), (&json!(true), &json!("below-floor")));
    let answer = operator.call("POST", "/layout/apply", Some(json!({ "epoch": epoch }))).await;
    answer.expect_failure(StatusCode::CONFLICT, "refused");
}

#[tokio::test]
async fn jobs_are_listed_and_unknown_ones_are_not_found() {
    let operator = Operator::new().await;
    assert_eq!(operator.get("/jobs").await, json!({ "jobs": [] }));
    for path in ["/jobs/drain:3/pause", "/jobs/nothing/resume"] {
        let answer = operator.call("POST", path, None).await;
        answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    }
}

#[tokio::test]
async fn lookups_tell_where_nodes_are_and_who_is_not_found() {
    let operator = Operator::new().await;
    operator.member(1, "bravo").await;
    operator.member(2, "charlie").await;
    operator.connected(&[1], 1);
    let list = operator.post("/mesh/lookups", json!({})).await;
    let lookups = list["lookups"].as_array().expect("a list");
    assert_eq!(lookups.len(), 2, "{list}");
    assert_eq!((&lookups[0]["name"], &lookups[0]["error"]), (&json!("bravo"), &Value::Null));
    assert_eq!(lookups[1]["error"], "nobody knows it", "{list}");
}

#[tokio::test]
async fn the_mesh_is_told_with_what_is_wrong() {
    let operator = Operator::new().await;
    operator.member(1, "bravo").await;
    operator.member(2, "charlie").await;
    operator.pending(3, "delta").await;
    let epoch = operator.get("/layout").await["epoch"].as_u64().expect("a number");
    operator.connected(&[1], epoch - 1);
    {
        let mut mesh = operator.api.mesh.0.lock().expect("no test panics in it");
        let address = "/ip4/10.0.0.9/tcp/9002/p2p/X".to_owned();
        mesh.bootstrap = vec![BootstrapReport { address, is_connected: Some(false) }];
    }
    let mesh = operator.get("/mesh").await;
    assert_eq!((&mesh["enabled"], &mesh["peer"]), (&json!(true), &json!(GATEWAY.to_string())));
    assert_eq!(mesh["peers"][0]["name"], "bravo");
    assert_eq!(mesh["peers"][0]["round_trip_us"], 250);
    let findings = mesh["findings"].as_array().expect("a list");
    let told = |code: &str, subject: &str| {
        findings.iter().any(|found| found["code"] == code && found["subject"] == subject)
    };
    assert!(told("epoch-behind", "bravo"), "{mesh}");
    assert!(told("node-not-connected", "charlie"), "{mesh}");
    assert!(told("bootstrap-unreachable", "/ip4/10.0.0.9/tcp/9002/p2p/X"), "{mesh}");
    assert!(told("device-offline", "device 0"), "{mesh}");
    assert!(told("too-few-domains", ""), "{mesh}");
    assert!(told("node-pending", "delta"), "{mesh}");
    assert_eq!(findings[0]["severity"], "critical", "{mesh}");

    operator.api.cluster.acknowledged(peer(1), Epoch(epoch));
    let layout = operator.get("/layout").await;
    assert_eq!(layout["nodes"][0]["acknowledged_epoch"], epoch);
    assert_eq!(layout["nodes"][1]["acknowledged_epoch"], Value::Null);
    let nodes = operator.get("/nodes").await;
    let connected = |name: &str| {
        let all = nodes["nodes"].as_array().expect("a list");
        all.iter().find(|node| node["name"] == name).expect("it is listed")["connected"].clone()
    };
    assert_eq!((connected("bravo"), connected("charlie")), (json!(true), json!(false)));
    assert_eq!(connected("gateway"), Value::Null);
}

#[tokio::test]
async fn buckets_are_told_when_to_acknowledge() {
    let operator = Operator::new().await;
    let owner = operator.get("/users").await["users"][0]["account"].as_u64().expect("a number");
    let bucket = gateway_object::CreateBucket {
        name: "logs".to_owned(),
        owner: gateway_meta::AccountId(owner),
        region: "us-east-1".to_owned(),
        object_lock: false,
        tags: Vec::new(),
    };
    operator.api.objects.create_bucket(bucket).await.expect("created");
    let path = "/buckets/logs/acknowledge";
    assert_eq!(operator.get(path).await, json!({ "acknowledge": "all" }));
    let early = json!({ "acknowledge": "data-plus-one" });
    let answer = operator.call("PUT", path, Some(early.clone())).await;
    assert_eq!(answer.expect(StatusCode::OK), early);
    assert_eq!(operator.get(path).await, early);
    for wrong in [json!({ "acknowledge": "none" }), json!({}), json!({ "acknowledge": 1 })] {
        let answer = operator.call("PUT", path, Some(wrong)).await;
        answer.expect_failure(StatusCode::BAD_REQUEST, "invalid-request");
    }
    for method in ["GET", "PUT"] {
        let answer =
            operator.call(method, "/buckets/nosuch/acknowledge", Some(early.clone())).await;
        answer.expect_failure(StatusCode::NOT_FOUND, "not-found");
    }
}
