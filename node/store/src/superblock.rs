//! The superblock: which cluster, slot and formatting a drive belongs to.
//!
//! Layout of the files `superblock` and `superblock.bak`, integers big-endian:
//!
//! | Offset | Bytes | Field |
//! | --- | --- | --- |
//! | 0 | 8 | magic `DMDRIVE1` |
//! | 8 | 2 | version, 1 |
//! | 10 | 2 | zeros |
//! | 12 | 16 | cluster id |
//! | 28 | 4 | device id |
//! | 32 | 16 | device uuid |
//! | 48 | 8 | open count |
//! | 56 | 8 | formatted at, milliseconds since the Unix epoch |
//! | 64 | 16 | the last opening; zeros before the first |
//! | 80 | 4 | CRC-32 of bytes 0..80 |
//!
//! Invariants:
//! - the open count grows, durably, before anything else is written in an opening; a drive that
//!   shows a lower count than it once had was restored from an old copy;
//! - the opening changes, durably, before a drive serves and before it gives anything up for lost;
//! - each file is replaced as a whole (temporary, fsync, rename, fsync of the directory), first the
//!   superblock, then its second copy; of two sound ones the higher open count counts.

use std::{io, path::Path};

use fail::fail_point;
use node_proto::{ClusterId, DeviceId, DeviceUuid, OpeningId, UnixMillis};

use crate::{
    aligned::AlignedBuffer,
    durability::SyncSite,
    record::PAGE_BYTES,
    vfs::{OpenMode, Vfs, read_full_at},
};

/// Name of the superblock in the drive's directory.
pub(crate) const SUPERBLOCK_FILE: &str = "superblock";
/// Name of its second copy.
pub(crate) const SUPERBLOCK_COPY: &str = "superblock.bak";
/// Name under which a superblock is written before it is renamed.
pub(crate) const SUPERBLOCK_TEMPORARY: &str = "superblock.tmp";

const MAGIC: [u8; 8] = *b"DMDRIVE1";
const VERSION: u16 = 1;
const ENCODED_BYTES: usize = 84;
/// Where the checksum lies, and how much it covers.
const CHECKSUM_AT: usize = 80;

/// The decoded superblock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) cluster: ClusterId,
    pub(crate) device: DeviceId,
    pub(crate) uuid: DeviceUuid,
    pub(crate) open_count: u64,
    pub(crate) formatted_at: UnixMillis,
    /// `None` until the drive is opened for the first time.
    pub(crate) opening: Option<OpeningId>,
}

/// Why a superblock could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SuperblockError {
    #[error("the drive has no superblock")]
    Missing,
    #[error("the superblock cannot be read: {source}")]
    Io {
        #[source]
        source: io::Error,
    },
    #[error(
        "the superblock and its copy are damaged: put a sound copy of one of them back, or empty \
         the directory to have the drive formatted anew and its shards rebuilt from the others"
    )]
    Damaged,
    #[error("the superblock has version {version}, which this release does not know")]
    UnknownVersion { version: u16 },
}

