//! What every key service must do. Run against each implementation.
//!
//! Deliberately absent: making, rotating and disabling keys, which services do each in their own
//! way; an implementation's tests do that around these.

use crate::{KeyContext, KeyError, KeyName, KeyService};

fn context() -> KeyContext {
    KeyContext::default().with("aws:s3:arn", "arn:aws:s3:::bucket").with("team", "a")
}

/// What a key sealed opens again, by the id that the service told, and is another each time.
///
/// # Panics
/// When the service does otherwise.
pub async fn a_sealed_key_opens_again(service: &dyn KeyService, key: &KeyName) {
    let first = service.generate(key, &context()).await.expect("a key that can be used");
    let second = service.generate(key, &context()).await.expect("a key that can be used");
    assert_eq!(first.key_id, second.key_id);
    assert_ne!(first.plain.expose_bytes(), second.plain.expose_bytes());
    assert_ne!(first.sealed, second.sealed);
    for made in [first, second] {
        let opened = service.open(&made.key_id, &made.sealed, &context()).await.expect("it opens");
        assert_eq!(opened.expose_bytes(), made.plain.expose_bytes());
        let plain = made.plain.expose_bytes().as_slice();
        assert!(!made.sealed.windows(plain.len()).any(|window| window == plain));
    }
}

/// Nothing opens for another context, under another key, cut short or damaged.
///
/// # Panics
/// When the service does otherwise.
pub async fn nothing_else_opens(service: &dyn KeyService, key: &KeyName, other: &KeyName) {
    let made = service.generate(key, &context()).await.expect("a key that can be used");
    let other = service.generate(other, &context()).await.expect("a key that can be used");
    let elsewhere = context().with("aws:s3:arn", "arn:aws:s3:::other");
    let refused = KeyError::Refused { key: made.key_id.clone() };
    for context in [KeyContext::default(), elsewhere, context().with("more", "")] {
        let opened = service.open(&made.key_id, &made.sealed, &context).await;
        assert_eq!(opened.map(drop), Err(refused.clone()), "{context:?}");
    }
    let by_other = service.open(&other.key_id, &made.sealed, &context()).await;
    assert_eq!(by_other.map(drop), Err(KeyError::Refused { key: other.key_id }));
    for len in 0..made.sealed.len() {
        let cut = service.open(&made.key_id, &made.sealed[..len], &context()).await;
        assert_eq!(cut.map(drop), Err(refused.clone()), "{len} bytes");
    }
    for at in 0..made.sealed.len() {
        let mut damaged = made.sealed.clone();
        damaged[at] ^= 1;
        let opened = service.open(&made.key_id, &damaged, &context()).await;
        assert_eq!(opened.map(drop), Err(refused.clone()), "byte {at}");
    }
}

/// A key that is not there is told as such.
///
/// # Panics
/// When the service does otherwise.
pub async fn missing_keys_are_told(service: &dyn KeyService) {
    for missing in [KeyName::Id("no-such-key".into()), KeyName::Alias("no/such".into())] {
        let not_found = KeyError::NotFound { key: missing.to_string() };
        let made = service.generate(&missing, &context()).await;
        assert_eq!(made.map(drop), Err(not_found.clone()));
        assert_eq!(service.describe(&missing).await.map(drop), Err(not_found));
    }
    let opened = service.open("no-such-key", &[1; 86], &context()).await;
    let not_found = KeyError::NotFound { key: "no-such-key".into() };
    assert_eq!(opened.map(drop), Err(not_found));
}
