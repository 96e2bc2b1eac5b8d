use super::*;

const NOW: UnixMillis = UnixMillis(1_000);

fn retained(mode: RetentionMode, until: u64) -> Option<Retention> {
    Some(Retention { mode, until: UnixMillis(until) })
}

fn lock(retention: Option<Retention>, legal_hold: Option<bool>) -> ObjectLock {
    ObjectLock { retention, legal_hold }
}

use RetentionMode::{Compliance, Governance};

#[test]
fn removal_is_judged_by_hold_mode_time_and_bypass() {
    let free = [
        (lock(None, None), false),
        (lock(None, Some(false)), false),
        (lock(retained(Governance, 1_000), None), false),
        (lock(retained(Compliance, 1_000), None), false),
        (lock(retained(Governance, 1_001), None), true),
    ];
    for (lock, bypass) in free {
        assert_eq!(may_remove(&lock, NOW, bypass), Ok(()), "{lock:?}");
    }
    let held = [
        (lock(retained(Governance, 1_001), None), false),
        (lock(retained(Governance, 1_001), Some(true)), true),
        (lock(retained(Compliance, 1_001), None), true),
        (lock(None, Some(true)), true),
        (lock(retained(Compliance, 1), Some(true)), true),
    ];
    for (lock, bypass) in held {
        assert_eq!(may_remove(&lock, NOW, bypass), Err(Locked), "{lock:?}");
    }
}

#[test]
fn a_running_retention_changes_only_as_its_mode_allows() {
    let change = |old, new, bypass| {
        let mut lock = lock(old, Some(false));
        let outcome = change_retention(&mut lock, new, NOW, bypass);
        assert_eq!(lock.retention, if outcome.is_ok() { new } else { old });
        assert_eq!(lock.legal_hold, Some(false));
        outcome.is_ok()
    };
    let (governed, complied) = (retained(Governance, 2_000), retained(Compliance, 2_000));
    for bypass in [false, true] {
        assert!(change(None, governed, bypass));
        assert!(change(None, complied, bypass));
        assert!(change(None, None, bypass));
        assert!(change(retained(Compliance, 1_000), None, bypass), "it has ended");
        assert!(change(governed, retained(Governance, 2_000), bypass));
        assert!(change(governed, retained(Governance, 2_001), bypass));
        assert!(change(complied, retained(Compliance, 2_000), bypass));
        assert!(change(complied, retained(Compliance, 2_001), bypass));
        assert!(!change(complied, retained(Compliance, 1_999), bypass));
        assert!(!change(complied, retained(Governance, 3_000), bypass));
        assert!(!change(complied, None, bypass));
        assert!(!change(None, retained(Governance, 1_000), bypass), "in the past");
    }
    for weaker in [retained(Governance, 1_999), retained(Compliance, 2_000), None] {
        assert!(!change(governed, weaker, false));
        assert!(change(governed, weaker, true));
    }
}

#[test]
fn a_default_retention_counts_from_the_sequence_number() {
    const DAY_MS: u64 = 86_400_000;
    let default = |period| DefaultRetention { mode: Governance, period };
    let from = time_of(5 << 64 | 7);
    assert_eq!(from, UnixMillis(5));
    let until = |period| retained_from(default(period), from).until.0 - 5;
    assert_eq!(until(RetentionPeriod::Days(1)), DAY_MS);
    assert_eq!(until(RetentionPeriod::Years(2)), 730 * DAY_MS);
    let late = retained_from(default(RetentionPeriod::Years(100)), UnixMillis(u64::MAX));
    assert_eq!(late.until, UnixMillis(u64::MAX));
}
