//! Network namespaces on one bridge, each with a veth pair: machines of their own as far as the
//! network goes.
//!
//! - Names carry the process id, so that tests of several processes do not meet, and everything is
//!   removed with the value.
//! - Where there can be none, [`Network::new`] says so on standard error and why.

use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

static NETWORKS: AtomicU8 = AtomicU8::new(0);

/// A bridge on this machine and namespaces connected to it.
#[derive(Debug)]
pub struct Network {
    tag: String,
    subnet: String,
    members: usize,
}

fn run(line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
        }
        Err(error) => Err(format!("`{line}`: {error}")),
    }
}

impl Network {
    /// `members` namespaces; `None`, with a word about it, where this process may not make them.
    #[must_use]
    pub fn new(what: &str, members: usize) -> Option<Self> {
        let number = NETWORKS.fetch_add(1, Ordering::SeqCst);
        let pid = std::process::id();
        let subnet = format!("10.{}.{}", 200 + number % 50, pid % 250);
        let network = Self { tag: format!("dm{}x{number}", pid % 100_000), subnet, members };
        match network.set_up() {
            Ok(()) => Some(network),
            Err(why) => {
                eprintln!("not run: {what}: no network namespaces here ({why})");
                None
            }
        }
    }

    fn set_up(&self) -> Result<(), String> {
        let bridge = self.bridge();
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip addr add {}/24 dev {bridge}", self.gateway_address()))?;
        run(&format!("ip link set {bridge} up"))?;
        for member in 0..self.members {
            let (name, outer) = (self.name(member), self.outer(member));
            run(&format!("ip netns add {name}"))?;
            run(&format!("ip link add {outer} type veth peer name eth0 netns {name}"))?;
            run(&format!("ip link set {outer} master {bridge} up"))?;
            run(&format!("ip -n {name} addr add {}/24 dev eth0", self.address(member)))?;
            run(&format!("ip -n {name} link set lo up"))?;
            run(&format!("ip -n {name} link set eth0 up"))?;
        }
        Ok(())
    }

    fn bridge(&self) -> String {
        format!("{}b", self.tag)
    }

    /// This machine's end of a member's cable.
    fn outer(&self, member: usize) -> String {
        format!("{}v{member}", self.tag)
    }

    /// The namespace of a member.
    #[must_use]
    pub fn name(&self, member: usize) -> String {
        format!("{}n{member}", self.tag)
    }

    /// The address of a member.
    #[must_use]
    pub fn address(&self, member: usize) -> String {
        format!("{}.{}", self.subnet, member + 10)
    }

    /// This machine's address on the bridge.
    #[must_use]
    pub fn gateway_address(&self) -> String {
        format!("{}.1", self.subnet)
    }

    /// Pulls a member's cable, or puts it back.
    ///
    /// # Panics
    /// When that fails.
    pub fn connect(&self, member: usize, is_connected: bool) {
        let state = if is_connected { "up" } else { "down" };
        let done = run(&format!("ip link set {} {state}", self.outer(member)));
        done.unwrap_or_else(|why| panic!("{why}"));
    }

    /// Delays what a member sends, not what it receives. `false`, with a word about it, where the
    /// kernel cannot.
    #[must_use]
    pub fn delay_sending(&self, member: usize, milliseconds: u32) -> bool {
        let name = self.name(member);
        let line = format!(
            "ip netns exec {name} tc qdisc replace dev eth0 root netem delay {milliseconds}ms"
        );
        self.shape(&line)
    }

    /// Bounds the rate at which a member sends, not that at which it receives. `false`, with a
    /// word about it, where the kernel cannot.
    #[must_use]
    pub fn limit_sending(&self, member: usize, mbit_per_second: u32) -> bool {
        let name = self.name(member);
        let line = format!(
            "ip netns exec {name} tc qdisc replace dev eth0 root tbf rate {mbit_per_second}mbit \
             burst 64kbit latency 200ms"
        );
        self.shape(&line)
    }

    /// Ends [`Self::delay_sending`] and [`Self::limit_sending`].
    pub fn end_shaping(&self, member: usize) {
        let _ = run(&format!("ip netns exec {} tc qdisc del dev eth0 root", self.name(member)));
    }

    fn shape(&self, line: &str) -> bool {
        match run(line) {
            Ok(()) => true,
            Err(why) => {
                eprintln!("not run: traffic shaping ({why})");
                false
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in 0..self.members {
            let _ = run(&format!("ip link del {}", self.outer(member)));
            let _ = run(&format!("ip netns del {}", self.name(member)));
        }
        let _ = run(&format!("ip link del {}", self.bridge()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn members_reach_this_machine_unless_their_cable_is_pulled() {
        let Some(network) = Network::new("a network of two members", 2) else {
            return;
        };
        let listener = TcpListener::bind((network.gateway_address(), 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let connects = |member: usize| {
            let (name, to) = (network.name(member), network.gateway_address());
            let dial = format!("exec 3<>/dev/tcp/{to}/{port}");
            let mut command = Command::new("timeout");
            command.args(["2", "ip", "netns", "exec", &name, "bash", "-c", &dial]);
            command.output().expect("timeout runs").status.success()
        };
        assert!(connects(0) && connects(1));
        network.connect(0, false);
        assert!(!connects(0) && connects(1));
        network.connect(0, true);
        assert!(connects(0));
    }
}
