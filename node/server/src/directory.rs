//! The node's data directory: who uses it now, and the small files in it.
//!
//! | file | what |
//! | --- | --- |
//! | `lock` | held while a node runs |
//! | `node.key` | 64 hex digits: the seed of the key that names the node in the mesh; mode 0600 |
//! | `layout` | the last layout: a label, the signature, the signed bytes |
//! | `member.json` | which cluster the node belongs to; see [`crate::Membership`] |
//!
//! *Crash consistency:* every file is replaced whole. The lock is the kernel's and ends with the
//! process.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use node_proto::{SignedLayout, signed::SIGNATURE_LEN_BYTES};
use zeroize::Zeroizing;

use crate::{
    durable_file::{self, Access},
    membership::{InvalidMembership, Membership},
};

const LOCK_FILE: &str = "lock";
const KEY_FILE: &str = "node.key";
const LAYOUT_FILE: &str = "layout";
const MEMBER_FILE: &str = "member.json";

/// What the layout file starts with; the number is its version.
const LAYOUT_LABEL: &[u8; 8] = b"DMLAYO01";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenDirectoryError {
    /// It cannot be made or read.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// A gateway or server keeps its data there.
    #[error("{} is the data directory of a server; a node needs one of its own", path.display())]
    OfServer {
        /// The directory.
        path: PathBuf,
    },
    /// A second process would follow the same layout and serve the same drives.
    #[error("another node is running on {}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The key is not 64 hex digits. A new one would be another node.
    #[error("{} is damaged: restore it, or remove it to become another node", path.display())]
    Key {
        /// The key file.
        path: PathBuf,
    },
    /// The membership cannot be understood.
    #[error("{} cannot be used: {source}", path.display())]
    Membership {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: InvalidMembership,
    },
}

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct NodeDirectory {
    path: PathBuf,
    /// Locked until the process ends.
    _lock: File,
}

impl NodeDirectory {
    /// Takes the directory, making it if it is missing. Blocks for I/O.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenDirectoryError> {
        let io = |source| OpenDirectoryError::Io { path: path.to_owned(), source };
        durable_file::make_directories(path).map_err(io)?;
        let path = fs::canonicalize(path).map_err(io)?;
        if path.join("format.json").exists() {
            return Err(OpenDirectoryError::OfServer { path });
        }
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| OpenDirectoryError::Io { path: lock_path, source })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenDirectoryError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(OpenDirectoryError::Io { path, source }),
        }
    }

    /// The seed of the node's key, made on first use.
    pub(crate) fn identity(
        &self,
        random: fn(&mut [u8]),
    ) -> Result<Zeroizing<[u8; 32]>, OpenDirectoryError> {
        read_or_make_identity(&self.path.join(KEY_FILE), random)
    }

    /// The cluster it belongs to, if any.
    pub(crate) fn membership(&self) -> Result<Option<Membership>, OpenDirectoryError> {
        let path = self.path.join(MEMBER_FILE);
        match read_optional(&path)?.map(|bytes| Membership::decode(&bytes)) {
            None => Ok(None),
            Some(Ok(membership)) => Ok(Some(membership)),
            Some(Err(source)) => Err(OpenDirectoryError::Membership { path, source }),
        }
    }

    /// Remembers the cluster; durable when `Ok`.
    pub(crate) fn store_membership(&self, membership: &Membership) -> io::Result<()> {
        durable_file::write(&self.path.join(MEMBER_FILE), &membership.encode(), Access::Public)
    }

    /// The last layout, unverified; `None` when there is none or its file is cut off.
    pub(crate) fn layout(&self) -> Result<Option<SignedLayout>, OpenDirectoryError> {
        let bytes = read_optional(&self.path.join(LAYOUT_FILE))?;
        Ok(bytes.and_then(|bytes| decode_layout(&bytes)))
    }

    /// Remembers a layout; durable when `Ok`.
    pub(crate) fn store_layout(&self, layout: &SignedLayout) -> io::Result<()> {
        let bytes = [&LAYOUT_LABEL[..], &layout.signature, &layout.body].concat();
        durable_file::write(&self.path.join(LAYOUT_FILE), &bytes, Access::Public)
    }
}

