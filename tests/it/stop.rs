//! A stop loses nothing that can be kept.

use crate::harness::{Client, Folder, Setup, TRANSPORTS, wait_for};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

const SENDERS: usize = 6;

/// Half of the senders stay connected, the others connect anew every 10 records.
fn stays(sender: usize) -> bool {
    sender.is_multiple_of(2)
}

/// Sends until the daemon refuses; returns how many sends succeeded.
fn send_until_refused(transport: &str, path: &str, sender: usize, done: &AtomicU64) -> u64 {
    let mut seq = 0;
    loop {
        let Ok(mut client) = Client::try_connect(transport, path) else {
            return seq;
        };
        for _ in 0..if stays(sender) { u64::MAX } else { 10 } {
            let record = format!("{{\"sender\":{sender},\"seq\":{seq}}}\n");
            if client.try_send(record.as_bytes()).is_err() {
                return seq;
            }
            seq += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Stops a daemon under flat-out load and compares what was sent with what is there.
fn check(transport: &str) {
    for round in 0..20 {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let path = daemon.address(transport).to_owned();
        let done = AtomicU64::new(0);
        let (sent, stopped) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..SENDERS)
                .map(|sender| {
                    let (path, done) = (&path, &done);
                    scope.spawn(move || send_until_refused(transport, path, sender, done))
                })
                .collect();
            wait_for("load", || done.load(Ordering::Relaxed) > 2000);
            let stopped = daemon.stop();
            let sent: Vec<u64> = threads.into_iter().map(|t| t.join().unwrap()).collect();
            (sent, stopped)
        });

        let mut got: HashMap<u64, Vec<u64>> = HashMap::new();
        for record in stopped.records() {
            // A record whose send failed in the middle is there as a fragment.
            if let (Some(sender), Some(seq)) = (record["sender"].as_u64(), record["seq"].as_u64()) {
                got.entry(sender).or_default().push(seq);
            }
        }
        for (sender, sent) in sent.into_iter().enumerate() {
            let mut got = got.remove(&(sender as u64)).unwrap_or_default();
            if !stays(sender) {
                got.sort_unstable(); // the order of one connection is kept, not that of several
            }
            assert!(
                got.iter().copied().eq(0..sent),
                "round {round}, sender {sender}: sent {sent}, in the file {}",
                got.len()
            );
        }
    }
}

#[test]
fn twenty_stops_under_load_lose_nothing_on_unixsock() {
    check("unixsock");
}

#[test]
fn twenty_stops_under_load_lose_nothing_on_unixgram() {
    check("unixgram");
}

/// What is in the kernel when the signal comes is read, connections in the backlog included.
#[test]
fn what_is_queued_when_the_signal_comes_is_written() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        daemon.freeze();
        let mut clients = Vec::new();
        for number in 0..10 {
            let mut client = daemon.connect(transport);
            client.send(format!("{{\"client\":{number}}}\n"));
            clients.push(client);
        }
        daemon.signal("TERM");
        daemon.thaw();
        let stopped = daemon.wait();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        assert_eq!(stopped.lines.len(), 10, "{transport}");
    }
}

#[test]
fn ctrl_c_stops_it_as_well() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        // Whatever the tests were started to ignore.
        .wrapper(["env", "--default-signal=INT"])
        .start();
    let mut client = daemon.connect("unixsock");
    client.send("{}\n{\"half\":");
    daemon.signal("INT");
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(0));
    assert_eq!(stopped.lines.len(), 2);
    assert_eq!(stopped.records()[1]["unterminated"], true);
}

/// A service manager may send two at once.
#[test]
fn signals_that_come_together_are_one_wish() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["env", "--default-signal=INT"])
        .start();
    daemon.connect("unixsock").send("{}\n");
    daemon.freeze();
    daemon.signal("INT");
    daemon.signal("TERM");
    daemon.thaw();
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.lines.len(), 1);
}

#[test]
fn a_signal_that_it_was_started_to_ignore_is_ignored() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["env", "--ignore-signal=INT,HUP"])
        .start();
    daemon.signal("HUP");
    daemon.signal("INT");
    daemon.connect("unixsock").send("{}\n");
    daemon.wait_for_lines(1);
    assert_eq!(daemon.stop().lines.len(), 1);
}
