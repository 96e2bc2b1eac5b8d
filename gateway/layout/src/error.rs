//! Why operations fail: one enum each, and what the caller should make of them.

use gateway_meta::{CommitError, ReadError, record::DecodeRecordError};
use node_proto::{ClusterId, DeviceId, Epoch, LayoutError, NodeId};

use crate::{forecast::Preview, names::InvalidName, plan::PlanError};

/// What a failure means to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was named does not exist.
    NotFound,
    /// Somebody else changed it, or its state does not allow this. Look again.
    Conflict,
    /// The request breaks a rule. Fix it.
    Invalid,
    /// The change would make the cluster worse than the operator allows, or lose data. Force it, or
    /// do something else first.
    Refused,
    /// The metadata store does not do its part. Retry later.
    Unavailable,
    /// Stored records are damaged. Report it.
    Corrupt,
}

/// The metadata store does not do its part. Retry later, or report corruption.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A stored record cannot be understood.
    #[error("a stored record is damaged: {reason}")]
    Corrupt {
        /// What was found, for the log.
        reason: String,
    },
    /// It cannot commit, or the outcome is unknown.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<DecodeRecordError> for StoreError {
    fn from(error: DecodeRecordError) -> Self {
        Self::Corrupt { reason: error.to_string() }
    }
}

impl StoreError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Read(_) | Self::Commit(_) => Kind::Unavailable,
            Self::Corrupt { .. } => Kind::Corrupt,
        }
    }
}

/// A new layout was not committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitLayoutError {
    /// It contradicts itself.
    #[error(transparent)]
    Invalid(#[from] LayoutError),
    /// It is longer than a document may be.
    #[error("the layout would be {len_bytes} bytes long, more than {max} are not sent to nodes",
        max = node_proto::signed::DOCUMENT_LEN_BYTES_MAX)]
    TooLarge {
        /// Its length.
        len_bytes: usize,
    },
    /// Somebody else changed the layout, or a node in it, at the same time.
    #[error("the layout was changed by somebody else at the same time; it is now at epoch {}", .current.0)]
    Conflict {
        /// The epoch now.
        current: Epoch,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CommitLayoutError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Invalid(_) | Self::TooLarge { .. } => Kind::Invalid,
            Self::Conflict { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// The cluster cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenClusterError {
    /// The stored layout is another cluster's.
    #[error("the stored layout belongs to cluster {stored}")]
    OtherCluster {
        /// Whose it is.
        stored: ClusterId,
    },
    /// This gateway could not be put into the layout.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The gateway's own drives were not put into the layout.
#[derive(Debug, thiserror::Error)]
pub enum SetLocalDevicesError {
    /// A device belongs to another node.
    #[error("device {} belongs to another node", .device.0)]
    NotLocal {
        /// The device.
        device: DeviceId,
    },
    /// The id of a new device was used before.
    #[error("device {} is new, and ids below {} were used already", .device.0, .next.0)]
    IdUsed {
        /// The device.
        device: DeviceId,
        /// The first id that was not used yet.
        next: DeviceId,
    },
    /// The layout was not committed.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTokenError {
    /// Nodes cannot join: this gateway has no peer id.
    #[error("the mesh is off: this gateway cannot admit nodes")]
    NoMesh,
    /// Nodes could not find this gateway.
    #[error("this gateway does not listen for nodes yet")]
    NoAddress,
    /// A name breaks a rule.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// It would be good for too long, or not at all.
    #[error("a token is good for at least a second and at most {} days", max_seconds / 86_400)]
    InvalidTtl {
        /// The longest time in seconds.
        max_seconds: u64,
    },
    /// There are too many. Revoke some, or wait until they end.
    #[error("there are {limit} tokens already")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CreateTokenError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoMesh | Self::NoAddress | Self::TooMany { .. } => Kind::Conflict,
            Self::InvalidName(_) | Self::InvalidTtl { .. } => Kind::Invalid,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A token was not revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeTokenError {
    /// There is none of the id.
    #[error("there is no token {id}")]
    NoSuchToken {
        /// As given.
        id: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RevokeTokenError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchToken { .. } => Kind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A node was not found.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// None has the name or peer id.
    #[error("there is no node {node}")]
    NoSuchNode {
        /// As given.
        node: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NodeError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchNode { .. } => Kind::NotFound,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A node was not approved.
#[derive(Debug, thiserror::Error)]
pub enum ApproveError {
    /// There is no such node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It does not wait for approval.
    #[error("node {node} does not wait for approval")]
    NotPending {
        /// Its name.
        node: String,
    },
    /// A name breaks a rule.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The layout cannot be changed that way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The change was not staged.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The layout was not committed.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
}

impl ApproveError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(error) => error.kind(),
            Self::NotPending { .. } => Kind::Conflict,
            Self::InvalidName(_) => Kind::Invalid,
            Self::Plan(error) => error.kind(),
            Self::Stage(error) => error.kind(),
            Self::Layout(error) => error.kind(),
        }
    }
}

/// A node was not rejected.
#[derive(Debug, thiserror::Error)]
pub enum RejectError {
    /// There is no such node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It does not wait for approval.
    #[error("node {node} does not wait for approval: drain and retire it instead")]
    NotPending {
        /// Its name.
        node: String,
    },
    /// It was changed at the same time.
    #[error("node {node} was changed at the same time")]
    Conflict {
        /// Its name.
        node: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RejectError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(error) => error.kind(),
            Self::NotPending { .. } | Self::Conflict { .. } => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// A node was not drained, or not activated.
#[derive(Debug, thiserror::Error)]
pub enum ChangeNodeError {
    /// There is no such node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It is not in the layout.
    #[error("node {node} is not in the layout yet")]
    NotMember {
        /// Its name.
        node: String,
    },
    /// The layout cannot be changed that way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It would leave too little.
    #[error("{}", .preview.refusal())]
    Refused {
        /// What would have happened.
        preview: Box<Preview>,
    },
    /// The layout was not committed.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
}

impl ChangeNodeError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(error) => error.kind(),
            Self::NotMember { .. } => Kind::Conflict,
            Self::Plan(error) => error.kind(),
            Self::Refused { .. } => Kind::Refused,
            Self::Layout(error) => error.kind(),
        }
    }
}

/// A node was not retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// There is no such node.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// It is not in the layout.
    #[error("node {node} is not in the layout; reject it instead")]
    NotMember {
        /// Its name.
        node: String,
    },
    /// It may still be given shards.
    #[error("node {node} still takes new shards: drain it first")]
    NotDraining {
        /// Its name.
        node: String,
    },
    /// It holds what nobody else has.
    #[error("node {node} still holds {held_shards} shards: wait until it is drained")]
    HoldsShards {
        /// Its name.
        node: String,
        /// Shards that metadata still names there.
        held_shards: u64,
    },
    /// The layout cannot be changed that way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The layout was not committed.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
}

impl RetireError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Node(error) => error.kind(),
            Self::NotMember { .. } => Kind::Conflict,
            Self::NotDraining { .. } | Self::HoldsShards { .. } => Kind::Refused,
            Self::Plan(error) => error.kind(),
            Self::Layout(error) => error.kind(),
        }
    }
}

