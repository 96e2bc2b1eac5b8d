//! The `datamesh` binary: it wires the parts of the server, and talks to a running one.
//!
//! Owns the command line, the data directory's files, process signals and logging.
//!
//! Invariants:
//! - everything the client commands do goes through the admin API;
//! - a secret reaches the terminal only when it is made, and never the log;
//! - the exit code is 0 on success, 1 on failure, 2 on a usage error.
//!
//! Deliberately absent: anything a library crate could own.

mod args;
mod client;
mod clock;
mod command;
mod config;
mod gateway;
mod node;
mod server;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command, NodeVerb};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Server(args) => server::Settings::of_server(*args).and_then(server::run),
        Command::Gateway(args) => gateway::run(&args),
        Command::Node(args) => match args.verb {
            NodeVerb::Run(run) => node::run(*run),
            NodeVerb::Membership(verb) => command::node::run(verb, &args.client),
        },
        Command::Layout(args) => command::layout::run(args),
        Command::Mesh(args) => command::mesh::run(args),
        Command::Job(args) => command::job::run(args),
        Command::Bucket(args) => command::bucket::run(args),
        Command::User(args) => command::user::run(args),
        Command::Key(args) => command::key::run(args),
        Command::Kms(args) => command::kms::run(args),
        Command::Device(args) => command::device::run(args),
        Command::Lifecycle(args) => command::lifecycle::run(args),
        Command::Repair(args) => command::repair::run(args),
        Command::Scrub(args) => command::scrub::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("datamesh: {error:#}");
            ExitCode::FAILURE
        }
    }
}
