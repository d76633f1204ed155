//! The scripts that count system calls by name.

use crate::harness::{Folder, Setup, TRANSPORTS, skip};
use crate::load::{PRIME, RECORDS, prime_load};
use crate::trace::{Report, Trace, tracing};

#[test]
fn a_record_costs_a_producer_one_write_and_the_daemon_at_most_a_wait_a_read_and_a_write() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let traces = Trace::start_all(
            &folder,
            [
                ("producer_syscalls.bt", &[]),
                ("aggregator_syscalls.bt", &[]),
            ],
        );
        prime_load(&daemon, transport);
        let reports = traces.map(Trace::stop);
        assert_eq!(daemon.stop().count("records"), RECORDS);
        for report in &reports {
            check_total(report);
        }
        check_producer(&reports[0]);
        check_daemon(&reports[1], transport);
    }
}

fn check_total(report: &Report) {
    let text = &report.text;
    assert_eq!(report.sum("calls", ""), report.number("total"), "{text}");
    let nameless = report.number("calls[]");
    assert_eq!(nameless, 0, "a system call without a name: {text}");
}

fn check_producer(report: &Report) {
    let text = &report.text;
    let writes = report.number("calls[write]");
    assert_eq!(writes, RECORDS, "{text}");
    let sleeps = report.number("calls[clock_nanosleep]");
    assert!((1..=PRIME * (PRIME - 1)).contains(&sleeps), "{text}");
    let others = report.number("total") - writes - sleeps;
    assert!(others <= PRIME * 40, "{text}");
}

fn check_daemon(report: &Report, transport: &str) {
    let text = &report.text;
    let read = match transport {
        "unixgram" | "udp" => "calls[recvmmsg]",
        _ => "calls[read]",
    };
    let writes = report.number("calls[write]");
    assert!((1..=RECORDS).contains(&writes), "{transport}: {text}");
    // A connection's end is one more read, and a FIFO's last writer may leave more than once.
    let reads = report.number(read);
    let reads_max = RECORDS + 2 * PRIME;
    assert!((1..=reads_max).contains(&reads), "{transport}: {text}");
    let waits = report.number("calls[epoll_wait]");
    let waits_max = RECORDS + 3 * PRIME;
    assert!((1..=waits_max).contains(&waits), "{transport}: {text}");
}
