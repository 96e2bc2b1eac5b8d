//! Listings: encodings, pages, tokens.

use crate::harness::{Edge, encode};

#[tokio::test]
async fn odd_keys_are_listed_in_both_encodings() {
    let edge = Edge::start().await;
    let keys = ["a b+c%", "a&b<c>\"", "cr\rlf\n", "e\u{1}f", "g//h/../i", "ü€😀"];
    for key in keys {
        edge.put(&format!("/bucket/{}", encode(key).replace("%2F", "/")))
            .body("x")
            .send()
            .await
            .expect_status(200);
    }
    let mut sorted = keys;
    sorted.sort_unstable();
    for version in ["?", "?list-type=2&"] {
        let plain = edge.get(&format!("{version}prefix=")).send().await.expect_status(200);
        let unescaped: Vec<String> =
            plain.elements("Key").iter().map(|key| unescape(key)).collect();
        assert_eq!(unescaped, sorted);
        let url = edge.get(&format!("{version}encoding-type=url")).send().await;
        assert_eq!(url.element("EncodingType"), "url");
        let wanted: Vec<String> =
            sorted.iter().map(|key| encode(key).replace("%2F", "/")).collect();
        assert_eq!(url.elements("Key"), wanted);
    }
    edge.get("?encoding-type=x").send().await.expect_error(400, "InvalidArgument");
}

fn unescape(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x1;", "\u{1}"),
        ("&#xd;", "\r"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[tokio::test]
async fn version_two_pages_with_opaque_tokens() {
    let edge = Edge::start().await;
    for key in ["a/1", "a/2", "b", "c"] {
        edge.store(key, "x").await;
    }
    let first = edge.get("?list-type=2&delimiter=/&max-keys=2&fetch-owner=true").send().await;
    assert_eq!(first.elements("Key"), ["b"]);
    assert_eq!(first.elements("Prefix"), ["", "a/"]);
    assert_eq!(first.element("KeyCount"), "2");
    assert_eq!(first.element("IsTruncated"), "true");
    assert_eq!(first.element("ID").len(), 64);
    let token = first.element("NextContinuationToken");
    assert!(!token.is_empty() && token != "b");
    let next = format!("?list-type=2&delimiter=/&max-keys=2&continuation-token={token}");
    let second = edge.get(&next).send().await.expect_status(200);
    assert_eq!(second.elements("Key"), ["c"]);
    assert_eq!(second.element("ContinuationToken"), token);
    assert_eq!(second.element("IsTruncated"), "false");
    assert_eq!(second.element("ID"), "");
    for garbage in ["x", "b", "", "%00"] {
        let query = format!("?list-type=2&continuation-token={garbage}");
        edge.get(&query).send().await.expect_error(400, "InvalidArgument");
    }
    let after = edge.get("?list-type=2&start-after=b").send().await;
    assert_eq!(after.elements("Key"), ["c"]);
    assert_eq!(after.element("StartAfter"), "b");
}

#[tokio::test]
async fn version_one_pages_with_markers() {
    let edge = Edge::start().await;
    for key in ["a/1", "a/2", "b", "c"] {
        edge.store(key, "x").await;
    }
    let first = edge.get("?delimiter=/&max-keys=1").send().await.expect_status(200);
    assert_eq!(first.element("NextMarker"), "a/");
    assert_eq!(first.elements("Key"), [""; 0]);
    let second = edge.get("?delimiter=/&marker=a/&max-keys=1").send().await.expect_status(200);
    assert_eq!(second.elements("Key"), ["b"]);
    assert_eq!(second.element("Marker"), "a/");
    assert_eq!(second.element("ID").len(), 64);
    let plain = edge.get("?max-keys=1").send().await.expect_status(200);
    assert_eq!(
        (plain.element("IsTruncated"), plain.element("NextMarker")),
        ("true".into(), String::new())
    );
}

#[tokio::test]
async fn common_prefixes_up_to_the_marker_are_left_out() {
    let edge = Edge::start().await;
    for key in ["a/1", "a/2", "b/1", "c"] {
        edge.store(key, "x").await;
        edge.post(&format!("{key}?uploads")).send().await.expect_status(200);
    }
    for marker in ["marker", "list-type=2&start-after", "uploads&key-marker"] {
        let listed = async |after: &str| {
            let query = format!("?delimiter=/&{marker}={after}");
            let listed = edge.get(&query).send().await.expect_status(200);
            let prefixes = listed.elements("CommonPrefixes");
            (prefixes.join(","), listed.elements("Key").join(","))
        };
        let prefix = |name| format!("<Prefix>{name}/</Prefix>");
        let both = format!("{},{}", prefix("a"), prefix("b"));
        assert_eq!(listed("a").await, (both, "c".to_owned()), "{marker}");
        for after in ["a/", "a/1", "a/1/2"] {
            assert_eq!(listed(after).await, (prefix("b"), "c".to_owned()), "{marker}={after}");
        }
        assert_eq!(listed("b/0").await, (String::new(), "c".to_owned()), "{marker}");
    }
    let within = edge.get("?prefix=a/&delimiter=/&marker=a/1").send().await.expect_status(200);
    assert_eq!(within.elements("Key"), ["a/2"]);
}

#[tokio::test]
async fn max_keys_is_clamped_and_garbage_is_refused() {
    let edge = Edge::start().await;
    edge.store("k", "x").await;
    for version in ["?", "?list-type=2&"] {
        let answer = edge.get(&format!("{version}max-keys=100000")).send().await;
        assert_eq!(answer.element("MaxKeys"), "1000");
        let none = edge.get(&format!("{version}max-keys=0")).send().await.expect_status(200);
        assert_eq!((none.elements("Key").len(), none.element("IsTruncated")), (0, "false".into()));
        for bad in ["-1", "x", "1.5", "99999999999"] {
            let answer = edge.get(&format!("{version}max-keys={bad}")).send().await;
            answer.expect_error(400, "InvalidArgument");
        }
    }
    edge.get("?list-type=3").send().await.expect_error(400, "InvalidArgument");
    edge.get("/nosuchbucket").send().await.expect_error(404, "NoSuchBucket");
}

#[tokio::test]
async fn entries_tell_what_is_known() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let listed = edge.get("?list-type=2").send().await.expect_status(200);
    assert_eq!(listed.element("LastModified"), "2025-06-15T15:59:48.000Z");
    assert_eq!(listed.element("ETag"), "&quot;8d777f385d3dfec8815d20f7496026dc&quot;");
    assert_eq!(listed.element("ChecksumAlgorithm"), "CRC64NVME");
    assert_eq!(listed.element("Size"), "4");
    assert_eq!(listed.element("StorageClass"), "STANDARD");
}
