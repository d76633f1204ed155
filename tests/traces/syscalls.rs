//! The scripts that count system calls by name.

use crate::harness::{Daemon, Folder, Setup, TRANSPORTS, skip};
use crate::load::{PRIME, RECORDS, prime_load};
use crate::trace::{Trace, tracing};
use std::collections::HashMap;

/// What a script counts for the prime load, every record of which arrives: by name, and `total`.
fn counts(script: &str, transport: &str) -> HashMap<String, u64> {
    let folder = Folder::new();
    let daemon: Daemon = Setup::new(&folder, &[transport]).start();
    let [trace] = Trace::start_all(&folder, [(script, &[])]);
    prime_load(&daemon, transport);
    let report = trace.stop();
    assert_eq!(daemon.stop().count("records"), RECORDS);
    let total = report.number("total");
    assert_eq!(report.sum("calls", ""), total, "{}", report.text);
    assert!(
        !report.numbers.contains_key("calls[]"),
        "a system call without a name: {}",
        report.text
    );
    let by_name = |(key, number): (String, u64)| {
        let name = key.strip_prefix("calls[").and_then(|k| k.strip_suffix(']'));
        (name.unwrap_or(&key).to_owned(), number)
    };
    report.numbers.into_iter().map(by_name).collect()
}

#[test]
fn a_producer_makes_one_write_a_record_on_every_transport() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    for transport in TRANSPORTS {
        let counts = counts("producer_syscalls.bt", transport);
        assert_eq!(counts["write"], RECORDS, "{transport}: {counts:?}");
        let sleeps = counts["clock_nanosleep"];
        assert!(sleeps <= PRIME * (PRIME - 1), "{transport}: {counts:?}");
        let others = counts["total"] - counts["write"] - sleeps;
        assert!(others <= PRIME * 40, "{transport}: {counts:?}");
    }
}

#[test]
fn a_daemon_makes_at_most_one_wait_one_read_and_one_write_a_record() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    for transport in TRANSPORTS {
        let counts = counts("aggregator_syscalls.bt", transport);
        let read = match transport {
            "unixgram" | "udp" => "recvmmsg",
            _ => "read",
        };
        assert!(
            (1..=RECORDS).contains(&counts["write"]),
            "{transport}: {counts:?}"
        );
        // A connection's end is one more read, and a FIFO's last writer may leave more than once.
        assert!(
            (1..=RECORDS + 2 * PRIME).contains(&counts[read]),
            "{transport}: {counts:?}"
        );
        let wakeups = RECORDS + 3 * PRIME;
        assert!(
            (1..=wakeups).contains(&counts["epoll_wait"]),
            "{transport}: {counts:?}"
        );
    }
}
