//! The JSON documents of the API, shared with its clients.

mod bucket;
mod job;
mod kms;
mod layout;
mod mesh;
mod node;
mod preview;

use serde::{Deserialize, Serialize};

pub use self::{
    bucket::Acknowledge,
    job::{Job, JobList},
    kms::{CreateKmsKey, KmsKey, KmsKeyList},
    layout::{
        Applied, ApplyLayout, Layout, LayoutChange, LayoutDevice, LayoutHistory, LayoutNode,
        LayoutRevision, RevertLayout, Reverted, StageChanges, Staged,
    },
    mesh::{Bootstrap, Finding, Lookup, LookupList, Mesh, Peer, Severity},
    node::{
        ApproveNode, CreateToken, DrainNode, NewToken, Node, NodeDetail, NodeDrive, NodeList,
        OfferedDrive, RetireNode, Token, TokenList,
    },
    preview::{DeviceForecast, Odds, Preview},
};

/// `POST /session`, request.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

/// `POST /session`, answer.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// Goes into `Authorization: Bearer`.
    pub token: String,
    /// When it expires.
    pub expires_unix_seconds: u64,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its unique name.
    pub name: String,
    /// Its account's number.
    pub account: u64,
    /// The owner id that S3 answers show.
    pub canonical_id: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// `GET /users`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UserPage {
    /// Ascending by name.
    pub users: Vec<User>,
    /// Pass as `after` for the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /users`, request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// Its unique name.
    pub name: String,
}

/// An access key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// The access key id.
    pub access_key_id: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// `GET /users/{name}/keys`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccessKeyList {
    /// Ascending by id.
    pub keys: Vec<AccessKey>,
}

/// `POST /users/{name}/keys`, request: both fields to import a key, none to have one made.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateAccessKey {
    /// The access key id to import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The secret to import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<String>,
}

/// `POST /users/{name}/keys`, answer. The secret is shown this once.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewAccessKey {
    /// The access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// When it was made, RFC 3339.
    pub created: String,
}

/// One device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its slot in the layout.
    pub device: u32,
    /// `online`, `full` or `offline`.
    pub health: String,
    /// Why it is not online.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it is.
    pub address: String,
    /// The number of its node; zero for the gateway's own drives.
    pub node: u32,
    /// The name of its node.
    pub node_name: String,
    /// What it fails together with: its zone.
    pub failure_domain: String,
    /// Whether its node is being emptied: it takes no new shards.
    pub draining: bool,
    /// Space for shards, used and free.
    pub capacity_bytes: u64,
    /// Bytes a write could still use.
    pub free_bytes: u64,
    /// Shards held.
    pub shard_count: u64,
    /// Whether it is relied on: `closed`; `open` while it failed or fell behind and others are used
    /// where possible; `half-open` while it is tried again.
    pub breaker: String,
    /// 95th percentile of how long the last reads took, in microseconds; absent while too few are
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get_p95_us: Option<u64>,
    /// 95th percentile of how long the last writes took, in microseconds; absent while too few are
    /// known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put_p95_us: Option<u64>,
    /// Requests that it has not answered.
    pub requests_in_flight: u32,
    /// Whether shards may be missing on it.
    pub rebuilding: bool,
}

/// `GET /devices`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceList {
    /// Ascending by slot.
    pub devices: Vec<Device>,
}

/// `GET /repair`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repair {
    /// Whether nothing waits: no stripe, and no device is being rebuilt, audited or offline.
    pub idle: bool,
    /// Stripes that wait.
    pub queued_stripes: u64,
    /// The fewest further losses that everything survives, counting devices that are offline or
    /// being rebuilt as lost; absent when nothing waits and all devices are there.
    pub least_margin: Option<u8>,
    /// Shards recreated since the process started.
    pub repaired_shards: u64,
    /// Attempts that failed since the process started; they are retried.
    pub failed_attempts: u64,
    /// Devices being rebuilt, or compared with the manifests after a scrub.
    pub rebuilding: Vec<Rebuild>,
    /// Devices that are offline, by their slots in the layout.
    pub offline_devices: Vec<u32>,
    /// Bodies whose shards wait to be deleted.
    pub reclaim_queue: u64,
}

/// `GET /lifecycle`, answer. Counts are of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lifecycle {
    /// How long a day of the rules is.
    pub day_seconds: u64,
    /// The bucket that rules are applied to now.
    pub current: Option<LifecyclePass>,
    /// When no bucket was left, the last time. RFC 3339.
    pub last_round: Option<String>,
    /// Buckets gone through.
    pub passes: u64,
    /// Versions and uploads looked at.
    pub examined: u64,
    /// Newest versions that expired.
    pub expired: u64,
    /// Older versions removed.
    pub older_removed: u64,
    /// Delete markers removed that had no other versions.
    pub markers_removed: u64,
    /// Uploads aborted.
    pub uploads_aborted: u64,
    /// Versions that stayed because they are locked.
    pub locked: u64,
    /// What could not be read or done; it is tried again in the next pass.
    pub errors: u64,
}

/// A pass through one bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LifecyclePass {
    /// The bucket.
    pub bucket: String,
    /// When it began, perhaps in an earlier process. RFC 3339.
    pub started: String,
    /// Versions and uploads looked at by this process.
    pub examined: u64,
}

/// A device being rebuilt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rebuild {
    /// Its slot in the layout.
    pub device: u32,
    /// Share done, in thousandths.
    pub done_per_mille: u16,
}

/// `GET /scrub` and `POST /scrub`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scrub {
    /// Progress by device.
    pub devices: Vec<DeviceScrub>,
}

/// Scrub progress of a device.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceScrub {
    /// Its slot in the layout.
    pub device: u32,
    /// Whether a pass is under way.
    pub running: bool,
    /// Shards verified in the current or last pass.
    pub verified_shards: u64,
    /// Bytes verified in the current or last pass.
    pub verified_bytes: u64,
    /// Damaged shards found in the current or last pass.
    pub damaged_shards: u64,
    /// Passes completed since the device was opened.
    pub completed_passes: u64,
}

/// `GET /usage/audit`, answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageAudit {
    /// Counters that are not what the objects and parts amount to; empty when all are right.
    pub drift: Vec<UsageDrift>,
}

/// A counter of usage that is wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UsageDrift {
    /// `bucket-bytes`, `bucket-objects`, `account-bytes`, `account-objects` or `metered-bytes`.
    pub counter: String,
    /// The number of the account, where the counter is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<u64>,
    /// The number of the bucket, where the counter is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<u64>,
    /// What it holds, a decimal number.
    pub kept: String,
    /// What was counted, a decimal number.
    pub counted: String,
}

/// Every failed answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong.
    pub error: FailureDetail,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureDetail {
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}
