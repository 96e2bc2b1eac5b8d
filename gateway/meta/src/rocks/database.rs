//! The open database: one column family per table, and the row that names the format.

use std::path::Path;

use bytes::Bytes;
use fail::fail_point;
use rocksdb::{
    Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, DEFAULT_COLUMN_FAMILY_NAME,
    Error, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions,
};

use super::config::RocksConfig;
use super::log_check::{self, LogFault};
use super::options;
use crate::apply::View;
use crate::{KeyRange, ReadError, Table};

/// The layout of tables and rows that this release writes and the newest that it reads. Format 1
/// had no `nul` table.
const FORMAT: u32 = 2;
/// Row of the default column family that holds the format, `u32` big-endian.
const FORMAT_KEY: &[u8] = b"datamesh-meta-format";
/// Row of the default column family that is written to learn whether writing works.
const PROBE_KEY: &[u8] = b"probe";

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another store, in this process or another, has it open.
    #[error("metadata directory {directory} is in use")]
    Locked {
        /// The directory.
        directory: String,
    },
    /// The directory holds a database that this program did not make.
    #[error("metadata directory {directory} holds a foreign database")]
    Foreign {
        /// The directory.
        directory: String,
    },
    /// A newer release wrote the database; run that one.
    #[error("metadata has format {found}, this release knows formats up to {supported}")]
    NewerFormat {
        /// The format found.
        found: u32,
        /// The newest format known.
        supported: u32,
    },
    /// The directory cannot be made.
    #[error("metadata directory {directory} cannot be made")]
    Directory {
        /// The directory.
        directory: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Opening would drop commits that were answered. Restore the directory from a copy.
    #[error(
        "metadata in {directory} are damaged ({reason}): opening them would lose what was stored \
         since; restore the directory from a copy"
    )]
    Damaged {
        /// The directory.
        directory: String,
        /// Which file, and where.
        reason: String,
    },
    /// The medium failed, or the database is damaged.
    #[error("metadata cannot be opened: {reason}")]
    Io {
        /// What RocksDB said.
        reason: String,
    },
    /// The committer thread did not start.
    #[error("no thread for commits")]
    Thread {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The database and its tables.
pub(super) struct Database {
    db: DB,
    synced: WriteOptions,
}

impl Database {
    /// Opens or makes the database.
    pub(super) fn open(config: &RocksConfig) -> Result<Self, OpenError> {
        let directory = config.directory.as_path();
        make_durable_directory(directory).map_err(|source| OpenError::Directory {
            directory: directory.display().to_string(),
            source,
        })?;
        refuse_damaged(directory)?;
        refuse_foreign(directory)?;
        let cache = Cache::new_lru_cache(config.block_cache_bytes);
        let default = (DEFAULT_COLUMN_FAMILY_NAME, options::default_family());
        let tables = Table::ALL
            .map(|table| (table.name(), options::table(table, config, &cache)))
            .into_iter()
            .chain([default])
            .map(|(name, options)| ColumnFamilyDescriptor::new(name, options));
        let db = DB::open_cf_descriptors(&options::database(config), directory, tables)
            .map_err(|error| open_error(directory, &error))?;
        let mut synced = WriteOptions::default();
        synced.set_sync(!is_commit_sync_left_out());
        let database = Self { db, synced };
        database.settle_format(directory)?;
        for table in Table::ALL {
            if let Some((name, value)) = options::after_open(table) {
                database
                    .db
                    .set_options_cf(database.table(table), &[(name, &value)])
                    .map_err(|error| open_error(directory, &error))?;
            }
        }
        Ok(database)
    }

    /// Checks the format row, and writes it into a database that is new or of an earlier format.
    /// What such a database lacks was made when its tables were opened.
    fn settle_format(&self, directory: &Path) -> Result<(), OpenError> {
        let format = self.db.get(FORMAT_KEY).map_err(|error| open_error(directory, &error))?;
        if let Some(format) = format {
            return match check_format(directory, &format)? {
                FORMAT => Ok(()),
                _ => self.write_format(directory),
            };
        }
        for table in Table::ALL {
            let first = self
                .first_key(table, &KeyRange::all())
                .map_err(|error| OpenError::Io { reason: error.to_string() })?;
            if first.is_some() {
                return Err(foreign(directory));
            }
        }
        self.write_format(directory)
    }

    /// Durable with the first commit, whose sync takes all of the log before it along. A database
    /// that loses it before holds nothing of this format yet, and is settled again.
    fn write_format(&self, directory: &Path) -> Result<(), OpenError> {
        self.db.put(FORMAT_KEY, FORMAT.to_be_bytes()).map_err(|error| open_error(directory, &error))
    }

    /// The table's column family.
    pub(super) fn table(&self, table: Table) -> &ColumnFamily {
        self.db.cf_handle(table.name()).expect("every table was opened with the database")
    }

    /// The database itself.
    pub(super) fn db(&self) -> &DB {
        &self.db
    }

    /// Writes a batch and waits until it is durable.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), Error> {
        self.db.write_opt(batch, &self.synced)
    }

    /// Learns whether a write would succeed, without touching any table. Not synced: after a full
    /// disk RocksDB takes no write at all before it has written and synced by itself.
    pub(super) fn probe(&self) -> Result<(), Error> {
        self.db.put(PROBE_KEY, b"")
    }

    /// The key of the table's last row.
    pub(super) fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>, ReadError> {
        let mut rows = self.db.raw_iterator_cf(self.table(table));
        rows.seek_to_last();
        let key = rows.key().map(<[u8]>::to_vec);
        rows.status().map_err(|error| read_error(&error))?;
        Ok(key)
    }

    /// An iterator that ends behind `range`; the caller seeks to its start.
    pub(super) fn iterate(&self, table: Table, range: &KeyRange) -> DBRawIterator<'_> {
        self.db.raw_iterator_cf_opt(self.table(table), bounds(range))
    }
}

