//! A daemon that is stopped, or killed, and started anew while producers send and do not wait for it.
//!
//! A few restarts by default. `RESTARTS=20 cargo test --release --test it restart:: -- --nocapture
//! --test-threads=1` restarts it 20 times for each transport and fault, and prints a table of what was
//! lost.

use crate::harness::{
    Daemon, Folder, Setup, number_from, producer, sent_by, spawn_producer, wait_for,
};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// Restarts, and lines that each daemon writes at least: 12,000 in all.
const RESTARTS: u64 = 2;
const LINES_OF_EACH: u64 = 4000;

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Sigterm,
    Kill,
}

/// The producers: two that make their records at a pace, and two that are fed through standard input, at
/// a pace and flat out.
struct Load<'scope> {
    made: Vec<Child>,
    fed: Vec<(u64, ScopedJoinHandle<'scope, u64>)>,
}

impl<'scope> Load<'scope> {
    fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        endpoint: &str,
        restarts: u64,
        enough: &'scope AtomicBool,
    ) -> Self {
        let count = format!("--count={}", 2000 * (restarts + 1));
        let made = (0..2).map(|_| spawn_producer(endpoint, ["--rate=4000", "--wait=60", &count]));
        let fed = [Duration::from_millis(1), Duration::ZERO].map(|pause| {
            let child = producer()
                .args(["--ipc", endpoint, "--wait=60", "--stdin"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let pid = child.id().into();
            (pid, scope.spawn(move || feed(child, pause, enough)))
        });
        Self {
            made: made.collect(),
            fed: fed.into(),
        }
    }

    fn pids(&self) -> Vec<u64> {
        let made = self.made.iter().map(|child| u64::from(child.id()));
        made.chain(self.fed.iter().map(|(pid, _)| *pid)).collect()
    }

    /// Waits for its end; returns how many records each producer sent.
    fn sent(self) -> HashMap<u64, u64> {
        let fed = self.fed.into_iter();
        let mut sent: HashMap<u64, u64> = fed
            .map(|(pid, feeder)| (pid, feeder.join().unwrap()))
            .collect();
        sent.extend(sent_by(self.made));
        sent
    }
}

/// Feeds a producer until it is enough; returns how many lines that were, all of which it has sent.
fn feed(mut child: Child, pause: Duration, enough: &AtomicBool) -> u64 {
    let mut input = child.stdin.take().unwrap();
    let (pid, mut seq) = (child.id(), 0);
    while !enough.load(Ordering::Relaxed) {
        let line = format!(
            "{{\"message\":\"{:a<100}\",\"pid\":{pid},\"seq\":{seq}}}\n",
            ""
        );
        input.write_all(line.as_bytes()).unwrap();
        seq += 1;
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    drop(input);
    assert!(child.wait().unwrap().success(), "a fed producer");
    seq
}

/// Reads an output as it grows.
struct Follower {
    file: BufReader<File>,
    offset: u64,
}

impl Follower {
    fn new(path: &Path) -> Self {
        Self {
            file: BufReader::new(File::open(path).unwrap()),
            offset: 0,
        }
    }

    /// Where the next whole line begins, and its producer and number if it is a producer's record.
    fn next(&mut self) -> Option<(u64, Option<(u64, u64)>)> {
        let mut line = Vec::new();
        self.file.read_until(b'\n', &mut line).unwrap();
        let begin = self.offset;
        if line.last() != Some(&b'\n') {
            self.file.seek(SeekFrom::Start(begin)).unwrap();
            return None;
        }
        self.offset += line.len() as u64;
        let record: Value = serde_json::from_slice(&line)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&line)));
        Some((begin, record["pid"].as_u64().zip(record["seq"].as_u64())))
    }

    /// Waits until each of the producers has got something through to the daemon that runs now.
    fn wait_for_all(&mut self, pids: &[u64], ends: &[u64]) {
        let begin = ends.last().copied().unwrap_or(0);
        let mut seen: HashMap<u64, u64> = HashMap::new();
        wait_for("records of each producer", || {
            while let Some((offset, numbers)) = self.next() {
                if let Some((pid, _)) = numbers.filter(|_| offset >= begin) {
                    *seen.entry(pid).or_default() += 1;
                }
            }
            let is_each_there = pids.iter().all(|pid| seen.contains_key(pid));
            is_each_there && seen.values().sum::<u64>() >= LINES_OF_EACH
        });
    }
}

