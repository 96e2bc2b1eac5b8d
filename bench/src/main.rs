//! `bench`: load for any S3 endpoint, measurements of single stages, comparison of two results, and
//! a report that puts a server beside what bounds it.
//!
//! Owns the command line and the exit codes: 0 for a run that measured something and read no wrong
//! byte, 1 for a wrong byte or a run in which nothing succeeded, 2 for a run that could not start.
//!
//! Deliberately absent: knowledge of the server. `load` talks S3 only; `stages` calls the crates
//! that the server is made of; `report` starts the server's program and knows its command line.

mod args;
mod clock;
mod compare;
mod interrupt;
mod load;
mod measure;
mod report;
mod row;
mod sink;
mod size;
mod stages;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use crate::args::{Cli, Command};

/// A wrong byte was read, or nothing succeeded.
const EXIT_FAILED: u8 = 1;
/// The run could not start or could not report.
const EXIT_UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

/// Whether what was asked for went well.
fn run(cli: Cli) -> Result<bool> {
    match cli.command {
        Command::Load(args) => {
            let plan = load::Plan::from_args(*args)?;
            runtime()?.block_on(load::run(plan))
        }
        Command::Compare(args) => {
            print!("{}", compare::run(&args)?);
            Ok(true)
        }
        Command::Stages(args) => stages::run(&args, &runtime()?),
        Command::Report(args) => runtime()?.block_on(report::run(&args)),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
