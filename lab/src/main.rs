//! Measures what each of the five IPC mechanisms costs, and shows it.

mod bpftrace;
mod cli;
mod environment;
mod follow;
mod interrupt;
mod journey;
mod latency;
mod load;
mod measure;
mod namespace;
mod plan;
mod proc;
mod programs;
mod progress;
mod report;
mod results;
mod run;
mod seed;
mod self_check;
mod session;
mod sweep;
mod tally;
mod trace;
mod trial;
mod wait;

use cli::{Command, Options, Quick};
use log_aggregator::cli::{Request, parse, report as exit_of};
use log_aggregator::diagnostics;
use log_aggregator::error::{Error, Exit};
use std::process::ExitCode;

const PROGRAM: &str = "lab";

fn main() -> ExitCode {
    if let Some(done) = wait::perform_role() {
        return exit_of(PROGRAM, done).into();
    }
    diagnostics::init(PROGRAM);
    exit_of(PROGRAM, perform()).into()
}

fn perform() -> Result<Exit, Error> {
    let options: Options = match parse(PROGRAM, std::env::args_os())? {
        Request::Run(options) => options,
        Request::Print(text) => {
            println!("{text}");
            return Ok(Exit::Success);
        }
    };
    let quick = Quick {
        out: None,
        reverse: false,
    };
    match options.command.unwrap_or(Command::Quick(quick)) {
        Command::Quick(options) => run::quick(&options),
        Command::Seed(options) => seed::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Sweep(options) => sweep::run(&options),
        Command::Follow(options) => follow::run(&options),
        Command::Report(options) => report::run(&options),
        Command::SelfCheck(options) => self_check::run(&options),
        Command::Wait(options) => wait::run(&options),
    }
}
