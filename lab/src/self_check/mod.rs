//! Whether all witnesses agree.
//!
//! The same prime workload is counted by our own programs, by the kernel (/proc), by bpftrace and by strace. Each
//! run is compared with itself: how many records a read brings differs from run to run, and under strace a lot.

mod facts;
mod watch;

use crate::cli::{self, TraceChoice};
use crate::interrupt::Interrupt;
use crate::programs::Programs;
use crate::trace;
use crate::trial::{Counts, Tracing};
use facts::{Fact, Verdict, Witness};
use log_aggregator::error::{Error, Exit};
use log_aggregator::transports::Transport;
use std::collections::BTreeMap;
use watch::{PRIME, Seen, Watch};

/// Counts the workload over each transport, and shows who says what.
///
/// # Errors
/// When a program or a tracer fails, or witnesses differ.
pub fn run(options: &cli::SelfCheck) -> Result<Exit, Error> {
    let check = Check {
        programs: Programs::find()?,
        interrupt: Interrupt::by_signals()?,
        bpftrace: trace::choose(TraceChoice::Bpftrace).err(),
        strace: trace::choose(TraceChoice::Strace).err(),
    };
    println!("{}", introduction());
    let mut all = Vec::new();
    for &transport in &options.ipc.0 {
        for (title, facts) in check.over(transport)? {
            println!("{}", facts::table(&title, &facts));
            all.extend(facts.into_iter().map(|fact| (title.clone(), fact)));
        }
    }
    check.say_what_is_missing();
    let mut differing = all
        .iter()
        .filter(|(_, fact)| fact.verdict() == Verdict::Differ);
    if let Some((title, fact)) = differing.next() {
        let more = match differing.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let said = format!("the witnesses differ on {}{more}", fact.statement());
        return Err(Error::new("trust", title, said).advise(
            "see the table; run it again on a quiet machine, where nobody else sends UDP",
        ));
    }
    println!("{}", conclusion(&all));
    Ok(Exit::Success)
}

fn introduction() -> String {
    format!(
        "{PRIME} producers send {PRIME} records each. What does each witness count?\n\
         \x20 programs  the producers' reports; the daemon's summary, with its socket's own count of drops\n\
         \x20 file      the lines in the daemon's file, their sequence numbers, its length\n\
         \x20 /proc     the kernel: PID/io, PID/status, net/snmp\n\
         \x20 bpftrace  system calls, switches    strace  system calls\n\n{}",
        facts::heads().trim_end()
    )
}

fn conclusion(all: &[(String, Fact)]) -> String {
    let count = |wanted| {
        let facts = all.iter().map(|(_, fact)| fact.verdict());
        facts.filter(|verdict| *verdict == wanted).count()
    };
    let agreed = format!("All witnesses agree on {} facts.", count(Verdict::Agree));
    match count(Verdict::OneWitness) {
        0 => agreed,
        alone => format!("{agreed} {alone} have one witness, and are not checked."),
    }
}

/// What is there to check with.
struct Check {
    programs: Programs,
    interrupt: Interrupt,
    /// Why it cannot be used.
    bpftrace: Option<Error>,
    /// Why it cannot be used.
    strace: Option<Error>,
}

impl Check {
    /// The runs over one transport: a title and the facts of each.
    fn over(&self, transport: Transport) -> Result<Vec<(String, Vec<Fact>)>, Error> {
        let has_bpftrace = self.bpftrace.is_none();
        let tracing = if has_bpftrace {
            Tracing::Bpftrace
        } else {
            Tracing::Off
        };
        let plain = Watch {
            programs: &self.programs,
            interrupt: &self.interrupt,
            transport,
            tracing,
            with_bpftrace: false,
            frozen: false,
        };
        let seen = plain.run()?;
        let mut runs = vec![(transport.to_string(), plain_facts(transport, &seen))];
        if self.strace.is_none() {
            let traced = Watch {
                tracing: Tracing::Strace,
                with_bpftrace: has_bpftrace,
                ..plain
            };
            let title = format!("{transport}, under strace");
            runs.push((title, strace_facts(transport, &traced.run()?)));
        }
        if transport == Transport::Udp {
            let lossy = Watch {
                tracing: Tracing::Off,
                frozen: true,
                ..plain
            };
            let title = "udp, flat out, with the daemon stopped".to_owned();
            runs.push((title, record_facts(transport, &lossy.run()?, None)));
        }
        Ok(runs)
    }

    fn say_what_is_missing(&self) {
        let missing: Vec<String> = [&self.bpftrace, &self.strace]
            .into_iter()
            .flatten()
            .map(|why| format!("  {why}\n"))
            .collect();
        if !missing.is_empty() {
            println!("Missing:\n{}", missing.concat());
        }
    }
}

