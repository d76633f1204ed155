//! The load that is traced.

use crate::harness::{Daemon, producer, wait_for};
use std::fs;
use std::process::Child;

pub const PRIME: u64 = 23;

/// How many records the prime load has.
pub const RECORDS: u64 = PRIME * PRIME;

/// 23 producers x 23 records, 100 a second each; returns when all have arrived.
pub fn prime_load(daemon: &Daemon, transport: &str) {
    let lines_before = daemon.lines_written();
    let endpoint = daemon.endpoint(transport);
    let children: Vec<Child> = (0..PRIME)
        .map(|_| {
            producer()
                .args(["--ipc", endpoint, "--rate", "100", "--count", "23"])
                .env_remove("LD_LIBRARY_PATH")
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    // All of it has arrived, whatever the transport.
    daemon.wait_for_lines(lines_before + usize::try_from(RECORDS).unwrap());
}

/// How many descriptors the daemon has open.
pub fn descriptors(daemon: &Daemon) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", daemon.pid)).unwrap();
    entries.count()
}

/// Waits until the daemon has closed its connections and sleeps. With `--linger 0` it sleeps only where
/// it waits for events.
pub fn wait_for_rest(daemon: &Daemon, descriptors_before: usize) {
    wait_for("the daemon's rest", || {
        descriptors(daemon) == descriptors_before && daemon.status_line("State").starts_with('S')
    });
}
