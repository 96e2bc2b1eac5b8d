//! The table, row by row.

use std::collections::HashSet;
use std::time::Duration;

use compat_tests::server::Server;

use crate::exchange::exchange;
use crate::framing::{behind, pipelined};
use crate::row::{Message, Stage};
use crate::stage::table;

/// What the issue asks for.
const ROWS_MIN: usize = 150;
/// How long one answer may take while nothing else is asked. Chosen: many times what the largest
/// document costs a busy machine.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(4);

#[test]
fn every_bad_request_has_its_documented_answer() {
    let server = Server::shared();
    let stage = Stage::new(&server);
    let rows = table();
    let mut names = HashSet::new();
    for row in &rows {
        assert!(names.insert(row.name.as_str()), "two rows have the name {:?}", row.name);
    }
    assert!(rows.len() >= ROWS_MIN, "the table has only {} rows", rows.len());
    let before = stage.visible();
    let mut wrong = Vec::new();
    let mut slowest = (Duration::ZERO, "");
    for row in &rows {
        match row.run(&stage) {
            Ok(took) => slowest = slowest.max((took, &row.name)),
            Err(error) => wrong.push(format!("{}: {error}", row.name)),
        }
    }
    println!("{} rows; the slowest, {:?}, was {:?}", rows.len(), slowest.1, slowest.0);
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(slowest.0 < ANSWER_TIME_MAX, "{:?} took {:?}", slowest.1, slowest.0);
    assert_eq!(stage.visible(), before, "bad requests changed something");
}

#[test]
fn bad_requests_behind_good_ones_end_the_connection() {
    let server = Server::shared();
    let stage = Stage::new(&server);
    for (name, second) in pipelined() {
        let first = Message::from(stage.get("/old"));
        let answer = exchange(&stage.address, &behind(first, second).cut_short());
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "data"), "{name}");
        assert_eq!(answer.ended, crate::exchange::Ended::Closed, "{name}");
    }
}
