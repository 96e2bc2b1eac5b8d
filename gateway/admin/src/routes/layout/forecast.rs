//! A preview as a document.

use gateway_layout::{Preview, Verdict};
use node_proto::{Layout, NodeId};

use crate::routes::{device::node_name, wire};

pub(super) fn document(current: &Layout, preview: Preview) -> wire::Preview {
    let is_refused = preview.verdict.is_refused();
    let refusal = is_refused.then(|| preview.refusal());
    let name = |node: NodeId| match preview.layout.node(node) {
        Some(known) => known.name.clone(),
        None => node_name(current, node),
    };
    let devices = preview.devices.iter().map(|device| wire::DeviceForecast {
        device: device.device.0,
        node: name(device.node),
        failure_domain: device.failure_domain.clone(),
        capacity_bytes: device.capacity_bytes,
        used_bytes: device.used_bytes,
        target_bytes: device.target_bytes,
        availability: device.availability,
        up: device.is_up,
    });
    wire::Preview {
        epoch: preview.base.0,
        refused: is_refused,
        verdict: verdict(preview.verdict).to_owned(),
        refusal,
        availability_floor: preview.availability_floor,
        moved_bytes: preview.moved_bytes,
        optimum_bytes: preview.optimum_bytes,
        duration_seconds: preview.duration.as_secs(),
        now: odds(&preview.now),
        after: odds(&preview.after),
        devices: devices.collect(),
        changes: preview.changes,
        warnings: preview.warnings,
        assumptions: preview.assumptions,
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::AboveFloor => "above-floor",
        Verdict::NoWorseThanNow => "no-worse-than-now",
        Verdict::BelowFloor => "below-floor",
        Verdict::DoesNotFit => "does-not-fit",
    }
}

fn odds(odds: &gateway_layout::Odds) -> wire::Odds {
    wire::Odds {
        domains: odds.domains as u64,
        code: odds.code.map(|code| code.to_string()),
        worst: odds.worst,
        average: odds.average,
    }
}
