//! One sender flat out, and slow ones beside it.
//!
//! A slow record is passed by when more of the flood stands before it in the output than had been sent
//! when its own send began. That, by the flood's rate, is the time for which it was passed by.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::{Load, Plan, Report};
use crate::record::{Id, Marker};
use crate::verdict::{Finding, grouped};
use crate::wire::Wire;
use memchr::memmem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SLOW: u16 = 7;
const RECORDS: u32 = 100;
const PACE: Duration = Duration::from_millis(10);

/// The flood ends with the slow ones, at the latest here.
const FLOOD: u32 = 3_000_000;

/// How much of the flood had been sent when each record's send began, for each slow sender.
type Starts = Vec<Vec<u64>>;

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let plan = Plan {
        records: FLOOD,
        ..bench.plan(1)
    };
    let flood = bench.load(plan);
    flood.wait_for(1000, &bench.patience);
    let starts = beside(bench, &flood);
    let mut report = flood.stop();
    // It was stopped on purpose.
    report.stuck = 0;
    let flooded = report.sent[0];
    let seconds = report.seconds;
    report
        .sent
        .extend(starts.iter().map(|starts| starts.len() as u64));
    report.stuck += starts
        .iter()
        .filter(|starts| starts.len() < RECORDS as usize)
        .count() as u64;
    bench.check()?;
    let mut finding = bench.conclude(daemon, &report)?;
    let output = std::fs::read(&bench.outputs.path).unwrap_or_default();
    let passed = passed_by(&output, &bench.target.marker, &starts);
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts below a thousand million"
    )]
    let rate = flooded as f64 / seconds;
    #[expect(clippy::cast_precision_loss, reason = "as above")]
    let time = passed as f64 / rate;
    finding.starves = Some(time);
    let lost = bench.tally().lost(&slow_only(&report));
    finding.note(format!(
        "flood of {rate:.0} a second; of {} slow records {lost} lost; the slowest was passed by for {:.0} ms",
        grouped(u64::from(SLOW) * u64::from(RECORDS)),
        time * 1000.0
    ));
    Ok(finding)
}

fn slow_only(report: &Report) -> Vec<u64> {
    let mut sent = report.sent.clone();
    sent[0] = 0;
    sent
}

/// Sends the slow ones' records.
fn beside(bench: &Bench<'_>, flood: &Load) -> Starts {
    let sent = flood.counter();
    let threads: Vec<_> = (1..=SLOW)
        .map(|sender| {
            let (target, patience) = (bench.target.clone(), bench.patience.clone());
            let sent: Arc<[AtomicU64]> = Arc::clone(&sent);
            thread::spawn(move || {
                let mut starts = Vec::new();
                let (transport, address) = (target.transport, &target.address);
                let wire = Wire::connect_at_last(transport, address, PACE, &patience);
                let Some(wire) = wire else { return starts };
                let start = Instant::now();
                for sequence in 0..RECORDS {
                    thread::sleep(
                        (start + PACE * sequence).saturating_duration_since(Instant::now()),
                    );
                    let record = target.marker.record(Id { sender, sequence });
                    let before = sent[0].load(Ordering::Relaxed);
                    if wire.send(&record, &patience).is_err() {
                        break;
                    }
                    starts.push(before);
                }
                starts
            })
        })
        .collect();
    let starts = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_default());
    starts.collect()
}

/// The most records of the flood by which a slow one was passed.
fn passed_by(output: &[u8], marker: &Marker, starts: &Starts) -> u64 {
    let (mut flood, mut most, mut at) = (0_u64, 0, 0);
    while let Some(found) = memmem::find(&output[at..], marker.bytes()) {
        at += found;
        let Some((id, len)) = marker.recognise(&output[at..]) else {
            at += marker.bytes().len();
            continue;
        };
        at += len;
        if id.sender == 0 {
            flood += 1;
        } else {
            let of_sender = starts.get(usize::from(id.sender) - 1);
            let before = of_sender.and_then(|starts| starts.get(id.sequence as usize));
            most = most.max(before.map_or(0, |&before| flood.saturating_sub(before)));
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_passed_by_by_what_was_sent_after_it_and_written_before_it() {
        let marker = Marker::fresh();
        let mut output = Vec::new();
        let mut write = |sender, sequence| output.extend(marker.record(Id { sender, sequence }));
        (0..10).for_each(|sequence| write(0, sequence));
        write(1, 0);
        (10..15).for_each(|sequence| write(0, sequence));
        write(1, 1);
        // The first was sent after 10 of the flood, the second after 12.
        assert_eq!(passed_by(&output, &marker, &vec![vec![10, 12]]), 3);
        assert_eq!(passed_by(&output, &marker, &vec![vec![4, 12]]), 6);
        assert_eq!(passed_by(&output, &marker, &vec![vec![11, 15]]), 0);
    }
}
