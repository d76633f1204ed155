//! Nothing is done that the mechanism does not need: counted, call by call, with strace.

use crate::harness::{
    Client, EPOLL_WAIT, Folder, IS_STATIC, Setup, TRANSPORTS, has_program, producer, run, skip,
    wait_for,
};
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

#[test]
fn an_idle_daemon_makes_no_call_with_a_thousand_half_lines_in_hand() {
    const CLIENTS: usize = 1000;
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    if log_aggregator::sys::raise_descriptor_limit().unwrap() < CLIENTS + 100 {
        return skip("the descriptor limit is below 1,100");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &TRANSPORTS)
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .start();
    let mut clients: Vec<Client> = (0..CLIENTS)
        .map(|number| {
            daemon.connect(if number.is_multiple_of(2) {
                "unixsock"
            } else {
                "tcp"
            })
        })
        .collect();
    for client in &mut clients {
        client.send("{}\n{\"half\":");
    }
    // A load on the others, and a FIFO whose last writer has left.
    for transport in ["unixgram", "udp", "fifo"] {
        let mut client = daemon.connect(transport);
        for _ in 0..100 {
            client.send("{}\n");
        }
    }
    daemon.wait_for_lines(CLIENTS + 300);
    let (before, idle) = daemon.calls_while_idle(&trace, Duration::from_secs(10));
    assert!(before > CLIENTS, "the trace has only {before} calls");
    assert_eq!(idle, 0, "{}", fs::read_to_string(&trace).unwrap());

    let stopped = daemon.stop();
    let unterminated = stopped
        .records()
        .iter()
        .filter(|r| r["unterminated"] == true)
        .count();
    assert_eq!(unterminated, CLIENTS);
    assert_eq!(stopped.lines.len(), CLIENTS + 300 + CLIENTS);
    drop(clients);
}

/// Counts by name from the table that `strace -c` prints.
fn counts(table: &str) -> HashMap<&str, usize> {
    table
        .lines()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let calls = words.get(3)?.parse().ok()?;
            Some((*words.last()?, calls))
        })
        .collect()
}

#[test]
fn a_producers_life_is_its_writes_its_pacing_and_at_most_40_other_calls() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).start();
    std::thread::scope(|scope| {
        for transport in TRANSPORTS {
            let endpoint = daemon.endpoint(transport);
            scope.spawn(move || {
                let output = run(Command::new("strace")
                    .args(["-c", "-f"])
                    // cargo sets it for tests, and the loader looks in each of its folders.
                    .env_remove("LD_LIBRARY_PATH")
                    .arg(producer().get_program())
                    .args(["--ipc", endpoint]));
                let table = String::from_utf8(output.stderr).unwrap();
                let counts = counts(&table);
                let [writes, sleeps, total] = ["write", "clock_nanosleep", "total"]
                    .map(|name| counts.get(name).copied().unwrap_or(0));
                assert_eq!(writes, 50, "{transport}:\n{table}");
                // A sleep whose time has passed already is left out.
                assert!((40..=49).contains(&sleeps), "{transport}:\n{table}");
                // A static program has nothing to load.
                let others_max = if IS_STATIC { 24 } else { 40 };
                assert!(
                    total - writes - sleeps <= others_max,
                    "{transport}:\n{table}"
                );
            });
        }
    });
    assert_eq!(daemon.stop().count("records"), 250);
}

/// The calls for what is sent while it cannot run: so many clients, so many writes each, so many records in a
/// write.
fn calls_for(transport: &str, [clients, writes, records]: [usize; 3]) -> Vec<String> {
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &[transport])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .start();
    let mut clients: Vec<Client> = (0..clients).map(|_| daemon.connect(transport)).collect();
    let write = "{\"some\":1}\n".repeat(records);
    let mut send_all = || {
        for client in &mut clients {
            (0..writes).for_each(|_| client.send(&write));
        }
        clients.len() * writes * records
    };
    // Once before it counts, so that the memory is there.
    let sent = send_all();
    daemon.wait_for_lines(sent);
    let (before, _) = daemon.calls_while_idle(&trace, Duration::ZERO);
    daemon.signal("STOP");
    wait_for("the stop", || {
        fs::read_to_string(&trace)
            .unwrap()
            .contains("--- stopped by SIGSTOP ---")
    });
    let sent = sent + send_all();
    daemon.signal("CONT");
    daemon.wait_for_lines(sent);
    daemon.calls_while_idle(&trace, Duration::ZERO);
    let text = fs::read_to_string(&trace).unwrap();
    let calls = text
        .lines()
        .skip(before)
        // Not the signals, nor the wait that has not returned yet.
        .filter(|line| line.contains(") ") && line.contains(" = ") && !line.contains("EINTR"))
        .map(|line| line.split('(').next().unwrap().to_owned())
        // musl gives memory back to the kernel, and takes it again.
        .filter(|call| !(IS_STATIC && matches!(&call[..], "mmap" | "munmap")))
        .collect();
    assert_eq!(daemon.stop().count("records"), sent as u64);
    calls
}

/// However many records wait: they were sent before it looked, and so one look is enough.
#[test]
fn a_round_is_one_wait_one_read_for_each_source_and_one_write() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    // A thousand on each connection, in as few writes as a Unix socket's buffer wants. A Unix datagram
    // socket's queue is 10 long, where nobody has made it longer; a UDP buffer holds more than 200.
    let loads = [
        ("unixsock", [4, 10, 100], 4, "read"),
        ("tcp", [4, 10, 100], 4, "read"),
        ("fifo", [4, 10, 100], 1, "read"),
        ("unixgram", [2, 5, 1], 1, "recvmmsg"),
        ("udp", [4, 50, 1], 4, "recvmmsg"), // 64, 64, 64 and 8
    ];
    std::thread::scope(|scope| {
        for (transport, load, reads, read) in loads {
            scope.spawn(move || {
                let mut want = vec![read; reads + 2];
                want[0] = EPOLL_WAIT;
                want[reads + 1] = "write";
                assert_eq!(calls_for(transport, load), want, "{transport}");
            });
        }
    });
}

/// A full call says nothing of what comes after it: one more call does.
#[test]
fn datagrams_that_fill_a_call_cost_one_that_finds_nothing() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let want = [EPOLL_WAIT, "recvmmsg", "recvmmsg", "recvmmsg", "write"];
    assert_eq!(calls_for("udp", [2, 64, 1]), want);
}
