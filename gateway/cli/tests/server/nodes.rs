//! A gateway's configuration and storage node processes of one test.
//!
//! Invariant: a node that a test starts ends with the test, however it goes.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use crate::process::{DRAIN_MAX, Finished, Launch, Machine, Server, await_some, await_true};

/// How long nodes may take to become members and to be seen online.
pub(crate) const JOIN_MAX: Duration = Duration::from_secs(60);

/// Space of each drive: the least, so that a test needs little disk.
const CAPACITY: &str = "256MiB";

/// A gateway without drives of its own, on free ports.
pub(crate) fn gateway(machine: &Machine) -> Launch<'_> {
    let config = machine.path().join("gateway.toml");
    if !config.exists() {
        // Nodes remember where the gateway was, so it keeps its port.
        let port = free_port();
        let text = format!(
            "data = \"data\"\ns3 = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
             mesh.listen = [\"127.0.0.1:{port}\"]\n"
        );
        fs::write(&config, text).expect("the test's directory is writable");
    }
    let mut command = machine.command(&["gateway", "--config"]);
    command.arg(config);
    machine.launch(command)
}

/// A port that nothing listens on now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}

/// A token that admits a node without approval.
pub(crate) fn approved_token(machine: &Machine) -> String {
    let answer = machine.admin(&["node", "token", "create", "--approved", "--quiet"]).succeeded();
    answer.stdout.trim().to_owned()
}

/// `datamesh node run` with a directory and a drive of its own.
pub(crate) fn node_command(machine: &Machine, name: &str) -> Command {
    let dir = machine.path().join(name);
    fs::create_dir_all(&dir).expect("the test's directory is writable");
    let mut command = machine.command(&["node", "run", "--name", name]);
    command.arg("--data").arg(dir.join("data")).arg("--drive").arg(dir.join("drive"));
    command.args(["--drive-capacity", CAPACITY, "--listen", "127.0.0.1:0"]);
    command.args(["--admin", "127.0.0.1:0"]);
    command
}

/// A running node.
pub(crate) struct Node {
    pub(crate) name: String,
    child: Option<Child>,
    dir: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Node {
    /// Starts a node, with a token when it is its first start.
    pub(crate) fn start(machine: &Machine, name: &str, token: Option<&str>) -> Self {
        let mut command = node_command(machine, name);
        if let Some(token) = token {
            command.args(["--join", token]);
        }
        let (stdout, stderr) = machine.outputs();
        let child = command
            .stdout(File::create(&stdout).expect("the test's directory is writable"))
            .stderr(File::create(&stderr).expect("the test's directory is writable"))
            .spawn()
            .expect("the binary can be started");
        let dir = machine.path().join(name);
        Self { name: name.to_owned(), child: Some(child), dir, stdout, stderr }
    }

    /// What it printed.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.stdout).expect("output is text")
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.stderr).expect("the log is text")
    }

    /// Its peer id, once it printed it.
    pub(crate) fn peer(&self) -> String {
        await_some("the node prints its peer id", JOIN_MAX, || {
            let printed = self.printed();
            let line = printed.lines().find_map(|line| line.strip_prefix("Peer id"))?;
            Some(line.trim().to_owned())
        })
    }

    /// Waits until it says that it is a member.
    pub(crate) fn await_member(&self) {
        await_true(&format!("{} is a member", self.name), JOIN_MAX, || {
            self.printed().contains("Member")
        });
    }

    /// `HOST:PORT` of its health.
    pub(crate) fn admin_authority(&self) -> String {
        await_some("the node tells its address", JOIN_MAX, || {
            let printed = self.printed();
            let line = printed.lines().find_map(|line| line.strip_prefix("Admin"))?;
            Some(line.trim().trim_start_matches("http://").to_owned())
        })
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        let mut child = self.child.take().expect("the node runs");
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    /// Stops it with `SIGTERM`; it must exit with 0.
    pub(crate) fn stop(mut self) {
        let child = self.child.take().expect("the node runs");
        let pid = i32::try_from(child.id()).expect("process ids fit");
        // SAFETY: signals a child that was not waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0, "a child can be signalled");
        let status: Option<ExitStatus> = Server::reap(child, DRAIN_MAX);
        let code = status.and_then(|status| status.code());
        assert_eq!(code, Some(0), "{}", self.log());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the log of {}:\n{}", self.name, self.log());
            }
        }
    }
}

/// A gateway and nodes, all online.
pub(crate) fn mesh(machine: &Machine, nodes: usize) -> (Server, Vec<Node>) {
    let server = gateway(machine).start();
    let start = |number| {
        let token = approved_token(machine);
        Node::start(machine, &format!("node-{number}"), Some(&token))
    };
    let nodes: Vec<Node> = (1..=nodes).map(start).collect();
    nodes.iter().for_each(Node::await_member);
    await_online(machine, nodes.len());
    (server, nodes)
}

/// Waits until exactly `count` devices are online.
pub(crate) fn await_online(machine: &Machine, count: usize) {
    await_true(&format!("{count} devices are online"), JOIN_MAX, || online(machine) == count);
}

/// How many devices the gateway has and can use.
pub(crate) fn online(machine: &Machine) -> usize {
    let list = machine.admin_json(&["device", "list"]);
    let devices = list["devices"].as_array().expect("a list");
    devices.iter().filter(|device| device["health"] == "online").count()
}

/// Runs a node where it must end by itself.
pub(crate) fn refused(machine: &Machine, command: Command) -> Finished {
    machine.finish(command)
}
