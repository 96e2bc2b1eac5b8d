//! Object lock, as headers of requests and answers say it.

use gateway_iam::Action;
use gateway_meta::record::{ObjectLock, Retention, RetentionMode};
use gateway_object::ExpectedDigests;
use http::HeaderMap;

use crate::{
    answer::Answer,
    call::Call,
    convert,
    error::{Failure, Outcome},
    header,
};

/// How firmly a version is retained.
const MODE: &str = "x-amz-object-lock-mode";
/// Until when a version is retained.
const UNTIL: &str = "x-amz-object-lock-retain-until-date";
/// Whether a version is held without an end.
const LEGAL_HOLD: &str = "x-amz-object-lock-legal-hold";

/// What shall keep an object from being deleted.
///
/// # Errors
/// `InvalidArgument` for values that S3 does not know and for a mode without a date, or a date
/// without a mode.
pub(crate) fn lock(headers: &HeaderMap) -> Outcome<ObjectLock> {
    let mode = header::text(headers, MODE)?
        .map(|text| {
            parse_mode(text)
                .ok_or_else(|| Failure::invalid_argument(MODE, text, "Unknown wormMode directive."))
        })
        .transpose()?;
    let until = header::text(headers, UNTIL)?
        .map(|text| {
            let message = "The retain until date must be provided in ISO 8601 format";
            convert::parse_iso_8601(text)
                .ok_or_else(|| Failure::invalid_argument(UNTIL, text, message))
        })
        .transpose()?;
    let retention = match (mode, until) {
        (Some(mode), Some(until)) => Some(Retention { mode, until }),
        (None, None) => None,
        (mode, _) => {
            let missing = if mode.is_some() { UNTIL } else { MODE };
            let message = format!("{UNTIL} and {MODE} must both be supplied");
            return Err(Failure::invalid_argument(missing, "", message));
        }
    };
    let legal_hold = header::text(headers, LEGAL_HOLD)?
        .map(|text| {
            let message = "Legal Hold must be either of 'ON' or 'OFF'";
            parse_hold(text).ok_or_else(|| Failure::invalid_argument(LEGAL_HOLD, text, message))
        })
        .transpose()?;
    Ok(ObjectLock { retention, legal_hold })
}

/// Refuses a lock on bytes that no digest vouches for: what cannot be deleted had better be right.
///
/// # Errors
/// `InvalidRequest`.
pub(crate) fn wants_digest(lock: &ObjectLock, declared: &ExpectedDigests) -> Outcome<()> {
    let vouched = declared.md5.is_some() || declared.checksum.is_some();
    if vouched || lock == &ObjectLock::default() {
        return Ok(());
    }
    Err(Failure::invalid_request(
        "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with \
         Object Lock parameters",
    ))
}

/// Whether retention in governance mode shall not count: where the client says so and may. Saying
/// so without the permission is no error of its own, as consoles always do.
///
/// # Errors
/// `InvalidArgument` when the header is repeated.
pub(crate) fn bypasses_governance(call: &Call<'_>) -> Outcome<bool> {
    Ok(asks_to_bypass(&call.headers)? && call.allows(Action::BypassGovernanceRetention))
}

/// Whether the client says that retention in governance mode shall not count.
///
/// # Errors
/// `InvalidArgument` when the header is repeated.
pub(crate) fn asks_to_bypass(headers: &HeaderMap) -> Outcome<bool> {
    let asked = header::text(headers, "x-amz-bypass-governance-retention")?;
    Ok(asked.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// Tells what keeps a version from being deleted to those who may know.
///
/// # Errors
/// None; the values are plain.
pub(crate) fn tell(call: &Call<'_>, lock: &ObjectLock, answer: &mut Answer) -> Outcome<()> {
    let known = ObjectLock {
        retention: lock.retention.filter(|_| call.allows(Action::GetObjectRetention)),
        legal_hold: lock.legal_hold.filter(|_| call.allows(Action::GetObjectLegalHold)),
    };
    show(&known, answer)
}

fn show(lock: &ObjectLock, answer: &mut Answer) -> Outcome<()> {
    if let Some(Retention { mode, until }) = lock.retention {
        answer.set(MODE, mode_name(mode))?;
        answer.set(UNTIL, &convert::iso_8601(until))?;
    }
    answer.set_if(LEGAL_HOLD, lock.legal_hold.map(hold_name))
}

/// Reads a mode, which S3 wants in capitals.
pub(crate) fn parse_mode(text: &str) -> Option<RetentionMode> {
    match text {
        "GOVERNANCE" => Some(RetentionMode::Governance),
        "COMPLIANCE" => Some(RetentionMode::Compliance),
        _ => None,
    }
}

/// S3's name of a mode.
pub(crate) fn mode_name(mode: RetentionMode) -> &'static str {
    match mode {
        RetentionMode::Governance => "GOVERNANCE",
        RetentionMode::Compliance => "COMPLIANCE",
    }
}

/// Reads the status of a legal hold.
pub(crate) fn parse_hold(text: &str) -> Option<bool> {
    match text {
        "ON" => Some(true),
        "OFF" => Some(false),
        _ => None,
    }
}

/// The status of a legal hold.
pub(crate) fn hold_name(held: bool) -> &'static str {
    if held { "ON" } else { "OFF" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn lock_headers_are_read_and_told_again() {
        let asked = headers(&[
            (MODE, "COMPLIANCE"),
            (UNTIL, "2030-01-02T03:04:05.678Z"),
            (LEGAL_HOLD, "OFF"),
        ]);
        let lock = lock(&asked).unwrap();
        assert_eq!(lock.legal_hold, Some(false));
        let mut answer = Answer::empty(http::StatusCode::OK);
        show(&lock, &mut answer).unwrap();
        assert_eq!(answer.headers, asked);
        assert_eq!(super::lock(&HeaderMap::new()).unwrap(), ObjectLock::default());
    }

    #[test]
    fn half_a_retention_and_unknown_values_are_refused() {
        for pairs in [
            &[(MODE, "GOVERNANCE")][..],
            &[(UNTIL, "2030-01-02T03:04:05Z")],
            &[(MODE, "governance"), (UNTIL, "2030-01-02T03:04:05Z")],
            &[(MODE, "GOVERNANCE"), (UNTIL, "tomorrow")],
            &[(LEGAL_HOLD, "on")],
        ] {
            let failure = lock(&headers(pairs)).unwrap_err();
            assert_eq!(failure.code(), Code::InvalidArgument, "{pairs:?}");
        }
    }

    #[test]
    fn locked_bytes_want_a_digest() {
        let held = ObjectLock { retention: None, legal_hold: Some(true) };
        let none = ExpectedDigests::default();
        let md5 = ExpectedDigests { md5: Some([0; 16]), ..ExpectedDigests::default() };
        assert!(wants_digest(&ObjectLock::default(), &none).is_ok());
        assert!(wants_digest(&held, &md5).is_ok());
        assert_eq!(wants_digest(&held, &none).unwrap_err().code(), Code::InvalidRequest);
    }
}