impl Superblock {
    pub(crate) fn encode(&self) -> [u8; ENCODED_BYTES] {
        let mut out = [0; ENCODED_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&VERSION.to_be_bytes());
        out[12..28].copy_from_slice(&self.cluster.0);
        out[28..32].copy_from_slice(&self.device.0.to_be_bytes());
        out[32..48].copy_from_slice(&self.uuid.0);
        out[48..56].copy_from_slice(&self.open_count.to_be_bytes());
        out[56..64].copy_from_slice(&self.formatted_at.0.to_be_bytes());
        out[64..80].copy_from_slice(&self.opening.unwrap_or_default().0);
        let crc = crc32fast::hash(&out[..CHECKSUM_AT]);
        out[CHECKSUM_AT..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SuperblockError> {
        let fixed: &[u8; ENCODED_BYTES] = bytes.try_into().map_err(|_| SuperblockError::Damaged)?;
        let number = |at: usize| {
            u64::from_be_bytes(fixed[at..at + 8].try_into().expect("the slice has 8 bytes"))
        };
        let crc = crc32fast::hash(&fixed[..CHECKSUM_AT]);
        if fixed[..8] != MAGIC || fixed[CHECKSUM_AT..] != crc.to_be_bytes() {
            return Err(SuperblockError::Damaged);
        }
        let version = u16::from_be_bytes([fixed[8], fixed[9]]);
        if version != VERSION {
            return Err(SuperblockError::UnknownVersion { version });
        }
        Ok(Self {
            cluster: ClusterId(fixed[12..28].try_into().expect("the slice has 16 bytes")),
            device: DeviceId(u32::from_be_bytes(
                fixed[28..32].try_into().expect("the slice has 4 bytes"),
            )),
            uuid: DeviceUuid(fixed[32..48].try_into().expect("the slice has 16 bytes")),
            open_count: number(48),
            formatted_at: UnixMillis(number(56)),
            opening: Some(OpeningId(fixed[64..80].try_into().expect("the slice has 16 bytes")))
                .filter(|opening| *opening != OpeningId::default()),
        })
    }

    /// Reads the superblock of the drive in `directory`, or its second copy when that is the sound
    /// one or the newer.
    pub(crate) fn read(vfs: &dyn Vfs, directory: &Path) -> Result<Self, SuperblockError> {
        let first = Self::read_file(vfs, &directory.join(SUPERBLOCK_FILE));
        // A newer release's superblock is not overruled by an older copy.
        if matches!(first, Err(SuperblockError::UnknownVersion { .. })) {
            return first;
        }
        let second = Self::read_file(vfs, &directory.join(SUPERBLOCK_COPY));
        match (first, second) {
            (Ok(first), Ok(second)) if second.open_count > first.open_count => Ok(second),
            (Ok(first), _) => Ok(first),
            (Err(_), Ok(second)) => Ok(second),
            // The copy is there and damaged: this was a drive and must not be formatted.
            (Err(SuperblockError::Missing), Err(error)) => Err(error),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// How many of the two copies in `directory` are there and damaged.
    pub(crate) fn damaged_copies(vfs: &dyn Vfs, directory: &Path) -> u64 {
        let copies = [SUPERBLOCK_FILE, SUPERBLOCK_COPY].into_iter();
        let read = copies.map(|name| Self::read_file(vfs, &directory.join(name)));
        read.filter(|copy| matches!(copy, Err(SuperblockError::Damaged))).count() as u64
    }

    fn read_file(vfs: &dyn Vfs, path: &Path) -> Result<Self, SuperblockError> {
        // From the medium: a drive that was pulled may live on in the page cache.
        let file = match vfs.open(path, OpenMode::ReadMedium) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SuperblockError::Missing);
            }
            Err(source) => return Err(SuperblockError::Io { source }),
        };
        let mut page = AlignedBuffer::new(PAGE_BYTES);
        let filled = read_full_at(file.as_ref(), &mut page, 0)
            .map_err(|source| SuperblockError::Io { source })?;
        Self::decode(&page[..filled])
    }

    /// Replaces the superblock of the drive in `directory` and its copy, durably.
    pub(crate) fn write(&self, vfs: &dyn Vfs, directory: &Path) -> io::Result<()> {
        self.write_file(vfs, directory, SUPERBLOCK_FILE)?;
        self.write_file(vfs, directory, SUPERBLOCK_COPY)
    }

    fn write_file(&self, vfs: &dyn Vfs, directory: &Path, name: &str) -> io::Result<()> {
        let temporary = directory.join(SUPERBLOCK_TEMPORARY);
        let file = vfs.open(&temporary, OpenMode::Overwrite)?;
        file.write_all_at(&self.encode(), 0)?;
        SyncSite::SuperblockContent.sync_data(file.as_ref())?;
        drop(file);
        fail_point!("node-store::after-superblock-temporary", |_| Err(io::Error::other(
            "failpoint"
        )));
        vfs.rename(&temporary, &directory.join(name))?;
        SyncSite::SuperblockName.sync_directory(vfs, directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock() -> Superblock {
        Superblock {
            cluster: ClusterId([0xc1; 16]),
            device: DeviceId(3),
            uuid: DeviceUuid([0xd2; 16]),
            open_count: 7,
            formatted_at: UnixMillis(0x0102_0304),
            opening: Some(OpeningId([0xe3; 16])),
        }
    }

    #[test]
    fn superblock_has_golden_bytes() {
        let hex: String = superblock().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "444d44524956453100010000c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c100000003\
             d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d200000000000000070000000001020304\
             e3e3e3e3e3e3e3e3e3e3e3e3e3e3e3e36238282f"
        );
        assert_eq!(Superblock::decode(&superblock().encode()).unwrap(), superblock());
    }

    #[test]
    fn every_flipped_bit_and_every_other_length_is_refused() {
        let good = superblock().encode();
        for byte in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good;
                bad[byte] ^= 1 << bit;
                assert!(Superblock::decode(&bad).is_err(), "byte {byte} bit {bit}");
            }
            assert!(Superblock::decode(&good[..byte]).is_err());
        }
        let mut long = good.to_vec();
        long.push(0);
        assert!(Superblock::decode(&long).is_err());
    }

