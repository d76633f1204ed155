//! The bound on memory that README gives, held against the peak that the kernel has seen (VmHWM).

use crate::harness::{Client, Daemon, Folder, Setup, has_program, skip, wait_for};
use std::path::Path;
use std::time::Duration;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What README says under "Limits".
struct Bound {
    datagram_endpoints: usize,
    record_bytes_max: usize,
    connections: usize,
    unfinished_lines: usize,
}

impl Bound {
    fn of(transport: &str) -> Self {
        let is_datagrams = matches!(transport, "unixgram" | "udp");
        Self {
            datagram_endpoints: usize::from(is_datagrams),
            record_bytes_max: 64 * KIB,
            connections: 1,
            unfinished_lines: 1,
        }
    }

    fn bytes(&self) -> usize {
        20 * MIB
            + 5 * MIB * self.datagram_endpoints
            + 12 * self.record_bytes_max
            + 512 * self.connections
            + self.record_bytes_max * self.unfinished_lines
    }

    #[track_caller]
    fn check(&self, daemon: &Daemon) {
        let (peak, bound) = (daemon.memory_peak(), self.bytes());
        assert!(peak <= bound, "{peak} bytes of memory, bound {bound}");
    }
}

#[test]
fn ten_thousand_connections_with_half_a_line_each() {
    // The rest is for the daemon's own, and for the tests that run beside this one.
    let descriptors = log_aggregator::sys::raise_descriptor_limit().unwrap();
    let clients = 10_000.min(descriptors.saturating_sub(3000));
    if clients < 10_000 {
        eprintln!("only {clients} connections: the descriptor limit is {descriptors}");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock", "tcp"])
        .args(["--max-record=1024"])
        .start();
    let half = format!("{{\"whole\":1}}\n{{\"half\":\"{}", "h".repeat(1000));
    let connect = |number: usize| {
        let mut client = daemon.connect(["unixsock", "tcp"][number % 2]);
        client.send(&half);
        client
    };
    let clients: Vec<Client> = (0..clients).map(connect).collect();
    daemon.wait_for_lines(clients.len());
    let bound = Bound {
        record_bytes_max: KIB,
        connections: clients.len(),
        unfinished_lines: clients.len(),
        ..Bound::of("tcp")
    };
    bound.check(&daemon);
    let count = clients.len();
    drop(clients);
    daemon.wait_for_lines(2 * count);
    bound.check(&daemon);
    let stopped = daemon.stop();
    assert_eq!(stopped.count("connections"), count as u64);
    let whole = |line: &&String| *line == "{\"whole\":1}";
    let unterminated = |line: &&String| line.contains("\"unterminated\":true");
    assert_eq!(stopped.lines.iter().filter(whole).count(), count);
    assert_eq!(stopped.lines.iter().filter(unterminated).count(), count);
}

#[test]
fn a_hundred_million_bytes_without_a_newline_are_one_record_and_the_next_one_is_intact() {
    for transport in ["unixsock", "tcp", "fifo"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let mut client = daemon.connect(transport);
        let million = vec![b'm'; 1_000_000];
        for _ in 0..100 {
            client.send(&million);
        }
        client.send("\n{\"next\":1}\n");
        daemon.wait_for_lines(2);
        Bound::of(transport).check(&daemon);
        let stopped = daemon.stop();
        assert_eq!(stopped.count("truncated"), 1, "{transport}");
        let record = &stopped.records()[0];
        assert_eq!(record["original_bytes"], 100_000_000, "{transport}");
        assert_eq!(record["message"].as_str().unwrap().len(), 64 * KIB);
        assert_eq!(stopped.lines[1..], ["{\"next\":1}"], "{transport}");
    }
}

/// Every second byte sent becomes a record of some 160, from as much as a turn can read at once.
#[test]
fn input_that_grows_in_the_wrapping_is_recorded_in_parts() {
    const LINES: usize = 32_000; // in a piece, which a datagram takes
    let piece = "x\n".repeat(LINES);
    for (transport, pieces) in [("unixgram", 9), ("udp", 12), ("fifo", 12)] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).args(["--stamp"]).start();
        daemon.freeze();
        // Three of them fit a socket's send buffer, and ten datagrams a Unix socket's queue.
        let mut clients: Vec<Client> = (0..4).map(|_| daemon.connect(transport)).collect();
        for number in 0..pieces {
            clients[number / 3].send(&piece);
        }
        daemon.thaw();
        if transport == "udp" {
            // What the receive buffer did not hold is known at the end.
            daemon.wait_for_lines(LINES);
            wait_for("sleep", || is_asleep(&daemon));
        } else {
            daemon.wait_for_lines(pieces * LINES);
        }
        Bound::of(transport).check(&daemon);
        let stopped = daemon.stop();
        let arrived = pieces as u64 - stopped.count("kernel_drops");
        assert_eq!(stopped.count("wrapped"), arrived * LINES as u64);
    }
}

/// Tells whether it has nothing to do for a while.
fn is_asleep(daemon: &Daemon) -> bool {
    let before = daemon.cpu_ns();
    std::thread::sleep(Duration::from_millis(100));
    daemon.cpu_ns() == before
}

/// What a call has brought and a turn could not record yet is not forgotten when nothing can be written.
#[test]
fn records_of_datagrams_that_wait_their_turn_are_counted_when_they_cannot_be_written() {
    const LINES: usize = 32_000;
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixgram"])
        .output(Path::new("/dev/full"))
        .start();
    daemon.freeze();
    let mut client = daemon.connect("unixgram");
    for _ in 0..3 {
        client.send(" \nx\n".repeat(LINES / 2));
    }
    daemon.thaw();
    wait_for("the refusal", || daemon.stderr().contains("No space left"));
    daemon.signal("TERM");
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(3));
    let want = format!("{} records could not be written", 3 * LINES / 2);
    assert!(stopped.stderr.contains(&want), "{want}: {}", stopped.stderr);
}

#[test]
fn a_sender_that_trickles_costs_a_wait_and_a_read_for_each_byte_and_no_more() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    const BYTES: usize = 2000;
    for transport in ["unixsock", "tcp", "fifo"] {
        let folder = Folder::new();
        let trace = folder.path("trace");
        let daemon = Setup::new(&folder, &[transport])
            .wrapper(["strace", "-o", trace.to_str().unwrap()])
            .start();
        let mut client = daemon.connect(transport);
        client.send("{\"first\":1}\n");
        daemon.wait_for_lines(1);
        let (before, _) = daemon.calls_while_idle(&trace, Duration::ZERO);
        let line = format!("{{\"a\":\"{}\"}}\n", "t".repeat(BYTES - 9));
        for byte in line.as_bytes() {
            client.send([*byte]);
        }
        daemon.wait_for_lines(2);
        let (after, _) = daemon.calls_while_idle(&trace, Duration::ZERO);
        // One write at the end; memory that grows by doubling and is given back.
        assert!(
            after - before <= 2 * BYTES + 50,
            "{transport}: {}",
            after - before
        );
        assert_eq!(daemon.stop().lines[1], line.trim_end());
    }
}
