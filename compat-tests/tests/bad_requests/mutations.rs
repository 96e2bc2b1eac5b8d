//! A hostile client: valid requests changed at random, over the socket.
//!
//! - The seed is printed, and `DATAMESH_SEED` replays it; `DATAMESH_SECONDS` makes it go on.
//! - Whatever comes, the server answers in good form or closes the connection once it has been
//!   sent all there is, never with 5xx but the documented 501 and 503, and its log has no panic.

use std::time::{Duration, Instant};

use compat_tests::encoding::Checksum;
use compat_tests::payload::Random;
use compat_tests::server::Server;

use crate::exchange::{Answer, exchange};
use crate::row::{Message, Stage};

/// How long `make test` goes on.
const TIME: Duration = Duration::from_secs(8);
/// How long one exchange may take. The server gives slow bodies a minute, but every message here
/// ends the sending side.
const EXCHANGE_TIME_MAX: Duration = Duration::from_secs(8);
/// Clients at a time.
const CLIENTS: u64 = 4;

#[test]
fn mutated_requests_are_answered_in_good_form() {
    let seed = setting("DATAMESH_SEED").unwrap_or_else(seed_of_now);
    let time = setting("DATAMESH_SECONDS").map_or(TIME, Duration::from_secs);
    println!("DATAMESH_SEED={seed}");
    let server = Server::start(&[]);
    let stage = Stage::new(&server);
    let deadline = Instant::now() + time;
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let hostile = |client: u64| {
            let stage = &stage;
            scope.spawn(move || attack(stage, Random::new(seed ^ (client << 56)), deadline))
        };
        let clients: Vec<_> = (0..CLIENTS).map(hostile).collect();
        clients.into_iter().map(|client| client.join().expect("every answer is good")).collect()
    });
    println!("{} mutated requests", counts.iter().sum::<usize>());
    let log = server.log_tail();
    assert!(!log.contains("panicked"), "DATAMESH_SEED={seed}: {log}");
    stage.wire.get("/").send().expect_status(200);
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[expect(clippy::disallowed_methods, reason = "another seed each time, printed for the next")]
fn seed_of_now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |now| u64::from(now.subsec_nanos()) ^ now.as_secs())
}

fn attack(stage: &Stage, mut random: Random, deadline: Instant) -> usize {
    for count in 0.. {
        if Instant::now() > deadline {
            return count;
        }
        let message = mutated(stage, &mut random);
        let outcome = exchange(&stage.address, &message);
        if let Err(error) = judge(&outcome) {
            let shown: Vec<u8> = message.bytes.iter().copied().take(3000).collect();
            panic!("{error}: {:?}", String::from_utf8_lossy(&shown));
        }
    }
    0
}

fn judge(outcome: &Result<Answer, String>) -> Result<(), String> {
    let answer = match outcome {
        Ok(answer) => answer,
        // What ends before it is a request is owed no answer.
        Err(error) if error.starts_with("closed without an answer \"\"") => return Ok(()),
        Err(error) => return Err(error.clone()),
    };
    if answer.took > EXCHANGE_TIME_MAX {
        return Err(format!("answered after {:?}: {answer}", answer.took));
    }
    if answer.status >= 500 && ![501, 503].contains(&answer.status) {
        return Err(format!("answered {answer}"));
    }
    if answer.status >= 400 && answer.header("x-amz-request-id").is_none() {
        return Err(format!("nameless answer {answer}"));
    }
    Ok(())
}

/// A valid request of any kind.
fn valid(s: &Stage, random: &mut Random) -> Message {
    let crc = Checksum::Crc32.of(&[1; 9000]);
    let trailer = ("x-amz-checksum-crc32", crc.as_str());
    let etag = compat_tests::encoding::etag(b"data");
    let document = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
    let delete = "<Delete><Object><Key>mutant</Key></Object><Quiet>true</Quiet></Delete>";
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let hour = Duration::from_secs(3600);
    match random.below(16) {
        0 => s.get("/old").into(),
        1 => s.put("/mutant").body("data").into(),
        2 => s.put("/mutant").signed_chunks(vec![1; 9000], 8192).into(),
        3 => s.put("/mutant").unsigned_chunks(vec![1; 9000], 8192, trailer).into(),
        4 => s.put("/mutant").signed_chunks_and_trailer(vec![1; 9000], 8192, trailer).into(),
        5 => s.get("?list-type=2&prefix=a&delimiter=%2F&max-keys=5").into(),
        6 => s.put("/old?tagging").body(document).into(),
        7 => {
            let md5 = compat_tests::encoding::content_md5(delete.as_bytes());
            s.post("?delete").header("content-md5", &md5).body(delete).into()
        }
        8 => s.get("/old").presigned(hour).into(),
        9 => s.put("/mutant").presigned(hour).body("data").into(),
        10 => s.put("/mutant").header("x-amz-copy-source", &format!("{}/old", s.bucket)).into(),
        11 => s.put(&format!("/upload?partNumber=9&uploadId={}", s.upload)).body("data").into(),
        12 => s.post(&format!("/upload?uploadId={}", s.crc_upload)).body(complete).into(),
        13 => s.get("/large").header("range", "bytes=5-500").into(),
        14 => s
            .put("/mutant")
            .header("if-none-match", "*")
            .header("x-amz-tagging", "a=b")
            .body("x")
            .into(),
        _ => s
            .wire
            .head(&s.at("/old"))
            .header("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")
            .into(),
    }
}

/// What parsers stumble over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"%",
    b"%00",
    b"%FF",
    b"/",
    b"//",
    b"..",
    b"?",
    b"&",
    b"=",
    b":",
    b"\xff",
    b"\xc3\x28",
    b"-1",
    b"18446744073709551616",
    b"transfer-encoding: chunked\r\n",
    b"content-length: 0\r\n",
    b"<!DOCTYPE a>",
    b"expect: 100-continue\r\n",
];

fn mutated(stage: &Stage, random: &mut Random) -> Message {
    let mut bytes = valid(stage, random).bytes;
    for _ in 0..=random.below(4) {
        let at = place(&bytes, random);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.remove(at)),
            2 => {
                let token = TOKENS[usize::try_from(random.below(24)).expect("it is small")];
                bytes.splice(at..at, token.iter().copied());
            }
            3 => {
                let end = (at + 1 + usize::try_from(random.below(40)).expect("it is small"))
                    .min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + 1 + usize::try_from(random.below(60)).expect("it is small"))
                    .min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            5 => bytes.truncate(at.max(1)),
            _ => {
                let other = valid(stage, random).bytes;
                let from = place(&other, random);
                bytes.truncate(at.max(1));
                bytes.extend_from_slice(&other[from..]);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'G');
        }
    }
    Message::from(bytes).cut_short()
}

/// Somewhere in the message, in its head more often than in its body.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len() - 1);
    let end = if random.below(4) == 0 { bytes.len() } else { head + 1 };
    usize::try_from(random.below(end as u64)).expect("messages fit into memory")
}
