use super::*;
use gateway_meta::MemoryMetaStore;
use node_proto::ManualClock;

/// Predictable bytes that differ from call to call.
fn counting(out: &mut [u8]) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static CALLS: AtomicU64 = AtomicU64::new(1);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    blake3::Hasher::new().update(&call.to_be_bytes()).finalize_xof().fill(out);
}

fn deps(meta: Arc<dyn MetaStore>, root_key_byte: u8) -> DirectoryDeps {
    DirectoryDeps {
        meta,
        txids: Arc::new(TxIds::new(UnixMillis(1), u32::from(root_key_byte))),
        root_key: Arc::new(RootKey::from_bytes(&[root_key_byte; 32]).expect("32 bytes")),
        root: RootCredentials {
            access_key_id: "rootkey".to_owned(),
            secret: Secret::new("rootsecret".to_owned()),
        },
        clock: Arc::new(ManualClock::new(UnixMillis(1_000))),
        random: counting,
    }
}

async fn directory() -> (Arc<dyn MetaStore>, Directory) {
    let meta: Arc<dyn MetaStore> = Arc::new(MemoryMetaStore::new());
    let directory = Directory::open(deps(Arc::clone(&meta), 7)).await.expect("opens");
    (meta, directory)
}

#[tokio::test]
async fn root_credentials_resolve_to_the_root_account() {
    let (_, directory) = directory().await;
    let found = directory.resolve("rootkey").expect("reads").expect("exists");
    assert!(found.principal.is_root());
    assert_eq!(found.secret.expose(), "rootsecret");
    assert!(directory.resolve("other").expect("reads").is_none());
}

#[tokio::test]
async fn another_root_key_is_refused() {
    let (meta, _) = directory().await;
    let reopened = Directory::open(deps(meta, 8)).await;
    assert!(matches!(reopened, Err(OpenDirectoryError::WrongRootKey)));
}

#[tokio::test]
async fn generated_key_acts_for_its_account_until_revoked() {
    let (meta, directory) = directory().await;
    let ann = directory.create_account("ann").await.expect("made");
    assert_eq!(ann.id, AccountId(2));
    let new = directory.create_access_key("ann", None).await.expect("made");
    assert_eq!(new.key.id.len(), 20);
    let found = directory.resolve(&new.key.id).expect("reads").expect("exists");
    assert_eq!(found.principal.account(), Some(ann.id));
    assert_eq!(found.secret, new.secret);
    let row = meta.get(Table::Ctl, &ctl::access_key(&new.key.id)).expect("reads").expect("row");
    let secret = new.secret.expose().as_bytes();
    assert!(!row.windows(secret.len()).any(|window| window == secret), "secret is stored sealed");

    directory.revoke_access_key(&new.key.id).await.expect("revoked");
    assert!(directory.resolve(&new.key.id).expect("reads").is_none());
    let again = directory.revoke_access_key(&new.key.id).await;
    assert!(matches!(again, Err(RevokeAccessKeyError::NoSuchKey { .. })));
}

#[tokio::test]
async fn imported_key_keeps_id_and_secret_and_cannot_be_taken_twice() {
    let (_, directory) = directory().await;
    directory.create_account("ann").await.expect("made");
    directory.create_account("bob").await.expect("made");
    let import = ImportedKey {
        id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret: Secret::new("wJalrXUtnFEMI/K7MDENG".to_owned()),
    };
    let made = directory.create_access_key("ann", Some(import.clone())).await.expect("made");
    assert_eq!(made.key.id, import.id);
    let taken = directory.create_access_key("bob", Some(import)).await;
    assert!(matches!(taken, Err(CreateAccessKeyError::Exists { .. })));
    let root = ImportedKey { id: "rootkey".to_owned(), secret: Secret::new("12345678".to_owned()) };
    let root = directory.create_access_key("bob", Some(root)).await;
    assert!(matches!(root, Err(CreateAccessKeyError::Exists { .. })));
}

#[tokio::test]
async fn names_are_unique_and_listed_in_order() {
    let (_, directory) = directory().await;
    for name in ["bob", "ann"] {
        directory.create_account(name).await.expect("made");
    }
    let twice = directory.create_account("ann").await;
    assert!(matches!(twice, Err(CreateAccountError::Exists { .. })));
    let names = |accounts: Vec<Account>| accounts.into_iter().map(|a| a.name).collect::<Vec<_>>();
    assert_eq!(
        names(directory.list_accounts(None, 10).await.expect("lists")),
        ["ann", "bob", "root"]
    );
    assert_eq!(names(directory.list_accounts(Some("ann"), 1).await.expect("lists")), ["bob"]);
}

#[tokio::test]
async fn deleted_account_takes_its_keys_along() {
    let (_, directory) = directory().await;
    directory.create_account("ann").await.expect("made");
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(directory.create_access_key("ann", None).await.expect("made").key.id);
    }
    ids.sort();
    let listed = directory.list_access_keys("ann").await.expect("lists");
    assert_eq!(listed.into_iter().map(|key| key.id).collect::<Vec<_>>(), ids);
    directory.delete_account("ann").await.expect("deleted");
    for id in &ids {
        assert!(directory.resolve(id).expect("reads").is_none());
    }
    let gone = directory.delete_account("ann").await;
    assert!(matches!(gone, Err(DeleteAccountError::NoSuchAccount { .. })));
    assert_eq!(directory.create_account("ann").await.expect("made").id, AccountId(3));
}

#[tokio::test]
async fn account_with_buckets_and_root_are_kept() {
    let (meta, directory) = directory().await;
    let ann = directory.create_account("ann").await.expect("made");
    let owned = Op::Put {
        table: Table::Ctl,
        key: ctl::owned_bucket(ann.id, "photos"),
        value: bytes::Bytes::new(),
    };
    let txid = gateway_meta::TxId { incarnation: 99, seq: 1 };
    meta.commit(Batch { txid, guards: Vec::new(), ops: vec![owned] }).await.expect("commits");
    let kept = directory.delete_account("ann").await;
    assert!(matches!(kept, Err(DeleteAccountError::OwnsBuckets { .. })));
    let root = directory.delete_account("root").await;
    assert!(matches!(root, Err(DeleteAccountError::Root)));
}

#[tokio::test]
async fn weak_root_credentials_are_refused() {
    let mut weak = deps(Arc::new(MemoryMetaStore::new()), 7);
    weak.root.secret = Secret::new("short".to_owned());
    let opened = Directory::open(weak).await;
    assert!(matches!(opened, Err(OpenDirectoryError::RootCredentials(InvalidName::Secret))));
}

#[test]
fn canonical_ids_are_distinct_and_stable() {
    assert_ne!(canonical_id(AccountId(1)), canonical_id(AccountId(2)));
    assert_eq!(canonical_id(AccountId(1)).len(), 64);
    assert_eq!(canonical_id(AccountId(1)), canonical_id(AccountId(1)));
}
