//! What a figure of the report is: how it is measured, and what it is compared with.
//!
//! Invariant: a figure is one line of `bench load`, so that anybody can measure it alone.

use crate::{
    size::format_size,
    stages::{composed::Way, http::Exchange, object, transport::Carrier},
};

/// What `mixed` does. The default of `bench load`, here because its limit follows from it.
pub(crate) const MIX: &str = "get=70,put=20,stat=5,list=3,delete=2";

/// The larger bucket.
pub(crate) const MANY_KEYS: &str = "many-keys";

/// What is measured beside the server.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stage {
    /// The composed pipeline over stripes of a length in bytes.
    Composed(Way, usize),
    /// Metadata commits by so many writers, of so many bytes each.
    Commits(u16, usize),
    /// HTTP alone.
    Http(Exchange),
    /// The object service without HTTP.
    Object(Exchange),
    /// Bytes between two ends of this machine.
    Transport(Carrier),
}

impl Stage {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Composed(way, len_bytes) => way.name(*len_bytes),
            Self::Commits(writers, len_bytes) => {
                let size = format_size(*len_bytes as u64);
                format!("metadata commit of {size}, {writers} at once")
            }
            Self::Http(exchange) => exchange.to_string(),
            Self::Object(exchange) => object::name(*exchange),
            Self::Transport(carrier) => carrier.name().to_owned(),
        }
    }
}

/// What a figure is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Limit {
    /// One stage.
    Stage(Stage),
    /// Two stages that share the cores: their costs per byte added, over all cores.
    Shared(Stage, Stage),
    /// Another figure of the same run.
    Figure(String),
    /// Operations one after the other, each at its own limit, with weights.
    Mix(Vec<(f64, Stage)>),
}

impl Limit {
    /// The stages that must be measured for it.
    pub(crate) fn stages(&self) -> Vec<&Stage> {
        match self {
            Self::Stage(stage) => vec![stage],
            Self::Shared(one, other) => vec![one, other],
            Self::Figure(_) => Vec::new(),
            Self::Mix(stages) => stages.iter().map(|(_, stage)| stage).collect(),
        }
    }

    /// The limit in words.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stage(stage) => stage.name(),
            Self::Shared(one, other) => {
                format!("{} and {} on the same cores", one.name(), other.name())
            }
            Self::Figure(row) => row.clone(),
            Self::Mix(_) => format!("{MIX}, each at its limit"),
        }
    }
}

/// What a ratio should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

/// In what a figure is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Throughput,
    Rate,
}

/// Which server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// With all six drives.
    Healthy,
    /// With four of them.
    Degraded,
    /// A gateway in front of six node processes with a drive each.
    Mesh,
}

/// When a figure is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// In every round.
    Rounds,
    /// In rounds of its own, after most keys of the larger bucket were deleted.
    AfterDeletes,
}

/// Objects that are there before the first round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) bucket: &'static str,
    pub(crate) len_bytes: u64,
    pub(crate) objects: u64,
    /// Number of the first of them that is still there.
    pub(crate) first: u64,
}

/// A comparison of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// Behind the figure's name; empty for the first one.
    pub(crate) suffix: &'static str,
    pub(crate) limit: Limit,
    pub(crate) aim: Option<Aim>,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) row: String,
    /// Words behind `bench load`.
    pub(crate) line: String,
    pub(crate) unit: Unit,
    pub(crate) site: Site,
    pub(crate) phase: Phase,
    /// What it reads; `None` when it writes.
    pub(crate) reads: Option<Prepared>,
    pub(crate) comparisons: Vec<Comparison>,
}

impl Figure {
    /// A figure that makes what it needs.
    pub(crate) fn write(row: String, line: String, unit: Unit) -> Self {
        let (site, phase) = (Site::Healthy, Phase::Rounds);
        Self { row, line, unit, site, phase, reads: None, comparisons: Vec::new() }
    }

    /// A figure on what was prepared.
    pub(crate) fn read(row: String, line: String, unit: Unit, reads: Prepared) -> Self {
        Self { reads: Some(reads), ..Self::write(row, line, unit) }
    }

    /// Compares it with a limit.
    pub(crate) fn against(mut self, limit: Limit, aim: Option<Aim>) -> Self {
        self.comparisons.push(Comparison { suffix: "", limit, aim });
        self
    }

    /// Compares it with another limit, in a row of its own.
    pub(crate) fn and_against(
        mut self,
        suffix: &'static str,
        limit: Limit,
        aim: Option<Aim>,
    ) -> Self {
        self.comparisons.push(Comparison { suffix, limit, aim });
        self
    }

    /// Whether its operations end with a synced write.
    pub(crate) fn is_durable(&self) -> bool {
        self.reads.is_none() && !self.line.starts_with("get")
    }

    /// The command that measures it alone, against any endpoint.
    pub(crate) fn command(&self) -> String {
        let objects = self.reads.as_ref().map(|reads| format!(" --objects {}", reads.objects));
        format!("bench load {}{}", self.line, objects.unwrap_or_default())
    }
}
