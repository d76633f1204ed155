//! A line longer than any limit, and what becomes of the records around it.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::Report;
use crate::record::Id;
use crate::transport::Transport;
use crate::verdict::{Finding, grouped};
use crate::wire::{Failure, Wire};
use std::time::Duration;

/// Records before the long one, and as many after it.
const AROUND: u32 = 50;

/// What it is made of. No record has this.
const ALIEN: &[u8] = b"xxxxxxxxxxxxxxxx";

fn length(transport: Transport) -> usize {
    match transport {
        Transport::Unixsock | Transport::Tcp | Transport::Fifo => 1 << 20,
        // As much as the default send buffer lets through, and above the usual 64 KiB.
        Transport::Unixgram => 100_000,
        // UDP has no longer ones.
        Transport::Udp => 65_507,
    }
}

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let target = &bench.target;
    let patience = bench.patience.at_most(Duration::from_secs(10));
    let pause = Duration::from_millis(2);
    let connect = || Wire::connect_at_last(target.transport, &target.address, pause, &patience);
    let hangs = |what: &str| Trouble::Hangs(format!("{what}: {}", daemon.last_words()));
    let mut wire = connect().ok_or_else(|| hangs("no connection"))?;
    let mut notes = Vec::new();
    let length = length(target.transport);
    for sequence in 0..2 * AROUND {
        if sequence == AROUND {
            match wire.send(&vec![b'x'; length], &patience) {
                Ok(()) => {}
                Err(Failure::TooLong) => notes.push("the transport does not take it".to_owned()),
                Err(Failure::Gone { taken }) => {
                    let taken = grouped(taken as u64);
                    notes.push(format!(
                        "the connection was closed after {taken} bytes of it"
                    ));
                    wire = connect().ok_or_else(|| hangs("no connection"))?;
                }
                Err(Failure::Over) => return Err(hangs("the long line is not taken")),
            }
        }
        let record = target.marker.record(Id {
            sender: 0,
            sequence,
        });
        while wire.send(&record, &patience).is_err() {
            notes.push(format!(
                "the connection was closed before record {sequence}"
            ));
            wire = connect().ok_or_else(|| hangs("no connection"))?;
        }
    }
    drop(wire);
    let report = Report {
        sent: vec![u64::from(2 * AROUND)],
        ..Report::default()
    };
    bench.conclude(daemon, &report)?;
    // Counted anew: a record that shares its line with a part of the long one is corrupt.
    let marks = &bench.adapter.daemon.marks;
    let tally = bench.outputs.tally(&target.marker, marks, Some(ALIEN));
    let mut finding = Finding::of(&report, &tally);
    finding.note(format!(
        "{} bytes became {}",
        grouped(length as u64),
        what_became(bench)
    ));
    finding.evidence.extend(notes);
    Ok(finding)
}

/// What of the long line stands in the output.
fn what_became(bench: &Bench<'_>) -> String {
    let output = std::fs::read(&bench.outputs.path).unwrap_or_default();
    let lines: Vec<&[u8]> = output
        .split(|&byte| byte == b'\n')
        .filter(|line| memchr::memmem::find(line, ALIEN).is_some())
        .collect();
    let kept: usize = lines.iter().map(|line| filling(line)).sum();
    match lines.len() {
        0 => "nothing".to_owned(),
        1 => format!("1 line with {} of them", grouped(kept as u64)),
        n => format!("{n} lines with {} of them", grouped(kept as u64)),
    }
}

/// The bytes of the long line in a line of output: those in runs, for an x alone may be anybody's.
fn filling(line: &[u8]) -> usize {
    let runs = line.split(|&byte| byte != b'x').map(<[u8]>::len);
    runs.filter(|&run| run >= ALIEN.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_x_elsewhere_in_the_line_is_none_of_the_long_one() {
        let long = "x".repeat(100);
        let line = format!("{{\"source\":\"unixsock\",\"message\":\"{long}\"}}");
        assert_eq!(filling(line.as_bytes()), 100);
    }
}
