//! A stop loses nothing that can be kept.
//!
//! `RESTARTS=20 cargo test --release --test it stop:: -- --nocapture` stops a daemon under load 20 times
//! for each transport, and says what was lost.

use crate::harness::{Client, Folder, Setup, TRANSPORTS, has_program, number_from, skip, wait_for};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SENDERS: usize = 6;

/// Half of the senders stay connected, the others connect anew every 10 records. (To open a FIFO that
/// nobody reads any more would take for ever.)
fn stays(transport: &str, sender: usize) -> bool {
    transport == "fifo" || sender.is_multiple_of(2)
}

/// How far the senders have come.
#[derive(Default)]
struct Progress {
    connected: AtomicU64,
    sent: AtomicU64,
}

/// Sends until the daemon refuses; returns how many sends succeeded.
fn send_until_refused(transport: &str, path: &str, sender: usize, progress: &Progress) -> u64 {
    let mut seq = 0;
    loop {
        let Ok(mut client) = Client::try_connect(transport, path) else {
            return seq;
        };
        if seq == 0 {
            progress.connected.fetch_add(1, Ordering::Relaxed);
        }
        let records = if stays(transport, sender) {
            u64::MAX
        } else {
            10
        };
        for _ in 0..records {
            let record = format!("{{\"sender\":{sender},\"seq\":{seq}}}\n");
            if client.try_send(record.as_bytes()).is_err() {
                return seq;
            }
            seq += 1;
            progress.sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Stops a daemon under flat-out load; returns how many records each sender has lost. It must be the
/// last ones.
fn stop_under_load(transport: &str) -> Vec<u64> {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).start();
    let output = daemon.output.clone();
    let path = daemon.address(transport).to_owned();
    let progress = Progress::default();
    let sent: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (path, progress) = (&path, &progress);
                scope.spawn(move || send_until_refused(transport, path, sender, progress))
            })
            .collect();
        wait_for("load", || {
            progress.connected.load(Ordering::Relaxed) == SENDERS as u64
                && progress.sent.load(Ordering::Relaxed) > 2000
        });

        daemon.signal("TERM");
        let stopped = daemon.wait_unread();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });

    let mut got: HashMap<u64, Vec<u64>> = HashMap::new();
    for line in BufReader::new(File::open(output).unwrap()).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        // A record whose send failed in the middle is there as a fragment.
        if let (Some(sender), Some(seq)) = (record["sender"].as_u64(), record["seq"].as_u64()) {
            got.entry(sender).or_default().push(seq);
        }
    }
    let lost = sent.into_iter().enumerate().map(|(sender, sent)| {
        let mut got = got.remove(&(sender as u64)).unwrap_or_default();
        if !stays(transport, sender) {
            got.sort_unstable(); // the order of one connection is kept, not that of several
        }
        let count = got.len() as u64;
        assert!(
            got.iter().copied().eq(0..count),
            "sender {sender} sent {sent}, in the file {count}, and not the first ones"
        );
        sent - count
    });
    lost.collect()
}

/// Records that its senders lose in a stop, by stop.
fn losses(transport: &str) -> Vec<u64> {
    let stops = number_from("RESTARTS").unwrap_or(5);
    let losses = (0..stops).map(|_| stop_under_load(transport).iter().sum());
    let losses = losses.collect();
    println!("{transport}: lost at each stop under load: {losses:?}");
    losses
}

#[test]
fn stops_under_load_lose_nothing_on_unixsock() {
    assert_eq!(losses("unixsock").iter().sum::<u64>(), 0);
}

#[test]
fn stops_under_load_lose_nothing_on_unixgram() {
    assert_eq!(losses("unixgram").iter().sum::<u64>(), 0);
}

#[test]
fn stops_under_load_lose_nothing_on_a_fifo() {
    assert_eq!(losses("fifo").iter().sum::<u64>(), 0);
}

/// What the peer's own kernel had taken and not yet passed on is all that a stop may take, and the peer can
/// ask for it (SIOCOUTQ). Mostly it is nothing.
#[test]
fn stops_under_load_end_on_tcp() {
    let records_in_a_send_buffer = (4 << 20) / 20;
    for lost in losses("tcp") {
        assert!(lost < SENDERS as u64 * records_in_a_send_buffer, "{lost}");
    }
}

/// Sends until the daemon refuses, and leaves it time; returns how many sends succeeded.
fn send_with_pauses(transport: &str, address: &str, done: &AtomicU64) -> u64 {
    let mut client = Client::connect(transport, address);
    while client.try_send(b"{}\n").is_ok() {
        done.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_micros(100));
    }
    done.load(Ordering::Relaxed)
}

/// There is no moment between the last read and the close in which records are taken and lost. strace makes
/// that moment long.
#[test]
fn what_is_sent_between_the_last_read_and_the_close_is_refused() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    // A TCP or UDP send that is refused succeeds itself, and the next one fails.
    for (transport, refused) in [
        ("fifo", 0),
        ("unixgram", 0),
        ("unixsock", 0),
        ("tcp", 1),
        ("udp", 1),
    ] {
        let folder = Folder::new();
        let trace = folder.path("trace");
        let daemon = Setup::new(&folder, &[transport])
            .wrapper(["strace", "-o", trace.to_str().unwrap(), "-e", "trace=close"])
            .wrapper(["-e", "inject=close:delay_enter=20000"])
            .start();
        let address = daemon.address(transport).to_owned();
        let done = AtomicU64::new(0);
        let (sent, stopped) = std::thread::scope(|scope| {
            let sender = scope.spawn(|| send_with_pauses(transport, &address, &done));
            wait_for("load", || done.load(Ordering::Relaxed) > 100);
            let stopped = daemon.stop();
            (sender.join().unwrap(), stopped)
        });
        let written = stopped.lines.len() as u64;
        assert!(
            written <= sent && sent <= written + refused,
            "{transport}: {sent} sent, {written} written"
        );
    }
}

/// Clients that connect anew again and again do not keep it from ending. strace slows it down, so that they
/// come faster than it can read.
#[test]
fn connections_that_never_stop_coming_do_not_hold_a_stop_up() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["tcp"])
        .wrapper([
            "strace",
            "-f",
            "--seccomp-bpf",
            "-o",
            trace.to_str().unwrap(),
        ])
        .wrapper(["-e", "trace=read", "-e", "inject=read:delay_enter=100"])
        .args(["--drain-timeout=30"])
        .start();
    let address = daemon.address("tcp").to_owned();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| {
                while let Ok(mut client) = Client::try_connect("tcp", &address) {
                    let _ = client.try_send(b"{}\n"); // one that is reset comes again
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_for("load", || done.load(Ordering::Relaxed) > 1000);
        daemon.stop();
    });
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
