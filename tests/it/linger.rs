//! The wait between two looks, in a real kernel. How much it saves and costs, `lab wait` measures.

use crate::harness::{Folder, Setup, producer};
use std::process::Child;

/// What the kernel may take to acknowledge what it thinks is not urgent (`TCP_DELACK_MIN`, include/net/tcp.h).
const DELAYED_ACK_NS: u64 = 40_000_000;

/// A sender with Nagle's algorithm keeps records back until those before are acknowledged. What it keeps back while the
/// daemon waits is late by the wait, not by the kernel's patience.
#[test]
fn nobody_waits_for_a_delayed_acknowledgement() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["tcp"]).args(["--stamp"]).start();
    let senders: Vec<Child> = (0..5)
        .map(|_| {
            producer()
                .args(["--nagle", "--stamp", "--size=500", "--rate=2000"])
                .args(["--count=2000", "--ipc", daemon.endpoint("tcp")])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut sender in senders {
        assert!(sender.wait().unwrap().success());
    }
    let records = daemon.stop().records();
    assert_eq!(records.len(), 10_000);
    let late = |record: &&serde_json::Value| {
        let time = |name: &str| record[name].as_u64().unwrap();
        time("_received_mono_ns") > time("sent_ns") + DELAYED_ACK_NS / 2
    };
    // A machine that is busy may have some late; the delay would have a third of them.
    let late = records.iter().filter(late).count();
    assert!(late < 1000, "{late} of 10,000 were late");
}
