//! Object tags. They are part of the version's record, so changing them replaces the record and
//! nothing else: neither the version nor its time changes.

use gateway_meta::VersionId;

use crate::{ObjectRef, TaggingError, attributes::validate_tags, engine::Engine};

impl Engine {
    /// Reads an object's tags.
    pub(crate) fn object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
    ) -> Result<(VersionId, Vec<(String, String)>), TaggingError> {
        let found = self.find(target, version, &crate::ReadCondition::default())?;
        Ok((found.info.version, found.info.metadata.tags))
    }

    /// Replaces an object's tags.
    pub(crate) async fn put_object_tags(
        &self,
        target: &ObjectRef,
        version: Option<VersionId>,
        tags: Vec<(String, String)>,
    ) -> Result<VersionId, TaggingError> {
        validate_tags(&tags).map_err(|reason| TaggingError::InvalidTag { reason })?;
        self.change_version(target, version, |metadata| {
            metadata.tags.clone_from(&tags);
            Ok(())
        })
        .await
    }
}
