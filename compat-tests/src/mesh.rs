//! A gateway process and storage node processes, each with a directory and ports of its own.
//!
//! - A node is used once the gateway says that it is active and its devices are online.
//! - Nodes are named `n0`, `n1` … in the order in which they were added.
//! - A test that panics while it holds a mesh prints the end of each log, and keeps the whole
//!   gateway's as [`crate::server`] does.
//! - Every process started here is ended here, by its own process id.
//!
//! Deliberately absent: knowledge of the mesh's protocols. The processes are known by their command
//! line, their configuration files, the admin API and what they write into their directories.

mod daemon;
mod namespace;
mod proxy;
mod report;
mod search;
mod setup;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::server::{Credentials, Server, Setup, binary, temporary_parent};
use crate::wire::Wire;

pub use daemon::{Daemon, memory_bytes_of};
pub use namespace::Network;
pub use proxy::Proxy;
pub use report::{
    DeviceReport, FindingReport, JobReport, LookupReport, MeshReport, NodeReport, PeerReport,
    RepairReport,
};
pub use search::Secrets;
pub use setup::{MeshSetup, NodeSetup};

use report::{DeviceReports, JobReports, LookupReports, NodeReports};
use setup::NodePlace;

/// How long nodes may take from start to serving. Chosen: an unoptimised build, several processes
/// to a core.
pub const READY_MAX: Duration = Duration::from_secs(90);

/// How long repair and moves of the few megabytes of a test may take. Chosen: a loaded machine of
/// two cores.
pub const WHOLE_MAX: Duration = Duration::from_secs(150);

/// How often the gateway is asked. Chosen.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How long everything must have been idle: workers look for work every second. Chosen.
const IDLE_FOR: Duration = Duration::from_millis(2000);

/// A gateway and its nodes.
#[derive(Debug)]
pub struct Mesh {
    server: Server,
    nodes: Arc<Mutex<Vec<Arc<Node>>>>,
    setup: MeshSetup,
    proxy: Option<Proxy>,
    uninvited: AtomicUsize,
    /// Removed after all processes are gone.
    dir: Arc<TempDir>,
}

/// One storage node's process and directory.
#[derive(Debug)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// Its directory: `data`, `drive-0` …, `node.toml` and `node.log`.
    pub dir: PathBuf,
    /// The process.
    pub daemon: Daemon,
    /// What others reach it through, if it was asked for.
    pub proxy: Option<Proxy>,
    setup: NodeSetup,
}

impl Node {
    /// The sum of a metric of the node over all labels; zero while it has none.
    ///
    /// # Panics
    /// When the node does not tell its metrics.
    #[must_use]
    pub fn metric(&self, name: &str) -> f64 {
        let log = self.daemon.log_since_start();
        let url = log.lines().find_map(|line| line.strip_prefix("Admin "));
        let address = url.map(|url| url.trim().trim_start_matches("http://").to_owned());
        let admin = Wire::new(
            &address.expect("a node says where its admin port is"),
            Credentials::new("", ""),
        );
        let answer = admin.get("/metrics").anonymous().send().status_is(200);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let value = |line: &str| {
            let (found, value) = line.rsplit_once(' ')?;
            let is_wanted = found.split('{').next() == Some(name);
            value.parse::<f64>().ok().filter(|_| is_wanted)
        };
        text.lines().filter_map(value).sum()
    }

    /// Changes the node's configuration for its next start.
    ///
    /// # Panics
    /// When `from` is not in it.
    pub fn replace_in_config(&self, from: &str, to: &str) {
        let path = self.dir.join("node.toml");
        let text = fs::read_to_string(&path).expect("a node has a configuration");
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(&path, text.replace(from, to)).expect("the directory is writable");
    }
}

/// A port that nobody else of this run gets and that was free a moment ago. It is below the ports
/// that the kernel hands to outgoing connections, so that none of those takes it meanwhile.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port(host: &str) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() % 40).unwrap_or(0) * 500;
    for _ in 0..500 {
        let port = first + NEXT.fetch_add(1, Ordering::SeqCst) % 500;
        if TcpListener::bind((host, port)).is_ok() {
            return port;
        }
    }
    panic!("no port from {first} on is free");
}

