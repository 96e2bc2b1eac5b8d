//! Request documents: XML that is none, that is too much, or that says the wrong thing.
//!
//! `MalformedXML` is S3's word for all that does not validate against its schema; documents that
//! declare a document type are among them, so no entity is ever expanded.

use compat_tests::encoding::content_md5;
use compat_tests::wire::Request;

use crate::row::{Row, Stage, row};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = malformed();
    rows.extend(tagging());
    rows.extend(deletions());
    rows.extend(bucket());
    rows
}

/// Ten levels of ten references each: ten thousand million `lol`s, if anyone expanded them.
fn entity_bomb() -> String {
    let mut text = "<?xml version=\"1.0\"?><!DOCTYPE Tagging [<!ENTITY a0 \"lol\">".to_owned();
    for level in 1..=10 {
        let references = format!("&a{};", level - 1).repeat(10);
        text += &format!("<!ENTITY a{level} \"{references}\">");
    }
    text + "]><Tagging><TagSet><Tag><Key>&a10;</Key><Value/></Tag></TagSet></Tagging>"
}

fn malformed() -> Vec<Row> {
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    let wide = format!("<Tagging><TagSet>{}</TagSet></Tagging>", "<Tag/>".repeat(200_000));
    let attributes: String = (0..50_000).map(|n| format!(" a{n}=\"\"")).collect();
    let quadratic = format!(
        "<!DOCTYPE Tagging [<!ENTITY a \"{}\">]><Tagging>{}</Tagging>",
        "a".repeat(50_000),
        "&a;".repeat(50_000)
    );
    [
        ("XML that does not end", "<Tagging><TagSet>".to_owned()),
        ("XML of crossed elements", "<Tagging><TagSet></Tagging></TagSet>".to_owned()),
        ("XML with two roots", "<Tagging><TagSet/></Tagging><Tagging/>".to_owned()),
        ("XML with text behind", "<Tagging><TagSet/></Tagging>more".to_owned()),
        ("XML of another kind", "<Delete/>".to_owned()),
        ("XML without its list", "<Tagging/>".to_owned()),
        ("JSON for XML", "{\"TagSet\":[]}".to_owned()),
        ("text for XML", "TagSet".to_owned()),
        ("XML with an unknown entity", "<Tagging>&nbsp;</Tagging>".to_owned()),
        ("XML with a reference to no character", "<Tagging>&#xD800;</Tagging>".to_owned()),
        ("XML that is nested deeply", deep),
        ("XML of very many elements", wide),
        ("XML with a document type", "<!DOCTYPE Tagging><Tagging><TagSet/></Tagging>".to_owned()),
        ("entity bomb", entity_bomb()),
        ("entity bomb, quadratic", quadratic),
        (
            "external entity",
            "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Tagging>&x;</Tagging>"
                .to_owned(),
        ),
        (
            "external entity over the network",
            "<!DOCTYPE a SYSTEM \"http://127.0.0.1:1/x.dtd\"><Tagging><TagSet/></Tagging>"
                .to_owned(),
        ),
        ("XML with an open comment", "<Tagging><!-- ".to_owned()),
        ("XML with an open CDATA", "<Tagging><![CDATA[".to_owned()),
        ("XML of very many attributes", format!("<Tagging{attributes}>")),
        ("XML in UTF-16", String::from_utf8_lossy(b"\xff\xfe<\0T\0").into_owned()),
    ]
    .into_iter()
    .map(|(name, document)| {
        row(name, 400, "MalformedXML", move |s| s.put("/old?tagging").body(document.clone()))
    })
    .collect()
}

