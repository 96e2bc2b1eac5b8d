//! Renaming objects.

use crate::harness::{Answer, Ask, BEN, Edge};

fn rename(edge: &Edge, source: &str, target: &str) -> Ask {
    edge.put(&format!("{target}?renameObject")).header("x-amz-rename-source", source)
}

async fn etag(edge: &Edge, key: &str) -> String {
    edge.head(key).send().await.expect_status(200).header("etag").to_owned()
}

#[tokio::test]
async fn a_renamed_object_is_what_it_was() {
    let edge = Edge::start().await;
    let stored = edge.put("a%20b").header("x-amz-meta-m", "1").header("content-type", "text/x");
    stored.body("bytes").send().await.expect_status(200);
    let before = edge.head("a%20b").send().await.expect_status(200);
    rename(&edge, "a%20b", "dir/c").send().await.expect_status(200);
    edge.head("a%20b").send().await.expect_status(404);
    let after = edge.get("dir/c").send().await.expect_status(200);
    assert_eq!(after.text(), "bytes");
    for name in ["etag", "last-modified", "x-amz-meta-m", "content-type"] {
        assert_eq!(after.header(name), before.header(name), "{name}");
    }
    let listed = edge.get("?list-type=2").send().await;
    assert_eq!(listed.elements("Key"), ["dir/c"]);
}

#[tokio::test]
async fn sources_are_named_in_each_way_that_clients_do() {
    let edge = Edge::start().await;
    edge.store("one", "bytes").await;
    for (source, target) in [
        ("/bucket/one", "two"),
        ("bucket/two", "bucket/three"),
        ("/bucket/bucket/three", "four"),
        ("/four", "five"),
        ("five", "six%2B"),
        ("six%2B", "seven"),
    ] {
        rename(&edge, source, target).send().await.expect_status(200);
    }
    edge.get("seven").send().await.expect_status(200);
    let missing = rename(&edge, "nosuch", "x").send().await.expect_error(404, "NoSuchKey");
    assert_eq!(missing.element("Key"), "nosuch");
    rename(&edge, "seven", "seven").send().await.expect_error(400, "InvalidRequest");
    rename(&edge, "/bucket/", "x").send().await.expect_error(400, "InvalidArgument");
    let nameless = edge.put("x?renameObject").send().await;
    nameless.expect_error(400, "InvalidRequest");
    let long = "k".repeat(1025);
    rename(&edge, &long, "x").send().await.expect_error(400, "KeyTooLongError");
}

#[tokio::test]
async fn conditions_of_renames_are_judged() {
    let edge = Edge::start().await;
    edge.store("source", "one").await;
    edge.store("target", "two").await;
    let (source, target) = (etag(&edge, "source").await, etag(&edge, "target").await);
    let refused = |answer: Answer| answer.expect_error(412, "PreconditionFailed");
    let ask = || rename(&edge, "source", "target");
    let past = "Sat, 01 Jan 2000 00:00:00 GMT";
    refused(ask().header("if-none-match", "*").send().await);
    refused(ask().header("if-match", &source).send().await);
    refused(ask().header("if-unmodified-since", past).send().await);
    refused(ask().header("x-amz-rename-source-if-match", &target).send().await);
    refused(ask().header("x-amz-rename-source-if-none-match", &source).send().await);
    refused(ask().header("x-amz-rename-source-if-none-match", "*").send().await);
    refused(ask().header("x-amz-rename-source-if-unmodified-since", past).send().await);
    let to_new = rename(&edge, "source", "new").header("if-match", &source).send().await;
    assert_eq!(to_new.expect_error(404, "NoSuchKey").element("Key"), "new");
    assert_eq!(edge.get("source").send().await.text(), "one");
    assert_eq!(edge.get("target").send().await.text(), "two");
    let holds = ask()
        .header("if-match", &target)
        .header("if-modified-since", past)
        .header("x-amz-rename-source-if-match", &source)
        .header("x-amz-rename-source-if-modified-since", past);
    holds.send().await.expect_status(200);
    assert_eq!(edge.get("target").send().await.text(), "one");
    rename(&edge, "target", "new").header("if-none-match", "*").send().await.expect_status(200);
}

#[tokio::test]
async fn a_rename_under_a_token_is_done_once() {
    let edge = Edge::start().await;
    edge.store("a", "first").await;
    let ask = |source: &str, target: &str| {
        rename(&edge, source, target).header("x-amz-client-token", "token-1")
    };
    ask("a", "b").send().await.expect_status(200);
    // What came since is not touched by a repetition.
    edge.store("a", "second").await;
    ask("a", "b").send().await.expect_status(200);
    assert_eq!(edge.get("a").send().await.text(), "second");
    assert_eq!(edge.get("b").send().await.text(), "first");
    ask("a", "c").send().await.expect_error(400, "IdempotencyParameterMismatch");
    for wrong in ["has space", &"x".repeat(65)] {
        let token = rename(&edge, "a", "c").header("x-amz-client-token", wrong).send().await;
        token.expect_error(400, "InvalidArgument");
    }
}

#[tokio::test]
async fn versioned_buckets_do_not_rename() {
    let edge = Edge::start().await;
    edge.store("a", "bytes").await;
    let document = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    edge.put("?versioning").body(document).send().await.expect_status(200);
    rename(&edge, "a", "b").send().await.expect_error(409, "InvalidBucketState");
    assert_eq!(edge.get("a").send().await.text(), "bytes");
}

#[tokio::test]
async fn renaming_is_for_who_may_write_and_delete() {
    let edge = Edge::start().await;
    edge.store("a", "bytes").await;
    rename(&edge, "a", "b").signed_by(BEN).send().await.expect_error(403, "AccessDenied");
    rename(&edge, "a", "b").anonymous().send().await.expect_error(403, "AccessDenied");
    // Elsewhere the header asks for what is not there.
    let put = edge.put("b").header("x-amz-rename-source", "a").body("x").send().await;
    put.expect_error(501, "NotImplemented");
}
