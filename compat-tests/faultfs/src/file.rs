//! What a power cut would leave of one file.
//!
//! The backing file holds the content as it is; this holds what the pages changed since the last
//! sync were before.
//!
//! Invariants:
//! - a page that is neither unsynced nor doomed is in the backing file as it is durable, as far as
//!   the durable length reaches, and zeros behind that;
//! - what is remembered of a page is what is durable of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::random::Random;

/// What a power cut keeps or loses as one, unless it tears it.
pub(crate) const PAGE: u64 = 4096;
/// What is never torn: drives promise as much.
const SECTOR: usize = 512;
/// Old content kept per file. Chosen: several write buffers of RocksDB, which writes log and tables
/// by appending and so costs next to nothing; revisit when a test overwrites more between syncs.
const REMEMBERED_BYTES_MAX: u64 = 64 << 20;

/// Durable content of a page; `None` is zeros.
type Old = Option<Box<[u8]>>;

/// What a power cut did to pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) kept: u64,
    pub(crate) lost: u64,
    pub(crate) torn: u64,
}

/// Length, and what is not durable.
#[derive(Debug, Default)]
pub(crate) struct Content {
    len: u64,
    durable_len: u64,
    /// The shortest it has been since the last sync, if shorter than the durable length.
    cut: Option<u64>,
    unsynced: BTreeMap<u64, Old>,
    /// Pages whose sync failed: no later sync saves them.
    doomed: BTreeMap<u64, Old>,
    remembered_bytes: u64,
}

impl Content {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Whether a power cut changes nothing.
    pub(crate) fn is_durable(&self) -> bool {
        self.unsynced.is_empty() && self.doomed.is_empty() && self.len == self.durable_len
    }

    /// Bytes that were written and are not durable, in whole pages.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.unsynced.len() as u64 * PAGE
    }

    pub(crate) fn write(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + bytes.len() as u64;
        self.remember(file, offset, end)?;
        file.write_all_at(bytes, offset)?;
        self.len = self.len.max(end);
        Ok(())
    }

    /// Makes a range of the file zeros; the length stays.
    pub(crate) fn zero(&mut self, file: &File, offset: u64, end: u64) -> io::Result<()> {
        let mut at = offset;
        while at < end.min(self.len) {
            let next = (at / PAGE + 1) * PAGE;
            let stop = next.min(end).min(self.len);
            let zeros = [0; PAGE as usize];
            self.write(file, &zeros[..(stop - at) as usize], at)?;
            at = stop;
        }
        Ok(())
    }

    pub(crate) fn set_len(&mut self, file: &File, len: u64) -> io::Result<()> {
        if len < self.len {
            self.remember(file, len, self.len)?;
            if len < self.durable_len {
                self.cut = Some(self.cut.map_or(len, |cut| cut.min(len)));
            }
        }
        file.set_len(len)?;
        self.len = len;
        Ok(())
    }

    /// Everything is durable now.
    pub(crate) fn synced(&mut self) {
        for page in self.unsynced.keys() {
            self.doomed.remove(page);
        }
        let len = self.len;
        self.doomed.retain(|page, _| page * PAGE < len);
        self.unsynced.clear();
        self.remembered_bytes = 0;
        self.durable_len = self.len;
        self.cut = None;
    }

    /// The medium refused what was not durable, and nobody will offer it again.
    pub(crate) fn sync_failed(&mut self) {
        for (page, old) in std::mem::take(&mut self.unsynced) {
            self.doomed.entry(page).or_insert(old);
        }
    }

    /// Keeps what is durable of the pages in a range, before they are changed.
    fn remember(&mut self, file: &File, from: u64, to: u64) -> io::Result<()> {
        if self.remembered_bytes > REMEMBERED_BYTES_MAX {
            self.synced();
        }
        for page in from / PAGE..to.div_ceil(PAGE) {
            if self.unsynced.contains_key(&page) {
                continue;
            }
            let start = page * PAGE;
            let old = if let Some(old) = self.doomed.get(&page) {
                old.clone()
            } else if start < self.durable_len.min(self.cut.unwrap_or(u64::MAX)) {
                let mut bytes = vec![0; PAGE as usize];
                let durable = (self.durable_len - start).min(PAGE) as usize;
                read_up_to(file, &mut bytes[..durable], start)?;
                self.remembered_bytes += PAGE;
                Some(bytes.into_boxed_slice())
            } else {
                None
            };
            self.unsynced.insert(page, old);
        }
        Ok(())
    }

    /// Leaves in the backing file what a power cut leaves.
    pub(crate) fn power_off(&mut self, file: &File, random: &mut Random) -> io::Result<Pages> {
        let mut pages = Pages::default();
        let fate = Fate::of_file(random);
        if self.cut.is_some() && (fate == Fate::Lost || fate == Fate::Mixed && random.coin()) {
            // The truncation did not happen, and so nothing did.
            file.set_len(self.durable_len)?;
            pages.lost = (self.unsynced.len() + self.doomed.len()) as u64;
            for (page, old) in self.doomed.iter().chain(&self.unsynced) {
                restore(file, *page, old, self.durable_len)?;
            }
        } else {
            let base = self.cut.unwrap_or(self.durable_len);
            let len = match fate {
                Fate::Lost => base,
                Fate::Kept => self.len,
                Fate::Mixed => between(base, self.len, random),
            };
            file.set_len(len)?;
            for (page, old) in &self.doomed {
                if !self.unsynced.contains_key(page) {
                    restore(file, *page, &clipped(old, *page, base), len)?;
                    pages.lost += 1;
                }
            }
            for (page, old) in &self.unsynced {
                let old = clipped(old, *page, base);
                match if fate == Fate::Mixed { random.below(8) } else { 0 } {
                    0..3 if fate != Fate::Lost => pages.kept += 1,
                    6.. => {
                        tear(file, *page, &old, len, random)?;
                        pages.torn += 1;
                    }
                    _ => {
                        restore(file, *page, &old, len)?;
                        pages.lost += 1;
                    }
                }
            }
        }
        self.start_over(file)?;
        Ok(pages)
    }

    fn start_over(&mut self, file: &File) -> io::Result<()> {
        let len = file.metadata()?.len();
        *self = Self { len, durable_len: len, ..Self::default() };
        Ok(())
    }
}

