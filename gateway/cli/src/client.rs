//! A client of the admin API.

mod target;
mod transport;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use gateway_admin::wire;
use http::{Method, StatusCode};
use serde::{Serialize, de::DeserializeOwned};

use self::{target::Target, transport::Transport};
use crate::args::ClientArgs;

/// A signed-in client. Every command makes one, uses it, and drops it.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    transport: Transport,
    token: String,
}

impl Client {
    /// Finds the server and signs in.
    pub(crate) fn connect(args: &ClientArgs) -> Result<Self> {
        let target = Target::find(args)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let transport = Transport::new(&target.admin_url)?;
        let sign_in = wire::SignIn {
            access_key_id: target.access_key,
            secret_access_key: target.secret_key.to_string(),
        };
        let body = serde_json::to_vec(&sign_in)?;
        let answer = runtime.block_on(transport.send(Method::POST, "/session", None, Some(body)));
        let session: wire::Session = parse(answer?).context("cannot sign in")?;
        Ok(Self { runtime, transport, token: session.token })
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Bytes)> {
        self.runtime.block_on(self.transport.send(method, path, Some(&self.token), body))
    }

    /// Reads a document.
    pub(crate) fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A> {
        parse(self.call(Method::GET, path, None)?)
    }

    /// Sends a document.
    pub(crate) fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A> {
        parse(self.call(Method::POST, path, Some(serde_json::to_vec(body)?))?)
    }

    /// Replaces a document.
    pub(crate) fn put<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A> {
        parse(self.call(Method::PUT, path, Some(serde_json::to_vec(body)?))?)
    }

    /// Asks for something that needs no document.
    pub(crate) fn post_empty<A: DeserializeOwned>(&self, path: &str) -> Result<A> {
        parse(self.call(Method::POST, path, None)?)
    }

    /// Deletes a resource.
    pub(crate) fn delete(&self, path: &str) -> Result<()> {
        let (status, body) = self.call(Method::DELETE, path, None)?;
        if status.is_success() { Ok(()) } else { Err(failure(status, &body)) }
    }
}

fn parse<A: DeserializeOwned>((status, body): (StatusCode, Bytes)) -> Result<A> {
    if !status.is_success() {
        return Err(failure(status, &body));
    }
    serde_json::from_slice(&body).context("the server's answer cannot be understood")
}

fn failure(status: StatusCode, body: &[u8]) -> anyhow::Error {
    match serde_json::from_slice::<wire::Failure>(body) {
        Ok(failure) => anyhow!("{}", failure.error.message),
        Err(_) => anyhow!("the server answered {status}; is this its admin address?"),
    }
}

/// One path segment: everything but unreserved characters is percent-encoded.
pub(crate) fn segment(name: &str) -> Result<String> {
    if name.is_empty() {
        bail!("the name is empty");
    }
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(segment("a/../b").expect("encodes"), "a%2F%2E%2E%2Fb");
        assert_eq!(segment("ops@example").expect("encodes"), "ops%40example");
        assert!(segment("").is_err());
    }
}
