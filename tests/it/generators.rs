//! Senders that none of us wrote: logger, socat, loggen, and a shell's own redirections.

use crate::harness::{Daemon, Folder, Setup, Stopped, TRANSPORTS, has_program, run, skip};
use std::collections::HashMap;
use std::fs;
use std::process::Command;

/// Runs a command that must succeed.
#[track_caller]
fn succeed(command: &mut Command) {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
}

/// The host and the port of a transport's address.
fn host_and_port<'a>(daemon: &'a Daemon, transport: &str) -> (&'a str, &'a str) {
    daemon.address(transport).rsplit_once(':').unwrap()
}

/// What a transport must show for `sent` records of one sender: each once, in order; UDP may lack what
/// the kernel has dropped and counted. `number` finds a record's number in its line.
#[track_caller]
fn check(transport: &str, stopped: &Stopped, sent: u64, number: impl Fn(&str) -> u64) {
    let numbers: Vec<u64> = stopped.lines.iter().map(|line| number(line)).collect();
    if transport == "udp" {
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert!(numbers.last().is_none_or(|last| *last < sent));
        let dropped = stopped.count("kernel_drops");
        assert_eq!(stopped.count("records") + dropped, sent);
    } else {
        assert!(numbers.iter().copied().eq(0..sent), "over {transport}");
    }
}

/// The number after the last `mark` of a line, as far as there are digits.
#[track_caller]
fn number_after(line: &str, mark: &str) -> u64 {
    let (_, rest) = line.rsplit_once(mark).unwrap_or_else(|| panic!("{line}"));
    let digits = rest.find(|c: char| !c.is_ascii_digit());
    rest[..digits.unwrap_or(rest.len())].parse().unwrap()
}

#[test]
fn logger_is_understood_on_streams_and_datagrams() {
    if !has_program("logger") {
        return skip("logger is not installed");
    }
    const COUNT: u64 = 1000;
    for (transport, kind) in [
        ("unixsock", "--tcp"),
        ("unixgram", "--udp"),
        ("tcp", "--tcp"),
        ("udp", "--udp"),
    ] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let lines: String = (0..COUNT).map(|n| format!("a \"line\" n={n}\n")).collect();
        fs::write(folder.path("lines"), lines).unwrap();
        let mut logger = Command::new("logger");
        logger.args([kind, "--tag", "generators", "--file"]);
        logger.arg(folder.path("lines"));
        if transport.starts_with("unix") {
            logger.args(["--socket", daemon.address(transport)]);
        } else {
            let (host, port) = host_and_port(&daemon, transport);
            logger.args(["--server", host, "--port", port]);
        }
        succeed(&mut logger);
        let stopped = daemon.stop();
        assert_eq!(stopped.count("wrapped"), stopped.count("records"));
        let text = |record: &serde_json::Value| record["message"].as_str().unwrap().to_owned();
        for message in stopped.records().iter().map(text) {
            // A priority, a time and a tag come first.
            assert!(message.starts_with('<'), "{message}");
            assert!(message.contains("generators"), "{message}");
            assert!(message.contains("a \"line\" n="), "{message}");
        }
        check(transport, &stopped, COUNT, |line| number_after(line, "n="));
    }
}

/// Objects arrive byte for byte, however socat's blocks cut a stream: 7 bytes short of two records.
#[test]
fn socat_is_understood_on_all_transports() {
    if !has_program("socat") {
        return skip("socat is not installed");
    }
    const COUNT: u64 = 2000;
    const BYTES: usize = 100;
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let record = |n| {
            let begin = format!("{{\"n\":{n},\"pad\":\"");
            format!("{begin:p<width$}\"}}", width = BYTES - 3)
        };
        let sent: Vec<String> = (0..COUNT).map(record).collect();
        fs::write(folder.path("records"), sent.join("\n") + "\n").unwrap();
        let address = daemon.address(transport);
        // A datagram is a whole record.
        let (block, to) = match transport {
            "unixsock" => (2 * BYTES - 7, format!("UNIX-CONNECT:{address}")),
            "tcp" => (2 * BYTES - 7, format!("TCP:{address}")),
            "unixgram" => (BYTES, format!("UNIX-SENDTO:{address}")),
            "udp" => (BYTES, format!("UDP-SENDTO:{address}")),
            _ => (2 * BYTES - 7, format!("OPEN:{address},wronly")),
        };
        let from = format!("OPEN:{},rdonly", folder.path("records").display());
        succeed(Command::new("socat").args(["-u", "-b", &block.to_string(), &from, &to]));
        let stopped = daemon.stop();
        assert_eq!(stopped.count("wrapped"), 0);
        check(transport, &stopped, COUNT, |line| {
            number_after(line, "\"n\":")
        });
        for line in &stopped.lines {
            let n = usize::try_from(number_after(line, "\"n\":")).unwrap();
            assert_eq!(*line, sent[n]);
        }
    }
}

