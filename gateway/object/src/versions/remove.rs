//! Removing versions for good: the one step that asks whether a version may go.

use gateway_meta::record::ObjectKind;

use super::{KeyEdit, Place};
use crate::{engine::Engine, lock::may_remove};

impl Engine {
    /// Removes a version from an edit unless it is locked. Says whether it was a delete marker.
    pub(crate) fn remove_unlocked(
        &self,
        edit: &mut KeyEdit<'_>,
        place: Place,
        bypass_governance: bool,
    ) -> Result<bool, crate::lock::Locked> {
        let is_marker = match &edit.record(place).kind {
            ObjectKind::Object(metadata) => {
                may_remove(&metadata.lock, self.clock.now(), bypass_governance)?;
                false
            }
            ObjectKind::DeleteMarker => true,
        };
        edit.remove(place);
        Ok(is_marker)
    }
}
