//! What a mesh of a test is started with, and the configuration files that say so.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Space of a drive unless a test says otherwise. Chosen: more than any test fills, little enough
/// that nodes of one machine do not promise each other's space.
const DRIVE_CAPACITY: &str = "2GiB";

/// `off` runs every test without discovery: none may depend on it.
const DISCOVERY_VARIABLE: &str = "DATAMESH_MESH_DISCOVERY";

/// One storage node.
#[derive(Debug, Clone, Default)]
pub struct NodeSetup {
    pub(super) zone: Option<String>,
    pub(super) drives: usize,
    pub(super) capacity: Option<String>,
    pub(super) is_behind_proxy: bool,
    pub(super) namespace: Option<(String, String)>,
    pub(super) needs_approval: bool,
}

impl NodeSetup {
    /// A node with one drive of [`DRIVE_CAPACITY`], a zone of its own, approved by its token.
    #[must_use]
    pub fn new() -> Self {
        Self { drives: 1, capacity: Some(DRIVE_CAPACITY.to_owned()), ..Self::default() }
    }

    /// Puts it into a zone.
    #[must_use]
    pub fn zone(mut self, zone: &str) -> Self {
        self.zone = Some(zone.to_owned());
        self
    }

    /// Gives it several drives.
    #[must_use]
    pub fn drives(mut self, drives: usize) -> Self {
        self.drives = drives;
        self
    }

    /// Space of each drive, as in `64MiB`.
    #[must_use]
    pub fn capacity(mut self, capacity: &str) -> Self {
        self.capacity = Some(capacity.to_owned());
        self
    }

    /// Lets others reach it only through a [`super::Proxy`].
    #[must_use]
    pub fn behind_proxy(mut self) -> Self {
        self.is_behind_proxy = true;
        self
    }

    /// Runs it in a network namespace, where its address is `address`.
    #[must_use]
    pub fn namespace(mut self, name: &str, address: &str) -> Self {
        self.namespace = Some((name.to_owned(), address.to_owned()));
        self
    }

    /// Gives it a token that an operator has to approve.
    #[must_use]
    pub fn needs_approval(mut self) -> Self {
        self.needs_approval = true;
        self
    }
}

/// A gateway and its first nodes.
#[derive(Debug, Clone)]
pub struct MeshSetup {
    pub(super) nodes: Vec<NodeSetup>,
    pub(super) host: String,
    pub(super) discovery: bool,
    pub(super) settings: Vec<(String, String)>,
    pub(super) is_embedded: bool,
    pub(super) is_behind_proxy: bool,
    pub(super) environment: Vec<(String, String)>,
}

impl Default for MeshSetup {
    fn default() -> Self {
        Self::new(6)
    }
}

impl MeshSetup {
    /// A gateway and `count` nodes, each in a zone of its own.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self {
            nodes: vec![NodeSetup::new(); count],
            host: "127.0.0.1".to_owned(),
            discovery: std::env::var_os(DISCOVERY_VARIABLE).is_none_or(|value| value != "off"),
            settings: Vec::new(),
            is_embedded: false,
            is_behind_proxy: false,
            environment: Vec::new(),
        }
    }

    /// These nodes instead.
    #[must_use]
    pub fn nodes(mut self, nodes: Vec<NodeSetup>) -> Self {
        self.nodes = nodes;
        self
    }

    /// Listens at another address of this machine.
    #[must_use]
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.to_owned();
        self
    }

    /// Looks up no addresses, neither gateway nor nodes.
    #[must_use]
    pub fn without_discovery(mut self) -> Self {
        self.discovery = false;
        self
    }

    /// Looks up addresses although the run has that off.
    #[must_use]
    pub fn with_discovery(mut self) -> Self {
        self.discovery = true;
        self
    }

    /// A line of the gateway's configuration, its value in TOML.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An environment variable of the gateway.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets nodes reach the gateway only through a [`super::Proxy`].
    #[must_use]
    pub fn behind_proxy(mut self) -> Self {
        self.is_behind_proxy = true;
        self
    }

    /// `datamesh server --mesh` with six drives of its own instead of a gateway without drives.
    #[must_use]
    pub fn embedded(mut self) -> Self {
        self.is_embedded = true;
        self
    }

    /// The gateway's configuration file.
    pub(super) fn gateway_file(
        &self,
        data_dir: &Path,
        mesh_port: u16,
        advertise: Option<SocketAddr>,
    ) -> String {
        let mut text = format!("data = {:?}\n", data_dir.display().to_string());
        text += "s3 = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\ndomains = [\"localhost\"]\n";
        text += "log_format = \"json\"\n";
        let (tables, plain): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|(name, _)| name.contains('.'));
        for (name, value) in plain {
            let _ = writeln!(text, "{name} = {value}");
        }
        let _ = writeln!(text, "mesh.listen = [\"{}:{mesh_port}\"]", self.host);
        if let Some(advertise) = advertise {
            let _ = writeln!(text, "mesh.advertise = [\"{advertise}\"]");
        }
        let _ = writeln!(text, "mesh.discovery = {}", self.discovery);
        for (name, value) in tables {
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }
}

/// Where a node is and what it is called.
#[derive(Debug)]
pub(super) struct NodePlace {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) listen: String,
    pub(super) advertise: Option<String>,
    pub(super) bootstrap: Vec<String>,
    pub(super) discovery: bool,
}

impl NodePlace {
    /// The node's configuration file.
    pub(super) fn file(&self, setup: &NodeSetup) -> String {
        let mut text = format!("name = {:?}\n", self.name);
        let _ = writeln!(text, "data = {:?}", self.dir.join("data").display().to_string());
        text += "admin = \"127.0.0.1:0\"\nlog_format = \"json\"\n";
        let _ = writeln!(text, "mesh.listen = [{:?}]", self.listen);
        if let Some(advertise) = &self.advertise {
            let _ = writeln!(text, "mesh.advertise = [{advertise:?}]");
        }
        let _ = writeln!(text, "mesh.bootstrap = {:?}", self.bootstrap);
        let _ = writeln!(text, "mesh.discovery = {}", self.discovery);
        for drive in 0..setup.drives {
            let path = self.dir.join(format!("drive-{drive}")).display().to_string();
            let _ = writeln!(text, "[[drive]]\npath = {path:?}");
            if let Some(capacity) = &setup.capacity {
                let _ = writeln!(text, "capacity = {capacity:?}");
            }
        }
        text
    }
}
