//! Lines that are no text, between good records.

use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::load::Report;
use crate::record::Id;
use crate::verdict::Finding;
use crate::wire::Wire;
use memchr::memmem;
use std::time::Duration;

/// Each is sent so often, with as many good records.
const ROUNDS: u32 = 10;

/// NUL, half a UTF-8 sequence and bytes that are none, and sequences that terminals obey (ESC, C1).
const LINES: [(&str, &[u8]); 4] = [
    ("NUL", b"[bin0 \0\0 nib0]"),
    ("invalid UTF-8", b"[bin1 \xc3 \xff\xfe \xed\xa0\x80 nib1]"),
    ("an escape sequence", b"[bin2 \x1b[2J\x1b]0;x\x07 nib2]"),
    ("C1 controls", b"[bin3 \xc2\x9b2J \x9b2J nib3]"),
];

pub fn measure(bench: &Bench<'_>) -> Result<Finding, Trouble> {
    let daemon = bench.start()?;
    let target = &bench.target;
    let patience = bench.patience.at_most(Duration::from_secs(10));
    let pause = Duration::from_millis(2);
    let hangs = || Trouble::Hangs(format!("takes no records: {}", daemon.last_words()));
    let connect = || Wire::connect_at_last(target.transport, &target.address, pause, &patience);
    let mut wire = connect().ok_or_else(hangs)?;
    let mut closed = 0;
    for sequence in 0..ROUNDS {
        let good = target.marker.record(Id {
            sender: 0,
            sequence,
        });
        let lines = LINES.iter().map(|(_, line)| *line);
        // A good one first: a daemon may learn from a connection's first line what ends the others.
        for line in [&good[..]].into_iter().chain(lines) {
            while wire.send(line, &patience).is_err() {
                closed += 1;
                wire = connect().ok_or_else(hangs)?;
            }
        }
    }
    drop(wire);
    let report = Report {
        sent: vec![u64::from(ROUNDS)],
        ..Report::default()
    };
    let mut finding = bench.conclude(daemon, &report)?;
    let output = std::fs::read(&bench.outputs.path).unwrap_or_default();
    for (kind, line) in LINES {
        judge(&mut finding, &output, kind, line);
    }
    if closed > 0 {
        finding.note(format!("{closed} times the connection was closed"));
    }
    let is_text = std::str::from_utf8(&output).is_ok();
    finding.note(if is_text {
        "the output is UTF-8"
    } else {
        "the output is not UTF-8"
    });
    for (name, bytes) in [("ESC", &b"\x1b[2J"[..]), ("C1", b"\xc2\x9b2J")] {
        if memmem::find(&output, bytes).is_some() {
            finding.note(format!("{name} sequences pass as they are"));
        }
    }
    Ok(finding)
}

/// A line has arrived if its beginning and its end are in one line of the output; what stands between
/// them, escaped or not, is the daemon's affair.
fn judge(finding: &mut Finding, output: &[u8], kind: &str, line: &[u8]) {
    let (start, end) = (&line[..5], &line[line.len() - 5..]);
    let (mut whole, mut cut) = (0, 0);
    for found in output.split(|&byte| byte == b'\n') {
        match (memmem::find(found, start), memmem::find(found, end)) {
            (Some(_), Some(_)) => whole += 1,
            (Some(_), None) => cut += 1,
            (None, _) => {}
        }
    }
    let sent = u64::from(ROUNDS);
    finding.sent += sent;
    finding.written += whole;
    finding.lost += sent - whole.min(sent);
    if whole < sent {
        finding.note(format!(
            "with {kind}: {whole} of {sent} whole, {cut} cut short"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_cut_short_are_lost_and_escaped_ones_are_not() {
        let line = LINES[0].1;
        let mut finding = Finding::default();
        let mut output = b"<13> [bin0 #000#000 nib0]\n".repeat(9);
        output.extend(b"[bin0 \n");
        judge(&mut finding, &output, "NUL", line);
        assert_eq!((finding.sent, finding.written, finding.lost), (10, 9, 1));
        assert_eq!(finding.evidence, ["with NUL: 9 of 10 whole, 1 cut short"]);
    }
}