/// Read options that end behind `range`.
pub(super) fn bounds(range: &KeyRange) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    if let Some(end) = &range.end {
        options.set_iterate_upper_bound(end.as_slice());
    }
    options
}

pub(super) fn read_error(error: &Error) -> ReadError {
    ReadError::Io { reason: error.to_string() }
}

impl View for Database {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let value = self.db.get_cf(self.table(table), key).map_err(|error| read_error(&error))?;
        Ok(value.map(Bytes::from))
    }

    fn first_key(&self, table: Table, range: &KeyRange) -> Result<Option<Vec<u8>>, ReadError> {
        let mut rows = self.iterate(table, range);
        rows.seek(&range.start);
        let key = rows.key().map(<[u8]>::to_vec);
        rows.status().map_err(|error| read_error(&error))?;
        Ok(key)
    }
}

/// Makes the directory and what leads to it. Each new name is synced in its parent: RocksDB does so
/// inside the directory only, and a commit is not durable in a directory that a power cut forgets.
fn make_durable_directory(directory: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = directory
        .ancestors()
        .filter(|path| !path.as_os_str().is_empty())
        .take_while(|path| !path.exists())
        .collect();
    std::fs::create_dir_all(directory)?;
    for path in missing {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        sync_directory_name(parent)?;
    }
    Ok(())
}

// Setting `skip-sync::SITE` to `return` leaves a sync out, so that a test can show what it is for.

fn sync_directory_name(parent: &Path) -> std::io::Result<()> {
    fail_point!("skip-sync::meta-directory", |_| Ok(()));
    std::fs::File::open(parent)?.sync_all()
}

fn is_commit_sync_left_out() -> bool {
    fail_point!("skip-sync::meta-commit", |_| true);
    false
}

/// Looks whether RocksDB would find everything that was answered.
fn refuse_damaged(directory: &Path) -> Result<(), OpenError> {
    log_check::check(directory).map_err(|fault| match fault {
        LogFault::Io { .. } => OpenError::Io { reason: fault.to_string() },
        LogFault::Rotten { .. } | LogFault::NoCurrent => OpenError::Damaged {
            directory: directory.display().to_string(),
            reason: fault.to_string(),
        },
    })
}

/// Looks at what the directory holds before anything in it is changed.
fn refuse_foreign(directory: &Path) -> Result<(), OpenError> {
    if !directory.join("CURRENT").exists() {
        return Ok(());
    }
    let found = DB::list_cf(&Options::default(), directory)
        .map_err(|error| open_error(directory, &error))?;
    let is_ours = |name: &str| {
        name == DEFAULT_COLUMN_FAMILY_NAME || Table::ALL.iter().any(|table| table.name() == name)
    };
    if found.len() == Table::ALL.len() + 1 && found.iter().all(|name| is_ours(name)) {
        return Ok(());
    }
    // A foreign database, another format's, or one whose making was interrupted.
    let db = DB::open_for_read_only(&Options::default(), directory, false)
        .map_err(|error| open_error(directory, &error))?;
    if let Some(format) = db.get(FORMAT_KEY).map_err(|error| open_error(directory, &error))? {
        return check_format(directory, &format).map(drop);
    }
    let is_empty = db.iterator(IteratorMode::Start).next().is_none();
    if is_empty && found.iter().all(|name| is_ours(name)) {
        Ok(())
    } else {
        Err(foreign(directory))
    }
}

fn check_format(directory: &Path, format: &[u8]) -> Result<u32, OpenError> {
    let format = format.try_into().map_err(|_| foreign(directory))?;
    match u32::from_be_bytes(format) {
        0 => Err(foreign(directory)),
        known @ 1..=FORMAT => Ok(known),
        found => Err(OpenError::NewerFormat { found, supported: FORMAT }),
    }
}

fn foreign(directory: &Path) -> OpenError {
    OpenError::Foreign { directory: directory.display().to_string() }
}

/// RocksDB reports everything as text; the lock has no kind of its own.
fn open_error(directory: &Path, error: &Error) -> OpenError {
    let reason = error.to_string();
    if reason.contains("lock hold by current process") || reason.contains("While lock file") {
        return OpenError::Locked { directory: directory.display().to_string() };
    }
    OpenError::Io { reason }
}
