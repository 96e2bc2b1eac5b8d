//! Tells a log that a power cut tore from one that rotted, before RocksDB opens it.
//!
//! RocksDB ends recovery at the first record that fails its checksum. After a power cut that is
//! right: what was being written had not been answered. When a bit of an older record flipped, it
//! would drop every commit behind it without a word, and the table of what exists would be wrong
//! from then on. A database whose log is damaged in that way is not opened.
//!
//! Invariants:
//! - any single flipped bit in a record of a log or of the current manifest is found;
//! - what a power cut leaves of the last, unanswered write is never taken for rot: files that end
//!   early, sectors of 512 bytes that were not written and read as zeros;
//! - nothing is changed.
//!
//! Layout, RocksDB's `doc/log_format.txt`: pages of 32 KiB, in each of them records that do not
//! cross its end.
//!
//! | Offset | Bytes | Field |
//! | --- | --- | --- |
//! | 0 | 4 | masked CRC-32C of type and payload, little-endian |
//! | 4 | 2 | payload length, little-endian |
//! | 6 | 1 | type: 1 whole, 2 first, 3 middle, 4 last part of a longer one, others are internal |
//! | 7 | n | payload |
//!
//! *Limits:* one page in memory.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crc_fast::CrcAlgorithm;

/// Length of a page of a log in bytes.
const PAGE_BYTES: usize = 32 << 10;
/// Length of a record's header in bytes.
const HEADER_BYTES: usize = 7;
/// The unit that a medium writes whole or not at all, in bytes. Source: the smallest logical sector
/// of drives in use.
const SECTOR_BYTES: usize = 512;
/// A record type that stands alone, and one that begins a longer record.
const WHOLE: u8 = 1;
const FIRST: u8 = 2;

/// What is wrong with a log.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogFault {
    /// A record that had been durable is damaged.
    #[error("{file} is damaged at byte {offset_bytes}")]
    Rotten {
        /// Name of the file.
        file: String,
        /// Where the damaged record starts.
        offset_bytes: u64,
    },
    /// The database has rows, and nothing says which.
    #[error("CURRENT is missing")]
    NoCurrent,
    /// The medium failed.
    #[error("{file} cannot be read: {source}")]
    Io {
        /// Name of the file.
        file: String,
        #[source]
        source: io::Error,
    },
}

