//! Ids that metadata rows are keyed by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An account: the owner of buckets and the unit of billing. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub u64);

impl AccountId {
    /// The operator's own account, made with the data directory.
    pub const ROOT: Self = Self(1);
}

/// A bucket. Never reused, so rows of a deleted bucket can never show up in a new one of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BucketId(pub u64);

/// A multipart upload: 48 bits of start time in Unix milliseconds, then 80 random bits, so that
/// byte order is start order. Shown to clients as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadId(pub [u8; 16]);

/// S3's name of an object version. Opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum VersionId {
    /// The one version of a key in an unversioned bucket; S3 calls it `null`.
    Null,
    /// A version made while versioning is enabled.
    Id([u8; 16]),
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

impl std::str::FromStr for UploadId {
    type Err = ();

    /// Reads 32 lower-case hex digits, the form that [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(());
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(()),
        };
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => write_hex(f, id),
        }
    }
}

impl fmt::Debug for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VersionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn upload_ids_come_back_from_their_text(id in any::<[u8; 16]>()) {
            prop_assert_eq!(UploadId(id).to_string().parse(), Ok(UploadId(id)));
        }

        #[test]
        fn other_texts_are_no_upload_ids(text in ".{0,40}") {
            let parsed: Result<UploadId, ()> = text.parse();
            prop_assert!(parsed.is_err() || parsed.map(|id| id.to_string()) == Ok(text));
        }
    }

    #[test]
    fn ids_show_as_lower_case_hex() {
        let id = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\xfe\xff";
        let text = "000102030405060708090a0b0c0dfeff";
        assert_eq!(UploadId(id).to_string(), text);
        assert_eq!(VersionId::Id(id).to_string(), text);
        assert_eq!(VersionId::Null.to_string(), "null");
        assert_eq!(text.to_uppercase().parse::<UploadId>(), Err(()));
    }
}
