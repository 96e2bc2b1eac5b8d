//! The gateway's place in the mesh: what it is to its peers, and the work that makes one layout of
//! metadata, nodes and the object service.
//!
//! Invariants:
//! - the layout in metadata is the only one; the mesh, the object service and the nodes follow it,
//!   in this order of trust;
//! - a node is sent the layout again and again until it has acknowledged its epoch;
//! - a gateway signs copies only between peers of the layout.
//!
//! *Limits:* [`PUSHES_MAX`] layouts are on their way to nodes at a time.

mod follow;
mod host;
mod unreachable;
mod view;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use gateway_layout::{Cluster, ClusterDeps};
use gateway_meta::{MetaStore, TxIds};
use gateway_object::ObjectService;
use gateway_seal::RootKey;
use node_mesh::{Identity, Mesh};
use node_proto::{Clock, ClusterKey, DeviceId, Layout, NodeId, ShardService};
use node_server::MeshOptions;
use node_store::Drive;

pub(super) use self::view::View;
use self::{host::GatewayHost, unreachable::Unreachable};
use super::{data_dir::DataDir, drives::TOLERATED_LOSSES, settings::Placement, tasks::Tasks};
use crate::clock::system_random;

/// Layouts on their way to nodes at a time. Chosen: a layout of a thousand devices is 100 KiB.
const PUSHES_MAX: usize = 16;

/// How long a node may take to keep a layout and open the drives that it names.
const PUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How often nodes that have not acknowledged the layout are sent it again, and how often what
/// nodes announced is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);

/// How often it is noted which devices can serve. Chosen: a device that is away for a minute is
/// seen a dozen times.
const OBSERVE_INTERVAL: Duration = Duration::from_secs(5);

/// The key that names this gateway in the mesh.
pub(super) fn identity(data: &DataDir) -> Result<Identity> {
    let path = data.path().join("mesh.key");
    let seed = node_server::read_or_make_identity(&path, system_random)?;
    Ok(Identity::from_seed(*seed))
}

/// What signs the cluster's layouts; the same for every gateway of the cluster.
fn cluster_key(root_key: &RootKey) -> ClusterKey {
    let seed = blake3::derive_key("datamesh layout signing v1", root_key.expose_bytes());
    ClusterKey::from_seed(&seed)
}

/// What the cluster is read from.
pub(super) struct Known<'a> {
    pub(super) meta: &'a Arc<dyn MetaStore>,
    pub(super) txids: &'a Arc<TxIds>,
    pub(super) clock: &'a Arc<dyn Clock>,
}

/// Reads who belongs to the cluster. With `identity`, this gateway is put into its layout.
pub(super) async fn open_cluster(
    data: &DataDir,
    root_key: &RootKey,
    known: Known<'_>,
    placement: &Placement,
    identity: Option<&Identity>,
) -> Result<Cluster> {
    let deps = ClusterDeps {
        meta: Arc::clone(known.meta),
        txids: Arc::clone(known.txids),
        clock: Arc::clone(known.clock),
        random: system_random,
        cluster: data.cluster(),
        signing: cluster_key(root_key),
        gateway: identity.map(Identity::peer),
        settings: gateway_layout::Settings {
            tolerated_losses: TOLERATED_LOSSES,
            availability_floor: placement.availability_floor,
            move_bytes_per_second: placement.move_bytes_per_second,
            ..gateway_layout::Settings::default()
        },
    };
    Cluster::open(deps).await.context("cannot read the layout")
}

/// Starts to listen for nodes.
pub(super) async fn start(
    identity: Identity,
    options: &MeshOptions,
    cluster: &Cluster,
    clock: &Arc<dyn Clock>,
) -> Result<Mesh> {
    let host = GatewayHost { cluster: cluster.clone(), clock: Arc::clone(clock) };
    let config = node_server::mesh_config(identity, options, true);
    let mesh = Mesh::start(config, Arc::new(host)).await.context("cannot start the mesh")?;
    cluster.set_addresses(mesh.addresses());
    mesh.set_layout(&cluster.layout(), &cluster.addresses());
    tracing::info!(peer = %mesh.peer(), addresses = ?mesh.addresses(), "the mesh listens");
    Ok(mesh)
}

/// Where every device of a layout is served.
#[derive(Clone)]
pub(super) struct Devices {
    drives: Vec<(DeviceId, Arc<Drive>)>,
    mesh: Option<Mesh>,
}

impl Devices {
    pub(super) fn new(drives: Vec<(DeviceId, Arc<Drive>)>, mesh: Option<Mesh>) -> Self {
        Self { drives, mesh }
    }

    /// One service per device, in the layout's order.
    pub(super) fn of(&self, layout: &Layout) -> Vec<Arc<dyn ShardService>> {
        layout.devices.iter().map(|device| self.service(layout, device.id)).collect()
    }

    fn service(&self, layout: &Layout, id: DeviceId) -> Arc<dyn ShardService> {
        let drive = self.drives.iter().find(|(own, _)| *own == id);
        if let Some((_, drive)) = drive {
            return Arc::clone(drive) as Arc<dyn ShardService>;
        }
        let is_local = layout.device(id).is_some_and(|device| device.node == NodeId::LOCAL);
        let why = match (&self.mesh, layout.peer_of(id)) {
            (Some(mesh), Some(peer)) => return mesh.device(peer, id),
            (None, Some(_)) => "the mesh is off: start this server with --mesh",
            _ if is_local => "it is a drive of another gateway",
            _ => "its node has no peer id",
        };
        Arc::new(Unreachable { device: id, reason: why })
    }
}

/// Keeps everything at the cluster's layout until the group is told to stop.
pub(super) fn spawn(
    tasks: &mut Tasks,
    cluster: &Cluster,
    devices: &Devices,
    objects: &ObjectService,
) {
    let (layouts, services) = (cluster.clone(), devices.clone());
    let (stopped, applied) = (tasks.stopped(), objects.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped => {}
            () = follow::layouts(&layouts, &services, &applied) => {}
        }
        Ok(())
    });
    let (observer, watched, stopped) = (cluster.clone(), objects.clone(), tasks.stopped());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped => {}
            () = follow::observe(&observer, &watched) => {}
        }
        Ok(())
    });
    let Some(mesh) = devices.mesh.clone() else { return };
    let (cluster, stopped) = (cluster.clone(), tasks.stopped());
    tasks.spawn(async move {
        tokio::select! {
            () = stopped => Ok(()),
            () = follow::push(&cluster, &mesh) => Ok(()),
            () = mesh.ended() => bail!("the mesh has ended; a restart mends it"),
        }
    });
}
