//! Who belongs to a cluster.
//!
//! Owns [`Cluster`]: the layout and its epochs, join tokens, nodes from their first request until
//! they are retired, staged layout changes and what they would do, and how long devices were up.
//!
//! Invariants:
//! - the layout changes only as a whole, by compare-and-set on its row; each change is one epoch,
//!   and what made it and what it made are kept in the same commit;
//! - ids of nodes and devices are never used again, and a retired peer never comes back;
//! - a token admits one peer; which, one guarded commit decides;
//! - the secret of a token is not kept; proofs are compared in constant time;
//! - everything a stranger can make grow is bounded.
//!
//! *Consistency:* what was committed is read again before each change, so several processes may
//! share one metadata store: of two that change the layout at the same time, one is told of a
//! conflict. *Crash consistency:* a layout, its history, the ids it used and the nodes it admits or
//! retires are one commit. *Cancellation:* dropping a future abandons the answer, not a commit that
//! was begun; the next call reads what became of it. *Limits:* [`limits`].
//!
//! Deliberately absent: the network (layouts are pushed by the binary), moving data (repair and
//! rebalance follow the layout), HTTP.

mod availability;
mod cluster;
mod error;
mod forecast;
mod join;
pub mod limits;
mod local;
mod membership;
mod names;
mod nodes;
mod plan;
mod rows;
mod staging;
mod tokens;

pub use cluster::{Cluster, ClusterDeps, Settings};
pub use error::{
    ApplyError, ApproveError, ChangeNodeError, CommitLayoutError, CreateTokenError, Kind,
    NodeError, OpenClusterError, PreviewError, RejectError, RetireError, RevertError,
    RevokeTokenError, SetLocalDevicesError, StageError, StoreError,
};
pub use forecast::{Code, DeviceForecast, DeviceUsage, Odds, Preview, Verdict};
pub use gateway_meta::record::LayoutChange as Change;
pub use join::RefusedRequest;
pub use membership::Approval;
pub use names::InvalidName;
pub use nodes::{NodeReport, NodeStatus};
pub use plan::PlanError;
pub use staging::{Apply, Reverted, Revision, Staged};
pub use tokens::{CreatedToken, NewToken, TokenReport, TokenState};