/// A change was not staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The layout cannot be changed that way.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Too many are staged.
    #[error("{limit} changes are staged already: apply or discard them first")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// Somebody else staged something at the same time.
    #[error("somebody else staged a change at the same time")]
    Conflict,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StageError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plan(error) => error.kind(),
            Self::TooMany { .. } | Self::Conflict => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// There is no preview.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The staged changes do not fit the layout any more.
    #[error("the staged changes do not fit the layout (discard them): {0}")]
    Plan(#[from] PlanError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl PreviewError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Plan(_) => Kind::Conflict,
            Self::Store(error) => error.kind(),
        }
    }
}

/// The staged changes were not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// There are none.
    #[error("nothing is staged")]
    NothingStaged,
    /// The layout is not the one that the operator looked at.
    #[error("the layout is at epoch {}, not {}: look at the preview again", .current.0, .expected.0)]
    OtherEpoch {
        /// What the operator looked at.
        expected: Epoch,
        /// The epoch now.
        current: Epoch,
    },
    /// The staged changes do not fit the layout any more.
    #[error("the staged changes do not fit the layout (discard them): {0}")]
    Plan(#[from] PlanError),
    /// It would leave too little.
    #[error("{}", .preview.refusal())]
    Refused {
        /// What would have happened.
        preview: Box<Preview>,
    },
    /// A node that would leave holds what nobody else has.
    #[error("node {} still holds {held_shards} shards: drain it first", .node.0)]
    HoldsShards {
        /// The node.
        node: NodeId,
        /// Shards that metadata still names there.
        held_shards: u64,
    },
    /// The layout was not committed.
    #[error(transparent)]
    Layout(#[from] CommitLayoutError),
}

impl ApplyError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NothingStaged | Self::OtherEpoch { .. } | Self::Plan(_) => Kind::Conflict,
            Self::Refused { .. } | Self::HoldsShards { .. } => Kind::Refused,
            Self::Layout(error) => error.kind(),
        }
    }
}

/// An earlier layout was not staged.
#[derive(Debug, thiserror::Error)]
pub enum RevertError {
    /// The epoch is not in the history.
    #[error("epoch {} is not in the history", .epoch.0)]
    NoSuchEpoch {
        /// As given.
        epoch: Epoch,
    },
    /// The layout is like that already, as far as it can be.
    #[error("nothing that can be undone differs from epoch {}", .epoch.0)]
    NoDifference {
        /// As given.
        epoch: Epoch,
    },
    /// Other changes are staged.
    #[error("other changes are staged: apply or discard them first")]
    StagedAlready,
    /// The change was not staged.
    #[error(transparent)]
    Stage(#[from] StageError),
}

impl RevertError {
    /// What it means to the caller.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NoSuchEpoch { .. } => Kind::NotFound,
            Self::NoDifference { .. } | Self::StagedAlready => Kind::Conflict,
            Self::Stage(error) => error.kind(),
        }
    }
}

macro_rules! store_errors_pass_through {
    ($($outer:ident via $inner:ident::$variant:ident),*) => {$(
        impl From<StoreError> for $outer {
            fn from(error: StoreError) -> Self {
                Self::from($inner::$variant(error))
            }
        }
    )*};
}
store_errors_pass_through!(
    ApproveError via CommitLayoutError::Store,
    ChangeNodeError via CommitLayoutError::Store,
    RetireError via CommitLayoutError::Store,
    ApplyError via CommitLayoutError::Store,
    RevertError via StageError::Store
);
