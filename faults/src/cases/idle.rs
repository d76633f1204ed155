//! Nobody sends.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::Plan;
use crate::proc;
use crate::verdict::Finding;
use std::time::{Duration, Instant};

/// Connections that are open, each of which has sent a record.
const OPEN: u16 = 10;

/// After the last record, for whatever it entails once: worker threads that end after 10 s without work
/// are no wake-ups of an idle daemon.
const REST: Duration = Duration::from_secs(12);

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let plan = Plan {
        hold: true,
        ..bench.plan(OPEN)
    };
    let load = bench.load(plan);
    load.wait_for(
        u64::from(OPEN),
        &bench.patience.at_most(Duration::from_secs(5)),
    );
    bench.patience.sleep(REST);
    let before = daemon.observed(proc::sleeps(daemon.pid()))?;
    let start = Instant::now();
    let busy = daemon.load_over(bench.watch, &bench.patience)?;
    let after = daemon.observed(proc::sleeps(daemon.pid()))?;
    let seconds = start.elapsed().as_secs_f64();
    let report = load.stop();
    let mut finding = bench.conclude(daemon, &report)?;
    let wakes = proc::wakes(&before, &after);
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let rate = wakes as f64 / seconds;
    finding.wakes = Some(rate);
    finding.note(format!("{wakes} wake-ups in {seconds:.0} s"));
    finding.note_load(busy, "meanwhile");
    Ok(finding)
}