fn decode_layout(bytes: &[u8]) -> Option<SignedLayout> {
    let rest = bytes.strip_prefix(LAYOUT_LABEL)?;
    let (signature, body) = rest.split_at_checked(SIGNATURE_LEN_BYTES)?;
    let copy = Bytes::copy_from_slice;
    Some(SignedLayout::from_parts(copy(body), copy(signature)))
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, OpenDirectoryError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenDirectoryError::Io { path: path.to_owned(), source }),
    }
}

/// Reads the seed of a process's mesh key from `path`, or makes one there with mode 0600. Blocks
/// for I/O.
///
/// # Errors
/// [`OpenDirectoryError`] when the file cannot be read or written, or is damaged.
pub fn read_or_make_identity(
    path: &Path,
    random: fn(&mut [u8]),
) -> Result<Zeroizing<[u8; 32]>, OpenDirectoryError> {
    let mut seed = Zeroizing::new([0; 32]);
    if let Some(text) = read_optional(path)?.map(Zeroizing::new) {
        let digits = text.trim_ascii();
        return match hex::decode_to_slice(digits, &mut seed[..]) {
            Ok(()) => Ok(seed),
            Err(_) => Err(OpenDirectoryError::Key { path: path.to_owned() }),
        };
    }
    random(&mut seed[..]);
    let text = Zeroizing::new(hex::encode(&seed[..]));
    durable_file::write(path, text.as_bytes(), Access::Private)
        .map_err(|source| OpenDirectoryError::Io { path: path.to_owned(), source })?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use node_proto::{ClusterId, ClusterKey, Layout};

    use super::*;

    fn random(out: &mut [u8]) {
        out.fill(7);
    }

    #[test]
    fn a_second_process_is_refused_and_so_is_a_servers_directory() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let held = NodeDirectory::open(&dir.path().join("a/b")).expect("opens");
        let second = NodeDirectory::open(&dir.path().join("a/b")).expect_err("held");
        assert!(second.to_string().contains("another node is running"), "{second}");
        drop(held);
        NodeDirectory::open(&dir.path().join("a/b")).expect("free again");
        fs::write(dir.path().join("format.json"), "{}").expect("writes");
        let foreign = NodeDirectory::open(dir.path()).expect_err("refused");
        assert!(matches!(foreign, OpenDirectoryError::OfServer { .. }));
    }

    #[test]
    fn the_key_is_made_once_and_private() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let node = NodeDirectory::open(dir.path()).expect("opens");
        assert_eq!(*node.identity(random).expect("made"), [7; 32]);
        let path = dir.path().join(KEY_FILE);
        let mode = fs::metadata(&path).expect("exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let unused = |_: &mut [u8]| panic!("the key is there");
        assert_eq!(*node.identity(unused).expect("read"), [7; 32]);
        fs::write(&path, "07").expect("writes");
        let damaged = node.identity(random).expect_err("damaged");
        assert!(matches!(damaged, OpenDirectoryError::Key { .. }));
    }

    #[test]
    fn layouts_survive_and_cut_off_ones_are_none() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let node = NodeDirectory::open(dir.path()).expect("opens");
        assert_eq!(node.layout().expect("reads"), None);
        let key = ClusterKey::from_seed(&[1; 32]);
        let layout = Layout::local(ClusterId([2; 16]), Vec::new());
        node.store_layout(&key.sign(&layout)).expect("writes");
        let read = node.layout().expect("reads").expect("is there");
        assert_eq!(read.verify(&key.public()), Ok(layout));
        fs::write(dir.path().join(LAYOUT_FILE), b"DMLAYO01 short").expect("writes");
        assert_eq!(node.layout().expect("reads"), None);
    }
}
