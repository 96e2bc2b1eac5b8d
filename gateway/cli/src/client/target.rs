//! Which server, and as whom: flags and environment first, then a named profile, then the data
//! directory of a server on this machine, then the profile `default`.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{args::ClientArgs, server::data_dir};

/// Environment variable with the secret; a flag would show it in the process list.
const SECRET_VAR: &str = "DATAMESH_SECRET_KEY";

/// Admin address of a server with default options.
const DEFAULT_ADMIN_URL: &str = "http://127.0.0.1:9001";

/// Where to go and what to sign in with.
pub(crate) struct Target {
    pub(crate) admin_url: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: Zeroizing<String>,
}

/// `~/.config/datamesh/config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigFile {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// `[profile.NAME]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    admin: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("admin", &self.admin).finish_non_exhaustive()
    }
}

impl Target {
    pub(crate) fn find(args: &ClientArgs) -> Result<Self> {
        // An access key and its secret come from the same place.
        let given = match (&args.admin_access_key, std::env::var(SECRET_VAR).ok()) {
            (Some(access_key), Some(secret)) => Some((access_key.clone(), secret)),
            (Some(_), None) => bail!("an access key is given but {SECRET_VAR} is not set"),
            (None, _) => None,
        };
        // Whoever says everything needs neither a profile nor a server on this machine.
        let complete = args.admin_url.is_some() && given.is_some();
        let sources = if complete { Vec::new() } else { sources(args)? };
        let kept = || {
            let mut sources = sources.iter();
            sources.find_map(|from| from.access_key.clone().zip(from.secret_key.clone()))
        };
        let (access_key, secret_key) = given.or_else(kept).context(
            "no credentials: set DATAMESH_ACCESS_KEY and DATAMESH_SECRET_KEY, name a profile, or \
             give --data DIR of a server on this machine",
        )?;
        let admin_url = args
            .admin_url
            .clone()
            .or_else(|| sources.iter().find_map(|from| from.admin.clone()))
            .unwrap_or_else(|| DEFAULT_ADMIN_URL.to_owned());
        Ok(Self { admin_url, access_key, secret_key: Zeroizing::new(secret_key) })
    }
}

/// Where to look for what flags and environment do not say. The profile `default` is the last
/// resort: whoever names a data directory means the server on it.
fn sources(args: &ClientArgs) -> Result<Vec<Profile>> {
    let mut sources = Vec::new();
    if args.profile.is_some() || args.data.is_none() {
        sources.push(profile(args.profile.as_deref())?);
    }
    if let Some(data) = &args.data {
        sources.push(local(data)?);
    }
    Ok(sources)
}

/// What a data directory tells of the server that runs on it.
fn local(data: &std::path::Path) -> Result<Profile> {
    ensure!(data.is_dir(), "--data {}: no such directory", data.display());
    let endpoints = data_dir::published_endpoints(data)?
        .with_context(|| format!("no server is running on {}", data.display()))?;
    let credentials = data_dir::stored_credentials(data)?;
    let (access_key, secret_key) =
        credentials.map(|kept| (kept.access_key, kept.secret_key)).unzip();
    Ok(Profile { admin: Some(endpoints.admin), access_key, secret_key })
}

fn config_path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))?;
    Some(base.join("datamesh/config.toml"))
}

/// The named profile, or `default` where there is one.
fn profile(name: Option<&str>) -> Result<Profile> {
    let Some(path) = config_path() else {
        return Ok(Profile::default());
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    let mut file: ConfigFile =
        toml::from_str(&text).with_context(|| format!("{}", path.display()))?;
    match (file.profile.remove(name.unwrap_or("default")), name) {
        (Some(profile), _) => Ok(profile),
        (None, None) => Ok(Profile::default()),
        (None, Some(name)) => bail!("{} has no profile {name}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_read_strictly() {
        let text = "[profile.default]\nadmin = \"http://h:1\"\naccess_key = \"a\"\n";
        let file: ConfigFile = toml::from_str(text).expect("parses");
        assert_eq!(file.profile["default"].admin.as_deref(), Some("http://h:1"));
        assert!(toml::from_str::<ConfigFile>("[profile.default]\nadmn = \"x\"\n").is_err());
    }

    #[test]
    fn debug_output_hides_secrets() {
        let profile = Profile { secret_key: Some("hush".to_owned()), ..Profile::default() };
        assert!(!format!("{profile:?}").contains("hush"));
    }
}
