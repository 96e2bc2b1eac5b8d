//! `gateway.toml`.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;

use super::{
    DriveSection, MeshSection,
    quantity::{ByteRate, ByteSize, Span},
};
use crate::{
    args::{
        LogFormat, access_log::interval_in_range, client_timeout_in_range, lifecycle_day_in_range,
        memory_limit_in_range,
    },
    server::{DriveChoice, Placement, Settings, TlsFiles, Website},
};

/// Where a gateway listens for the mesh unless told otherwise.
const MESH_LISTEN_DEFAULT: &str = "0.0.0.0:9002";

/// Where S3 is served unless told otherwise.
const S3_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9000);

/// Where the admin API is served unless told otherwise.
const ADMIN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9001);

/// What a gateway logs unless told otherwise.
const LOG_DEFAULT: &str = "info,s3s=off,libp2p_kad=error,libp2p_swarm=warn";

/// Least `move_rate`: slower and a drain does not end.
const MOVE_BYTES_PER_SECOND_MIN: u64 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayFile {
    data: PathBuf,
    s3: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    #[serde(default)]
    domains: Vec<String>,
    website: Option<SocketAddr>,
    #[serde(default)]
    website_domains: Vec<String>,
    region: Option<String>,
    #[serde(default)]
    allow_signature_v2: bool,
    #[serde(default)]
    allow_sse_c_over_http: bool,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    memory_limit: Option<ByteSize>,
    client_timeout: Option<Span>,
    access_log_interval: Option<Span>,
    lifecycle_day: Option<Span>,
    #[serde(default)]
    log_format: LogFormat,
    log: Option<String>,
    #[serde(default)]
    drive: Vec<DriveSection>,
    #[serde(default)]
    mesh: MeshSection,
    #[serde(default)]
    placement: PlacementSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PlacementSection {
    read: Option<ReadName>,
    availability_floor: Option<f64>,
    move_rate: Option<ByteRate>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReadName {
    RoundRobin,
    LeastLoaded,
    Nearest,
}

/// What a gateway's configuration file says.
pub(crate) fn load(path: &Path) -> Result<Settings> {
    let (file, base): (GatewayFile, PathBuf) = super::read(path)?;
    settings(file, &base).with_context(|| format!("configuration file {}", path.display()))
}

fn settings(file: GatewayFile, base: &Path) -> Result<Settings> {
    let tls = match (file.tls_cert, file.tls_key) {
        (Some(certificate), Some(key)) => {
            Some(TlsFiles { certificate: base.join(certificate), key: base.join(key) })
        }
        (None, None) => None,
        _ => bail!("tls_cert and tls_key are given together or not at all"),
    };
    let website = match (file.website, file.website_domains) {
        (Some(listen), domains) => Some(Website { listen, domains }),
        (None, domains) if domains.is_empty() => None,
        (None, _) => bail!("website_domains need website"),
    };
    let drives: Vec<_> =
        file.drive.into_iter().map(|drive| drive.resolve(base)).collect::<Result<_>>()?;
    let defaults = Settings::new(base.join(file.data), DriveChoice::Named(drives));
    let named = |name: &'static str| move |error: String| anyhow!("{name}: {error}");
    let memory_limit = file.memory_limit.map(|size| memory_limit_in_range(size.0)).transpose();
    let client_timeout = file.client_timeout.map(|span| client_timeout_in_range(span.0));
    let client_timeout = client_timeout.transpose().map_err(named("client_timeout"))?;
    let access_log_interval = file.access_log_interval.map(|span| interval_in_range(span.0));
    let access_log_interval =
        access_log_interval.transpose().map_err(named("access_log_interval"))?;
    let lifecycle_day = file.lifecycle_day.map(|span| lifecycle_day_in_range(span.0));
    let lifecycle_day = lifecycle_day.transpose().map_err(named("lifecycle_day"))?;
    Ok(Settings {
        s3: file.s3.unwrap_or(S3_DEFAULT),
        admin: file.admin.unwrap_or(ADMIN_DEFAULT),
        domains: file.domains,
        website,
        region: file.region.unwrap_or(defaults.region),
        allow_signature_v2: file.allow_signature_v2,
        allow_sse_c_over_http: file.allow_sse_c_over_http,
        tls,
        memory_limit_bytes: memory_limit
            .map_err(named("memory_limit"))?
            .unwrap_or(defaults.memory_limit_bytes),
        client_timeout: client_timeout.unwrap_or(defaults.client_timeout),
        access_log_interval: access_log_interval.unwrap_or(defaults.access_log_interval),
        lifecycle_day: lifecycle_day.unwrap_or(defaults.lifecycle_day),
        log_format: file.log_format,
        log: file.log.unwrap_or_else(|| LOG_DEFAULT.to_owned()),
        mesh: Some(file.mesh.options(MESH_LISTEN_DEFAULT)?),
        placement: file.placement.resolve()?,
        ..defaults
    })
}

impl PlacementSection {
    fn resolve(self) -> Result<Placement> {
        let defaults = Placement::default();
        let availability_floor = self.availability_floor.unwrap_or(defaults.availability_floor);
        ensure!(
            (0.0..=1.0).contains(&availability_floor),
            "placement.availability_floor is from 0 to 1"
        );
        let move_bytes_per_second =
            self.move_rate.map_or(defaults.move_bytes_per_second, |rate| rate.0);
        ensure!(
            move_bytes_per_second >= MOVE_BYTES_PER_SECOND_MIN,
            "placement.move_rate: at least 1MiB/s is needed"
        );
        let read = match self.read {
            Some(ReadName::RoundRobin) => gateway_object::ReadStrategy::RoundRobin,
            Some(ReadName::LeastLoaded) => gateway_object::ReadStrategy::LeastLoaded,
            Some(ReadName::Nearest) => gateway_object::ReadStrategy::Nearest,
            None => defaults.read,
        };
        Ok(Placement { read, availability_floor, move_bytes_per_second })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("gateway.toml");
        std::fs::write(&path, text).expect("writes");
        load(&path)
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", parse(text).expect_err("refused"))
    }

    #[test]
    fn the_shipped_example_loads() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/examples/gateway.toml");
        let settings = load(Path::new(path)).expect("loads");
        let mesh = settings.mesh.expect("a gateway has a mesh");
        assert_eq!(mesh.listen, [MESH_LISTEN_DEFAULT]);
        assert_eq!(settings.s3, S3_DEFAULT);
        let DriveChoice::Named(drives) = settings.drives else { panic!("no drives of its own") };
        assert!(drives.is_empty());
    }

    #[test]
    fn what_a_file_leaves_out_is_as_for_a_server() {
        let settings = parse("data = 'd'").expect("loads");
        assert_eq!(settings.memory_limit_bytes, 1 << 30);
        assert_eq!(settings.region, "us-east-1");
        assert!(settings.website.is_none());
        assert_eq!(settings.client_timeout, std::time::Duration::from_secs(60));
    }

    #[test]
    fn websites_have_an_address_and_domains() {
        let settings = parse("data = 'd'\nwebsite = '0.0.0.0:80'\nwebsite_domains = ['w']");
        let website = settings.expect("loads").website.expect("on");
        assert_eq!((website.listen.port(), website.domains), (80, vec!["w".to_owned()]));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(refusal("").contains("data"));
        assert!(refusal("data = 'd'\nmem = 1").contains("mem"));
        assert!(refusal("data = 'd'\nmemory_limit = '1MiB'").contains("memory_limit"));
        assert!(refusal("data = 'd'\nclient_timeout = '2h'").contains("1s to 1h"));
        assert!(refusal("data = 'd'\naccess_log_interval = '0s'").contains("1s to 24h"));
        assert!(refusal("data = 'd'\nlifecycle_day = '25h'").contains("1s to 24h"));
        assert!(refusal("data = 'd'\ntls_cert = 'c.pem'").contains("together"));
        assert!(refusal("data = 'd'\nwebsite_domains = ['w']").contains("website"));
        assert!(refusal("data = 'd'\n[placement]\navailability_floor = 2").contains("from 0 to 1"));
        assert!(refusal("data = 'd'\n[placement]\nmove_rate = '1KiB/s'").contains("move_rate"));
        assert!(refusal("data = 'd'\n[placement]\nread = 'random'").contains("random"));
    }
}
