//! Peers that misbehave: what they sent is kept, and nobody else notices.

use crate::harness::{
    Client, Daemon, Folder, IS_STATIC, Setup, TRANSPORTS, has_no_meaning, has_program, run,
    sent_by, sequences, skip, spawn_producer, wait_for,
};
use serde_json::Value;
use socket2::SockRef;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn socket(client: &Client) -> SockRef<'_> {
    match client {
        Client::Stream(stream) => SockRef::from(stream),
        Client::Tcp(stream) => SockRef::from(stream),
        _ => panic!("not a stream socket"),
    }
}

/// Ends a connection as a crash of the peer's machine would: with a reset, where there is such a thing.
fn reset(client: Client) {
    socket(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// How many descriptors it has open.
fn descriptors(daemon: &Daemon) -> usize {
    let folder = fs::read_dir(format!("/proc/{}/fd", daemon.pid));
    folder.unwrap().count()
}

#[test]
fn a_reset_in_mid_line_keeps_what_came_before() {
    const PEERS: usize = 200;
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let before = descriptors(&daemon);
        let load = ["--rate=20000", "--count=10000"];
        let producer = spawn_producer(daemon.endpoint(transport), load);
        for number in 0..PEERS {
            let mut peer = daemon.connect(transport);
            peer.send(format!("{{\"peer\":{number}}}\n{{\"half\":{number}"));
            reset(peer);
        }
        let sent = sent_by(vec![producer]);
        daemon.wait_for_lines(10_000 + 2 * PEERS);
        wait_for("the last close", || descriptors(&daemon) == before);
        let mut stopped = daemon.stop();
        let is_half =
            |line: &String| line.contains("half") && line.contains("\"unterminated\":true");
        assert_eq!(stopped.lines.iter().filter(|l| is_half(l)).count(), PEERS);
        assert_eq!(stopped.count("wrapped"), PEERS as u64);
        stopped.lines.retain(|line| line.contains("\"seq\""));
        for (pid, numbers) in sequences(&stopped.lines) {
            assert!(numbers.into_iter().eq(0..sent[&pid]), "{transport}");
        }
        assert_eq!(stopped.stderr, "");
    }
}

/// The peer wants to read, and has nothing more to say.
#[test]
fn a_half_closed_connection_ends_and_its_last_line_is_kept() {
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        for (number, last) in ["{\"whole\":1}\n", "{\"whole\":1}", "half"]
            .iter()
            .enumerate()
        {
            let mut client = daemon.connect(transport);
            client.send(format!("{{\"number\":{number}}}\n{last}"));
            socket(&client).shutdown(Shutdown::Write).unwrap();
            let end = match &mut client {
                Client::Stream(stream) => stream.read(&mut [0; 8]),
                Client::Tcp(stream) => stream.read(&mut [0; 8]),
                _ => unreachable!(),
            };
            assert_eq!(end.unwrap(), 0, "{transport}");
        }
        let records = daemon.stop().records();
        assert_eq!(records.len(), 6, "{records:?}");
        assert_eq!(records[3]["whole"], 1);
        assert_eq!(records[5]["message"], "half");
        assert_eq!(records[5]["unterminated"], true);
    }
}

/// Thousands come and are gone before they are accepted, beside a load.
#[test]
fn connections_that_are_reset_before_they_are_accepted_stall_nobody() {
    const PEERS: usize = 2000;
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let before = descriptors(&daemon);
        let load = ["--rate=20000", "--count=10000"];
        let producer = spawn_producer(daemon.endpoint(transport), load);
        daemon.wait_for_lines(1000);
        for number in 0..PEERS {
            if number % 500 == 100 {
                daemon.freeze(); // so that some are gone for sure
            }
            reset(daemon.connect(transport));
            if number % 500 == 300 {
                daemon.thaw();
            }
        }
        let sent = sent_by(vec![producer]);
        daemon.wait_for_lines(10_000);
        wait_for("the last close", || descriptors(&daemon) == before);
        // The round of the last close may still be under way, but then it must do nothing at all.
        wait_for("its sleep", || {
            let cpu = daemon.cpu_ns();
            std::thread::sleep(Duration::from_millis(200));
            daemon.cpu_ns() == cpu
        });
        let stopped = daemon.stop();
        assert!(stopped.count("connections") <= 1 + PEERS as u64);
        for (pid, numbers) in sequences(&stopped.lines) {
            assert!(numbers.into_iter().eq(0..sent[&pid]), "{transport}");
        }
        assert_eq!(stopped.lines.len(), 10_000);
        assert_eq!(stopped.stderr, "");
    }
}

