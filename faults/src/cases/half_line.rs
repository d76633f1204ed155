//! Writers that leave without ending their last line.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::Report;
use crate::record::Id;
use crate::verdict::Finding;
use crate::wire::Wire;
use std::time::Duration;

const WRITERS: u32 = 20;

/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(2);

/// How long the next writer waits for the last one's records to be in the output, so that a daemon that
/// looks for a writer's end can have seen it.
const PAUSE: Duration = Duration::from_millis(250);

/// Sender 0 sends lines, sender 1 records without a newline.
pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let mut sent = 0;
    for sequence in 0..WRITERS {
        let record = |sender| bench.target.marker.record(Id { sender, sequence });
        let patience = bench.patience.at_most(Duration::from_secs(5));
        let target = &bench.target;
        let wire = Wire::connect_at_last(target.transport, &target.address, RETRY, &patience);
        let Some(wire) = wire else { break };
        if wire.send(&record(0), &patience).is_err() || wire.write(&record(1), &patience).is_err() {
            break;
        }
        sent += 1;
        drop(wire);
        let so_far = [sent, sent];
        let pause = bench.patience.at_most(PAUSE);
        pause.wait_for(|| bench.tally().lost(&so_far) == 0);
    }
    let report = Report {
        sent: vec![sent, sent],
        stuck: u64::from(sent < u64::from(WRITERS)),
        ..Report::default()
    };
    let busy = daemon.load_over(Duration::from_secs(1), &bench.patience)?;
    let mut finding = bench.conclude(daemon, &report)?;
    let lost = bench.tally().lost(&[0, sent]);
    finding.note(format!(
        "of {sent} records without a newline {lost} are missing"
    ));
    finding.note_load(busy, "once they had left");
    Ok(finding)
}