    #[test]
    fn the_sound_and_newer_of_two_copies_counts() {
        let dir = tempfile::tempdir().unwrap();
        let vfs = crate::RealVfs::new();
        let (first, second) = (dir.path().join(SUPERBLOCK_FILE), dir.path().join(SUPERBLOCK_COPY));
        let older = superblock();
        let newer = Superblock { open_count: 8, ..older };
        assert!(matches!(Superblock::read(&vfs, dir.path()), Err(SuperblockError::Missing)));
        for (one, other, expected) in
            [(&older, &newer, newer), (&newer, &older, newer), (&older, &older, older)]
        {
            std::fs::write(&first, one.encode()).unwrap();
            std::fs::write(&second, other.encode()).unwrap();
            assert_eq!(Superblock::read(&vfs, dir.path()).unwrap(), expected);
        }
        assert_eq!(Superblock::damaged_copies(&vfs, dir.path()), 0);
        std::fs::write(&first, "junk").unwrap();
        assert_eq!(Superblock::read(&vfs, dir.path()).unwrap(), older);
        assert_eq!(Superblock::damaged_copies(&vfs, dir.path()), 1);
        std::fs::remove_file(&first).unwrap();
        assert_eq!(Superblock::read(&vfs, dir.path()).unwrap(), older);
        std::fs::write(&second, "junk").unwrap();
        assert!(matches!(Superblock::read(&vfs, dir.path()), Err(SuperblockError::Damaged)));
        assert_eq!(Superblock::damaged_copies(&vfs, dir.path()), 1, "the other is missing");
        older.write(&vfs, dir.path()).unwrap();
        assert_eq!(std::fs::read(first).unwrap(), older.encode());
        assert_eq!(std::fs::read(second).unwrap(), older.encode());
    }

    #[test]
    fn a_newer_release_is_not_overruled_by_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let mut newer = superblock().encode();
        newer[9] = 2;
        let crc = crc32fast::hash(&newer[..CHECKSUM_AT]);
        newer[CHECKSUM_AT..].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(dir.path().join(SUPERBLOCK_FILE), newer).unwrap();
        std::fs::write(dir.path().join(SUPERBLOCK_COPY), superblock().encode()).unwrap();
        let read = Superblock::read(&crate::RealVfs::new(), dir.path());
        assert!(matches!(read, Err(SuperblockError::UnknownVersion { version: 2 })));
    }
}
