//! What is measured: the names that keys begin with, their units, and what they mean in plain words.

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// Of its numbers.
    pub unit: &'static str,
    /// What it is, in plain words.
    pub words: String,
}

/// The percentiles of a latency: as a name has them, and as a share.
pub const PERCENTILES: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// From where a latency is counted.
pub const BEGINNINGS: [(&str, &str); 2] = [
    ("due", "from the time when the plan wanted it sent"),
    ("sent", "from right before the call that sent it"),
];

/// Names, units and words of all that is not a percentile, a step or a system call.
const PLAIN: &[(&str, &str, &str)] = &[
    (
        "throughput",
        "records/s",
        "records in the file, by the seconds from the first producer's start to the last record",
    ),
    (
        "sent",
        "records",
        "records that the producers say they have sent, all repetitions together",
    ),
    (
        "written",
        "records",
        "lines in the file, all repetitions together",
    ),
    (
        "lost",
        "%",
        "sequence numbers that are missing in the file, of those sent",
    ),
    (
        "missing",
        "records",
        "sequence numbers that are missing in the file, all repetitions together",
    ),
    (
        "socket_drops",
        "records",
        "what the socket's own counter says it dropped, all repetitions together",
    ),
    (
        "kernel_drops",
        "records",
        "what the kernel's counter of full UDP receive buffers grew by, all repetitions together",
    ),
    (
        "duplicates",
        "records",
        "sequence numbers that came twice, all repetitions together",
    ),
    (
        "reordered",
        "records",
        "records that came after a later one of the same producer, all repetitions together",
    ),
    (
        "daemon_cpu",
        "us/record",
        "processor time of the daemon for a record that it wrote",
    ),
    (
        "producer_cpu",
        "us/record",
        "processor time of the producers for a record that they sent, without their start and end",
    ),
    (
        "program_cpu",
        "us/record",
        "processor time of the producers for a record sent and of the daemon for one written, added, without the producers' start and end",
    ),
    (
        "startup_cpu",
        "us/producer",
        "processor time that a producer takes to start, connect and end without a record",
    ),
    (
        "machine_cpu",
        "us/record",
        "processor time of the whole machine for a record: interrupts, starts and whatever else ran are in it",
    ),
    (
        "batch",
        "records",
        "records that one round of the daemon (a wait, reads, a write) took in: records by writes",
    ),
    (
        "daemon_voluntary",
        "per record",
        "times that the daemon went to sleep",
    ),
    (
        "daemon_involuntary",
        "per record",
        "times that the daemon was made to let another run",
    ),
    (
        "producer_voluntary",
        "per record",
        "times that producers went to sleep",
    ),
    (
        "producer_involuntary",
        "per record",
        "times that producers were made to let another run",
    ),
    (
        "daemon_queue",
        "us/record",
        "time that the daemon was ready to run but waited for a processor",
    ),
    (
        "producer_queue",
        "us/record",
        "time that producers were ready to run but waited for a processor",
    ),
    (
        "daemon_wakeups",
        "per record",
        "times that the daemon was woken up",
    ),
    (
        "producer_wakeups",
        "per record",
        "times that producers were woken up",
    ),
    (
        "wake_to_run",
        "us",
        "from a wake-up of the daemon until it runs, on average",
    ),
    (
        "daemon_memory",
        "MiB",
        "the most memory of the daemon that was resident",
    ),
    (
        "producer_memory",
        "MiB",
        "the most memory of a producer that was resident",
    ),
    (
        "tracing_cpu",
        "times",
        "processor time for a record when traced, by that when not",
    ),
    (
        "tracing_throughput",
        "times",
        "records a second when traced, by those when not",
    ),
    (
        "same_cpu",
        "%",
        "records whose sender's call ran on the processor on which the daemon then ran",
    ),
    (
        "original_calls",
        "calls",
        "system calls of the original's producers, by its own table",
    ),
    (
        "original_write",
        "calls",
        "those of them that write a record",
    ),
    (
        "original_wait",
        "calls",
        "those of them that sleep or wait: nanosleep, epoll_pwait, futex",
    ),
    (
        "original_other",
        "calls",
        "all others of them: starting, ending and its runtime",
    ),
    (
        "original_each",
        "per record",
        "system calls of the original's producers for a record",
    ),
];

