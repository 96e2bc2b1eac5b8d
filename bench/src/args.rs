//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::size::{SizeMix, parse_duration, parse_size};

/// Measures S3 servers and the stages DataMesh is made of.
#[derive(Debug, Parser)]
#[command(name = "bench", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put load on an S3 endpoint and measure it
    Load(Box<LoadArgs>),
    /// Show the ratios between two results
    Compare(CompareArgs),
    /// Measure what bounds a server on this machine: hashes, ciphers, codes, drive, metadata, HTTP
    Stages(StagesArgs),
    /// Start a server, measure it and what bounds it in the same run, and show the ratios
    Report(Box<ReportArgs>),
}

/// What each operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Operation {
    /// PutObject, a new key each time unless --objects is given
    Put,
    /// GetObject of prepared objects
    Get,
    /// GetObject of a random range of prepared objects
    RangedGet,
    /// HeadObject of prepared objects
    Stat,
    /// ListObjectsV2, one page
    List,
    /// DeleteObject of prepared objects, each once
    Delete,
    /// A whole multipart upload, parts one after the other
    Multipart,
    /// Several operations, see --mix
    Mixed,
}

impl Operation {
    /// The name on the command line and in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::RangedGet => "ranged-get",
            Self::Stat => "stat",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Multipart => "multipart",
            Self::Mixed => "mixed",
        }
    }
}

/// How a request body is covered by the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Payload {
    /// Its SHA-256 is signed, as SDKs do over plain HTTP; computed before the clock starts
    Signed,
    /// UNSIGNED-PAYLOAD
    Unsigned,
}

/// How often each operation occurs in `mixed`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OperationMix(Vec<(Operation, u64)>);

#[derive(Debug, Args)]
#[command(after_long_help = "\
Credentials come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.

Contents follow from key and --seed, so every byte read is compared while it arrives. The exit code
is 1 when a byte was wrong or nothing succeeded, and 2 when the run could not start.

Examples:
  bench load put --size 1MiB --concurrency 32 --duration 10s --server-pid 4711
  bench load mixed --size 4KiB:90,1MiB:10 --mix get=70,put=25,delete=5 --json mixed.json")]
pub(crate) struct LoadArgs {
    /// What to measure
    #[arg(value_enum)]
    pub(crate) operation: Operation,

    /// The S3 endpoint; buckets are addressed by path
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9000")]
    pub(crate) endpoint: String,

    /// The bucket; made if missing, never removed
    #[arg(long, default_value = "bench")]
    pub(crate) bucket: String,

    /// Region to sign for
    #[arg(long, default_value = "us-east-1")]
    pub(crate) region: String,

    /// PEM file with the certificates to trust for https
    #[arg(long, value_name = "FILE", default_value = "/etc/ssl/certs/ca-certificates.crt")]
    pub(crate) ca_file: PathBuf,

    /// Object size, or sizes with weights: 4KiB:80,1MiB:20
    #[arg(long, value_name = "SIZES", default_value = "1MiB")]
    pub(crate) size: SizeMix,

    /// Bytes asked for by ranged-get
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub(crate) range_size: u64,

    /// Part size of multipart
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_size)]
    pub(crate) part_size: u64,

    /// Operations and weights of mixed
    #[arg(long, default_value = "get=70,put=20,stat=5,list=3,delete=2")]
    pub(crate) mix: OperationMix,

    /// Operations at once, each on its own connection
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,

    /// How long to measure [default: 10s, unless --count is given]
    #[arg(long, conflicts_with = "count", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,

    /// How many operations to measure
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// How long to run before measuring; delete has none
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) warm_up: Duration,

    /// Objects to prepare for reads and deletes, or keys that put overwrites in turn
    /// [default: up to 1000 that together take 1 GiB at most]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) objects: Option<u64>,

    /// Number of the first prepared object, for a run with --reuse on some of another's objects
    #[arg(long, value_name = "NUMBER", default_value_t = 0,
          value_parser = clap::value_parser!(u64).range(..=100_000_000))]
    pub(crate) first: u64,

    /// Read each prepared object once, in order, and end: for first reads
    #[arg(long, conflicts_with_all = ["count", "duration", "warm_up"])]
    pub(crate) once: bool,

    /// How bodies are signed
    #[arg(long, value_enum, default_value = "signed")]
    pub(crate) payload: Payload,

    /// Do not compare the bytes that are read
    #[arg(long)]
    pub(crate) no_verify: bool,

    /// What contents, keys and random choices follow from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// How long one operation may take
    #[arg(long, default_value = "2m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,

    /// Process id of the server, to measure its CPU time and memory
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,

    /// Process id of a storage node behind the server; may be given more than once
    #[arg(long = "node-pid", value_name = "PID")]
    pub(crate) node_pids: Vec<u32>,

    /// Leave the objects in the bucket
    #[arg(long)]
    pub(crate) keep: bool,

    /// Prepare nothing: an earlier run with the same --seed, --size and --objects used --keep
    #[arg(long)]
    pub(crate) reuse: bool,

    /// Write the result as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The earlier result
    #[arg(value_name = "A.json")]
    pub(crate) before: PathBuf,
    /// The later result
    #[arg(value_name = "B.json")]
    pub(crate) after: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct StagesArgs {
    /// How long each figure may take
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    pub(crate) time: Duration,

    /// Directory on the file system to measure; a temporary one is made in it and removed
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Measure only rows whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,

    /// Write the rows as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "\
Starts `datamesh server` on free ports in a temporary directory, and measures in turn what bounds \
it and how fast it is; what is shown is the median of the rounds. Everything is removed at the end.

Examples:
  bench report --json target/bench/summary.json
  bench report --full --markdown docs/performance.md")]
pub(crate) struct ReportArgs {
    /// Directory on the file system to measure; a temporary one is made in it and removed
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// The server's program [default: `datamesh` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,

    /// How often everything is measured [default: 3, with --full 5]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=99))]
    pub(crate) rounds: Option<u16>,

    /// How long each figure of a round may take [default: 1.5s, with --full 3s]
    #[arg(long, value_parser = parse_duration)]
    pub(crate) time: Option<Duration>,

    /// More and larger: 1,000,000 keys, an object of 10 GiB
    #[arg(long)]
    pub(crate) full: bool,

    /// Fewer and smaller, to see that all of it works; the figures mean nothing
    #[arg(long, conflicts_with = "full")]
    pub(crate) rehearse: bool,

    /// Measure only rows whose name contains this, and what they are compared with
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,

    /// Write the rows as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// Write the table as Markdown, too: between the two marks of a document that has them
    #[arg(long, value_name = "FILE")]
    pub(crate) markdown: Option<PathBuf>,
}

impl LoadArgs {
    /// The arguments that stand behind `bench load` on a command line.
    ///
    /// # Errors
    /// What the command line would answer.
    pub(crate) fn from_words<'w>(
        words: impl IntoIterator<Item = &'w str>,
    ) -> Result<Self, clap::Error> {
        let line = ["bench", "load"].into_iter().chain(words);
        match Cli::try_parse_from(line)?.command {
            Command::Load(args) => Ok(*args),
            _ => unreachable!("the line says load"),
        }
    }
}

