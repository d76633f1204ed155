//! Faults of the kernel that strace makes, under loads that do not pause for them: the balance is exact.

use crate::harness::{
    Client, Daemon, EPOLL_WAIT, Folder, Setup, TRANSPORTS, has_program, run, sent_by, sequences,
    skip, spawn_producer, wait_for,
};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A daemon under strace, which answers calls with errors and writes down which.
fn start(folder: &Folder, transports: &[&str], injections: &[String]) -> Daemon {
    let trace = folder.path("trace");
    let mut wrapper = vec!["strace".to_owned(), "-o".to_owned()];
    wrapper.push(trace.to_str().unwrap().to_owned());
    for injection in injections {
        let call = injection.split(':').next().unwrap();
        wrapper.extend(["-e".to_owned(), format!("trace={call}")]);
        wrapper.extend(["-e".to_owned(), format!("inject={injection}")]);
    }
    Setup::new(folder, transports).wrapper(wrapper).start()
}

fn injected(trace: &Path) -> usize {
    let text = fs::read_to_string(trace).unwrap();
    text.matches("(INJECTED)").count()
}

/// Sends 12,000 records over each of these transports, with this call failing now and then.
fn check(transports: &[&str], injection: &str) {
    let folder = Folder::new();
    let daemon = start(&folder, transports, &[injection.to_owned()]);
    let producers: Vec<_> = transports
        .iter()
        .flat_map(|transport| [transport; 2])
        .map(|transport| {
            let args = ["--rate=10000", "--count=6000"];
            spawn_producer(daemon.endpoint(transport), args)
        })
        .collect();
    let sent = sent_by(producers);
    let trace = folder.path("trace");
    let faults = injected(&trace);
    assert!(faults >= 5, "{injection}: only {faults} faults");
    let stopped = daemon.stop();
    let drops = stopped.count("kernel_drops"); // UDP's, on a busy machine
    let all: u64 = sent.values().sum();
    assert_eq!(stopped.count("records") + drops, all, "{injection}");
    for (pid, numbers) in sequences(&stopped.lines) {
        let has_all = numbers.iter().copied().eq(0..sent[&pid]);
        let is_in_order = numbers.is_sorted_by(|a, b| a < b);
        assert!(has_all || (drops > 0 && is_in_order), "{injection}: {pid}");
    }
}

#[test]
fn interrupted_calls_are_repeated() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    // The first calls are those of the start.
    check(&TRANSPORTS, &format!("{EPOLL_WAIT}:error=EINTR:when=1+2"));
    check(&["unixsock", "tcp", "fifo"], "read:error=EINTR:when=40+3");
    check(&["unixgram", "udp"], "recvmmsg:error=EINTR:when=1+2");
    check(&TRANSPORTS, "write:error=EINTR:when=10+2");
}

/// A read that finds nothing is not the end. Only on UDP, where senders never wait: elsewhere they may, and
/// nothing comes then that would wake the daemon. The kernel never says so with a record in the queue.
#[test]
fn a_read_that_finds_nothing_leaves_nothing_behind() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    check(&["udp"], "recvmmsg:error=EAGAIN:when=3..100+5");
}

#[test]
fn an_error_of_a_datagram_socket_says_nothing_of_what_is_queued() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for errno in ["ENOMEM", "ECONNREFUSED"] {
        let injection = format!("recvmmsg:error={errno}:when=2+30");
        check(&["unixgram", "udp"], &injection);
    }
}

#[test]
fn a_load_crosses_refusals_of_the_output() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for errno in ["ENOSPC", "EIO"] {
        let injection = format!("write:error={errno}:when=20+50");
        let folder = Folder::new();
        let daemon = start(&folder, &["unixsock", "unixgram", "fifo"], &[injection]);
        let producers = ["unixsock", "unixgram", "fifo"].map(|transport| {
            spawn_producer(daemon.endpoint(transport), ["--rate=8000", "--count=4000"])
        });
        let sent = sent_by(producers.into());
        let stopped = daemon.stop();
        let got = sequences(&stopped.lines);
        for (pid, count) in sent {
            assert!(got[&pid].iter().copied().eq(0..count), "{errno}: of {pid}");
        }
        assert!(injected(&folder.path("trace")) >= 2, "{errno}");
    }
}

