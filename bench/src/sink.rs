//! An HTTP server that keeps nothing: what transport alone allows on this machine.
//!
//! Bodies of PUT are read and dropped; GET answers the content that the load generator expects of
//! the key, so that it can verify what it reads. Nothing is authenticated, parsed or stored.
//!
//! Invariants:
//! - it runs on threads of its own, as many as a server process would have, and never on those of
//!   the clients;
//! - it stops, and its threads end, when the [`Sink`] is dropped.
//!
//! *Limits:* one task per connection of our own clients; no body is held longer than a frame.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot, task::JoinSet};

use crate::load::{Pattern, RequestBody};

/// The running server.
#[derive(Debug)]
pub(crate) struct Sink {
    address: SocketAddr,
    /// Dropped to stop it.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// What every object read from the sink holds.
#[derive(Clone, Debug)]
struct Objects {
    pattern: Pattern,
    len_bytes: u64,
}

impl Sink {
    /// Starts to answer on a free port of the loopback interface, as if every key held an object
    /// of `len_bytes` written under `seed`.
    ///
    /// # Errors
    /// When there is no port or no thread.
    pub(crate) fn start(seed: u64, len_bytes: u64) -> Result<Self> {
        let objects = Objects { pattern: Pattern::new(seed), len_bytes };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("sink")
            .build()
            .context("cannot start the runtime of the sink")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sink-main".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        () = serve(listener, objects) => {}
                        _ = stopped => {}
                    }
                });
            })
            .context("cannot start the thread of the sink")?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: the clients saw broken connections and said so.
            let _ = thread.join();
        }
    }
}

async fn serve(listener: std::net::TcpListener, objects: Objects) {
    let listener = TcpListener::from_std(listener).expect("a listener that does not block");
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                // Without it small answers wait for the client's acknowledgement.
                let _ = stream.set_nodelay(true);
                let objects = objects.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(objects.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new();
                    // A client that goes away is no event here.
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(
    objects: Objects,
    request: Request<Incoming>,
) -> Result<Response<RequestBody>, Infallible> {
    let nothing = || Either::Right(Full::new(Bytes::new()));
    let (head, mut body) = request.into_parts();
    while let Some(Ok(frame)) = body.frame().await {
        drop(frame);
    }
    let response = match head.method {
        Method::GET => {
            // Behind the bucket, as in any path-style request.
            let key = head.uri.path().splitn(3, '/').nth(2).unwrap_or_default();
            let content = objects.pattern.content(key, objects.len_bytes);
            Response::new(Either::Left(content.body(0, objects.len_bytes)))
        }
        Method::HEAD => {
            let mut response = Response::new(nothing());
            response.headers_mut().insert(header::CONTENT_LENGTH, objects.len_bytes.into());
            response
        }
        _ => Response::new(nothing()),
    };
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        args::LoadArgs,
        interrupt::Interrupt,
        load::{Plan, Report, Signer},
    };

    async fn load(sink: &Sink, line: &str) -> Report {
        let url = sink.url();
        let fixed = ["--endpoint", &url, "--warm-up", "0s", "--reuse", "--keep"];
        let args = LoadArgs::from_words(line.split(' ').chain(fixed)).unwrap();
        let plan = Plan::new(args, Signer::new("key", "secret", "us-east-1")).unwrap();
        let interrupt = Interrupt::listen();
        plan.prepare(&interrupt.stop()).await.unwrap();
        plan.measure(&interrupt.stop()).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_read_from_the_sink_is_what_the_load_generator_expects() {
        let sink = Sink::start(1, 300_000).unwrap();
        for line in ["put --count 9", "get --count 9", "stat --count 9"] {
            let report = load(&sink, &format!("{line} --size 300000 --objects 5")).await;
            assert!(report.is_good() && report.errors.is_empty(), "{line}: {report:?}");
        }
    }

    #[tokio::test]
    async fn another_seed_is_told_from_the_right_one() {
        let sink = Sink::start(2, 4096).unwrap();
        let report = load(&sink, "get --count 3 --size 4096 --objects 5").await;
        assert_eq!(report.wrong_reads, 3);
    }
}
