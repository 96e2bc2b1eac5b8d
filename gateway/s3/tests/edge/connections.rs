//! Connections: keep-alive, HTTP/2, TLS, timeouts, limits, draining.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gateway_s3::{S3EdgeConfig, TlsConfig};
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::harness::{Answer, Edge, exchange, read_to_end};

fn short(millis: u64) -> S3EdgeConfig {
    S3EdgeConfig {
        header_read_timeout: Duration::from_millis(millis),
        body_progress_timeout: Duration::from_millis(millis),
        ..S3EdgeConfig::default()
    }
}

#[tokio::test]
async fn client_is_told_to_go_on_only_when_it_is_let_in() {
    let edge = Edge::start().await;
    let put = edge.put("k").header("expect", "100-continue").payload_hash("UNSIGNED-PAYLOAD");
    let mut refused = put.clone().signed_by(("nosuchkey", "s")).begin(4).await;
    let mut head = [0; 12];
    refused.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 403");
    let mut welcome = put.begin(4).await;
    let mut head = [0; 25];
    welcome.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
    welcome.write_all(b"data").await.unwrap();
    welcome.read_exact(&mut head[..12]).await.unwrap();
    assert_eq!(&head[..12], b"HTTP/1.1 200");
}

#[tokio::test]
async fn refused_before_its_body_the_client_is_told_that_the_connection_ends() {
    let edge = Edge::start().await;
    let put = edge.put("/nosuchbucket/k").header("expect", "100-continue");
    let mut stream = put.payload_hash("UNSIGNED-PAYLOAD").begin(4).await;
    // Without the announcement a client sends its next request here, and its first bytes would be
    // taken for the body that it did not send.
    let rest = read_to_end(&mut stream).await;
    assert!(rest.starts_with("HTTP/1.1 404"), "{rest}");
    assert!(rest.contains("connection: close\r\n"), "{rest}");
}

#[tokio::test]
async fn connection_lives_on_after_a_refused_body() {
    let edge = Edge::start().await;
    let put = edge.put("/nosuchbucket/k").payload_hash("UNSIGNED-PAYLOAD");
    let mut stream = put.begin(200_000).await;
    stream.write_all(&[7; 200_000]).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 404");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let rest = read_to_end(&mut stream).await;
    assert!(rest.contains("HTTP/1.1 403"), "{rest}");
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let edge = Edge::start_with(short(100), None).await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let rest = read_to_end(&mut stream).await;
    assert!(!rest.contains("200"), "{rest}");
}

#[tokio::test]
async fn body_without_progress_times_out() {
    let edge = Edge::start_with(short(200), None).await;
    let put = edge.put("k").payload_hash("UNSIGNED-PAYLOAD");
    let mut stream = put.begin(1000).await;
    stream.write_all(b"only this").await.unwrap();
    let mut text = vec![0; 12];
    stream.read_exact(&mut text).await.unwrap();
    let text = String::from_utf8(text).unwrap() + &read_to_end(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert!(text.contains("<Code>RequestTimeout</Code>"), "{text}");
}

#[tokio::test]
async fn body_that_drips_in_times_out() {
    let config = S3EdgeConfig { body_bytes_per_second_min: 1 << 20, ..short(400) };
    let edge = Edge::start_with(config, None).await;
    let put = edge.put("k").payload_hash("UNSIGNED-PAYLOAD");
    let (mut receiver, mut sender) = put.begin(100_000).await.into_split();
    let drip = async {
        // Never still for as long as the timeout.
        while sender.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut head = vec![0; 12];
    tokio::select! {
        () = drip => panic!("the connection ended without an answer"),
        read = receiver.read_exact(&mut head) => { read.unwrap(); }
    }
    assert_eq!(head, b"HTTP/1.1 400");
    edge.head("k").send().await.expect_status(404);
}

#[tokio::test]
async fn connections_are_capped_and_wait_their_turn() {
    let config = S3EdgeConfig { connections_max: 1, ..S3EdgeConfig::default() };
    let edge = Edge::start_with(config, None).await;
    let first = TcpStream::connect(edge.address).await.unwrap();
    // Served already: the edge answers on it, so it holds the only place.
    let (first, _) = ask_plainly(first).await;
    let second = TcpStream::connect(edge.address).await.unwrap();
    let waiting = ask_plainly(second);
    let mut waiting = std::pin::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "served beyond the cap");
    drop(first);
    let (_, text) = waiting.await;
    assert!(text.starts_with("HTTP/1.1 403"), "{text}");
}

/// One anonymous request, kept alive, and the start of its answer.
async fn ask_plainly(mut stream: TcpStream) -> (TcpStream, String) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    (stream, String::from_utf8_lossy(&head).into_owned())
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_closes_idle_connections() {
    let mut edge = Edge::start().await;
    let idle = TcpStream::connect(edge.address).await.unwrap();
    let (mut idle, _) = ask_plainly(idle).await;
    let mut busy = edge.put("k").payload_hash("UNSIGNED-PAYLOAD").begin(4).await;
    busy.write_all(b"da").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    edge.begin_to_stop();
    let _ = read_to_end(&mut idle).await;
    busy.write_all(b"ta").await.unwrap();
    let answer = read_to_end(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    edge.stopped().await;
    TcpStream::connect(edge.address).await.unwrap_err();
}

#[tokio::test]
async fn shutdown_cuts_off_what_does_not_finish() {
    let config =
        S3EdgeConfig { drain_timeout: Duration::from_millis(100), ..S3EdgeConfig::default() };
    let edge = Edge::start_with(config, None).await;
    let mut busy = edge.put("k").payload_hash("UNSIGNED-PAYLOAD").begin(4).await;
    busy.write_all(b"da").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    edge.stop().await;
    let answer = read_to_end(&mut busy).await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn http_2_is_spoken() {
    let edge = Edge::start().await;
    edge.store("k", "data").await;
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let target = edge.get("k").presigned().into_target();
    let request = Request::get(format!("http://{}{target}", edge.address));
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let answer = async {
        let response = sender.send_request(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    };
    tokio::select! {
        (status, body) = answer => {
            assert_eq!((status.as_u16(), body), (200, Bytes::from("data")));
        }
        ended = connection => panic!("{ended:?}"),
    }
}

/// A certificate for `localhost`, made for this test and valid until 2126.
const CERTIFICATE: &str = include_str!("localhost.crt");
const KEY: &str = include_str!("localhost.key");

#[tokio::test]
async fn tls_is_spoken_and_the_certificate_can_be_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let paths = (dir.path().join("crt.pem"), dir.path().join("key.pem"));
    std::fs::write(&paths.0, CERTIFICATE).unwrap();
    std::fs::write(&paths.1, KEY).unwrap();
    let tls = TlsConfig::load(&paths.0, &paths.1).unwrap();
    let edge = Edge::start_tls(tls.clone()).await;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(edge.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, stream).await.unwrap();
    let request = edge.get("/").into_request();
    let answer = Answer::new("GET /".to_owned(), exchange(stream, request).await);
    answer.expect_status(200);
    tls.reload().unwrap();
    std::fs::write(&paths.0, "no certificate").unwrap();
    tls.reload().unwrap_err();
    std::fs::write(&paths.0, CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY")).unwrap();
    tls.reload().unwrap_err();
}