/// What went in and what came out.
#[derive(Debug, Default)]
struct Balance {
    sent: u64,
    written: u64,
    duplicated: u64,
    /// Lost by each restart.
    lost: Vec<u64>,
    /// Lost while no restart was near: only UDP's kernel does that.
    dropped: u64,
    kernel_drops: u64,
}

impl Balance {
    /// Compares an output with what was sent. `ends` says how long it was when each daemon had ended: a
    /// gap in a producer's numbers that spans such an end is what that restart has lost.
    fn new(output: &Path, sent: &HashMap<u64, u64>, ends: &[u64], kernel_drops: u64) -> Self {
        let mut balance = Self {
            sent: sent.values().sum(),
            lost: vec![0; ends.len()],
            kernel_drops,
            ..Self::default()
        };
        // Which daemon wrote the last one of each producer, and which number comes next.
        let mut last: HashMap<u64, (usize, u64)> = HashMap::new();
        let mut follower = Follower::new(output);
        while let Some((offset, numbers)) = follower.next() {
            let Some((pid, seq)) = numbers else { continue };
            let daemon = ends.partition_point(|end| *end <= offset);
            let (daemon_before, next) = last.get(&pid).copied().unwrap_or((daemon, 0));
            if seq < next {
                balance.duplicated += 1;
                assert_ne!(
                    daemon, daemon_before,
                    "{pid}: {seq} again, without a restart"
                );
                continue;
            }
            balance.written += 1;
            balance.note_gap(daemon_before, daemon, seq - next);
            last.insert(pid, (daemon, seq + 1));
        }
        for (pid, sent) in sent {
            let (daemon, next) = last[pid];
            balance.note_gap(daemon, daemon, sent - next);
        }
        balance
    }

    fn note_gap(&mut self, daemon_before: usize, daemon: usize, lost: u64) {
        match daemon_before == daemon {
            true => self.dropped += lost,
            false => self.lost[daemon_before] += lost,
        }
    }

    /// Lost and not accounted for.
    fn lost_in_all(&self) -> u64 {
        self.lost.iter().sum::<u64>() + self.dropped - self.kernel_drops
    }

    fn print(&self, transport: &str, fault: Fault) {
        static HEADER: Once = Once::new();
        HEADER.call_once(|| {
            println!(
                "| transport | fault | restarts | sent | written | lost | in the worst restart | \
                 counted as dropped | duplicated |\n\
                 | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
            );
        });
        println!(
            "| {transport} | {} | {} | {} | {} | {} | {} | {} | {} |",
            match fault {
                Fault::Sigterm => "SIGTERM",
                Fault::Kill => "kill -9",
            },
            self.lost.len(),
            self.sent,
            self.written,
            self.lost_in_all(),
            self.lost.iter().max().unwrap().min(&self.lost_in_all()),
            self.kernel_drops,
            self.duplicated
        );
    }
}

