//! The data directory: whose it is, who uses it now, and the small files in it.
//!
//! | file | what |
//! | --- | --- |
//! | `format.json` | format version and cluster id; its absence in a filled directory means foreign |
//! | `lock` | held while a server runs |
//! | `mesh.key` | 64 hex digits: the seed of the key that names this gateway in the mesh; mode 0600 |
//! | `root.key` | 64 hex digits; the root of the key hierarchy |
//! | `credentials.json` | root access key and secret, for commands on this machine |
//! | `endpoints.json` | addresses and process id, while a server runs |
//! | `meta/` | the metadata store |
//! | `devices/0` … | drives, unless they are elsewhere |

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use gateway_seal::RootKey;
use node_proto::ClusterId;
use node_server::durable_file::{self, Access};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::clock::system_random;

/// Version of the directory's layout that this program writes and reads.
const FORMAT_VERSION: u32 = 1;

const FORMAT_FILE: &str = "format.json";
const LOCK_FILE: &str = "lock";
const ROOT_KEY_FILE: &str = "root.key";
const CREDENTIALS_FILE: &str = "credentials.json";
const ENDPOINTS_FILE: &str = "endpoints.json";

#[derive(Serialize, Deserialize)]
struct Format {
    version: u32,
    cluster: String,
}

/// Root credentials on disk.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredCredentials {
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
}

/// Where a running server listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) s3: String,
    pub(crate) admin: String,
    pub(crate) pid: u32,
    /// Where buckets are served as websites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) website: Option<String>,
    /// Who this gateway is in the mesh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<String>,
}

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    cluster: ClusterId,
    /// Locked until the process ends.
    _lock: File,
}

