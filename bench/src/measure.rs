//! What a process costs, from Linux's `/proc`.
//!
//! Deliberately absent: other systems. Elsewhere the figures are simply missing.

use std::{fs, io, sync::Arc, time::Duration};

/// Ticks of CPU time per second in `/proc/PID/stat`. Source: the kernel's `USER_HZ`, 100 on every
/// architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processes to look at as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// This one.
    Own,
    /// Those with these ids, together.
    Ids(Arc<[u32]>),
}

/// What a process has used up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// User and system time in seconds.
    pub(crate) cpu_seconds: f64,
    /// Memory now, in bytes.
    pub(crate) rss_bytes: u64,
    /// Most memory since the process started, in bytes.
    pub(crate) rss_peak_bytes: u64,
    /// Bytes it sent to storage; `None` when we may not know.
    pub(crate) written_bytes: Option<u64>,
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let written = self.written_bytes.zip(other.written_bytes);
        Self {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            rss_bytes: self.rss_bytes + other.rss_bytes,
            rss_peak_bytes: self.rss_peak_bytes + other.rss_peak_bytes,
            written_bytes: written.map(|(one, other)| one + other),
        }
    }
}

impl Process {
    /// Reads the usage; of several, the sum.
    ///
    /// # Errors
    /// When a process is gone or `/proc` is not readable.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match self {
            Self::Own => usage_in("/proc/self"),
            Self::Ids(ids) => {
                let mut sum = Usage { written_bytes: Some(0), ..Usage::default() };
                for id in ids.iter() {
                    sum = sum + usage_in(&format!("/proc/{id}"))?;
                }
                Ok(sum)
            }
        }
    }
}

fn usage_in(directory: &str) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("{directory}/stat"))?;
    let status = fs::read_to_string(format!("{directory}/status"))?;
    let written = fs::read_to_string(format!("{directory}/io")).ok();
    parse(&stat, &status, written.as_deref())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc is not as expected"))
}

/// Time this thread has spent on a processor; `None` where the kernel does not count it.
pub(crate) fn thread_cpu_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn parse(stat: &str, status: &str, io: Option<&str>) -> Option<Usage> {
    // The second field is the name in parentheses and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = ticks(11)? + ticks(12)?;
    Some(Usage {
        cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
        rss_bytes: kibibytes(status, "VmRSS:")?,
        rss_peak_bytes: kibibytes(status, "VmHWM:")?,
        written_bytes: io.and_then(|io| first_number(io, "write_bytes:")),
    })
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    first_number(text, name)?.checked_mul(1024)
}

fn first_number(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 3";
    const STATUS: &str = "Name:\ta\nVmHWM:\t   20 kB\nVmRSS:\t   10 kB\n";

    #[test]
    fn usage_is_read_behind_a_name_with_parentheses() {
        let usage = parse(STAT, STATUS, Some("wchar: 9\nwrite_bytes: 4096\n")).unwrap();
        assert_eq!(usage.cpu_seconds, 2.0);
        assert_eq!((usage.rss_bytes, usage.rss_peak_bytes), (10_240, 20_480));
        assert_eq!(usage.written_bytes, Some(4096));
    }

    #[test]
    fn a_kernel_thread_without_memory_has_no_usage() {
        assert_eq!(parse(STAT, "Name:\ta\n", None), None);
        assert_eq!(parse("7 (a", STATUS, None), None);
    }

    #[test]
    fn our_own_usage_is_readable() {
        assert!(Process::Own.usage().unwrap().rss_bytes > 0);
    }

    #[test]
    fn several_processes_are_added_up() {
        let own = std::process::id();
        let (one, two) = (Process::Ids([own].into()), Process::Ids([own, own].into()));
        let (one, two) = (one.usage().unwrap(), two.usage().unwrap());
        assert!(two.rss_peak_bytes > one.rss_peak_bytes * 3 / 2);
        assert!(Process::Ids([u32::MAX].into()).usage().is_err());
    }
}
