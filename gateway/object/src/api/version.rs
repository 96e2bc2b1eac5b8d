//! Listing of object versions.

use gateway_meta::VersionId;
use node_proto::UnixMillis;

use super::ObjectInfo;

/// Lists all versions: keys in byte order, and the versions of each key from the newest on.
#[derive(Clone, Debug)]
pub struct ListVersions {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so.
    pub prefix: String,
    /// Rolls keys up, as in [`super::ListObjects`].
    pub delimiter: String,
    /// Only what follows this.
    pub after: Option<VersionMarker>,
    /// At most so many entries; zero gives an empty, untruncated page.
    pub limit: usize,
}

/// A place in a listing of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionMarker {
    /// Behind this key, or behind all keys of this common prefix.
    pub key: String,
    /// Behind this version of the key, which may be gone by now; behind all of them if `None`.
    pub version: Option<VersionId>,
}

/// One entry of a listing of versions.
#[derive(Clone, Debug)]
pub enum VersionEntry {
    /// A version with bytes.
    Version {
        /// Its key.
        key: String,
        /// Whether it is the newest of its key.
        is_latest: bool,
        /// What is known of it.
        info: Box<ObjectInfo>,
    },
    /// A delete marker.
    DeleteMarker {
        /// Its key.
        key: String,
        /// Whether it is the newest version of its key.
        is_latest: bool,
        /// S3's name of it.
        version: VersionId,
        /// When it was made.
        modified: UnixMillis,
    },
    /// Keys rolled up under the delimiter.
    CommonPrefix(String),
}

/// A page of versions.
#[derive(Clone, Debug, Default)]
pub struct VersionPage {
    /// In order; a common prefix sorts as itself.
    pub entries: Vec<VersionEntry>,
    /// Pass as [`ListVersions::after`] to continue; `None` at the end.
    pub next: Option<VersionMarker>,
}
