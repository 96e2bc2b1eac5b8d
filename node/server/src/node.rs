//! A running node: its drives, its mesh, and the work that keeps them together.
//!
//! *Shutdown:* [`Node::close`] ends the mesh first, so that nothing new arrives, then the drives.

use std::{future::Future, sync::Arc, time::Duration};

use node_mesh::{Identity, Mesh, MeshConfig, StartMeshError};
use node_proto::{DeviceHealth, JoinToken, PeerKey, ShardService};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    announce::Announcer,
    config::{MeshOptions, NodeConfig, NodeDeps},
    directory::{NodeDirectory, OpenDirectoryError},
    host::{NodeHost, Served},
    membership::Membership,
};

/// How often drives are looked after. Chosen: a pulled drive is noticed on the next request anyway;
/// this bounds how long its return goes unnoticed.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Where the node stands with its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not heard from a gateway since it started.
    Unheard,
    /// An operator must approve it.
    Pending {
        /// The gateway that it asked.
        gateway: PeerKey,
    },
    /// A gateway knows it as a member.
    Member,
    /// A gateway does not know it any more; it serves with the layout it has.
    Refused {
        /// Why, in the gateway's words.
        reason: String,
    },
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartNodeError {
    /// Its data directory cannot be used.
    #[error(transparent)]
    Directory(#[from] OpenDirectoryError),
    /// It belongs to no cluster.
    #[error(
        "this node belongs to no cluster yet: make a token on a gateway with `datamesh node token \
         create` and start the node with it (--join TOKEN, or DATAMESH_JOIN_TOKEN)"
    )]
    NoToken,
    /// It belongs to one cluster and the token is of another.
    #[error(
        "this node belongs to cluster {ours}, and the token is of cluster {theirs}: a node stays \
         with its cluster; use another data directory and empty drives for another one"
    )]
    OtherCluster {
        /// The cluster it belongs to.
        ours: node_proto::ClusterId,
        /// The token's.
        theirs: node_proto::ClusterId,
    },
    /// It has no drives.
    #[error("a node needs at least one drive")]
    NoDrives,
    /// The mesh does not start.
    #[error("cannot start the mesh: {0}")]
    Mesh(#[from] StartMeshError),
    /// Opening the data directory panicked.
    #[error("opening the data directory panicked")]
    Panicked,
}

/// Why a node ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunNodeError {
    /// The cluster does not want it.
    #[error("the gateway refused this node: {reason}")]
    Refused {
        /// Why, in the gateway's words.
        reason: String,
    },
    /// The mesh ended by a defect of the program. A restart mends it.
    #[error("the mesh has ended")]
    Mesh,
    /// A defect of the program.
    #[error("a task of the node panicked")]
    Panicked,
}

/// A storage node.
pub struct Node {
    host: Arc<NodeHost>,
    mesh: Mesh,
    config: NodeConfig,
    standing: watch::Sender<Standing>,
}

impl Node {
    /// Takes the data directory, opens the drives of the last layout, and listens.
    ///
    /// # Errors
    /// [`StartNodeError`]. A drive that cannot be used is none; it is logged and left out.
    pub async fn start(config: NodeConfig, deps: NodeDeps) -> Result<Self, StartNodeError> {
        if config.drives.is_empty() {
            return Err(StartNodeError::NoDrives);
        }
        let (host, identity) = open_host(&config, &deps).await?;
        ensure_cluster(host.membership().as_ref(), config.token.as_ref())?;
        let host = Arc::new(host);
        host.follow_drives().await;
        let served = Arc::new(Served(Arc::clone(&host)));
        let started = Mesh::start(mesh_config(identity, &config.mesh, false), served).await;
        let mesh = match started {
            Ok(mesh) => mesh,
            Err(error) => {
                host.close().await;
                return Err(error.into());
            }
        };
        Ok(Self { host, mesh, config, standing: watch::Sender::new(Standing::Unheard) })
    }

