//! A daemon that is stopped and started anew while producers send.

use crate::harness::{Folder, Setup, sent_by, sequences, spawn_producer};

const RESTARTS: usize = 5;

/// Restarts a daemon under load and returns what was sent and all lines, in order.
fn restarts(transport: &str) -> (std::collections::HashMap<u64, u64>, Vec<String>) {
    let folder = Folder::new();
    let start = |port: Option<&str>| match port {
        // The same address again, where the kernel chose it.
        Some(endpoint) => Setup::new(&folder, &[]).args(["--ipc", endpoint]).start(),
        None => Setup::new(&folder, &[transport]).start(),
    };
    let mut daemon = start(None);
    let endpoint = daemon.endpoint(transport).to_owned();
    let args = ["--rate=4000", "--count=12000", "--wait=30"];
    let producers = (0..2).map(|_| spawn_producer(&endpoint, args)).collect();
    let mut lines = 0;
    for _ in 0..RESTARTS {
        daemon.wait_for_lines(lines + 500);
        daemon.signal("TERM");
        let stopped = daemon.wait_unchecked();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        lines = stopped.lines.len();
        daemon = start(Some(&endpoint));
    }
    let sent = sent_by(producers);
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    let own = |line: &String| line.contains("\"seq\":") && !line.contains("\"unterminated\"");
    (sent, stopped.lines.into_iter().filter(own).collect())
}

#[test]
fn restarts_under_load_lose_and_double_nothing_on_unix_sockets() {
    for transport in ["unixsock", "unixgram"] {
        let (sent, lines) = restarts(transport);
        let got = sequences(&lines);
        for (pid, count) in sent {
            assert_eq!(count, 12_000, "{transport}");
            assert!(
                got[&pid].iter().copied().eq(0..count),
                "{transport}: of producer {pid}"
            );
        }
    }
}

/// Each restart may take what was on its way: what a send had accepted and no read had brought.
#[test]
fn restarts_under_load_lose_at_most_what_was_on_its_way_on_the_others() {
    for transport in ["tcp", "fifo"] {
        let (sent, lines) = restarts(transport);
        for (pid, numbers) in sequences(&lines) {
            assert!(
                numbers.is_sorted_by(|a, b| a < b),
                "{transport}: of producer {pid}"
            );
            assert_eq!(
                numbers.last(),
                Some(&(sent[&pid] - 1)),
                "{transport}: of producer {pid}"
            );
            let lost = sent[&pid] - numbers.len() as u64;
            // At 4,000 a second, a restart's moment is worth a few records.
            assert!(
                lost <= 100 * RESTARTS as u64,
                "{transport}: {lost} lost of producer {pid}"
            );
            if lost > 0 {
                eprintln!("{transport}: {lost} records lost in {RESTARTS} restarts");
            }
        }
    }
}
