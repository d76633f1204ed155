//! The daemon ends under load, and is started anew, as a service manager would.

use crate::bench::Bench;
use crate::daemon::{Trouble, ending};
use crate::verdict::Finding;
use nix::sys::signal::Signal;
use std::time::Duration;

const RESTARTS: u64 = 5;

pub fn sigterm(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    measure(bench, Signal::SIGTERM)
}

pub fn kill(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    measure(bench, Signal::SIGKILL)
}

fn measure(bench: &Bench<'_>, signal: Signal) -> Result<Finding, Trouble> {
    let mut daemon = bench.start()?;
    let load = bench.steady();
    let mut slowest = Duration::ZERO;
    let mut endings = Vec::new();
    for restart in 1..=RESTARTS {
        // Before each end and after the last: at least a sixth of the records.
        load.wait_for(
            u64::from(bench.records) * restart / (RESTARTS + 1),
            &bench.patience,
        );
        bench.check()?;
        let (time, status) = daemon.end_by(signal, &bench.patience)?;
        slowest = slowest.max(time);
        endings.push(ending(status));
        daemon = bench.start()?;
    }
    let report = load.finish();
    let mut finding = bench.conclude(daemon, &report)?;
    endings.dedup();
    finding.note(format!(
        "{RESTARTS} restarts, each ended with {} within {} ms",
        endings.join(" or "),
        slowest.as_millis()
    ));
    Ok(finding)
}
