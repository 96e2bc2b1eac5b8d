//! Looking at a directory without opening it as a drive.

use std::path::Path;

use node_proto::{ClusterId, DeviceId};

use crate::{
    superblock::{Superblock, SuperblockError},
    vfs::RealVfs,
};

/// Whose drive a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveIdentity {
    /// The cluster that formatted it.
    pub cluster: ClusterId,
    /// The layout slot it fills.
    pub device: DeviceId,
}

/// A directory has a superblock that cannot be read: damaged, of a newer release, or on a failing
/// medium.
#[derive(Debug, thiserror::Error)]
#[error("{directory} cannot be identified: {reason}")]
pub struct IdentifyDriveError {
    /// The directory.
    pub directory: String,
    /// What is wrong with its superblock.
    pub reason: String,
}

/// Reads whose drive `directory` is; `None` for one that was never formatted or is not there.
/// Changes nothing. Blocks for I/O.
///
/// # Errors
/// [`IdentifyDriveError`] when there is a superblock that cannot be read.
pub fn identify(directory: &Path) -> Result<Option<DriveIdentity>, IdentifyDriveError> {
    match Superblock::read(&RealVfs::new(), directory) {
        Ok(found) => Ok(Some(DriveIdentity { cluster: found.cluster, device: found.device })),
        Err(SuperblockError::Missing) => Ok(None),
        Err(error) => Err(IdentifyDriveError {
            directory: directory.display().to_string(),
            reason: error.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use node_proto::{DeviceUuid, UnixMillis};

    use super::*;

    #[test]
    fn formatted_empty_and_damaged_directories_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(identify(dir.path()).unwrap(), None);
        assert_eq!(identify(&dir.path().join("missing")).unwrap(), None);
        let superblock = Superblock {
            cluster: ClusterId([1; 16]),
            device: DeviceId(4),
            uuid: DeviceUuid([2; 16]),
            open_count: 1,
            formatted_at: UnixMillis(0),
            opening: None,
        };
        superblock.write(&RealVfs::new(), dir.path()).unwrap();
        let found = identify(dir.path()).unwrap().unwrap();
        assert_eq!(found, DriveIdentity { cluster: superblock.cluster, device: superblock.device });
        std::fs::write(dir.path().join("superblock"), b"junk").unwrap();
        assert_eq!(identify(dir.path()).unwrap(), Some(found));
        std::fs::write(dir.path().join("superblock.bak"), b"junk").unwrap();
        assert!(identify(dir.path()).is_err());
    }
}