    /// Who the node is.
    #[must_use]
    pub fn peer(&self) -> PeerKey {
        self.host.peer()
    }

    /// Where it can be dialled.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.mesh.addresses()
    }

    /// Where it stands with its cluster, now and later.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether it has a layout to serve by.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.host.layouts().borrow().is_some()
    }

    /// Device, health and reason of each drive that is part of the layout.
    #[must_use]
    pub fn drives(&self) -> Vec<(node_proto::DeviceId, DeviceHealth, Option<String>)> {
        let statuses = self.host.drives().into_iter().map(|drive| drive.status());
        statuses.map(|status| (status.device, status.health, status.reason)).collect()
    }

    /// Serves until `stopped` resolves.
    ///
    /// # Errors
    /// [`RunNodeError`] when the cluster refuses a node that belongs to none, or a task panics.
    pub async fn run(&self, stopped: impl Future<Output = ()>) -> Result<(), RunNodeError> {
        let mut tasks = JoinSet::new();
        let announcer = Announcer {
            host: Arc::clone(&self.host),
            mesh: self.mesh.clone(),
            name: self.config.name.clone(),
            version: self.config.version.clone(),
            token: self.config.token.clone(),
            standing: self.standing.clone(),
        };
        tasks.spawn(announcer.run());
        tasks.spawn(follow_layouts(Arc::clone(&self.host), self.mesh.clone()));
        tasks.spawn(probe_drives(Arc::clone(&self.host)));
        let ended = tokio::select! {
            () = stopped => Ok(()),
            () = self.mesh.ended() => Err(RunNodeError::Mesh),
            ended = tasks.join_next() => match ended {
                Some(Ok(ended)) => ended,
                Some(Err(_)) | None => Err(RunNodeError::Panicked),
            },
        };
        tasks.shutdown().await;
        ended
    }

    /// Leaves the mesh and closes the drives.
    pub async fn close(&self) {
        self.mesh.shutdown().await;
        self.host.close().await;
    }
}

async fn open_host(
    config: &NodeConfig,
    deps: &NodeDeps,
) -> Result<(NodeHost, Identity), StartNodeError> {
    let (data, specs, deps) = (config.data.clone(), config.drives.clone(), deps.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let directory = NodeDirectory::open(&data)?;
        let identity = Identity::from_seed(*directory.identity(deps.random)?);
        let host = NodeHost::open(identity.peer(), directory, specs, deps.clock)?;
        Ok::<_, OpenDirectoryError>((host, identity))
    });
    Ok(opened.await.map_err(|_| StartNodeError::Panicked)??)
}

fn ensure_cluster(
    membership: Option<&Membership>,
    token: Option<&JoinToken>,
) -> Result<(), StartNodeError> {
    match (membership, token) {
        (None, None) => Err(StartNodeError::NoToken),
        (Some(membership), Some(token)) if membership.cluster != token.cluster => {
            let (ours, theirs) = (membership.cluster, token.cluster);
            Err(StartNodeError::OtherCluster { ours, theirs })
        }
        _ => Ok(()),
    }
}

/// The mesh's configuration of a process; `is_gateway` when strangers may ask to join there.
#[must_use]
pub fn mesh_config(identity: Identity, options: &MeshOptions, is_gateway: bool) -> MeshConfig {
    MeshConfig {
        listen: options.listen.clone(),
        advertise: options.advertise.clone(),
        bootstrap: options.bootstrap.clone(),
        discovery: options.discovery,
        security: options.security,
        budget_bytes: options.budget_bytes,
        is_gateway,
        ..MeshConfig::new(identity)
    }
}