/// A write that the kernel ends early: the file may grow a little at a time, to odd sizes.
#[test]
fn a_load_crosses_short_writes() {
    if !has_program("prlimit") {
        return skip("prlimit (util-linux) is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["sh", "-c", "ulimit -S -f 2; exec \"$@\"", "sh"])
        .start();
    let args = ["--rate=0", "--count=12000"];
    let producer = spawn_producer(daemon.endpoint("unixsock"), args);
    let pid = daemon.pid.to_string();
    let length = || daemon.output.metadata().unwrap().len();
    let mut limit = 1024;
    wait_for("the refusal", || length() == limit);
    for step in [1, 17, 70_001, 128, 300_007, 3, 99_999] {
        limit += step;
        let fsize = format!("--fsize={limit}:unlimited");
        assert!(
            run(Command::new("prlimit").args(["--pid", &pid, &fsize]))
                .status
                .success()
        );
        wait_for("the short write", || length() == limit);
    }
    assert!(
        run(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]))
            .status
            .success()
    );
    let sent = sent_by(vec![producer]);
    let stopped = daemon.stop();
    for (pid, numbers) in sequences(&stopped.lines) {
        assert!(numbers.into_iter().eq(0..sent[&pid]));
    }
}

/// Clients that connect, send ten records and leave, a thousand times, with accept failing now and then.
fn check_accept(errno: &str) {
    let folder = Folder::new();
    let transports = ["unixsock", "tcp"];
    let daemon = start(
        &folder,
        &transports,
        &[format!("accept4:error={errno}:when=3+4")],
    );
    // Closed at the end: what EMFILE keeps in the backlog comes out when a descriptor of ours is free.
    let kept: Vec<Client> = transports.map(|t| daemon.connect(t)).into();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= 1000 {
                        return;
                    }
                    let mut client = daemon.connect(transports[number % 2]);
                    for record in 0..10 {
                        client.send(format!("{{\"n\":{}}}\n", number * 10 + record));
                    }
                }
            });
        }
    });
    drop(kept);
    daemon.wait_for_lines(10_000);
    assert!(injected(&folder.path("trace")) >= 100, "{errno}");
    let stopped = daemon.stop();
    assert_eq!(stopped.count("connections"), 1002, "{errno}");
    let mut numbers: Vec<u64> = stopped
        .records()
        .iter()
        .map(|record| record["n"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10_000), "{errno}");
}

#[test]
fn connections_that_cannot_be_accepted_wait_and_lose_nothing() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for errno in ["EMFILE", "ENFILE", "ENOMEM", "ECONNABORTED", "EINTR"] {
        check_accept(errno);
    }
}

/// 200 clients with 50 records each, and descriptors for a few of them at a time.
#[test]
fn two_hundred_clients_share_thirty_two_descriptors() {
    const CLIENTS: usize = 200;
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    // Ours, which is half of what there is, and the kernel's.
    for args in [&[][..], &["--max-connections=1000"]] {
        for transport in ["unixsock", "tcp"] {
            let folder = Folder::new();
            let trace = folder.path("trace");
            let limit = format!(
                "ulimit -n 32; exec strace -o {} -e trace=accept4 \"$@\"",
                trace.display()
            );
            let daemon = Setup::new(&folder, &[transport])
                .args(args)
                .wrapper(["sh", "-c", &limit, "sh"])
                .start();
            let mut clients: Vec<Client> =
                (0..CLIENTS).map(|_| daemon.connect(transport)).collect();
            for record in 0..50 {
                for (number, client) in clients.iter_mut().enumerate() {
                    client.send(format!("{{\"n\":{}}}\n", number * 50 + record));
                }
            }
            wait_for("the warning", || !daemon.stderr().is_empty());
            clients.clear();
            daemon.wait_for_lines(CLIENTS * 50);
            let calls = fs::read_to_string(&trace).unwrap().lines().count();
            // One for each client that came, and at each close one that brings a client and one that
            // is told to wait.
            assert!(calls <= 3 * CLIENTS + 10, "{transport} {args:?}: {calls}");
            let stopped = daemon.stop();
            assert_eq!(stopped.count("connections"), CLIENTS as u64);
            assert_eq!(stopped.lines.len(), CLIENTS * 50);
            let warnings = stopped.stderr.matches("wait in the backlog").count();
            assert_eq!(warnings, 1, "{}", stopped.stderr);
        }
    }
}

/// Nothing of ours is open, so no close of ours will tell the listener to try again.
#[test]
fn a_listener_without_descriptors_and_without_connections_tries_again() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let daemon = start(
            &folder,
            &[transport],
            &["accept4:error=EMFILE:when=1".to_owned()],
        );
        daemon.connect(transport).send("{}\n");
        daemon.wait_for_lines(1);
        assert_eq!(daemon.stop().lines, ["{}"]);
    }
}