/// Sends what `datagram` says of each number to a daemon that does not run, stops it if that is wanted,
/// and lets it run again; returns the records.
fn queued(
    transport: &str,
    args: &[&str],
    count: usize,
    is_stopped: bool,
    datagram: impl Fn(usize) -> Vec<u8>,
) -> Vec<Value> {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).args(args).start();
    daemon.freeze();
    let mut client = daemon.connect(transport);
    for number in 0..count {
        client.send(datagram(number));
    }
    if is_stopped {
        daemon.signal("TERM");
        daemon.thaw();
        return daemon.wait().records();
    }
    daemon.thaw();
    client.send("{\"last\":1}");
    let text = || fs::read_to_string(&daemon.output).unwrap();
    wait_for("the last record", || text().ends_with("{\"last\":1}\n"));
    let mut records = daemon.stop().records();
    records.pop();
    records
}

#[test]
fn empty_datagrams_end_no_drain() {
    // A call brings 64 datagrams; a Unix socket's queue holds 11.
    for (transport, count) in [("unixgram", 11), ("udp", 400)] {
        for is_stopped in [false, true] {
            let datagram = |number| match number % 3 {
                1 => format!("{{\"number\":{number}}}").into_bytes(),
                _ => Vec::new(),
            };
            let records = queued(transport, &[], count, is_stopped, datagram);
            let numbers = records.iter().map(|r| r["number"].as_u64().unwrap());
            let want = (1..count as u64).step_by(3);
            assert!(numbers.eq(want), "{transport}: {records:?}");
        }
    }
}

/// As long as a record may be, one more, and as long as a datagram may be, all in one queue.
#[test]
fn datagrams_at_the_limit_are_whole_and_one_byte_more_is_said() {
    for (transport, longest) in [("unixgram", 65_535), ("udp", 65_507)] {
        let lengths = [2048, 2049, 1, longest, 2048, 2049];
        // The newline does not count.
        let datagram = |number: usize| {
            let mut bytes = vec![b'd'; lengths[number]];
            bytes.extend((number > 3).then_some(b'\n'));
            bytes
        };
        let args = ["--max-record=2048"];
        let records = queued(transport, &args, lengths.len(), false, datagram);
        assert_eq!(records.len(), lengths.len(), "{transport}");
        for (record, length) in records.iter().zip(lengths) {
            let message = record["message"].as_str().unwrap();
            assert_eq!(message.len(), length.min(2048), "{transport}");
            let is_cut = length > 2048;
            assert_eq!(record["truncated"] == true, is_cut, "{transport} {length}");
            assert_eq!(
                record["original_bytes"] == length,
                is_cut,
                "{transport} {length}"
            );
        }
    }
}

#[test]
fn an_output_whose_folder_is_removed_is_waited_for_and_loses_nothing() {
    let folder = Folder::new();
    let home = folder.path("home");
    fs::create_dir(&home).unwrap();
    let output = home.join("records.jsonl");
    let daemon = Setup::new(&folder, &TRANSPORTS)
        .output(&output)
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let mut clients = TRANSPORTS.map(|transport| daemon.connect(transport));
    let mut send = || {
        for client in &mut clients {
            client.send("{}\n");
        }
    };
    send();
    daemon.wait_for_lines(5);
    // The daemon may make the file anew before its folder is gone.
    wait_for("an empty folder", || fs::remove_dir_all(&home).is_ok());
    wait_for("the complaint", || daemon.stderr().contains("No such file"));
    send();
    daemon.signal("HUP"); // which says nothing new
    send();
    fs::create_dir(&home).unwrap();
    wait_for("the new file", || output.exists());
    daemon.wait_for_lines(10);
    send();
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.count("records"), 20);
    assert_eq!(stopped.lines, ["{}"; 15]);
    let said = stopped.stderr.lines();
    let said: Vec<&str> = said.filter(|line| !line.contains("is made anew")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("No such file") && said[0].contains("nothing is read"),
        "{said:?}"
    );
    assert!(said[1].contains("takes records again"), "{said:?}");
}

