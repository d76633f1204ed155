//! A flooder starves nobody: not another client, not another transport, not a signal.
//!
//! No clock is looked at. What is measured is how much of the flood is written between the moment at
//! which the kernel has taken a record (or a signal) and the record itself: what the kernel had queued
//! before it, and at most a few rounds.

use crate::harness::{Client, Daemon, Folder, Setup, TRANSPORTS, Tail, wait_for};
use std::collections::HashSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One round's share of a flood: a turn's budget and the read that exceeded it.
const ROUND_BYTES: u64 = (256 + 128) << 10;

/// The round that is under way, the one that serves the record, and as much again for a loopback device
/// that delivers a moment after the send.
const ROUNDS: u64 = 4;

/// The size of the pipe, and of UDP's receive buffer.
const BUFFER_BYTES: u64 = 256 << 10;

/// How often all paced senders send, and how much of the flood has to be written meanwhile.
const TIMES: usize = 10;
const FLOOD_BYTES: u64 = 2_000_000;

/// A record of the flood, 100 bytes long.
fn flood_record() -> String {
    format!("{{\"flood\":\"{}\"}}\n", "f".repeat(87))
}

/// What one send of the flooder carries: no write of more than PIPE_BUF is whole on a FIFO.
fn flood_piece(transport: &str) -> String {
    let records = match transport {
        "unixsock" | "tcp" => 600,
        "fifo" => 40,
        _ => 10,
    };
    flood_record().repeat(records)
}

/// How many bytes the kernel may hold of a queue that all senders share.
fn queue_bytes(transport: &str) -> u64 {
    let sysctl = |name: &str| -> u64 {
        let text = fs::read_to_string(format!("/proc/sys/{name}")).unwrap();
        text.trim().parse().unwrap()
    };
    match transport {
        "unixgram" => (sysctl("net/unix/max_dgram_qlen") + 1) * flood_piece(transport).len() as u64,
        "udp" => 2 * BUFFER_BYTES, // the kernel doubles it
        "fifo" => BUFFER_BYTES,
        _ => 0,
    }
}

/// Sends without a pause until told to stop, or until the daemon refuses; counts its sends.
fn flood(transport: &str, address: &str, stop: &AtomicBool, sends: &AtomicU64) {
    let mut client = Client::connect(transport, address);
    let piece = flood_piece(transport);
    while !stop.load(Ordering::Relaxed) && client.try_send(piece.as_bytes()).is_ok() {
        sends.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs `body` while one client floods this transport.
fn beside_a_flood(daemon: &Daemon, transport: &str, body: impl FnOnce()) {
    let (stop, sends) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = daemon.address(transport);
    std::thread::scope(|scope| {
        scope.spawn(|| flood(transport, address, &stop, &sends));
        wait_for("the flood", || sends.load(Ordering::Relaxed) > 100);
        // Also if the body panics, since the scope waits for the flooder.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        body();
    });
}

/// Clients that send one record at a time, all of them, and look for it in the output.
struct Paced {
    clients: Vec<Client>,
    tail: Tail,
    sent: u64,
    lost: u64,
}

impl Paced {
    fn connect(daemon: &Daemon, transports: &[&str]) -> Self {
        Self {
            clients: transports.iter().map(|t| daemon.connect(t)).collect(),
            tail: Tail::open(&daemon.output),
            sent: 0,
            lost: 0,
        }
    }

    /// Each client sends one record; all are in the output before it has grown by `bound`, but for those
    /// that the kernel may lose.
    fn send_and_find(&mut self, bound: u64, may_lose: bool) {
        self.tail.skip();
        let mut missing = HashSet::new();
        for client in &mut self.clients {
            let record = format!("{{\"paced\":{}}}", self.sent);
            client.send(format!("{record}\n"));
            missing.insert(record.into_bytes());
            self.sent += 1;
        }
        let end = self.tail.length() + bound;
        wait_for("the paced records", || {
            self.tail.look(|line, at| {
                if missing.remove(line) {
                    assert!(
                        at <= end,
                        "{} bytes more than {bound} came before",
                        at - end
                    );
                }
            });
            missing.is_empty() || self.tail.seen > end
        });
        assert!(may_lose || missing.is_empty(), "{bound} bytes came before");
        self.lost += missing.len() as u64;
    }
}

/// One flooder on `flooded`, and paced senders on these transports.
fn check(flooded: &str, transports: &[&str]) {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS)
        .args(["--buffer", &BUFFER_BYTES.to_string()])
        .start();
    let mut paced = Paced::connect(&daemon, transports);
    let shares_queue = transports.contains(&flooded);
    let queue = if shares_queue {
        queue_bytes(flooded)
    } else {
        0
    };
    let bound = queue + ROUNDS * ROUND_BYTES;
    beside_a_flood(&daemon, flooded, || {
        let begin = paced.tail.length();
        for time in 0.. {
            if time >= TIMES && paced.tail.length() > begin + FLOOD_BYTES {
                break;
            }
            paced.send_and_find(bound, flooded == "udp" && shares_queue);
        }
    });
    let Paced { sent, lost, .. } = paced;
    assert!(lost < sent, "none of {sent} records has come through");
    let stopped = daemon.stop();
    assert!(lost <= stopped.count("kernel_drops"), "{lost} of {sent}");
    let is_paced = |line: &&String| line.starts_with("{\"paced\":");
    let got = stopped.lines.iter().filter(is_paced).count();
    assert_eq!(got as u64, sent - lost);
}

#[test]
fn a_flooder_starves_no_other_connection() {
    check("unixsock", &["unixsock"; 7]);
    check("tcp", &["tcp"; 7]);
}

#[test]
fn a_flooder_starves_no_other_sender_of_datagrams() {
    check("unixgram", &["unixgram"; 7]);
    check("udp", &["udp"; 7]);
}

#[test]
fn a_flooder_starves_no_other_writer_of_a_fifo() {
    check("fifo", &["fifo"; 7]);
}

#[test]
fn a_flooder_starves_no_other_transport() {
    for flooded in TRANSPORTS {
        let others: Vec<&str> = TRANSPORTS.into_iter().filter(|t| *t != flooded).collect();
        let seven: Vec<&str> = others.iter().copied().cycle().take(7).collect();
        check(flooded, &seven);
    }
}

#[test]
fn a_flooder_keeps_no_signal_from_being_obeyed() {
    for flooded in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &TRANSPORTS)
            .wrapper(["env", "--default-signal=HUP"])
            .start();
        beside_a_flood(&daemon, flooded, || {
            for number in 0..3 {
                wait_for("the flood", || {
                    daemon.output.metadata().unwrap().len() > 1_000_000
                });
                let moved = folder.path(&format!("moved.{number}"));
                fs::rename(&daemon.output, &moved).unwrap();
                daemon.signal("HUP");
                let length = || moved.metadata().unwrap().len();
                let begin = length();
                wait_for("the new output", || daemon.output.exists());
                let after = length() - begin;
                assert!(
                    after <= ROUNDS * ROUND_BYTES,
                    "{flooded}: {after} bytes after the signal"
                );
            }
        });
        daemon.signal("TERM");
        let stopped = daemon.wait_unchecked();
        assert_eq!(
            stopped.status.code(),
            Some(0),
            "{flooded}: {}",
            stopped.stderr
        );
    }
}
