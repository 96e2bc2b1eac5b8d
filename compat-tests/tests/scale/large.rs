//! One very large object, uploaded in parts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use compat_tests::payload;
use compat_tests::server::Server;
use parking_lot::Mutex;

use crate::from_environment;
use crate::observed::{is_idle, peak_memory, used_bytes, wait_until};

/// What each part has. Chosen: 160 of them make 10 GiB.
const PART_LEN: usize = 64 << 20;

/// Parts uploaded at once. Chosen: what clients do.
const UPLOADERS: usize = 4;

/// What `--memory-limit` is here, and memory the server may take beside it. Chosen: as for the
/// small objects; the object is many times as large.
const MEMORY_LIMIT: &str = "256MiB";
const PEAK_MEMORY_MAX: u64 = (256 + 512) << 20;

/// How long reclamation may take. Chosen: freeing whole segments moves little.
const RECLAIM_MAX: Duration = Duration::from_secs(120);

/// Bytes that an empty server may keep: as for the small objects.
const EMPTY_USED_MAX: u64 = 1 << 30;

/// How long the server may be silent while it sends the object. Chosen.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

#[test]
fn one_large_object_costs_no_more_memory_than_a_small_one() {
    let gibibytes = from_environment("DATAMESH_SCALE_LARGE_GIB", 0);
    let parts = (gibibytes * ((1 << 30) / PART_LEN as u64)).max(4);
    let server = Server::start(&["--memory-limit", MEMORY_LIMIT]);
    let bucket = server.new_bucket("large");
    let target = format!("/{bucket}/large");

    let started = Instant::now();
    upload(&server, &target, parts);
    eprintln!("{parts} parts of 64 MiB uploaded in {:.1?}", started.elapsed());
    let started = Instant::now();
    read_back(&server, &target, parts);
    eprintln!("read back identical in {:.1?}", started.elapsed());
    let peak = peak_memory(&server);
    eprintln!("peak memory {peak} bytes at a limit of {MEMORY_LIMIT}");
    assert!(peak < PEAK_MEMORY_MAX, "{peak} bytes of memory");

    server.kill();
    server.start_again();
    let last = (parts - 1) * PART_LEN as u64;
    let range = format!("bytes={}-{}", last - 100, last + 99);
    let across = server.wire().get(&target).header("range", &range).send().status_is(206);
    let [before, after] = [part(parts - 2), part(parts - 1)];
    assert!(across.body == [&before[PART_LEN - 100..], &after[..100]].concat(), "{range} differs");

    server.wire().delete(&target).send().expect_status(204);
    wait_until("reclamation", RECLAIM_MAX, || is_idle(&server));
    wait_until("space given back", RECLAIM_MAX, || used_bytes(&server) < EMPTY_USED_MAX);
}

/// The content of the part at `index`: the same bytes for every fourth, so that making them does
/// not cost more than sending them, with its own number in front.
fn part(index: u64) -> Vec<u8> {
    static BODIES: Mutex<Vec<Option<bytes::Bytes>>> = Mutex::new(Vec::new());
    let seed = index % UPLOADERS as u64;
    let mut bodies = BODIES.lock();
    bodies.resize(UPLOADERS, None);
    let body = bodies[usize::try_from(seed).unwrap_or(0)]
        .get_or_insert_with(|| payload::bytes(seed, PART_LEN))
        .clone();
    drop(bodies);
    let mut content = body.to_vec();
    content[..8].copy_from_slice(&index.to_le_bytes());
    content
}

fn upload(server: &Server, target: &str, parts: u64) {
    let created = server.wire().post(&format!("{target}?uploads")).send().status_is(200);
    let upload = created.element("UploadId").expect("an upload has an id");
    let (next, etags) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..UPLOADERS {
            scope.spawn(|| {
                let wire = server.wire();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= parts {
                        return;
                    }
                    let number = index + 1;
                    let part_target = format!("{target}?partNumber={number}&uploadId={upload}");
                    let put = wire.put(&part_target).payload_hash("UNSIGNED-PAYLOAD");
                    let answer = put.body(part(index)).send().status_is(200);
                    let etag = answer.header("etag").expect("a part has an ETag").to_owned();
                    etags.lock().push((number, etag));
                }
            });
        }
    });
    let mut etags = etags.into_inner();
    etags.sort();
    let listed: String = etags
        .iter()
        .map(|(number, etag)| {
            format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
        })
        .collect();
    let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    let complete = server.wire().post(&format!("{target}?uploadId={upload}"));
    let completed = complete.body(document).send().status_is(200);
    let etag = completed.element("ETag").expect("a complete object has an ETag");
    assert!(etag.trim_matches('"').ends_with(&format!("-{parts}")), "{etag}");
}

/// Reads the whole object in one GET and compares every byte while it arrives.
fn read_back(server: &Server, target: &str, parts: u64) {
    let hour = Duration::from_secs(3600);
    let presigned = server.wire().get(target).presigned(hour).into_target();
    let address = server.s3_address();
    let mut stream = TcpStream::connect(&address).expect("the server accepts connections");
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a socket takes a timeout");
    let head = format!("GET {presigned} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads the request");
    let mut answer = BufReader::with_capacity(1 << 20, stream);
    let mut status = String::new();
    answer.read_line(&mut status).expect("the server answers");
    assert!(status.starts_with("HTTP/1.1 200"), "{status}");
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).expect("headers end");
    }
    let mut received = vec![0; PART_LEN];
    for index in 0..parts {
        answer.read_exact(&mut received).expect("the server sends the whole object");
        assert!(received == part(index), "part {} differs", index + 1);
    }
    assert_eq!(answer.read(&mut received).expect("the connection ends"), 0, "more than the object");
}