/// The calls of this name; `None` without a tracer.
fn calls(
    counts: Option<&Counts>,
    side: fn(&Counts) -> &BTreeMap<String, u64>,
    name: &str,
) -> Option<u64> {
    counts.map(|counts| side(counts).get(name).copied().unwrap_or(0))
}

fn by_daemon(counts: &Counts) -> &BTreeMap<String, u64> {
    &counts.daemon_calls
}

fn by_producers(counts: &Counts) -> &BTreeMap<String, u64> {
    &counts.producer_calls
}

/// The system call that brings records to the daemon.
fn read_call(transport: Transport) -> &'static str {
    match transport {
        Transport::Unixgram | Transport::Udp => "recvmmsg",
        Transport::Unixsock | Transport::Tcp | Transport::Fifo => "read",
    }
}

/// Facts about records; `tracer` is who counted the producers' calls.
fn record_facts(transport: Transport, seen: &Seen, tracer: Option<Witness>) -> Vec<Fact> {
    use Witness::{File, Proc, Programs};
    let summary = |key: &str| seen.summary[key].as_u64();
    // A producer writes its records, and its report.
    let sent = |writes: u64| writes.checked_sub(u64::from(PRIME));
    let mut said = vec![
        (Programs, Some(seen.reported)),
        (Proc, sent(seen.producers.write_calls)),
    ];
    if let Some(tracer) = tracer {
        let writes = calls(seen.counts.as_ref(), by_producers, "write");
        said.push((tracer, writes.and_then(sent)));
    }
    let lost = match transport {
        Transport::Udp => [
            (Programs, summary("kernel_drops")), // of this socket
            (File, Some(seen.missing)),
            (Proc, Some(seen.kernel_drops)), // of all sockets
        ],
        _ => [
            (
                Programs,
                summary("records").and_then(|written| seen.reported.checked_sub(written)),
            ),
            (File, Some(seen.missing)),
            (Proc, None),
        ],
    };
    vec![
        Fact::new("records sent", &said),
        Fact::new(
            "records written",
            &[(Programs, summary("records")), (File, Some(seen.lines))],
        ),
        Fact::new(
            "bytes written",
            &[(Programs, summary("bytes")), (File, Some(seen.file_bytes))],
        ),
        Fact::new("records lost", &lost),
    ]
}

fn plain_facts(transport: Transport, seen: &Seen) -> Vec<Fact> {
    use Witness::{Bpftrace, Proc};
    let counts = seen.counts.as_ref();
    let mut facts = record_facts(transport, seen, Some(Bpftrace));
    facts.push(Fact::new(
        "the daemon's write calls",
        &[
            (Proc, Some(seen.daemon.write_calls)),
            (Bpftrace, calls(counts, by_daemon, "write")),
        ],
    ));
    // recvmmsg does not go through the file layer, which /proc counts.
    if read_call(transport) == "read" {
        facts.push(Fact::new(
            "the daemon's read calls",
            &[
                (Proc, Some(seen.daemon.read_calls)),
                (Bpftrace, calls(counts, by_daemon, "read")),
            ],
        ));
    }
    // Each sleep ends with a wake-up. But of those, bpftrace misses a few: one that an interrupt brings in the midst
    // of another of its programs (recursion_misses in its /proc/PID/fdinfo). None was seen to miss a switch.
    facts.push(Fact::new(
        "the daemon's sleeps",
        &[
            (Proc, Some(seen.daemon.voluntary_switches)),
            (Bpftrace, counts.and_then(|counts| counts.daemon_sleeps)),
        ],
    ));
    facts
}

/// bpftrace counts the daemon beside strace, which makes a witness for recvmmsg, too.
fn strace_facts(transport: Transport, seen: &Seen) -> Vec<Fact> {
    use Witness::{Bpftrace, Proc, Strace};
    let mut facts = record_facts(transport, seen, Some(Strace));
    let fact = |name, call, in_proc| {
        let said = [
            (Proc, in_proc),
            (Bpftrace, calls(seen.beside.as_ref(), by_daemon, call)),
            (Strace, calls(seen.counts.as_ref(), by_daemon, call)),
        ];
        Fact::new(name, &said)
    };
    facts.push(fact(
        "the daemon's write calls",
        "write",
        Some(seen.daemon.write_calls),
    ));
    facts.push(match read_call(transport) {
        "read" => fact(
            "the daemon's read calls",
            "read",
            Some(seen.daemon.read_calls),
        ),
        call => fact("the daemon's recvmmsg calls", call, None),
    });
    facts
}