/// Looks at the logs and the manifest of the database in `directory`.
pub(super) fn check(directory: &Path) -> Result<(), LogFault> {
    let fault = |path: &Path, source| LogFault::Io { file: name_of(path), source };
    let entries = std::fs::read_dir(directory).map_err(|source| fault(directory, source))?;
    let mut logs = Vec::new();
    let mut has_tables = false;
    for entry in entries {
        let path = entry.map_err(|source| fault(directory, source))?.path();
        let extension = path.extension();
        has_tables |= extension == Some(OsStr::new("sst"));
        if extension == Some(OsStr::new("log")) {
            logs.push(path);
        }
    }
    let current = directory.join("CURRENT");
    match std::fs::read(&current) {
        Ok(name) => {
            // A name that leads nowhere is RocksDB's to refuse.
            let manifest = directory.join(String::from_utf8_lossy(&name).trim_end());
            if manifest.is_file() {
                check_file(&manifest, Kind::Manifest)?;
            }
        }
        // The first opening writes it before any log or table.
        Err(error) if error.kind() == io::ErrorKind::NotFound && logs.is_empty() && !has_tables => {
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(LogFault::NoCurrent),
        Err(source) => return Err(fault(&current, source)),
    }
    logs.iter().try_for_each(|log| check_file(log, Kind::Log))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One record is written at a time, and synced before the next: what follows an unanswered
    /// one can only be parts of itself.
    Log,
    /// Several records may be written before they are synced.
    Manifest,
}

fn check_file(path: &Path, kind: Kind) -> Result<(), LogFault> {
    let rotten_at = File::open(path)
        .and_then(|file| first_rotten(file, kind))
        .map_err(|source| LogFault::Io { file: name_of(path), source })?;
    match rotten_at {
        Some(offset_bytes) => Err(LogFault::Rotten { file: name_of(path), offset_bytes }),
        None => Ok(()),
    }
}

/// Where the first record starts that had been durable and is damaged.
fn first_rotten(mut file: impl Read, kind: Kind) -> io::Result<Option<u64>> {
    let mut page = Vec::with_capacity(PAGE_BYTES);
    let (mut page_start, mut torn_at) = (0, None);
    loop {
        page.clear();
        let filled = (&mut file).take(PAGE_BYTES as u64).read_to_end(&mut page)?;
        match look_at(&page, kind, torn_at.is_some()) {
            Look::Sound => {}
            Look::Torn { at } => torn_at = torn_at.or(Some(page_start + at as u64)),
            Look::Rotten { at } => return Ok(Some(page_start + at as u64)),
            Look::Continued { at } => return Ok(torn_at.or(Some(page_start + at as u64))),
        }
        if filled < PAGE_BYTES || (torn_at.is_some() && kind == Kind::Manifest) {
            return Ok(None);
        }
        page_start += filled as u64;
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What a page looks like.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Every record in it is sound.
    Sound,
    /// A record is not, as a power cut would leave it.
    Torn { at: usize },
    /// A record is not, and no power cut does that.
    Rotten { at: usize },
    /// A further record begins behind a torn one: the torn one had been durable.
    Continued { at: usize },
}

fn look_at(page: &[u8], kind: Kind, is_behind_torn: bool) -> Look {
    let mut at = 0;
    // What is left of a page below a header's length is padding.
    while let Some(rest) = page.get(at..).filter(|rest| rest.len() >= HEADER_BYTES) {
        match sound_len(rest) {
            Some(_) if is_behind_torn && begins_record(rest) && kind == Kind::Log => {
                return Look::Continued { at };
            }
            Some(len) => at += len,
            None if is_behind_torn || is_torn(page, at) => {
                let goes_on = kind == Kind::Log
                    && (at + 1..page.len()).any(|at| {
                        let rest = &page[at..];
                        begins_record(rest) && sound_len(rest).is_some()
                    });
                return if goes_on { Look::Continued { at } } else { Look::Torn { at } };
            }
            None => return Look::Rotten { at },
        }
    }
    Look::Sound
}

fn begins_record(bytes: &[u8]) -> bool {
    bytes.get(6).is_some_and(|kind| [WHOLE, FIRST].contains(kind))
}

/// Length, header included, of the sound record that `bytes` begin with.
fn sound_len(bytes: &[u8]) -> Option<usize> {
    let len = claimed_len(bytes)?;
    let record = bytes.get(..len)?;
    let stored = u32::from_le_bytes(record[..4].try_into().ok()?);
    (stored == masked_crc(&record[6..])).then_some(len)
}

fn claimed_len(bytes: &[u8]) -> Option<usize> {
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    Some(HEADER_BYTES + usize::from(u16::from_le_bytes([header[4], header[5]])))
}

/// RocksDB stores checksums in disguise, because payloads may hold checksums themselves.
fn masked_crc(bytes: &[u8]) -> u32 {
    let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
    let crc = u32::try_from(crc).expect("a CRC-32 has 32 bits");
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Whether the unsound record at `at` may be what a power cut left of one.
fn is_torn(page: &[u8], at: usize) -> bool {
    let rest = &page[at..];
    if is_one_bit_off(rest) {
        return false;
    }
    let claimed = claimed_len(rest).unwrap_or(rest.len());
    if claimed > rest.len() {
        return true;
    }
    let end = at + claimed;
    let mut from = at;
    while from < end {
        let to = ((from / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
        if page[from..to].iter().all(|byte| *byte == 0) {
            return true;
        }
        from = to;
    }
    false
}

/// Whether one flipped bit of the header explains it all: a wrong length may point anywhere.
fn is_one_bit_off(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return false };
    (0..HEADER_BYTES * 8).any(|bit| {
        let mut mended = *header;
        mended[bit / 8] ^= 1 << (bit % 8);
        let Some(len) = claimed_len(&mended).filter(|len| *len <= bytes.len()) else {
            return false;
        };
        let mut record = bytes[..len].to_vec();
        record[..HEADER_BYTES].copy_from_slice(&mended);
        sound_len(&record).is_some()
    })
}

#[cfg(test)]
mod tests;
