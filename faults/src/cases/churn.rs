//! Writers that come, send one record and go.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::{Load, Plan, Report};
use crate::verdict::Finding;
use std::time::Duration;

/// Writers in all, and how many of them at a time.
const WRITERS: u16 = 996;
const AT_A_TIME: u16 = 4;

const WATCH: Duration = Duration::from_secs(1);

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let mut all = Report::default();
    // Sender numbers have three digits, so 996 at most, each with its own connection.
    for first in (0..WRITERS).step_by(usize::from(AT_A_TIME)) {
        let plan = Plan {
            first,
            ..bench.plan(AT_A_TIME)
        };
        let report = Load::start(&bench.target, plan, &bench.patience).finish();
        bench.check()?;
        all.sent
            .extend(report.sent.into_iter().skip(usize::from(first)));
        all.resent += report.resent;
        all.told += report.told;
        all.stuck += report.stuck;
    }
    bench.settle(&all, WATCH)?;
    let busy = daemon.load_over(WATCH, &bench.patience)?;
    let mut finding = bench.conclude(daemon, &all)?;
    finding.note_load(busy, "once they had left");
    Ok(finding)
}
