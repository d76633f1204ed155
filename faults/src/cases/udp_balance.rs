//! The daemon is held up while more datagrams come than its receive buffer holds.

use crate::bench::{Bench, SENDERS};
use crate::daemon::Trouble;
use crate::load::Plan;
use crate::proc;
use crate::transport::Address;
use crate::verdict::{Finding, grouped};
use nix::sys::signal::Signal;
use std::time::Duration;

const RECORDS: u32 = 80_000;

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let mut daemon = bench.start()?;
    // Held up like a process that the machine has no time for.
    daemon.signal(Signal::SIGSTOP);
    let plan = Plan {
        records: RECORDS / u32::from(SENDERS),
        ..bench.plan(SENDERS)
    };
    let report = bench.load(plan).finish();
    daemon.signal(Signal::SIGCONT);
    bench.settle(&report, Duration::from_millis(1500))?;
    let Address::Port(port) = bench.target.address else {
        return Err(Trouble::Machine("UDP has no path".to_owned()));
    };
    let drops = proc::udp_drops(port.port());
    bench.end(&mut daemon)?;
    let mut finding = bench.judge(&report);
    finding.note(format!(
        "the kernel dropped {} for want of room",
        grouped(drops)
    ));
    if drops == 0 {
        finding.note("nothing was put to the test: the buffer held all");
    }
    if finding.reported.is_none() {
        finding.note("the daemon reports none");
    }
    Ok(finding)
}