/// What happens to the unsynced part of one file as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    Mixed,
}

impl Fate {
    fn of_file(random: &mut Random) -> Self {
        match random.below(8) {
            0..3 => Self::Lost,
            3 => Self::Kept,
            _ => Self::Mixed,
        }
    }
}

/// One of both lengths or one between them.
fn between(one: u64, other: u64, random: &mut Random) -> u64 {
    let (low, high) = (one.min(other), one.max(other));
    match random.below(4) {
        0 => one,
        1 => other,
        _ => low + random.below(high - low + 1),
    }
}

/// Durable content of a page once the file was cut at `base`.
fn clipped(old: &Old, page: u64, base: u64) -> Old {
    let mut bytes = old.clone()?;
    let keep = base.saturating_sub(page * PAGE).min(PAGE) as usize;
    bytes[keep..].fill(0);
    Some(bytes)
}

/// Puts the old content of a page back, as far as the file is long.
fn restore(file: &File, page: u64, old: &Old, len: u64) -> io::Result<()> {
    let start = page * PAGE;
    let keep = len.saturating_sub(start).min(PAGE) as usize;
    let zeros = [0; PAGE as usize];
    let bytes = old.as_deref().unwrap_or(&zeros);
    file.write_all_at(&bytes[..keep], start)
}

/// Puts some sectors of the old content back.
fn tear(file: &File, page: u64, old: &Old, len: u64, random: &mut Random) -> io::Result<()> {
    let mut bytes = vec![0; PAGE as usize];
    read_up_to(file, &mut bytes, page * PAGE)?;
    for (number, sector) in bytes.chunks_mut(SECTOR).enumerate() {
        if random.coin() {
            match old {
                Some(old) => sector.copy_from_slice(&old[number * SECTOR..][..SECTOR]),
                None => sector.fill(0),
            }
        }
    }
    restore(file, page, &Some(bytes.into_boxed_slice()), len)
}

/// Reads until the buffer is full or the file ends; what lies behind the end stays as it is.
pub(crate) fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
