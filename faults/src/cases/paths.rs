//! Addresses that a dead daemon left behind, or that a living one holds.

use crate::bench::Bench;
use crate::daemon::{Daemon, Start, Trouble, ending};
use crate::load::{Load, Plan, Report};
use crate::tally::Outputs;
use crate::verdict::Finding;
use nix::sys::signal::Signal;
use std::time::Duration;

const RECORDS: u32 = 50;

/// For the second daemon to do what it does.
const SECOND: Duration = Duration::from_secs(2);

pub fn stale(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let mut first = bench.start()?;
    first.end_by(Signal::SIGKILL, &bench.patience)?;
    let daemon = bench.start()?;
    let report = bench.load(few(bench, 0)).finish();
    bench.conclude(daemon, &report)
}

/// One sender's few records, on a connection of its own.
fn few(bench: &Bench<'_>, first: u16) -> Plan {
    Plan {
        first,
        records: RECORDS,
        // Not in one go: two readers of a FIFO would share them by chance, or not.
        rate: Some(500.0),
        ..bench.plan(1)
    }
}

pub fn live(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let first = bench.start()?;
    let theirs = bench.folder().join("second");
    let work = theirs.join("work");
    let output = theirs.join("records");
    let second = Start {
        adapter: bench.adapter,
        transport: bench.transport(),
        address: &bench.target.address,
        output: &output,
        work: &work,
        descriptors: None,
        connections: None,
    };
    let mut second = second.spawn()?;
    let gave_up = second.wait(&bench.patience.at_most(SECOND));
    // While the second one is there, if it is, and once it has gone: it may take the path with it.
    let mut report = send(bench, Report::default());
    end(bench, &mut second)?;
    report = send(bench, report);
    let mut finding = bench.conclude(first, &report)?;
    finding.robbed = (Outputs { path: output })
        .tally(&bench.target.marker, &bench.adapter.daemon.marks, None)
        .records();
    finding.lost = finding.lost.saturating_sub(finding.robbed);
    if finding.hangs.take().is_some() {
        finding.note("afterwards nobody listens there");
        finding.robbed += u64::from(2 * RECORDS) - finding.sent;
    }
    let did = gave_up.map_or_else(
        || "ran on".to_owned(),
        |status| format!("ended with {}", ending(status)),
    );
    finding.note(format!("the second one {did}: {}", second.last_words()));
    Ok(finding)
}

fn end(bench: &Bench<'_>, second: &mut Daemon) -> Result<(), Trouble> {
    if second.ended().is_none() {
        second.end_by(Signal::SIGTERM, &bench.patience)?;
    }
    Ok(())
}

/// Another sender's few records; what nobody takes is not waited for.
fn send(bench: &Bench<'_>, mut report: Report) -> Report {
    let first = u16::try_from(report.sent.len()).expect("few senders");
    let patience = bench.patience.at_most(Duration::from_secs(3));
    let sent = Load::start(&bench.target, few(bench, first), &patience).finish();
    report
        .sent
        .extend(sent.sent.into_iter().skip(usize::from(first)));
    report.stuck += sent.stuck;
    report.told += sent.told;
    report
}