impl DataDir {
    /// Takes the directory, formatting it if it is missing or empty. The flag says whether it is
    /// new.
    pub(crate) fn open(path: &Path) -> Result<(Self, bool)> {
        durable_file::make_directories(path)
            .with_context(|| format!("cannot create data directory {}", path.display()))?;
        let path = fs::canonicalize(path)
            .with_context(|| format!("cannot open data directory {}", path.display()))?;
        let format_path = path.join(FORMAT_FILE);
        let format = match fs::read(&format_path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot read {}", format_path.display()));
            }
        };
        if format.is_none() {
            refuse_foreign(&path)?;
        }
        let lock = lock(&path)?;
        let (cluster, new) = match format {
            Some(bytes) => (parse_format(&bytes, &format_path)?, false),
            None => (write_format(&path)?, true),
        };
        Ok((Self { path, cluster, _lock: lock }, new))
    }

    /// Where it is, canonical.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The cluster it belongs to.
    pub(crate) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The metadata store's directory.
    pub(crate) fn meta(&self) -> PathBuf {
        self.path.join("meta")
    }

    /// Reads the root key, or makes one while there are no metadata that another key sealed.
    pub(crate) fn root_key(&self) -> Result<RootKey> {
        let path = self.path.join(ROOT_KEY_FILE);
        match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => {
                let bytes = Zeroizing::new(
                    hex::decode(text.trim())
                        .with_context(|| format!("{} is not hexadecimal", path.display()))?,
                );
                RootKey::from_bytes(&bytes).with_context(|| format!("{}", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ensure!(
                    !self.meta().exists(),
                    "{} is missing, and without it the stored objects cannot be read: restore \
                     it from your copy",
                    path.display()
                );
                let key = RootKey::generate(&mut system_random);
                let text = Zeroizing::new(hex::encode(key.expose_bytes()));
                durable_file::write(&path, text.as_bytes(), Access::Private)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(key)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Keeps the root credentials for commands on this machine and for the next start.
    pub(crate) fn store_credentials(&self, credentials: &StoredCredentials) -> Result<()> {
        let text = Zeroizing::new(serde_json::to_vec_pretty(credentials)?);
        durable_file::write(&self.path.join(CREDENTIALS_FILE), &text, Access::Private)
            .context("cannot keep the root credentials")
    }

    /// Tells commands on this machine where the server is.
    pub(crate) fn publish(&self, endpoints: &Endpoints) -> Result<()> {
        let text = serde_json::to_vec_pretty(endpoints)?;
        durable_file::write(&self.path.join(ENDPOINTS_FILE), &text, Access::Public)
            .context("cannot publish the server's addresses")
    }

    /// Removes what [`Self::publish`] wrote.
    pub(crate) fn withdraw(&self) {
        // A leftover is harmless: the next start replaces it.
        if let Err(error) = fs::remove_file(self.path.join(ENDPOINTS_FILE)) {
            tracing::debug!(%error, "the published addresses were not removed");
        }
    }
}

/// The root credentials kept in a data directory, if any.
pub(crate) fn stored_credentials(data: &Path) -> Result<Option<StoredCredentials>> {
    read_json(&data.join(CREDENTIALS_FILE))
}

/// The addresses of the server that runs on a data directory, if any.
pub(crate) fn published_endpoints(data: &Path) -> Result<Option<Endpoints>> {
    read_json(&data.join(ENDPOINTS_FILE))
}

fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    match fs::read(path).map(Zeroizing::new) {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged", path.display()))?;
            Ok(Some(value))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A directory without a format file may hold nothing but what a start that crashed before writing
/// it left behind, and what a file system puts into every root.
fn refuse_foreign(path: &Path) -> Result<()> {
    let entries = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    for entry in entries {
        let name = entry?.file_name();
        let harmless = [LOCK_FILE, "format.json.tmp", "lost+found"];
        if !harmless.iter().any(|harmless| name == *harmless) {
            bail!(
                "{} holds {} but no {FORMAT_FILE}: it is not a DataMesh data directory; choose \
                 an empty one",
                path.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File> {
    let lock_path = path.join(LOCK_FILE);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .with_context(|| format!("cannot open {}", lock_path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another server is running on {}", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
        }
    }
}

fn write_format(path: &Path) -> Result<ClusterId> {
    let mut id = [0; 16];
    system_random(&mut id);
    let format = Format { version: FORMAT_VERSION, cluster: hex::encode(id) };
    let text = serde_json::to_vec_pretty(&format)?;
    durable_file::write(&path.join(FORMAT_FILE), &text, Access::Public)
        .with_context(|| format!("cannot format {}", path.display()))?;
    Ok(ClusterId(id))
}

fn parse_format(bytes: &[u8], path: &Path) -> Result<ClusterId> {
    let damaged = || format!("{} is damaged", path.display());
    let format: Format = serde_json::from_slice(bytes).with_context(damaged)?;
    ensure!(
        format.version == FORMAT_VERSION,
        "{} has format {}, this release knows {FORMAT_VERSION}: use a newer release",
        path.display(),
        format.version
    );
    let mut id = [0; 16];
    hex::decode_to_slice(&format.cluster, &mut id).with_context(damaged)?;
    Ok(ClusterId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_keeps_its_cluster_and_key() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("new");
        let (first, new) = DataDir::open(&path).expect("formats");
        assert!(new);
        let key = *first.root_key().expect("made").expose_bytes();
        let cluster = first.cluster();
        drop(first);
        let (second, new) = DataDir::open(&path).expect("opens");
        assert!(!new);
        assert_eq!(second.cluster(), cluster);
        assert_eq!(*second.root_key().expect("reads").expose_bytes(), key);
    }

    #[test]
    fn live_directory_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let _running = DataDir::open(dir.path()).expect("formats");
        let second = DataDir::open(dir.path()).expect_err("is live");
        assert!(second.to_string().contains("another server is running"), "{second}");
    }

    #[test]
    fn foreign_directory_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        fs::write(dir.path().join("thesis.txt"), "mine").expect("writes");
        let error = DataDir::open(dir.path()).expect_err("is foreign");
        assert!(error.to_string().contains("thesis.txt"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn lost_root_key_is_not_replaced() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (data, _) = DataDir::open(dir.path()).expect("formats");
        data.root_key().expect("made");
        fs::create_dir(data.meta()).expect("metadata");
        fs::remove_file(dir.path().join(ROOT_KEY_FILE)).expect("lost");
        let error = data.root_key().expect_err("refused");
        assert!(error.to_string().contains("restore"), "{error}");
    }

    #[test]
    fn newer_format_is_refused() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let text = r#"{"version":2,"cluster":"00000000000000000000000000000000"}"#;
        fs::write(dir.path().join(FORMAT_FILE), text).expect("writes");
        let error = DataDir::open(dir.path()).expect_err("is newer");
        assert!(error.to_string().contains("newer release"), "{error}");
    }
}
