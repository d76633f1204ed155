//! The other side: hands records to a daemon, one `write(2)` each, and does nothing besides.
//!
//! What a trace of it shows must be the mechanism. So: one thread, no allocation for a record, no
//! system call for a record but its write and, if it is paced, one sleep. Clocks are read through
//! the vDSO.

mod connector;
mod load;
mod options;
mod relay;
mod sender;
mod tail;

pub use options::Options;

use crate::cli::{self, Request};
use crate::diagnostics;
use crate::error::{Error, Exit};
use crate::sys;
use connector::Connector;
use options::{Config, Input};
use sender::Sender;
use std::ffi::OsString;

const PROGRAM: &str = "producer";

/// Runs the program with these arguments, its name first; returns its exit status.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    // std would have done so; a daemon that goes must be an error and not our death.
    sys::ignore_sigpipe();
    cli::report(PROGRAM, run(args)).into()
}

fn run(args: impl Iterator<Item = OsString>) -> Result<Exit, Error> {
    let config = match cli::parse::<Options>(PROGRAM, args)? {
        Request::Run(options) => Config::try_from(options)?,
        Request::Print(text) => {
            let _ = diagnostics::print(&text); // whoever asked for it has gone
            return Ok(Exit::Success);
        }
    };
    let mut sender = Sender::connect(Connector {
        endpoint: config.endpoint,
        nagle: config.nagle,
        wait: config.wait,
    })?;
    let start = sys::monotonic_ns();
    let result = match &config.input {
        Input::Load(load) => load::send(load, &mut sender),
        Input::Stdin => relay::send(&mut sender),
    };
    let result = result.and_then(|exit| sender.settle().map(|()| exit));
    if config.report {
        let _ = diagnostics::print(&sender.report(sys::monotonic_ns() - start));
    }
    result
}
