//! `GET /layout/preview`.

use serde::{Deserialize, Serialize};

/// `GET /layout/preview`, answer: what the staged changes would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preview {
    /// The epoch that was looked at: what `POST /layout/apply` must name.
    pub epoch: u64,
    /// The changes in words; empty when none are staged.
    pub changes: Vec<String>,
    /// Whether it is refused without force.
    pub refused: bool,
    /// `above-floor`, `no-worse-than-now`, `below-floor` or `does-not-fit`.
    pub verdict: String,
    /// Why it is refused, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// How likely an object must be readable, as the operator chose.
    pub availability_floor: f64,
    /// Bytes that move between devices.
    pub moved_bytes: u64,
    /// Bytes that any way from the one layout to the other would move.
    pub optimum_bytes: u64,
    /// How long that takes at the configured rate.
    pub duration_seconds: u64,
    /// How likely an object is unreadable now.
    pub now: Odds,
    /// How likely an object is unreadable when all has moved.
    pub after: Odds,
    /// Every device before or after, ascending.
    pub devices: Vec<DeviceForecast>,
    /// What should be known before it is applied.
    pub warnings: Vec<String>,
    /// What the figures assume.
    pub assumptions: Vec<String>,
}

/// How likely an object is unreadable at some moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// Failure domains that take shards.
    pub domains: u64,
    /// The code of full stripes, for example `4+2`; absent when there are too few domains for any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The probability on the least available devices, from 0 to 1.
    pub worst: f64,
    /// The probability over all devices, from 0 to 1.
    pub average: f64,
}

/// What happens to one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceForecast {
    /// Its slot.
    pub device: u32,
    /// The name of its node.
    pub node: String,
    /// What it fails together with.
    pub failure_domain: String,
    /// Space for shards; zero when it was not told.
    pub capacity_bytes: u64,
    /// What it holds now.
    pub used_bytes: u64,
    /// What it holds when all has moved.
    pub target_bytes: u64,
    /// How likely it is up, from 0 to 1, as far as it was watched.
    pub availability: f64,
    /// Whether it answers now.
    pub up: bool,
}