/// Tells the mesh who belongs to the cluster.
async fn follow_layouts(host: Arc<NodeHost>, mesh: Mesh) -> Result<(), RunNodeError> {
    let mut layouts = host.layouts();
    loop {
        let layout = layouts.borrow_and_update().clone();
        if let Some(layout) = layout {
            let gateways = host.membership().map(|membership| membership.gateways);
            let known = gateways.unwrap_or_default().into_iter();
            let addresses = known.map(|gateway| (gateway.peer, gateway.addresses)).collect();
            mesh.set_layout(&layout, &addresses);
        }
        if layouts.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Looks after each drive by itself, so that one that hangs holds up no other.
async fn probe_drives(host: Arc<NodeHost>) -> Result<(), RunNodeError> {
    let mut ticks = tokio::time::interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut probes = JoinSet::new();
    loop {
        ticks.tick().await;
        while probes.try_join_next().is_some() {}
        if host.lacks_drives() {
            host.follow_drives().await;
        }
        let drives = host.drives();
        // A drive that hangs keeps its probe, and gets no second one: probing again is then a
        // question that ends at once.
        if probes.len() <= drives.len() * PROBES_PER_DRIVE_MAX {
            for drive in drives {
                probes.spawn(async move { drop(drive.probe().await) });
            }
        }
    }
}

/// Probes under way per drive at most. Chosen: one that works and one that notices that it hangs.
const PROBES_PER_DRIVE_MAX: usize = 2;

#[cfg(test)]
mod tests {
    use node_proto::{ClusterId, ClusterPublicKey, TokenId};

    use super::*;
    use crate::config::DriveSpec;

    fn token(cluster: u8) -> JoinToken {
        JoinToken {
            id: TokenId([1; 8]),
            secret: [2; 32],
            cluster: ClusterId([cluster; 16]),
            cluster_key: ClusterPublicKey([4; 32]),
            gateway: PeerKey([5; 32]),
            addresses: Vec::new(),
        }
    }

    #[test]
    fn a_cluster_or_a_token_is_needed_and_they_must_agree() {
        let member = Membership::of_token(&token(1));
        assert!(matches!(ensure_cluster(None, None), Err(StartNodeError::NoToken)));
        let other = ensure_cluster(Some(&member), Some(&token(2)));
        assert!(matches!(other, Err(StartNodeError::OtherCluster { .. })));
        assert!(ensure_cluster(Some(&member), Some(&token(1))).is_ok());
        assert!(ensure_cluster(Some(&member), None).is_ok());
        assert!(ensure_cluster(None, Some(&token(1))).is_ok());
    }

    /// A node without a cluster on free ports, whose token is of a gateway that is not there.
    async fn lonely(
        data: &std::path::Path,
        drives: Vec<DriveSpec>,
    ) -> Result<Node, StartNodeError> {
        let config = NodeConfig {
            data: data.join("data"),
            name: "lonely".parse().expect("a name"),
            version: "0".to_owned(),
            drives,
            mesh: MeshOptions {
                listen: vec!["127.0.0.1:0".to_owned()],
                advertise: Vec::new(),
                bootstrap: Vec::new(),
                discovery: false,
                security: node_mesh::Security::Auto,
                budget_bytes: 16 << 20,
            },
            token: Some(token(1)),
        };
        let clock = Arc::new(node_proto::ManualClock::default());
        Node::start(config, NodeDeps { clock, random: |out| out.fill(7) }).await
    }

    #[tokio::test]
    async fn a_node_ends_when_its_mesh_is_gone() {
        let dir = tempfile::tempdir().expect("temporary directory");
        assert!(matches!(lonely(dir.path(), Vec::new()).await, Err(StartNodeError::NoDrives)));
        let drive = DriveSpec { path: dir.path().join("drive"), capacity_bytes: None };
        let node = lonely(dir.path(), vec![drive]).await.expect("starts");
        assert!(!node.is_member());
        assert_eq!(node.addresses().len(), 1);
        let closing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            node.close().await;
        };
        let (ended, ()) = tokio::join!(node.run(std::future::pending()), closing);
        assert!(matches!(ended, Err(RunNodeError::Mesh)), "{ended:?}");
    }
}
