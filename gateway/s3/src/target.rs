//! What a request addresses: the server, a bucket or an object, in path style or virtual-host
//! style.

use crate::{
    error::{Code, Failure, Outcome},
    percent,
};

/// The longest key S3 allows.
const KEY_LEN_BYTES_MAX: usize = 1024;

/// What a request addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The server itself.
    Service,
    /// A bucket.
    Bucket {
        /// Its name, as given.
        bucket: String,
    },
    /// An object.
    Object {
        /// Its bucket's name, as given.
        bucket: String,
        /// Its key; never empty.
        key: String,
    },
}

impl Target {
    /// The bucket's name; empty for the server.
    pub(crate) fn bucket(&self) -> &str {
        match self {
            Self::Service => "",
            Self::Bucket { bucket } | Self::Object { bucket, .. } => bucket,
        }
    }

    /// The key; empty for everything but objects.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Service | Self::Bucket { .. } => "",
            Self::Object { key, .. } => key,
        }
    }
}

/// Base domains under which buckets are host names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Domains(Vec<String>);

impl Domains {
    /// Takes base domains; letter case, a leading dot and a port do not matter.
    pub(crate) fn new(domains: &[String]) -> Self {
        let normal = |domain: &String| without_port(domain.trim_start_matches('.')).to_lowercase();
        let mut domains: Vec<String> = domains.iter().map(normal).collect();
        domains.retain(|domain| !domain.is_empty());
        // The longest first, so that the most specific domain decides.
        domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        Self(domains)
    }

    /// The bucket that a `Host` header names, if it is a name directly under a base domain.
    /// Buckets may contain dots, so everything before the base domain is the bucket.
    pub(crate) fn bucket_of(&self, host: &str) -> Option<String> {
        let host = without_port(host).to_lowercase();
        if self.0.contains(&host) {
            return None;
        }
        self.0.iter().find_map(|domain| {
            let bucket = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
            (!bucket.is_empty()).then(|| bucket.to_owned())
        })
    }
}

/// A host without its port.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Finds what a request addresses. `path` is percent-encoded.
///
/// # Errors
/// `InvalidURI` for a path that is not percent-encoded UTF-8, `KeyTooLongError`.
pub(crate) fn find(domains: &Domains, host: Option<&str>, path: &str) -> Outcome<Target> {
    let path = percent::decode(path).ok_or_else(|| Failure::new(Code::InvalidUri))?;
    let path = path.strip_prefix('/').ok_or_else(|| Failure::new(Code::InvalidUri))?;
    let virtual_bucket = host.and_then(|host| domains.bucket_of(host));
    let (bucket, key) = match virtual_bucket {
        Some(bucket) => (bucket, path),
        None => {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            (bucket.to_owned(), key)
        }
    };
    if key.len() > KEY_LEN_BYTES_MAX {
        return Err(Failure::new(Code::KeyTooLong)
            .detail("Size", key.len().to_string())
            .detail("MaxSizeAllowed", KEY_LEN_BYTES_MAX.to_string()));
    }
    Ok(match (bucket.is_empty(), key.is_empty()) {
        (true, true) => Target::Service,
        (true, false) => return Err(Failure::new(Code::InvalidBucketName)),
        (false, true) => Target::Bucket { bucket },
        (false, false) => Target::Object { bucket, key: key.to_owned() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str) -> Target {
        Target::Object { bucket: bucket.to_owned(), key: key.to_owned() }
    }

    fn path_style(path: &str) -> Target {
        find(&Domains::default(), Some("127.0.0.1:9000"), path).unwrap()
    }

    #[test]
    fn path_style_keeps_every_byte_of_the_key() {
        assert_eq!(path_style("/"), Target::Service);
        assert_eq!(path_style("/b"), Target::Bucket { bucket: "b".into() });
        assert_eq!(path_style("/b/"), Target::Bucket { bucket: "b".into() });
        assert_eq!(path_style("/b//a/../c"), object("b", "/a/../c"));
        assert_eq!(path_style("/b/a%2Fb%20+%E2%82%AC/"), object("b", "a/b +€/"));
    }

    #[test]
    fn virtual_host_style_takes_the_bucket_from_the_host() {
        let domains = Domains::new(&["S3.example.com".into(), ".example.com:9000".into()]);
        let at = |host: &str, path: &str| find(&domains, Some(host), path).unwrap();
        assert_eq!(at("b.s3.example.com:9000", "/k"), object("b", "k"));
        assert_eq!(at("a.b.s3.example.com", "//k"), object("a.b", "/k"));
        assert_eq!(at("x.example.com", "/k"), object("x", "k"));
        assert_eq!(at("s3.example.com", "/b/k"), object("b", "k"));
        assert_eq!(at("other.org", "/b/k"), object("b", "k"));
        assert_eq!(at("[::1]:9000", "/b/k"), object("b", "k"));
    }

    #[test]
    fn bad_paths_are_refused() {
        let failure = |path: &str| find(&Domains::default(), None, path).unwrap_err().code();
        assert_eq!(failure("*"), Code::InvalidUri);
        assert_eq!(failure("/b/%ff"), Code::InvalidUri);
        assert_eq!(failure("//k"), Code::InvalidBucketName);
        assert_eq!(failure(&format!("/b/{}", "k".repeat(1025))), Code::KeyTooLong);
    }
}
