//! Object listing.

use super::ObjectInfo;

/// Lists live objects in byte order of their keys.
#[derive(Clone, Debug)]
pub struct ListObjects {
    /// The bucket's name.
    pub bucket: String,
    /// Only keys that start so.
    pub prefix: String,
    /// Keys that contain it behind the prefix are rolled up into one common prefix. Empty: none.
    pub delimiter: String,
    /// Only keys greater than this; a common prefix equal to it is skipped with all its keys, so
    /// that the last entry of a page, whichever it was, leads to the next page.
    pub after: Option<String>,
    /// At most so many entries; zero gives an empty, untruncated page.
    pub limit: usize,
}

/// One entry of a listing.
#[derive(Clone, Debug)]
pub enum ListEntry {
    /// A live object.
    Object {
        /// Its key.
        key: String,
        /// What is known of it.
        info: Box<ObjectInfo>,
    },
    /// Keys rolled up under the delimiter.
    CommonPrefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub struct ListPage {
    /// Ascending; a common prefix sorts as itself.
    pub entries: Vec<ListEntry>,
    /// Pass as [`ListObjects::after`] to continue; `None` at the end.
    pub next: Option<String>,
}
