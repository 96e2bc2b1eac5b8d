//! What the built-in service does beyond what every service must.

use std::sync::Arc;

use gateway_kms::{
    BuiltInDeps, BuiltInKeyService, ChangeKeyError, CreateKeyError, KeyContext, KeyError, KeyName,
    KeyService, NewKey, conformance,
};
use gateway_meta::{KeyRange, MemoryMetaStore, MetaStore, Table, TxIds};
use gateway_seal::RootKey;
use node_proto::{ManualClock, UnixMillis};

const START: UnixMillis = UnixMillis(1_750_003_188_000);

struct Harness {
    service: BuiltInKeyService,
    meta: Arc<dyn MetaStore>,
    root_key: Arc<RootKey>,
    clock: Arc<ManualClock>,
}

fn random(out: &mut [u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static STATE: AtomicU64 = AtomicU64::new(1);
    for byte in out {
        let state = STATE.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *byte = (mixed >> 32) as u8;
    }
}

impl Harness {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
        let root_key = Arc::new(RootKey::generate(&mut random));
        let service = built_in(&meta, &root_key, &clock, 1);
        Self { service, meta, root_key, clock }
    }

    async fn key(&self, id: &str) -> KeyName {
        let new = NewKey { id: Some(id.to_owned()), ..NewKey::default() };
        KeyName::Id(self.service.create(new).await.unwrap().id)
    }
}

fn built_in(
    meta: &Arc<dyn MetaStore>,
    root_key: &Arc<RootKey>,
    clock: &Arc<ManualClock>,
    incarnation: u32,
) -> BuiltInKeyService {
    BuiltInKeyService::new(BuiltInDeps {
        meta: Arc::clone(meta),
        txids: Arc::new(TxIds::new(START, incarnation)),
        root_key: Arc::clone(root_key),
        clock: Arc::clone(clock) as Arc<dyn node_proto::Clock>,
        random,
    })
}

fn context() -> KeyContext {
    KeyContext::default().with("a", "b")
}

#[tokio::test]
async fn conforms() {
    let harness = Harness::new();
    let (one, two) = (harness.key("one").await, harness.key("two").await);
    conformance::a_sealed_key_opens_again(&harness.service, &one).await;
    conformance::a_sealed_key_opens_again(&harness.service, &KeyName::default_key()).await;
    conformance::nothing_else_opens(&harness.service, &one, &two).await;
    conformance::missing_keys_are_told(&harness.service).await;
}

#[tokio::test]
async fn what_an_older_version_sealed_still_opens_after_a_restart() {
    let harness = Harness::new();
    let key = harness.key("one").await;
    let old = harness.service.generate(&key, &context()).await.unwrap();
    harness.clock.advance_ms(60_000);
    let info = harness.service.rotate(&key).await.unwrap();
    assert_eq!((info.version_count, info.created), (2, START));
    assert_eq!(info.rotated, UnixMillis(START.0 + 60_000));
    let new = harness.service.generate(&key, &context()).await.unwrap();
    assert_eq!(
        (old.sealed[..5].to_vec(), new.sealed[..5].to_vec()),
        (vec![1, 0, 0, 0, 1], vec![1, 0, 0, 0, 2])
    );
    let restarted = built_in(&harness.meta, &harness.root_key, &harness.clock, 2);
    for made in [old, new] {
        let opened = restarted.open("one", &made.sealed, &context()).await.unwrap();
        assert_eq!(opened.expose_bytes(), made.plain.expose_bytes());
    }
}

#[tokio::test]
async fn disabled_key_neither_seals_nor_opens_until_it_is_enabled() {
    let harness = Harness::new();
    let key = harness.key("one").await;
    let made = harness.service.generate(&key, &context()).await.unwrap();
    assert!(!harness.service.set_enabled(&key, false).await.unwrap().enabled);
    let disabled = KeyError::Disabled { key: "one".to_owned() };
    let generated = harness.service.generate(&key, &context()).await;
    assert_eq!(generated.map(drop), Err(disabled.clone()));
    let opened = harness.service.open("one", &made.sealed, &context()).await;
    assert_eq!(opened.map(drop), Err(disabled));
    harness.service.set_enabled(&key, true).await.unwrap();
    harness.service.open("one", &made.sealed, &context()).await.unwrap();
}

#[tokio::test]
async fn names_are_unique_and_keep_the_rules() {
    let harness = Harness::new();
    let new = |id: &str, alias: &str| NewKey {
        id: Some(id.to_owned()),
        alias: Some(alias.to_owned()),
        description: String::new(),
    };
    let made = harness.service.create(new("one", "team/logs")).await.unwrap();
    assert_eq!(made.aliases, ["team/logs"]);
    let exists = |name: &str| CreateKeyError::Exists { name: name.to_owned() };
    let again = harness.service.create(new("one", "other")).await;
    assert_eq!(again, Err(exists("one")));
    let again = harness.service.create(new("two", "team/logs")).await;
    assert_eq!(again, Err(exists("alias/team/logs")));
    for invalid in [new("a/b", "c"), new("a", "b c"), new("", "c")] {
        let refused = harness.service.create(invalid).await;
        assert!(matches!(refused, Err(CreateKeyError::Invalid { .. })), "{refused:?}");
    }
    let by_alias = KeyName::Alias("team/logs".to_owned());
    assert_eq!(harness.service.describe(&by_alias).await.unwrap(), made);
    assert_eq!(harness.service.list().await.unwrap(), [made]);
    let missing = KeyName::Id("none".to_owned());
    let not_found = KeyError::NotFound { key: "none".to_owned() };
    assert_eq!(harness.service.rotate(&missing).await, Err(ChangeKeyError::Key(not_found)));
}

#[tokio::test]
async fn default_key_is_made_once_however_many_ask_at_once() {
    let harness = Harness::new();
    let name = KeyName::default_key();
    let context = context();
    let (one, two) = tokio::join!(
        harness.service.generate(&name, &context),
        harness.service.generate(&name, &context)
    );
    assert_eq!(one.unwrap().key_id, two.unwrap().key_id);
    let list = harness.service.list().await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].aliases, ["aws/s3"]);
}

#[tokio::test]
async fn keys_open_under_their_root_key_only() {
    let harness = Harness::new();
    let key = harness.key("one").await;
    let made = harness.service.generate(&key, &context()).await.unwrap();
    let other_root = Arc::new(RootKey::generate(&mut random));
    let stranger = built_in(&harness.meta, &other_root, &harness.clock, 2);
    let opened = stranger.open("one", &made.sealed, &context()).await;
    assert!(matches!(opened, Err(KeyError::Corrupt { .. })), "{opened:?}");
    // Nor does metadata hold a version key in the clear.
    let rows = harness.meta.scan(Table::Ctl, KeyRange::all(), 100).await.unwrap();
    let plain = made.plain.expose_bytes().as_slice();
    for (_, row) in rows {
        assert!(!row.windows(plain.len()).any(|window| window == plain));
    }
}
