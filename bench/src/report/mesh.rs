//! A mesh of our own: a gateway and six nodes, each a process with a directory of its own.
//!
//! Invariants: as for a single server.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::server::{self, Running, Server};

/// Nodes, one for each shard of 4+2, with a drive each.
const NODES: usize = 6;
/// How long the nodes may take to join and come up.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A gateway and its nodes.
#[derive(Debug)]
pub(crate) struct MeshServers {
    gateway: Server,
    nodes: Vec<Running>,
}

impl MeshServers {
    /// Starts all of them below `directory` and waits until every node's drive is online.
    ///
    /// # Errors
    /// When one does not start or join, with the end of its log.
    pub(crate) async fn start(program: &Path, directory: &Path) -> Result<Self> {
        fs::create_dir(directory).context("cannot make the mesh's directory")?;
        let data = directory.join("gateway");
        let config = directory.join("gateway.toml");
        let text = format!(
            "data = {data:?}\ns3 = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nlog = \"warn\"\n\
             [mesh]\nlisten = [\"127.0.0.1:0\"]\n"
        );
        fs::write(&config, text)?;
        let arguments = ["gateway".into(), "--config".into(), config.into_os_string()];
        let gateway = Server::start_with(program, &arguments, &data).await?;
        let mut nodes = Vec::with_capacity(NODES);
        for node in 0..NODES {
            nodes.push(start_node(program, &data, directory, node).await?);
        }
        let mesh = Self { gateway, nodes };
        mesh.wait_until_online(program, &data).await?;
        Ok(mesh)
    }

    /// The gateway.
    pub(crate) fn gateway(&self) -> &Server {
        &self.gateway
    }

    /// Process ids of the nodes.
    pub(crate) fn node_pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Running::pid).collect()
    }

    /// Asks all to end and waits.
    ///
    /// # Errors
    /// When one had to be killed, or ended with an error.
    pub(crate) async fn stop(self) -> Result<()> {
        self.gateway.stop().await?;
        for node in self.nodes {
            node.stop().await?;
        }
        Ok(())
    }

    async fn wait_until_online(&self, program: &Path, data: &Path) -> Result<()> {
        let deadline = Instant::now() + JOIN_TIMEOUT;
        loop {
            let printed = administer(program, data, &["device", "list", "--json"]).await?;
            let list: DeviceList = serde_json::from_str(&printed)?;
            let online = list.devices.iter().filter(|device| device.health == "online").count();
            if online == NODES {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{online} of {NODES} nodes came up: {printed}");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

#[derive(Debug, Deserialize)]
struct DeviceList {
    devices: Vec<Device>,
}

#[derive(Debug, Deserialize)]
struct Device {
    health: String,
}

async fn start_node(
    program: &Path,
    gateway_data: &Path,
    directory: &Path,
    number: usize,
) -> Result<Running> {
    let name = format!("node-{number}");
    let make = ["node", "token", "create", "--zone", &name, "--name", &name, "--approved"];
    let token = administer(program, gateway_data, &make).await?;
    let data: PathBuf = directory.join(&name);
    let drive = directory.join(format!("{name}-drive"));
    fs::create_dir(&drive)?;
    let mut arguments: Vec<std::ffi::OsString> = ["node", "run"].map(Into::into).into();
    for (flag, value) in [("--data", data.as_os_str()), ("--drive", drive.as_os_str())] {
        arguments.extend([flag.into(), value.to_owned()]);
    }
    arguments.extend(
        ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "warn"].map(Into::into),
    );
    arguments.extend(["--name".into(), name.into(), "--join".into(), token.trim().into()]);
    Running::start(program, &arguments, &data)
}

/// Runs an administrative command against the gateway with this data directory.
async fn administer(program: &Path, data: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    server::without_our_environment(&mut command);
    let output = command
        .args(words)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("datamesh {} failed: {stderr}", words.join(" "));
    }
    Ok(String::from_utf8(output.stdout)?)
}
