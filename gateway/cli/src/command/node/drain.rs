//! Waiting until a node is empty.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use anyhow::{Result, bail};
use gateway_admin::wire;

use super::{changed, path, print};
use crate::client::Client;

/// Time between looks. Chosen: counting what a node holds costs the gateway a scan.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Looks between plain lines where standard error is no terminal: one line in half a minute.
const LOOKS_PER_LINE: u32 = 15;

/// Waits until nothing is held on `node`, and tells how far it is on standard error.
pub(super) fn wait(client: &Client, node: &wire::Node, json: bool) -> Result<()> {
    // A name may change meanwhile.
    let whole = node.peer.as_ref().unwrap_or(&node.name);
    let route = path(whole, "")?;
    let mut progress = Progress::new();
    loop {
        let detail: wire::NodeDetail = client.get(&route)?;
        if detail.node.state != "draining" {
            progress.end();
            bail!("{} is {}: draining was called off", node.name, detail.node.state);
        }
        if detail.held_shards == 0 {
            progress.end();
            changed(&detail.node, json, "drained")?;
            print::hint(&format!("next: datamesh node retire {}", node.name));
            return Ok(());
        }
        let jobs: wire::JobList = client.get("/jobs")?;
        progress.show(&line(&detail.node, detail.held_shards, &jobs));
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// What is left, and what the job that moves it says.
fn line(node: &wire::Node, held_shards: u64, jobs: &wire::JobList) -> String {
    let mut text = format!("draining {}: {held_shards} shards left", node.name);
    let id = node.node.map(|number| format!("drain:{number}"));
    let Some(job) = jobs.jobs.iter().find(|job| Some(&job.id) == id.as_ref()) else {
        return text;
    };
    match (job.state.as_str(), &job.reason) {
        ("paused", _) => text.push_str(&format!(", paused: datamesh job resume {}", job.id)),
        (_, Some(reason)) => text.push_str(&format!(", blocked: {reason}")),
        _ => {}
    }
    if job.bytes_per_second > 0 {
        text.push_str(&format!(", {}/s", print::size(job.bytes_per_second)));
    }
    if let Some(eta) = job.eta_seconds {
        text.push_str(&format!(", about {}", print::duration(eta)));
    }
    text
}

/// One line that changes on a terminal, and a line now and then elsewhere.
struct Progress {
    is_terminal: bool,
    looks: u32,
}

impl Progress {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), looks: 0 }
    }

    fn show(&mut self, text: &str) {
        // A closed standard error must not end the wait.
        if self.is_terminal {
            let _ = write!(io::stderr(), "\r\x1b[2K{text}");
        } else if self.looks.is_multiple_of(LOOKS_PER_LINE) {
            let _ = writeln!(io::stderr(), "{text}");
        }
        self.looks += 1;
    }

    fn end(&self) {
        if self.is_terminal && self.looks > 0 {
            let _ = write!(io::stderr(), "\r\x1b[2K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str, state: &str) -> wire::JobList {
        let job = wire::Job {
            id: id.to_owned(),
            what: String::new(),
            state: state.to_owned(),
            reason: Some("no space".to_owned()).filter(|_| state == "blocked"),
            started: String::new(),
            ended: None,
            moved_shards: 1,
            moved_bytes: 1,
            remaining_bytes: 61 << 20,
            bytes_per_second: 1 << 20,
            eta_seconds: Some(61),
        };
        wire::JobList { jobs: vec![job] }
    }

    #[test]
    fn progress_tells_rate_and_time_left() {
        let node = wire::Node {
            node: Some(3),
            name: "n".to_owned(),
            peer: Some("P".to_owned()),
            zone: String::new(),
            state: "draining".to_owned(),
            version: String::new(),
            addresses: Vec::new(),
            connected: None,
            epoch: None,
            availability: None,
            first_seen: None,
            last_seen: None,
            drives: Vec::new(),
            offered: Vec::new(),
        };
        let shown = |jobs: wire::JobList| line(&node, 7, &jobs);
        assert_eq!(shown(job("drain:4", "running")), "draining n: 7 shards left");
        let running = "draining n: 7 shards left, 1.0 MiB/s, about 1 min 1 s";
        assert_eq!(shown(job("drain:3", "running")), running);
        assert!(shown(job("drain:3", "paused")).contains("datamesh job resume drain:3"));
        assert!(shown(job("drain:3", "blocked")).contains("blocked: no space"));
    }
}
