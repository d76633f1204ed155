//! Each record that was sent is in the file exactly once, in its producer's order; what UDP loses is
//! counted to the record.

use crate::harness::{Daemon, Folder, Setup, TRANSPORTS, sent_by, sequences, spawn_producer};

fn load(
    daemon: &Daemon,
    transport: &str,
    producers: usize,
    args: &[&str],
) -> Vec<std::process::Child> {
    (0..producers)
        .map(|_| spawn_producer(daemon.endpoint(transport), args))
        .collect()
}

/// Sends `count` records from each of `producers` and compares what arrived.
fn check(transport: &str, producers: usize, count: u64) {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).start();
    let count_arg = count.to_string();
    let sent = sent_by(load(
        &daemon,
        transport,
        producers,
        &["--rate", "0", "--count", &count_arg],
    ));
    let all: u64 = sent.values().sum();
    assert_eq!(all, producers as u64 * count);
    if transport == "tcp" {
        // What the kernel of a sender that has ended still holds at the stop is lost.
        daemon.wait_for_lines(usize::try_from(all).unwrap());
    }
    let stopped = daemon.stop();

    let is_own = |line: &&String| line.starts_with("{\"source\":\"producer\",");
    let wrapped = stopped.lines.iter().find(|line| !is_own(line));
    assert_eq!(wrapped, None);
    if transport == "udp" {
        check_order(&stopped.lines);
        assert_eq!(
            stopped.count("records") + stopped.count("kernel_drops"),
            all
        );
    } else {
        assert_eq!(stopped.count("kernel_drops"), 0);
        let got = sequences(&stopped.lines);
        assert_eq!(got.len(), producers);
        for (pid, count) in sent {
            assert!(got[&pid].iter().copied().eq(0..count), "of producer {pid}");
        }
    }
}

#[track_caller]
fn check_order(lines: &[String]) {
    for (pid, numbers) in sequences(lines) {
        assert!(numbers.is_sorted_by(|a, b| a < b), "of producer {pid}");
    }
}

#[test]
fn a_prime_load_arrives_over_each_transport() {
    for transport in TRANSPORTS {
        check(transport, 23, 23);
    }
}

#[test]
fn half_a_million_records_flat_out_arrive_over_unixsock() {
    check("unixsock", 5, 100_000);
}

#[test]
fn half_a_million_records_flat_out_arrive_over_tcp() {
    check("tcp", 5, 100_000);
}

#[test]
fn half_a_million_records_flat_out_arrive_over_unixgram() {
    check("unixgram", 5, 100_000);
}

#[test]
fn half_a_million_records_flat_out_arrive_over_udp_or_are_counted_as_dropped() {
    check("udp", 5, 100_000);
}

#[test]
fn half_a_million_records_flat_out_arrive_over_fifo() {
    check("fifo", 5, 100_000);
}

#[test]
fn five_transports_at_once_keep_the_promises_of_each() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).start();
    let producers: Vec<_> = TRANSPORTS
        .into_iter()
        .map(|transport| load(&daemon, transport, 3, &["--rate", "0", "--count", "20000"]))
        .collect();
    let sent: Vec<u64> = producers
        .into_iter()
        .map(|producers| sent_by(producers).values().sum())
        .collect();
    let endpoints = daemon.endpoints.clone();
    let stopped = daemon.stop();

    check_order(&stopped.lines);
    for ((transport, endpoint), sent) in TRANSPORTS.iter().zip(endpoints).zip(sent) {
        let part = &stopped.summary["endpoints"][&endpoint];
        let number = |key: &str| part[key].as_u64().unwrap();
        assert_eq!(number("records") + number("kernel_drops"), sent, "{part}");
        assert!(*transport == "udp" || number("kernel_drops") == 0, "{part}");
        let connections = if matches!(*transport, "unixsock" | "tcp") {
            3
        } else {
            0
        };
        assert_eq!(number("connections"), connections, "{transport}");
    }
}

#[test]
fn paced_records_are_written_at_once_and_the_stamps_tell_when() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).args(["--stamp"]).start();
    let producers: Vec<_> = TRANSPORTS
        .into_iter()
        .flat_map(|transport| load(&daemon, transport, 1, &["--rate", "50", "--count", "10"]))
        .collect();
    sent_by(producers);
    let stopped = daemon.stop();
    for record in stopped.records() {
        let number = |key: &str| {
            record[key]
                .as_u64()
                .unwrap_or_else(|| panic!("{key}: {record}"))
        };
        assert!(number("due_ns") <= number("sent_ns"), "{record}");
        assert!(number("sent_ns") < number("_received_mono_ns"), "{record}");
        assert!(
            number("_received_ns") > 1_700_000_000_000_000_000,
            "{record}"
        );
        assert!(TRANSPORTS.contains(&record["_transport"].as_str().unwrap()));
    }
}