impl Mesh {
    /// Starts a gateway and `count` nodes and waits until they serve.
    ///
    /// # Panics
    /// When they do not.
    #[must_use]
    pub fn start(count: usize) -> Self {
        Self::with(MeshSetup::new(count))
    }

    /// Starts what `setup` says and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn with(setup: MeshSetup) -> Self {
        let parent = temporary_parent();
        fs::create_dir_all(&parent).expect("the target directory is writable");
        let dir = tempfile::Builder::new()
            .prefix("mesh-")
            .tempdir_in(parent)
            .expect("the target directory is writable");
        let proxy = setup.is_behind_proxy.then(Proxy::start);
        let server = start_gateway(&setup, dir.path(), proxy.as_ref());
        let (nodes, dir) = (Arc::new(Mutex::new(Vec::new())), Arc::new(dir));
        let mesh = Self { server, nodes, setup, proxy, uninvited: AtomicUsize::new(0), dir };
        mesh.add(&mesh.setup.nodes.clone());
        mesh
    }

    /// A server whose shards are on a mesh of six nodes that ends with it.
    #[must_use]
    pub fn as_server(setup: MeshSetup) -> Server {
        let mesh = Self::with(setup);
        let server = mesh.server.clone();
        // The companion may not hold the server, or neither would ever end.
        server.keep((Arc::clone(&mesh.nodes), Arc::clone(&mesh.dir)));
        server
    }

    /// The gateway's process, as other tests know servers.
    #[must_use]
    pub fn gateway(&self) -> &Server {
        &self.server
    }

    /// What nodes reach the gateway through, if it was asked for.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// A signing client of the gateway.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.server.wire()
    }

    /// The directory of everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A node by its number.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn node(&self, number: usize) -> Arc<Node> {
        Arc::clone(&self.nodes.lock()[number])
    }

    /// How many nodes were started.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.lock().len()
    }

    /// Whether no node was started.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts further nodes and waits until they serve; returns the number of the first.
    ///
    /// # Panics
    /// When they do not.
    pub fn add(&self, setups: &[NodeSetup]) -> usize {
        let first = self.len();
        for setup in setups {
            let token = self.token(setup);
            let node = self.make_node(setup);
            node.daemon.start(&["--join", &token]);
            self.nodes.lock().push(Arc::new(node));
        }
        let names: Vec<String> = (first..self.len()).map(|n| self.node(n).name.clone()).collect();
        for (setup, name) in setups.iter().zip(&names) {
            if setup.needs_approval {
                self.await_node(name, |node| node.state == "pending");
                let _ = self.server.datamesh(&["node", "approve", name]).succeed();
            }
        }
        if !names.is_empty() {
            self.await_serving(&names);
        }
        first
    }

    /// Starts one node with a token made elsewhere and waits until it serves.
    pub fn add_with_token(&self, setup: &NodeSetup, token: &str) {
        let node = self.make_node(setup);
        let name = node.name.clone();
        node.daemon.start(&["--join", token]);
        self.nodes.lock().push(Arc::new(node));
        self.await_serving(&[name]);
    }

    /// Starts a node that may not be let in, and hands it to the caller alone.
    ///
    /// # Panics
    /// When its directory cannot be made.
    #[must_use]
    pub fn start_uninvited(&self, setup: &NodeSetup, token: &str) -> Node {
        let number = self.uninvited.fetch_add(1, Ordering::SeqCst);
        let node = self.make_node_named(&format!("u{number}"), setup);
        node.daemon.start(&["--join", token]);
        node
    }

    fn make_node(&self, setup: &NodeSetup) -> Node {
        self.make_node_named(&format!("n{}", self.len()), setup)
    }

    /// Makes a node's directory and files, without starting it or a token for it.
    fn make_node_named(&self, name: &str, setup: &NodeSetup) -> Node {
        let name = name.to_owned();
        let dir = self.dir.path().join(&name);
        for drive in 0..setup.drives {
            fs::create_dir_all(dir.join(format!("drive-{drive}"))).expect("a new directory");
        }
        let host = setup.namespace.as_ref().map_or(&self.setup.host, |(_, address)| address);
        let proxy = setup.is_behind_proxy.then(Proxy::start);
        let port = if proxy.is_some() { free_port(host) } else { 0 };
        if let Some(proxy) = &proxy {
            let target = format!("{host}:{port}").parse::<SocketAddr>();
            proxy.set_target(target.expect("an address and a port"));
        }
        let place = NodePlace {
            name: name.clone(),
            dir: dir.clone(),
            listen: format!("{host}:{port}"),
            advertise: proxy.as_ref().map(|proxy| proxy.address().to_string()),
            bootstrap: Vec::new(),
            discovery: self.setup.discovery,
        };
        let config = dir.join("node.toml");
        fs::write(&config, place.file(setup)).expect("the directory is writable");
        let daemon = node_daemon(&dir, setup.namespace.as_ref().map(|(name, _)| name.as_str()));
        Node { name, dir, daemon, proxy, setup: setup.clone() }
    }

    /// A token for a node as `setup` says.
    #[must_use]
    pub fn token(&self, setup: &NodeSetup) -> String {
        let mut arguments = vec!["node", "token", "create"];
        if let Some(zone) = &setup.zone {
            arguments.extend(["--zone", zone]);
        }
        if !setup.needs_approval {
            arguments.push("--approved");
        }
        let answer = self.server.datamesh(&arguments).succeed().json();
        answer["token"].as_str().expect("an answer with a token").to_owned()
    }

    fn read<T: DeserializeOwned>(&self, arguments: &[&str]) -> T {
        let output = self.server.datamesh(arguments).succeed();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", output.text()))
    }

    /// `datamesh node list`.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeReport> {
        self.read::<NodeReports>(&["node", "list"]).nodes
    }

    /// `datamesh device list`.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceReport> {
        self.read::<DeviceReports>(&["device", "list"]).devices
    }

    /// The devices of a node: those whose directories are in its.
    #[must_use]
    pub fn devices_of(&self, number: usize) -> Vec<DeviceReport> {
        let dir = self.node(number).dir.clone();
        let is_here = |device: &DeviceReport| Path::new(&device.address).starts_with(&dir);
        self.devices().into_iter().filter(is_here).collect()
    }

    /// `datamesh repair status`.
    #[must_use]
    pub fn repair(&self) -> RepairReport {
        self.read(&["repair", "status"])
    }

    /// `datamesh mesh diagnose`, whatever its verdict.
    ///
    /// # Panics
    /// When it is no document.
    #[must_use]
    pub fn diagnose(&self) -> MeshReport {
        let output = self.server.datamesh(&["mesh", "diagnose"]).run();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("mesh diagnose: {error}: {}", output.text()))
    }

    /// `datamesh mesh lookup`.
    #[must_use]
    pub fn lookups(&self) -> Vec<LookupReport> {
        self.read::<LookupReports>(&["mesh", "lookup"]).lookups
    }

    /// `datamesh job list`.
    #[must_use]
    pub fn jobs(&self) -> Vec<JobReport> {
        self.read::<JobReports>(&["job", "list"]).jobs
    }

    /// Shards that metadata expect on a node's drives: `datamesh node show`.
    ///
    /// # Panics
    /// When it is not told.
    #[must_use]
    pub fn held_shards_of(&self, number: usize) -> u64 {
        let shown = self.server.datamesh(&["node", "show", &self.node(number).name]);
        let shown = shown.succeed().json();
        shown["held_shards"].as_u64().unwrap_or_else(|| panic!("not a node: {shown}"))
    }

    /// Shards of all devices of a node.
    #[must_use]
    pub fn shards_of(&self, number: usize) -> u64 {
        self.devices_of(number).iter().map(|device| device.shard_count).sum()
    }

    /// Lets the gateway listen for nodes on another port from its next start on.
    ///
    /// # Panics
    /// When its configuration cannot be changed.
    pub fn move_gateway(&self) {
        let path = self.dir.path().join("gateway.toml");
        let text = fs::read_to_string(&path).expect("a gateway has a configuration");
        let is_other = |line: &&str| !line.starts_with("mesh.listen");
        let mut lines: Vec<&str> = text.lines().filter(is_other).collect();
        let listen =
            format!("mesh.listen = [\"{0}:{1}\"]", self.setup.host, free_port(&self.setup.host));
        lines.push(&listen);
        fs::write(&path, lines.join("\n")).expect("the directory is writable");
    }

    /// Starts a node again after it was killed, stopped or ended.
    pub fn start_node(&self, number: usize) {
        self.node(number).daemon.start(&[]);
    }

    /// Ends nodes as a power cut would.
    pub fn kill_nodes(&self, numbers: &[usize]) {
        for number in numbers {
            self.node(*number).daemon.kill();
        }
    }

    /// Starts nodes and waits until they serve.
    pub fn start_nodes(&self, numbers: &[usize]) {
        let names: Vec<String> = numbers.iter().map(|n| self.node(*n).name.clone()).collect();
        for number in numbers {
            self.start_node(*number);
        }
        self.await_serving(&names);
    }

    /// Removes everything on a node's drives, which does not run.
    ///
    /// # Panics
    /// When that fails.
    pub fn wipe(&self, number: usize) {
        let node = self.node(number);
        for drive in 0..node.setup.drives {
            let path = node.dir.join(format!("drive-{drive}"));
            fs::remove_dir_all(&path).expect("a drive can be removed");
            fs::create_dir(&path).expect("a drive can be made");
        }
    }

    /// Waits until a node's line is as wanted.
    pub fn await_node(&self, name: &str, is_right: impl Fn(&NodeReport) -> bool) {
        await_true(&format!("node {name} as wanted"), READY_MAX, || {
            let nodes = self.nodes();
            nodes.iter().any(|node| node.name == name && is_right(node))
        });
    }

    /// Waits until nodes are in the layout and all their devices are online.
    ///
    /// # Panics
    /// With what the gateway and the nodes say when they do not come.
    pub fn await_serving(&self, names: &[String]) {
        let started = Instant::now();
        loop {
            let devices = self.devices();
            let online = |name: &String| {
                let dir = self.dir.path().join(name);
                let mut of_node = devices
                    .iter()
                    .filter(|device| Path::new(&device.address).starts_with(&dir))
                    .peekable();
                let is_online =
                    of_node.peek().is_some() && of_node.all(|device| device.health == "online");
                is_online && self.is_announced(name)
            };
            if names.iter().all(online) {
                return;
            }
            if started.elapsed() > READY_MAX {
                let away: Vec<_> = names.iter().filter(|name| !online(name)).collect();
                panic!("{away:?} do not serve: {:#?}\n{devices:#?}", self.nodes());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until all nodes serve.
    pub fn await_all_serving(&self) {
        let names: Vec<String> = self.nodes.lock().iter().map(|node| node.name.clone()).collect();
        self.await_serving(&names);
    }

    /// Whether a node has told the gateway since it was started where it is. Until then the gateway
    /// may still believe in the process before.
    fn is_announced(&self, name: &str) -> bool {
        let nodes = self.nodes.lock();
        let node = nodes.iter().find(|node| node.name == name);
        node.is_none_or(|node| node.daemon.log_since_start().contains("\nMember "))
    }

    /// Waits until a node's devices are noticed to be away.
    pub fn await_away(&self, numbers: &[usize]) {
        await_true(&format!("nodes {numbers:?} are seen to be away"), READY_MAX, || {
            let mut devices = numbers.iter().flat_map(|number| self.devices_of(*number));
            devices.all(|device| device.health == "offline")
        });
    }

    /// Waits until all devices are online and whole, nothing waits for repair and no job runs.
    ///
    /// # Panics
    /// When that does not come.
    pub fn await_whole(&self) -> Duration {
        self.await_whole_within(WHOLE_MAX)
    }

    /// As [`Self::await_whole`], with another bound.
    ///
    /// # Panics
    /// When that does not come.
    pub fn await_whole_within(&self, within: Duration) -> Duration {
        let started = Instant::now();
        let mut idle_since = None;
        let mut state = String::new();
        while started.elapsed() < within {
            let (devices, repair, jobs) = (self.devices(), self.repair(), self.jobs());
            let is_well = |device: &DeviceReport| device.health == "online" && !device.rebuilding;
            let is_over = jobs.iter().all(|job| job.state != "running");
            if !devices.iter().all(is_well) || !repair.idle || !is_over {
                idle_since = None;
            } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= IDLE_FOR {
                return started.elapsed().saturating_sub(IDLE_FOR);
            }
            state = format!("{repair:?} {jobs:?} {devices:#?}");
            thread::sleep(POLL_INTERVAL);
        }
        panic!("the mesh does not become whole again within {within:?}: {state}");
    }

    /// Waits until nothing waits for repair except on devices that are away.
    pub fn await_repaired(&self) -> Duration {
        let started = Instant::now();
        await_true("nothing waits for repair", WHOLE_MAX, || self.repair().queued_stripes == 0);
        started.elapsed()
    }

    /// Waits until every connected node has adopted the gateway's epoch, and returns it.
    pub fn await_one_epoch(&self) -> u64 {
        let mut epoch = 0;
        await_true("all nodes have the gateway's epoch", READY_MAX, || {
            let report = self.diagnose();
            epoch = report.epoch;
            let named: Vec<_> = report.peers.iter().filter(|peer| peer.name.is_some()).collect();
            !named.is_empty() && named.iter().all(|peer| peer.epoch == Some(epoch))
        });
        epoch
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if thread::panicking() {
            for node in &*self.nodes.lock() {
                eprintln!("--- end of the log of {}\n{}", node.name, node.daemon.log_tail());
            }
        }
    }
}

/// The process of a node with its files in `dir`, in a network namespace or not.
fn node_daemon(dir: &Path, namespace: Option<&str>) -> Daemon {
    let path = |path: PathBuf| path.display().to_string();
    let mut line = Vec::new();
    if let Some(namespace) = namespace {
        line.extend(["ip", "netns", "exec", namespace].map(str::to_owned));
    }
    line.push(path(binary()));
    line.extend(["node", "run", "--config"].map(str::to_owned));
    line.push(path(dir.join("node.toml")));
    Daemon::new(line, &dir.join("node.log"))
}

fn start_gateway(setup: &MeshSetup, dir: &Path, proxy: Option<&Proxy>) -> Server {
    let data_dir = dir.join("gateway");
    let port = free_port(&setup.host);
    let mut server = Setup::new().data_dir(&data_dir);
    for (name, value) in &setup.environment {
        server = server.environment(name, value);
    }
    if setup.is_embedded {
        let listen = format!("{}:{port}", setup.host);
        return server.arguments(&["--domain", "localhost", "--mesh", &listen]).start();
    }
    if let Some(proxy) = proxy {
        let target = format!("{}:{port}", setup.host).parse::<SocketAddr>();
        proxy.set_target(target.expect("an address and a port"));
    }
    let config = dir.join("gateway.toml");
    let text = setup.gateway_file(&data_dir, port, proxy.map(Proxy::address));
    fs::write(&config, text).expect("the directory is writable");
    let config = config.to_str().expect("the target directory's path is UTF-8");
    server.command(&["gateway", "--config", config]).start()
}

/// Waits until `holds`.
///
/// # Panics
/// When it does not within `timeout`.
pub fn await_true(what: &str, timeout: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < timeout, "not within {timeout:?}: {what}");
        thread::sleep(POLL_INTERVAL);
    }
}
