use gateway_meta::{
    AccountId, VersionId,
    record::{Body, SystemHeaders},
};
use node_proto::UnixMillis;

use super::*;

const MODIFIED_MS: u64 = 10_500;

fn info() -> ObjectInfo {
    ObjectInfo {
        version: VersionId::Null,
        modified: UnixMillis(MODIFIED_MS),
        metadata: ObjectMetadata {
            len_bytes: 3,
            etag: ETag { md5: [0xab; 16], part_count: None },
            checksum: None,
            headers: SystemHeaders::default(),
            user_metadata: Vec::new(),
            tags: Vec::new(),
            storage_class: String::new(),
            owner: AccountId::ROOT,
            upload: None,
            body: Body::Empty,
            lock: Default::default(),
            encryption: Default::default(),
        },
    }
}

fn same() -> Option<ETagCondition> {
    Some(ETagCondition::Tags(vec!["x".to_owned(), "ab".repeat(16)]))
}

fn other() -> Option<ETagCondition> {
    Some(ETagCondition::Tags(vec!["cd".repeat(16)]))
}

fn verdict(condition: ReadCondition) -> &'static str {
    match check_read(&condition, &info()) {
        Ok(()) => "ok",
        Err(ObjectReadError::PreconditionFailed { condition }) => condition,
        Err(ObjectReadError::NotModified { .. }) => "not modified",
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn multipart_etags_end_with_the_part_count() {
    let etag = ETag { md5: [0; 16], part_count: Some(12) };
    assert_eq!(etag_text(&etag), format!("{}-12", "0".repeat(32)));
}

#[test]
fn if_match_decides_alone() {
    let past = Some(UnixMillis(1000));
    assert_eq!(verdict(ReadCondition { if_match: same(), ..Default::default() }), "ok");
    assert_eq!(
        verdict(ReadCondition {
            if_match: same(),
            if_unmodified_since: past,
            ..Default::default()
        }),
        "ok"
    );
    assert_eq!(verdict(ReadCondition { if_match: other(), ..Default::default() }), "If-Match");
    assert_eq!(
        verdict(ReadCondition { if_unmodified_since: past, ..Default::default() }),
        "If-Unmodified-Since"
    );
}

#[test]
fn if_none_match_decides_alone() {
    let future = Some(UnixMillis(99_000));
    assert_eq!(
        verdict(ReadCondition { if_none_match: same(), ..Default::default() }),
        "not modified"
    );
    assert_eq!(
        verdict(ReadCondition {
            if_none_match: other(),
            if_modified_since: future,
            ..Default::default()
        }),
        "ok"
    );
    assert_eq!(
        verdict(ReadCondition { if_modified_since: future, ..Default::default() }),
        "not modified"
    );
}

#[test]
fn a_failed_precondition_comes_before_not_modified() {
    assert_eq!(
        verdict(ReadCondition { if_match: other(), if_none_match: same(), ..Default::default() }),
        "If-Match"
    );
}

#[test]
fn times_count_in_whole_seconds() {
    let at = |ms| Some(UnixMillis(ms));
    for (since, unmodified, modified) in
        [(9_999, "If-Unmodified-Since", "ok"), (10_000, "ok", "not modified")]
    {
        assert_eq!(
            verdict(ReadCondition { if_unmodified_since: at(since), ..Default::default() }),
            unmodified
        );
        assert_eq!(
            verdict(ReadCondition { if_modified_since: at(since), ..Default::default() }),
            modified
        );
    }
}

#[test]
fn writes_see_the_live_object() {
    let live = info().metadata;
    let any = Some(ETagCondition::Any);
    let none_match = |tags| WriteCondition { if_match: None, if_none_match: tags };
    let matching = |tags| WriteCondition { if_match: tags, if_none_match: None };
    assert!(check_write(&none_match(any.clone()), None).is_ok());
    assert!(check_write(&none_match(other()), Some(&live)).is_ok());
    assert!(check_write(&matching(same()), Some(&live)).is_ok());
    assert!(check_write(&matching(any.clone()), Some(&live)).is_ok());
    for refused in [none_match(any.clone()), none_match(same()), matching(other())] {
        assert!(matches!(
            check_write(&refused, Some(&live)),
            Err(ObjectWriteError::PreconditionFailed { .. })
        ));
    }
    assert!(matches!(check_write(&matching(any), None), Err(ObjectWriteError::NoSuchKey)));
}