impl OperationMix {
    /// Operations and weights.
    pub(crate) fn weights(&self) -> &[(Operation, u64)] {
        &self.0
    }

    /// The operation that `number`, any number, stands for.
    pub(crate) fn pick(&self, number: u64) -> Operation {
        let total: u64 = self.0.iter().map(|(_, weight)| weight).sum();
        let mut left = number % total;
        for (operation, weight) in &self.0 {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *operation,
            }
        }
        unreachable!("the remainder is below the sum of the weights")
    }

    /// Whether an operation occurs at all.
    pub(crate) fn has(&self, operation: Operation) -> bool {
        self.0.iter().any(|(each, _)| *each == operation)
    }
}

impl std::str::FromStr for OperationMix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut weights: Vec<(Operation, u64)> = Vec::new();
        for entry in text.split(',') {
            let (name, weight) = entry
                .split_once('=')
                .ok_or_else(|| format!("`{entry}` is not OPERATION=WEIGHT"))?;
            let operation = Operation::from_str(name, false)
                .ok()
                .filter(|operation| *operation != Operation::Mixed)
                .ok_or_else(|| format!("`{name}` is not an operation that can be mixed"))?;
            let weight = weight
                .parse()
                .ok()
                .filter(|weight| (1..=1_000_000).contains(weight))
                .ok_or_else(|| format!("`{weight}` is not a weight from 1 to 1000000"))?;
            if weights.iter().any(|(each, _)| *each == operation) {
                return Err(format!("`{name}` is named twice"));
            }
            weights.push((operation, weight));
        }
        Ok(Self(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arguments: &[&str]) -> Result<LoadArgs, clap::Error> {
        LoadArgs::from_words(arguments.iter().copied())
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn load_has_usable_defaults() {
        let args = load(&["put"]).unwrap();
        assert_eq!((args.concurrency, args.size.largest()), (8, 1 << 20));
        assert_eq!((args.count, args.duration), (None, None));
        assert_eq!(args.mix.pick(0), Operation::Get);
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        let cases: [&[&str]; 10] = [
            &["fly"],
            &["put", "--size", "4Kb b"],
            &["put", "--size", "1:0"],
            &["put", "--concurrency", "0"],
            &["put", "--concurrency", "5000"],
            &["put", "--duration", "10"],
            &["put", "--duration", "10s", "--count", "5"],
            &["put", "--count", "0"],
            &["mixed", "--mix", "get=1,get=2"],
            &["mixed", "--mix", "mixed=1"],
        ];
        for arguments in cases {
            let error = load(arguments).unwrap_err().to_string();
            let named = arguments[arguments.len().saturating_sub(2)..]
                .iter()
                .any(|argument| error.contains(argument));
            assert!(named, "{arguments:?}: {error}");
        }
    }

    #[test]
    fn mixes_pick_operations_by_weight() {
        let mix: OperationMix = "get=2,put=1".parse().unwrap();
        let picked: Vec<Operation> = (0..3).map(|number| mix.pick(number)).collect();
        assert_eq!(picked, [Operation::Get, Operation::Get, Operation::Put]);
        assert!(mix.has(Operation::Put) && !mix.has(Operation::List));
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for operation in Operation::value_variants() {
            let name = operation.to_possible_value().unwrap().get_name().to_owned();
            assert_eq!(operation.name(), name);
        }
    }
}