/// Classes of the daemon's system calls, in the order in which they are shown.
pub const DAEMON_CLASSES: [&str; 5] = ["wait", "read", "write", "pacing", "other"];
/// Classes of the producers' system calls.
pub const PRODUCER_CLASSES: [&str; 4] = ["write", "wait", "pacing", "other"];

/// What a name stands for; `None` if nothing has it.
pub fn describe(name: &str) -> Option<Measure> {
    plain(name)
        .or_else(|| percentile(name))
        .or_else(|| step(name))
        .or_else(|| calls(name))
}

/// All names of plain measures, and a pattern for each of the others: for an error's advice.
pub fn names() -> String {
    let plain: Vec<&str> = PLAIN.iter().map(|(name, _, _)| *name).collect();
    format!(
        "{}, due_p50 and its like, step_written and its like, producer_calls and its like",
        plain.join(", ")
    )
}

fn plain(name: &str) -> Option<Measure> {
    let (_, unit, words) = PLAIN.iter().find(|(known, _, _)| *known == name)?;
    Some(Measure {
        unit,
        words: (*words).to_owned(),
    })
}

fn percentile(name: &str) -> Option<Measure> {
    let (beginning, percentile) = name.split_once('_')?;
    let (_, from) = BEGINNINGS.iter().find(|(known, _)| *known == beginning)?;
    PERCENTILES.iter().find(|(known, _)| *known == percentile)?;
    let which = match percentile {
        "max" => "the longest way of a record".to_owned(),
        _ => format!(
            "the time within which {} % of the records made their way",
            &percentile[1..]
        ),
    };
    let words = format!("{which}, {from} until the daemon's read returned");
    Some(Measure { unit: "us", words })
}

fn step(name: &str) -> Option<Measure> {
    let name = name.strip_prefix("step_")?;
    let (_, words) = super::journeys::STEPS
        .iter()
        .map(|(step, words)| (super::journeys::name(*step), words))
        .find(|(known, _)| *known == name)?;
    let words = format!("{words}, counted from when the send call was entered");
    Some(Measure { unit: "us", words })
}

/// `SIDE_CLASS`, with `_sum`, `_fixed` or `_each`.
fn calls(name: &str) -> Option<Measure> {
    let (side, rest) = name.split_once('_')?;
    let (class, kind) = rest.split_once('_').unwrap_or((rest, ""));
    let (who, classes): (_, &[&str]) = match side {
        "daemon" => ("of the daemon", &DAEMON_CLASSES),
        "producer" => ("of the producers", &PRODUCER_CLASSES),
        _ => return None,
    };
    let what = match class {
        "calls" => "all system calls",
        known if classes.contains(&known) => class_words(known),
        _ => return None,
    };
    let (unit, how) = match kind {
        "" => ("per record", "for a record, all told"),
        "sum" => ("calls", "of a repetition, all told"),
        "fixed" => ("calls", "that do not grow with the records: a of a + b * N"),
        "each" => ("per record", "that one more record adds: b of a + b * N"),
        _ => return None,
    };
    Some(Measure {
        unit,
        words: format!("{what} {who}, {how}"),
    })
}

/// What a class of system calls is.
fn class_words(class: &str) -> &'static str {
    match class {
        "wait" => "calls that wait until there is something to do (epoll_wait, poll)",
        "read" => "calls that read from the transport",
        "write" => "calls that write records",
        "pacing" => "calls that sleep until the next record is due (clock_nanosleep)",
        _ => "all other calls: starting, connecting, ending",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_others_are_not() {
        let known = [
            ("throughput", "records/s"),
            ("due_p99.9", "us"),
            ("sent_max", "us"),
            ("step_written", "us"),
            ("producer_calls", "per record"),
            ("producer_write_sum", "calls"),
            ("daemon_read_each", "per record"),
            ("daemon_calls_fixed", "calls"),
        ];
        for (name, unit) in known {
            assert_eq!(
                describe(name).map(|measure| measure.unit),
                Some(unit),
                "{name}"
            );
        }
        for name in [
            "",
            "due",
            "due_p42",
            "step_back",
            "producer_read",
            "daemon_calls_more",
            "cpu",
        ] {
            assert_eq!(describe(name), None, "{name}");
        }
    }
}
