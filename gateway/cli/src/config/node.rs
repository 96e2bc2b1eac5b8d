//! `node.toml`, and the flags that override it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use node_server::{DriveSpec, MeshOptions, NodeConfig, NodeName};
use serde::Deserialize;

use super::{DriveSection, MeshSection};
use crate::args::{LogFormat, NodeRunArgs};

/// Where a node listens for the mesh unless told otherwise: beside a gateway on the same machine.
const LISTEN_DEFAULT: &str = "0.0.0.0:9003";

/// Where a node tells its health unless told otherwise.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9004);

/// What a node logs unless told otherwise.
const LOG_DEFAULT: &str = "info,libp2p_kad=error,libp2p_swarm=warn";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NodeFile {
    data: Option<PathBuf>,
    name: Option<String>,
    admin: Option<SocketAddr>,
    log_format: Option<LogFormat>,
    log: Option<String>,
    drive: Vec<DriveSection>,
    mesh: MeshSection,
}

/// What `datamesh node run` does.
#[derive(Debug)]
pub(crate) struct NodeSettings {
    /// What the node is started with.
    pub(crate) node: NodeConfig,
    /// Where health and metrics are told.
    pub(crate) admin: SocketAddr,
    /// How the log is written.
    pub(crate) log_format: LogFormat,
    /// What is logged.
    pub(crate) log: String,
}

impl NodeSettings {
    /// What the file says, if there is one, overridden by the flags.
    pub(crate) fn load(args: NodeRunArgs) -> Result<Self> {
        let (file, base): (NodeFile, PathBuf) = match &args.config {
            Some(path) => super::read(path)?,
            None => Default::default(),
        };
        let Some(data) = args.data.or_else(|| file.data.map(|data| base.join(data))) else {
            bail!(
                "where is the node's data directory? Name it with --data DIR or in --config FILE"
            );
        };
        let mut drives: Vec<DriveSpec> = match args.drives.is_empty() {
            true => file.drive.into_iter().map(|d| d.resolve(&base)).collect::<Result<_>>()?,
            false => args.drives.into_iter().map(whole_drive).collect(),
        };
        for drive in &mut drives {
            drive.capacity_bytes = drive.capacity_bytes.or(args.drive_capacity);
        }
        let name = match args.name.or(file.name) {
            Some(name) => name,
            None => host_name()?,
        };
        let token = args.join.map(|text| text.parse()).transpose().context("--join")?;
        Ok(Self {
            node: NodeConfig {
                data,
                name: name.parse::<NodeName>()?,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                drives,
                mesh: mesh_options(file.mesh, args.listen, args.advertise)?,
                token,
            },
            admin: args.admin.or(file.admin).unwrap_or(ADMIN_DEFAULT),
            log_format: args.log_format.or(file.log_format).unwrap_or_default(),
            log: args.log.or(file.log).unwrap_or_else(|| LOG_DEFAULT.to_owned()),
        })
    }
}

fn whole_drive(path: PathBuf) -> DriveSpec {
    DriveSpec { path, capacity_bytes: None }
}

fn mesh_options(
    mut section: MeshSection,
    listen: Vec<String>,
    advertise: Vec<String>,
) -> Result<MeshOptions> {
    if !listen.is_empty() {
        section.listen = Some(listen);
    }
    if !advertise.is_empty() {
        section.advertise = advertise;
    }
    section.options(LISTEN_DEFAULT)
}

/// The machine's name, up to its first dot.
fn host_name() -> Result<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    let short = name.split('.').next().unwrap_or_default().to_owned();
    match short.is_empty() {
        true => bail!("this machine has no name: name the node with --name"),
        false => Ok(short),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, args: NodeRunArgs) -> Result<NodeSettings> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("node.toml");
        std::fs::write(&path, text).expect("writes");
        NodeSettings::load(NodeRunArgs { config: Some(path), ..args })
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", load(text, NodeRunArgs::default()).expect_err("refused"))
    }

    #[test]
    fn the_shipped_example_loads() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/node.toml");
        let args = NodeRunArgs { config: Some(path.into()), ..NodeRunArgs::default() };
        let settings = NodeSettings::load(args).expect("loads");
        assert_eq!(settings.node.drives.len(), 2);
        assert_eq!(settings.node.drives[1].capacity_bytes, Some(500 << 30));
        assert_eq!(settings.node.mesh.listen, [LISTEN_DEFAULT]);
        assert_eq!(settings.admin, ADMIN_DEFAULT);
    }

    #[test]
    fn flags_override_the_file() {
        let args = NodeRunArgs {
            name: Some("two".to_owned()),
            drives: vec!["/mnt/b".into()],
            listen: vec!["127.0.0.1:0".to_owned()],
            ..NodeRunArgs::default()
        };
        let text = "data = 'd'\nname = 'one'\n[[drive]]\npath = '/mnt/a'\n";
        let settings = load(text, args).expect("loads").node;
        assert_eq!(settings.name.as_str(), "two");
        assert_eq!(settings.drives[0].path, PathBuf::from("/mnt/b"));
        assert_eq!(settings.mesh.listen, ["127.0.0.1:0"]);
        assert!(settings.data.is_absolute() && settings.data.ends_with("d"));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refusal("").contains("--data"));
        assert!(refusal("data = 'd'\ndirve = 1").contains("dirve"));
        assert!(refusal("data = 'd'\nname = 'a b'").contains("no name of a node"));
        assert!(refusal("data = 'd'\n[mesh]\nbudget = '1MiB'").contains("at least 16 MiB"));
        assert!(refusal("data = 'd'\n[mesh]\nsecurity = 'none'").contains("none"));
        let small = "data = 'd'\n[[drive]]\npath = '/a'\ncapacity = '1MiB'";
        assert!(refusal(small).contains("at least 64 MiB"));
        let args = NodeRunArgs { join: Some("dm1.x".to_owned()), ..NodeRunArgs::default() };
        let error = format!("{:#}", load("data = 'd'", args).expect_err("refused"));
        assert!(error.contains("not a join token"), "{error}");
    }
}