/// loggen numbers what each of its threads sends.
#[test]
fn loggens_sequence_numbers_arrive_once_each() {
    if !has_program("loggen") {
        return skip("loggen is not installed (.ci/unpack-loggen.sh brings it)");
    }
    const COUNT: u64 = 20_000;
    const THREADS: u64 = 4;
    for (transport, kind) in [
        ("unixsock", ["--unix", "--stream"]),
        ("unixgram", ["--unix", "--dgram"]),
        ("tcp", ["--inet", "--stream"]),
        ("udp", ["--inet", "--dgram"]),
    ] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let (count, threads) = (COUNT.to_string(), THREADS.to_string());
        let mut loggen = Command::new("loggen");
        loggen
            .args(kind)
            .args(["--number", &count, "--rate", "1000000"]);
        loggen.args([
            "--active-connections",
            &threads,
            "--interval",
            "60",
            "--quiet",
        ]);
        if transport.starts_with("unix") {
            loggen.arg(daemon.address(transport));
        } else {
            let (host, port) = host_and_port(&daemon, transport);
            loggen.args([host, port]);
        }
        succeed(&mut loggen);
        let stopped = daemon.stop();

        let mut numbers: HashMap<u64, Vec<u64>> = HashMap::new();
        for line in &stopped.lines {
            let of_thread = numbers.entry(number_after(line, "thread: ")).or_default();
            of_thread.push(number_after(line, "seq: "));
        }
        if transport == "udp" {
            for (thread, numbers) in numbers {
                assert!(numbers.is_sorted_by(|a, b| a < b), "of thread {thread}");
            }
            let dropped = stopped.count("kernel_drops");
            assert_eq!(stopped.count("records") + dropped, THREADS * COUNT);
        } else {
            assert_eq!(numbers.len() as u64, THREADS);
            for (thread, numbers) in numbers {
                let is_whole = numbers.iter().copied().eq(0..COUNT);
                assert!(is_whole, "thread {thread} over {transport}");
            }
        }
    }
}

/// A shell opens and closes a FIFO for each line, and opens sockets by /dev/tcp and /dev/udp.
#[test]
fn a_shells_redirections_are_understood() {
    if !has_program("bash") {
        return skip("bash is not installed");
    }
    const COUNT: u64 = 300;
    let loop_to = |target: &str| {
        format!("for ((n = 0; n < {COUNT}; n++)); do echo \"{{\\\"n\\\":$n}}\" >{target}; done")
    };
    for transport in ["fifo", "tcp", "udp"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let target = match transport {
            "fifo" => format!("'{}'", daemon.address(transport)),
            _ => {
                let (host, port) = host_and_port(&daemon, transport);
                format!("/dev/{transport}/{host}/{port}")
            }
        };
        // One opening for each line, then one for all.
        for script in [
            loop_to(&target),
            format!("exec >{target}; {}", loop_to("&1")),
        ] {
            succeed(Command::new("bash").args(["-c", &script]));
        }
        let stopped = daemon.stop();
        assert_eq!(stopped.count("wrapped"), 0);
        let numbers = stopped.lines.iter().map(|l| number_after(l, "\"n\":"));
        let mut numbers: Vec<u64> = numbers.collect();
        match transport {
            "fifo" => {
                let twice = (0..COUNT).chain(0..COUNT);
                assert!(numbers.into_iter().eq(twice), "over fifo");
            }
            // Connections have no order among themselves.
            "tcp" => {
                numbers.sort_unstable();
                let twice = (0..COUNT).flat_map(|n| [n, n]);
                assert!(numbers.into_iter().eq(twice), "over tcp");
            }
            _ => {
                let dropped = stopped.count("kernel_drops");
                assert_eq!(numbers.len() as u64 + dropped, 2 * COUNT);
            }
        }
    }
}