/// Restarts a daemon under load.
fn restart(transport: &str, fault: Fault) -> Balance {
    let restarts = number_from("RESTARTS").unwrap_or(RESTARTS);
    let folder = Folder::new();
    let mut daemon = Setup::new(&folder, &[transport]).start();
    // The same address again, where the kernel chose it.
    let endpoint = daemon.endpoint(transport).to_owned();
    let output = daemon.output.clone();
    let mut follower = Follower::new(&output);
    let enough = AtomicBool::new(false);
    let (mut ends, mut drops) = (Vec::new(), 0);
    let (sent, daemon) = std::thread::scope(|scope| {
        let load = Load::start(scope, &endpoint, restarts, &enough);
        for _ in 0..restarts {
            follower.wait_for_all(&load.pids(), &ends);
            drops += end(daemon, fault);
            ends.push(output.metadata().unwrap().len());
            daemon = Setup::new(&folder, &[]).args(["--ipc", &endpoint]).start();
        }
        follower.wait_for_all(&load.pids(), &ends);
        enough.store(true, Ordering::Relaxed);
        (load.sent(), daemon)
    });
    drops += end(daemon, Fault::Sigterm);
    let balance = Balance::new(&output, &sent, &ends, drops);
    balance.print(transport, fault);
    assert!(
        balance.sent >= LINES_OF_EACH * (restarts + 1),
        "{balance:?}"
    );
    balance
}

/// Ends a daemon; returns what the kernel has dropped, if the daemon could still tell.
fn end(daemon: Daemon, fault: Fault) -> u64 {
    match fault {
        Fault::Kill => {
            drop(daemon);
            0
        }
        Fault::Sigterm => {
            daemon.signal("TERM");
            let stopped = daemon.wait_unread();
            assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
            stopped.count("kernel_drops")
        }
    }
}

/// Nothing is lost, but for what UDP's kernel counts, and nothing doubled.
#[track_caller]
fn check_stops(transport: &str) {
    let balance = restart(transport, Fault::Sigterm);
    let lost_and_doubled = (balance.lost_in_all(), balance.duplicated);
    assert_eq!(lost_and_doubled, (0, 0), "{balance:?}");
    if transport != "udp" {
        assert_eq!(balance.kernel_drops, 0, "{balance:?}");
    }
}

#[test]
fn stops_lose_and_double_nothing_on_unixsock() {
    check_stops("unixsock");
}

#[test]
fn stops_lose_and_double_nothing_on_unixgram() {
    check_stops("unixgram");
}

#[test]
fn stops_lose_and_double_nothing_on_a_fifo() {
    check_stops("fifo");
}

#[test]
fn stops_lose_and_double_nothing_on_tcp() {
    check_stops("tcp");
}

#[test]
fn stops_lose_what_the_kernel_counts_and_double_nothing_on_udp() {
    check_stops("udp");
}

/// A kill loses at most what the daemon had read and not written, a batch and a turn, and what the kernel
/// held for it. Only what TCP had taken and not yet acknowledged may come twice.
#[track_caller]
fn check_kills(transport: &str, bytes_in_the_kernel: u64) {
    let balance = restart(transport, Fault::Kill);
    let records_max = ((1 << 20) + (256 << 10) + bytes_in_the_kernel) / 128;
    let in_the_worst = balance.lost.iter().max().unwrap();
    assert!(*in_the_worst <= records_max, "{balance:?}");
    assert_eq!(balance.dropped, 0, "{balance:?}");
    assert!(balance.duplicated == 0 || transport == "tcp", "{balance:?}");
}

/// What a send buffer holds, for each of the four producers.
#[test]
fn kills_lose_no_more_than_a_round_and_the_queue_on_unixsock() {
    check_kills("unixsock", 4 * (256 << 10));
}

/// `net.unix.max_dgram_qlen` datagrams, at most 512 on common systems.
#[test]
fn kills_lose_no_more_than_a_round_and_the_queue_on_unixgram() {
    check_kills("unixgram", 512 * 256);
}

/// What the pipe holds.
#[test]
fn kills_lose_no_more_than_a_round_and_the_queue_on_a_fifo() {
    check_kills("fifo", 1 << 20);
}

/// What a receive buffer holds, for each of the four producers.
#[test]
fn kills_lose_no_more_than_a_round_and_the_queue_on_tcp() {
    check_kills("tcp", 4 * (6 << 20));
}

/// What is dropped because the buffer is full, no daemon is left to count.
#[test]
fn kills_double_nothing_on_udp() {
    assert_eq!(restart("udp", Fault::Kill).duplicated, 0);
}
