//! AWS Signature Version 4 for S3.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningError,
        SigningSettings, UriPathNormalizationMode, sign,
    },
    sign::v4,
};

/// How the signature covers the body.
#[derive(Clone, Debug)]
pub(crate) enum PayloadHash {
    /// SHA-256 in hexadecimal.
    Sha256(String),
    /// Not at all.
    Unsigned,
}

/// Signs requests with one set of credentials for one region.
#[derive(Debug)]
pub(crate) struct Signer {
    credentials: Credentials,
    region: String,
}

impl Signer {
    /// Takes the credentials from the environment.
    ///
    /// # Errors
    /// When a variable is missing.
    pub(crate) fn from_environment(region: &str) -> Result<Self> {
        let needed = |name: &str| {
            std::env::var(name).ok().filter(|value| !value.is_empty()).with_context(|| {
                format!("{name} is not set; credentials come from the environment")
            })
        };
        let access_key = needed("AWS_ACCESS_KEY_ID")?;
        let secret_key = needed("AWS_SECRET_ACCESS_KEY")?;
        let token = std::env::var("AWS_SESSION_TOKEN").ok().filter(|token| !token.is_empty());
        let credentials = Credentials::from_keys(access_key, secret_key, token);
        Ok(Self { credentials, region: region.to_owned() })
    }

    /// Takes given credentials.
    pub(crate) fn new(access_key: &str, secret_key: &str, region: &str) -> Self {
        let credentials = Credentials::from_keys(access_key, secret_key, None);
        Self { credentials, region: region.to_owned() }
    }

    /// The headers that make a request signed.
    ///
    /// # Errors
    /// When the request cannot be signed, which is a mistake in its URL or headers.
    pub(crate) fn sign<'a>(
        &self,
        method: &'a str,
        url: &'a str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        payload: PayloadHash,
        time: SystemTime,
    ) -> Result<Vec<(String, String)>, SigningError> {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(time)
            .settings(settings)
            .build()
            .expect("every signing parameter is given")
            .into();
        let body = match payload {
            PayloadHash::Sha256(hash) => SignableBody::Precomputed(hash),
            PayloadHash::Unsigned => SignableBody::UnsignedPayload,
        };
        let request = SignableRequest::new(method, url, headers, body)?;
        let (instructions, _) = sign(request, &params)?.into_parts();
        let (headers, _) = instructions.into_parts();
        Ok(headers
            .into_iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned()))
            .collect())
    }
}
