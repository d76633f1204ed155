//! More connections than the daemon can have, or may have.

use crate::bench::Bench;
use crate::daemon::{Daemon, Trouble};
use crate::load::{Load, Plan, Report};
use crate::proc;
use crate::verdict::Finding;
use std::time::Duration;

/// Descriptors for the daemon, and clients that want one each.
const DESCRIPTORS: u32 = 64;
const CLIENTS: u16 = 200;

/// Connections for the daemon, and clients that want one each, with so many records.
const CONNECTIONS: u32 = 8;
const MANY: u16 = 32;
const RECORDS: u32 = 20;

/// For all of a crowd to connect and send.
const ARRIVAL: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(1);

/// So that the clients of a daemon that turns them away are not a load themselves.
const RETRY: Duration = Duration::from_millis(200);

pub fn emfile(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start_with(Some(DESCRIPTORS), None)?;
    let limit = proc::descriptor_limit(daemon.pid()).unwrap_or_default();
    let mut finding = measure(bench, daemon, CLIENTS, 1)?;
    finding.note(format!("limit of descriptors {limit}"));
    Ok(finding)
}

pub fn connection_limit(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start_with(None, Some(CONNECTIONS))?;
    measure(bench, daemon, MANY, RECORDS)
}

fn measure(
    bench: &Bench<'_>,
    daemon: Daemon,
    clients: u16,
    records: u32,
) -> Result<Finding, Trouble> {
    // A daemon that opens its output at the first record needs a descriptor for that, too.
    let first = bench.load(bench.plan(1)).finish();
    bench.settle(&first, WATCH)?;
    let before = proc::sockets(daemon.pid());
    let plan = Plan {
        first: 1,
        records,
        rate: Some(100.0),
        retry: RETRY,
        hold: true,
        ..bench.plan(clients)
    };
    let crowd = bench.load(plan);
    let all = u64::from(clients) * u64::from(records);
    crowd.wait_for(all, &bench.patience.at_most(ARRIVAL));
    let arrived = crowd.sent();
    let busy = daemon.load_over(WATCH, &bench.patience)?;
    let held = proc::sockets(daemon.pid()).saturating_sub(before);
    let mut report = crowd.stop();
    report.sent[0] = first.sent[0];
    // Not having been let in is no fault as long as the crowd is there.
    report.stuck = 0;
    bench.check()?;
    report = and_a_late_one(bench, report);
    let mut finding = bench.conclude(daemon, &report)?;
    finding.note(format!(
        "{clients} clients, {held} connections held at once, {arrived} of {all} records taken while they were"
    ));
    finding.note_load(busy, "meanwhile");
    Ok(finding)
}

/// Once the crowd has gone, a client is served.
fn and_a_late_one(bench: &Bench<'_>, mut report: Report) -> Report {
    let first = u16::try_from(report.sent.len()).expect("few clients");
    let plan = Plan {
        first,
        ..bench.plan(1)
    };
    let patience = bench.patience.at_most(Duration::from_secs(5));
    let late = Load::start(&bench.target, plan, &patience).finish();
    report
        .sent
        .extend(late.sent.into_iter().skip(usize::from(first)));
    report.stuck += late.stuck;
    report
}