fn tags(pairs: &[(&str, &str)]) -> String {
    let tag =
        |(key, value): &(&str, &str)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>");
    let tags: String = pairs.iter().map(tag).collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

fn tagging() -> Vec<Row> {
    let long_key = "k".repeat(129);
    let long_value = "v".repeat(257);
    let numbers: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let eleven: Vec<(&str, &str)> = numbers.iter().map(|n| (n.as_str(), "v")).collect();
    // "Object tagging": at most ten, keys of 128 and values of 256 characters, keys unique.
    let mut rows: Vec<Row> = [
        ("tag key of 129 characters", "InvalidTag", tags(&[(&long_key, "v")])),
        ("tag value of 257 characters", "InvalidTag", tags(&[("k", &long_value)])),
        ("tag key twice", "InvalidTag", tags(&[("k", "1"), ("k", "2")])),
        ("tag key that is reserved", "InvalidTag", tags(&[("aws:k", "1")])),
        ("tag key that is empty", "InvalidTag", tags(&[("", "1")])),
        ("tag key of other characters", "InvalidTag", tags(&[("a&lt;b", "1")])),
        ("eleven tags", "BadRequest", tags(&eleven)),
        (
            "tag without a value",
            "MalformedXML",
            "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>".to_owned(),
        ),
        (
            "tag without a key",
            "MalformedXML",
            "<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>".to_owned(),
        ),
    ]
    .into_iter()
    .map(|(name, code, document)| {
        row(name, 400, code, move |s| s.put("/old?tagging").body(document.clone()))
    })
    .collect();
    rows.push(
        row("tags for no object", 404, "NoSuchKey", |s| {
            s.put("/none?tagging").body(tags(&[("a", "b")]))
        })
        .says("Key", "none"),
    );
    rows
}

fn delete(s: &Stage, document: &str) -> Request {
    let ask = s.post("?delete").header("content-md5", &content_md5(document.as_bytes()));
    ask.body(document.to_owned())
}

fn keys(count: usize) -> String {
    let object = |n| format!("<Object><Key>no-such-key-{n}</Key></Object>");
    let objects: String = (0..count).map(object).collect();
    format!("<Delete>{objects}</Delete>")
}

fn deletions() -> Vec<Row> {
    let mut rows: Vec<Row> = [
        ("deletion of 1,001 keys", keys(1001)),
        ("deletion of 10,001 keys", keys(10_001)),
        ("deletion of no key", "<Delete/>".to_owned()),
        ("deletion of an object without a key", "<Delete><Object/></Delete>".to_owned()),
        ("deletion of an empty key", "<Delete><Object><Key></Key></Object></Delete>".to_owned()),
        ("deletion that does not end", "<Delete><Object><Key>old</Key></Object>".to_owned()),
        ("deletion of another kind", "<Remove><Object><Key>old</Key></Object></Remove>".to_owned()),
        ("deletion with an entity bomb", entity_bomb().replace("Tagging", "Delete")),
    ]
    .into_iter()
    .map(|(name, document)| row(name, 400, "MalformedXML", move |s| delete(s, &document)))
    .collect();
    rows.extend([
        row("deletion of many without a digest", 400, "InvalidRequest", |s| {
            s.post("?delete").body(keys(1))
        }),
        row("deletion of many with the wrong MD5", 400, "BadDigest", |s| {
            s.post("?delete").header("content-md5", &content_md5(b"other")).body(keys(1))
        }),
        row("deletion of many with the wrong checksum", 400, "BadDigest", |s| {
            s.post("?delete").header("x-amz-checksum-crc32", "AAAAAA==").body(keys(1))
        }),
        row("deletion of many in no bucket", 404, "NoSuchBucket", |s| {
            let ask = s.wire.post("/no-such-bucket-here?delete");
            ask.header("content-md5", &content_md5(keys(1).as_bytes())).body(keys(1))
        })
        .says("BucketName", "no-such-bucket-here"),
        row("deletion of many by another account", 403, "AccessDenied", |s| {
            let ask = s.other.post(&s.at("?delete"));
            ask.header("content-md5", &content_md5(keys(1).as_bytes())).body(keys(1))
        }),
    ]);
    rows
}

fn bucket() -> Vec<Row> {
    let region = |name: &str| {
        format!(
            "<CreateBucketConfiguration><LocationConstraint>{name}</LocationConstraint>\
             </CreateBucketConfiguration>"
        )
    };
    let make =
        |s: &Stage, document: &str| s.wire.put("/no-such-bucket-yet").body(document.to_owned());
    let (elsewhere, nowhere) = (region("eu-west-9"), region("&lt;&gt;"));
    vec![
        row("bucket in another region", 400, "IllegalLocationConstraintException", move |s| {
            make(s, &elsewhere)
        }),
        row("bucket in no region", 400, "IllegalLocationConstraintException", move |s| {
            make(s, &nowhere)
        }),
        row("bucket configuration of another kind", 400, "MalformedXML", move |s| {
            make(s, "<Configuration/>")
        }),
        row("bucket configuration that does not end", 400, "MalformedXML", move |s| {
            make(s, "<CreateBucketConfiguration>")
        }),
        row("bucket configuration with a bomb", 400, "MalformedXML", move |s| {
            make(s, &entity_bomb())
        }),
    ]
}
