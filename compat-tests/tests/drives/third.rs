//! Three drives of six are gone: one more than the code covers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use compat_tests::ledger::Ledger;
use compat_tests::load::{Load, Tally};
use compat_tests::payload::{self, Random};
use compat_tests::wire::Response;

use crate::machine::{Machine, NOTICE_MAX, await_true};
use crate::{filled, seed};

/// How long an answer may take while drives are gone. Chosen: below what clients wait for.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Long enough that a client which stops reading stops the server within the object.
const LARGE_LEN: usize = 64 << 20;

/// Drives gone by moving their directories away.
struct Away<'a> {
    machine: &'a Machine,
    drives: Vec<usize>,
}

impl<'a> Away<'a> {
    fn take(machine: &'a Machine, drives: &[usize]) -> Self {
        for drive in drives {
            let away = machine.aside(&format!("away-{drive}"));
            fs::rename(machine.drive(*drive), away).expect("the drive can be moved away");
        }
        machine.await_devices(drives, "offline", |device| device.health == "offline");
        Self { machine, drives: drives.to_vec() }
    }

    fn bring_back(self) {
        for drive in &self.drives {
            let away = self.machine.aside(&format!("away-{drive}"));
            fs::rename(away, self.machine.drive(*drive)).expect("the drive can be moved back");
        }
        self.machine.await_devices(&self.drives, "online", |device| device.health == "online");
    }
}

#[test]
fn a_third_loss_gives_clean_errors_and_everything_comes_back() {
    let mut random = Random::new(seed());
    let machine = Machine::new();
    let mut ledger = filled(&machine, &mut random);
    let wire = machine.wire();
    let large = payload::bytes(random.next_u64(), LARGE_LEN);
    ledger.put(&wire, "large", large.clone());

    let pair = crate::matrix::next(None, &mut random);
    let third = (0..6).find(|drive| !pair.contains(drive)).expect("six are more than two");
    let two = Away::take(&machine, &pair);
    ledger.put(&wire, "four", payload::bytes(random.next_u64(), 9 << 20));
    ledger.verify(&wire);

    let mut cut = Download::start(&machine, &ledger.target("large"));
    let one = Away::take(&machine, &[third]);
    cut.expect_prefix_and_end(&large);
    expect_clean_errors(&machine, &mut ledger, &mut random);
    await_true("metrics show three devices", NOTICE_MAX, || {
        machine.metrics().value("datamesh_device_up") == 3.0
    });
    assert!(machine.metrics().value("datamesh_stripe_unreadable_total") > 0.0);

    one.bring_back();
    ledger.verify(&machine.wire());
    two.bring_back();
    machine.await_whole();
    ledger.verify(&machine.wire());
    // What was written with three drives is as safe as the rest.
    let others: Vec<usize> = (0..6).filter(|drive| !pair.contains(drive)).take(2).collect();
    let others = Away::take(&machine, &others);
    ledger.verify(&machine.wire());
    others.bring_back();
    machine.stop();
}

/// Reads and writes everything while three drives are gone.
fn expect_clean_errors(machine: &Machine, ledger: &mut Ledger, random: &mut Random) {
    let wire = machine.wire();
    let is_clean = |answer: &Response| answer.expect_error(503, "ServiceUnavailable");
    let mut slowest = Duration::ZERO;
    let mut asked = Instant::now();
    let unreadable = ledger.clone().read(&wire, |_, answer| {
        is_clean(answer);
        slowest = slowest.max(asked.elapsed());
        asked = Instant::now();
    });
    assert!(unreadable > 0, "three of six drives are gone");
    assert!(slowest < ANSWER_MAX, "an error took {slowest:?}");
    let present: Vec<(String, usize)> =
        ledger.present().map(|(key, body)| (key.clone(), body.len())).collect();
    for (key, len) in present {
        let head = wire.head(&ledger.target(&key)).send().status_is(200);
        assert_eq!(head.header("content-length"), Some(len.to_string().as_str()));
    }
    let source = ledger.target("large");
    // A range needs only the drives that it lies on.
    let range = wire.get(&source).header("range", "bytes=9000000-9000009").send();
    match range.status {
        206 => assert_eq!(
            range.body,
            ledger.key("large").certain().expect("it is there")[9_000_000..9_000_010]
        ),
        _ => is_clean(&range),
    }
    let copy = wire.put(&ledger.target("copy")).header("x-amz-copy-source", &source).send();
    is_clean(&copy);
    wire.get(&ledger.target("copy")).send().expect_error(404, "NoSuchKey");
    wire.delete(&ledger.target("kept/300000")).send().expect_status(204);
    ledger.key("kept/300000").acknowledged(None);
    // Three drives take copies.
    let tally = Tally::default();
    Load::new(wire, ledger, &tally).steps(ledger, random.next_u64(), 6);
    eprintln!("with three drives: {unreadable} unreadable, slowest error {slowest:?}, {tally:?}");
}

/// A client that reads the beginning of an object and then waits.
struct Download {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Download {
    fn start(machine: &Machine, target: &str) -> Self {
        let hour = Duration::from_secs(3600);
        let target = machine.wire().get(target).presigned(hour).into_target();
        let address = machine.server.s3_address();
        let mut stream = TcpStream::connect(&address).expect("the server accepts connections");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a timeout can be set");
        let head = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("the server reads the request");
        let mut answer = vec![0; 1 << 16];
        let read = stream.read(&mut answer).expect("the server answers");
        answer.truncate(read);
        Self { stream, answer }
    }

    /// Reads the rest, which must end before the object does: nothing that follows is right.
    fn expect_prefix_and_end(&mut self, whole: &[u8]) {
        // A connection that is reset is as clean an end as one that is closed.
        let _ = self.stream.read_to_end(&mut self.answer);
        let head_len = self.answer.windows(4).position(|four| four == b"\r\n\r\n");
        let (head, body) = self.answer.split_at(head_len.expect("headers end") + 4);
        let head = String::from_utf8_lossy(head).to_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains(&format!("content-length: {}", whole.len())), "{head}");
        assert!(body.len() < whole.len(), "drives were gone before all of it was sent");
        assert!(whole.starts_with(body), "a wrong byte was sent");
        eprintln!("a download was cut after {} bytes", body.len());
    }
}