/// Sends until nobody is there any more. A FIFO's writer comes back at once when it is refused.
fn send_for_ever(daemon: &Daemon, transport: &str) {
    let piece = "{\"some\":\"record\"}\n".repeat(200);
    if transport != "fifo" {
        let mut client = daemon.connect(transport);
        while client.try_send(piece.as_bytes()).is_ok() {}
        return;
    }
    let mut without_waiting = fs::OpenOptions::new();
    without_waiting
        .write(true)
        .custom_flags(crate::fifo::libc_o_nonblock());
    while daemon.is_running() {
        let Ok(mut fifo) = without_waiting.open(daemon.address("fifo")) else {
            continue;
        };
        while !matches!(fifo.write(piece.as_bytes()), Err(e) if e.kind() == ErrorKind::BrokenPipe) {
        }
    }
}

/// On TCP and a FIFO nobody can be kept from sending more.
#[test]
fn a_stop_ends_though_a_peer_does_not() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for transport in ["tcp", "fifo"] {
        let folder = Folder::new();
        // So slow that there is always more to be read.
        let daemon = Setup::new(&folder, &[transport])
            .args(["--drain-timeout=0.3"])
            .wrapper(["strace", "-o", "/dev/null", "-e", "trace=write"])
            .wrapper(["-e", "inject=write:delay_exit=30000"])
            .start();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    send_for_ever(&daemon, transport);
                    assert!(is_over.load(Ordering::Relaxed), "{transport}: refused");
                });
            }
            daemon.wait_for_lines(20_000);
            is_over.store(true, Ordering::Relaxed);
            daemon.signal("TERM");
            wait_for("the end", || !daemon.is_running());
        });
        let stopped = daemon.wait();
        assert_eq!(stopped.status.code(), Some(3), "{}", stopped.stderr);
        let said: Vec<&str> = stopped.stderr.lines().collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("the time for draining is up"), "{said:?}");
    }
}

/// The wall clock is only written down, and no decision depends on it.
#[test]
fn a_wall_clock_that_falls_changes_nothing_but_what_it_shows() {
    let folder = Folder::new();
    let library = folder.path("falling_clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/falling_clock.c");
    if IS_STATIC {
        return has_no_meaning("nothing can be loaded into a static program");
    }
    if !has_program("cc") {
        return skip("cc is not installed");
    }
    let compile = [
        "-shared",
        "-fPIC",
        "-o",
        library.to_str().unwrap(),
        source,
        "-ldl",
    ];
    assert!(run(Command::new("cc").args(compile)).status.success());
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--stamp", "--rotate-size=100000", "--rotate-keep=3"])
        .args(["--sync=interval=0.05", "--drain-timeout=60"])
        .wrapper(["env", &format!("LD_PRELOAD={}", library.display())])
        .start();
    let load = ["--rate=10000", "--count=5000"];
    let sent = sent_by(vec![spawn_producer(daemon.endpoint("unixsock"), load)]);
    assert_eq!(sent.into_values().next(), Some(5000));
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.count("records"), 5000);
    assert_eq!(stopped.stderr, "");

    let names = folder.names().into_iter();
    let rotated = names.filter(|name| name.starts_with("records.jsonl."));
    let rotated: Vec<String> = rotated.collect();
    assert_eq!(rotated.len(), 3, "{rotated:?}");
    let rotated = rotated
        .iter()
        .map(|name| fs::read_to_string(folder.path(name)).unwrap());
    let rotated: Vec<String> = rotated.collect();
    let lines = rotated.iter().flat_map(|text| text.lines());
    let records: Vec<Value> = lines
        .chain(stopped.lines.iter().map(String::as_str))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let column = |key: &str| -> Vec<u64> {
        records
            .iter()
            .map(|record| record[key].as_u64().unwrap())
            .collect()
    };
    // The newest files are kept, and their names are in order.
    assert!(
        column("seq")
            .into_iter()
            .eq(5000 - records.len() as u64..5000)
    );
    assert!(column("_received_mono_ns").is_sorted());
    let wall = column("_received_ns");
    assert!(wall.is_sorted_by(|a, b| a >= b) && wall[0] > wall[wall.len() - 1]);
}
