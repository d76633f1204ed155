//! The scripts against what the daemon, the kernel and the load itself say.

use crate::harness::{Folder, Setup, TRANSPORTS, producer, skip, wait_for};
use crate::load::{PRIME, RECORDS, descriptors, prime_load, wait_for_rest};
use crate::trace::{Report, Trace, tracing};
use std::fs;

#[test]
fn switches_wakeups_and_calls_are_those_of_the_kernel_and_of_the_load() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--linger", "0"])
        .start();
    let open = descriptors(&daemon);
    let traces = Trace::start_all(
        &folder,
        [
            ("context_switches.bt", &[]),
            ("aggregator_sched_latency.bt", &[]),
            ("wakeups.bt", &[]),
            ("syscall_latency.bt", &[]),
        ],
    );
    let switches = || {
        ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
            .map(|key| daemon.status_line(key).parse::<u64>().unwrap())
    };
    wait_for_rest(&daemon, open);
    let before = switches();
    prime_load(&daemon, "unixsock");
    wait_for_rest(&daemon, open);
    let after = switches();
    let [switching, latency, waking, calls] = traces.map(Trace::stop);
    assert_eq!(daemon.stop().count("records"), RECORDS);

    let voluntary = switching.number("voluntary[aggregator]");
    let involuntary = switching.number("involuntary[aggregator]");
    assert_eq!(
        [voluntary, involuntary],
        [after[0] - before[0], after[1] - before[1]],
        "{}",
        switching.text
    );
    // At its end and, mostly, before each record but the first.
    let sleeps = switching.number("voluntary[producer]");
    assert!(
        (PRIME..=RECORDS + PRIME).contains(&sleeps),
        "{}",
        switching.text
    );

    // It sleeps before and after: every sleep has ended by a wake-up, from which it has run.
    let runs = latency.number("runs_after_wakeup");
    assert!(
        (at_least_of(voluntary)..=voluntary).contains(&runs),
        "{}{}",
        latency.text,
        switching.text
    );
    assert_eq!(latency.values("wake_to_run_us"), runs, "{}", latency.text);
    assert_eq!(
        latency.values("preempted_to_run_us"),
        latency.number("runs_after_preemption")
    );
    assert!(latency.number("wake_to_run_average_ns") > 0);

    check_wakeups(&waking, voluntary);
    check_calls(&calls);
}

/// How many of so many wake-ups are seen at least: one by an interrupt that comes while a BPF program runs is not, since
/// the kernel nests none (1 of 482 in one of many runs).
fn at_least_of(wakeups: u64) -> u64 {
    wakeups - wakeups / 50
}

fn check_wakeups(waking: &Report, voluntary: u64) {
    let text = &waking.text;
    assert_eq!(waking.number("records"), RECORDS, "{text}");
    assert_eq!(waking.values("wakeups_in_a_write"), RECORDS, "{text}");
    // One that was about to sleep, and need not, is woken, too.
    let wakeups = waking.sum("wakes", ", aggregator");
    assert!(
        wakeups >= at_least_of(voluntary),
        "{voluntary} sleeps of {text}"
    );
    assert!(waking.number("wakes[producer, aggregator]") > 0, "{text}");
    assert!(
        (1..=1000).contains(&waking.number("wakeups_per_1000_records")),
        "{text}"
    );
}

fn check_calls(calls: &Report) {
    let all = |who_and_what: &str| {
        calls.values(&format!("data_ns[{who_and_what}]"))
            + calls.values(&format!("data_blocked_us[{who_and_what}]"))
            + calls.number(&format!("data_preempted[{who_and_what}]"))
    };
    let text = &calls.text;
    assert_eq!(all("producer, write"), RECORDS, "{text}");
    assert!((1..=RECORDS).contains(&all("aggregator, write")), "{text}");
    assert!(all("aggregator, read") > PRIME, "{text}");
    let waits = calls.values("wait_us[aggregator, epoll_wait]");
    assert!((1..=RECORDS + 3 * PRIME).contains(&waits), "{text}");
    let sleeps = calls.values("wait_us[producer, clock_nanosleep]");
    assert!((1..=PRIME * (PRIME - 1)).contains(&sleeps), "{text}");
}

#[test]
fn bytes_batches_and_sends_are_those_of_the_summary_on_every_transport() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).start();
    let pid = daemon.pid.to_string();
    let traces = Trace::start_all(
        &folder,
        [
            ("write_bytes_per_sec.bt", &[]),
            ("write_bytes_per_sec.bt", &["aggregator", &pid]),
            ("batch_size.bt", &["-p", &pid]),
            ("send_cost.bt", &[]),
        ],
    );
    for transport in TRANSPORTS {
        prime_load(&daemon, transport);
    }
    // At the end of a second with writes in it.
    wait_for("a second's line", || {
        traces[0]
            .text()
            .contains("@in_this_second[producer]: count ")
    });
    let [sent, written, batches, sends] = traces.map(Trace::stop);
    let summary = daemon.stop();
    let (records, bytes) = (summary.count("records"), summary.count("bytes"));
    assert_eq!(records, RECORDS * 5);

    // The lines of the output are those that were sent.
    assert_eq!(sent.number("bytes[producer]"), bytes, "{}", sent.text);
    assert_eq!(sent.number("writes[producer]"), records, "{}", sent.text);
    assert_eq!(sent.values("bytes_a_write[producer]"), records);
    let text = &written.text;
    assert_eq!(written.number("bytes[aggregator]"), bytes, "{text}");
    assert_eq!(written.number("bytes[producer]"), 0, "{text}");

    let text = &batches.text;
    assert_eq!(batches.number("records_read"), records, "{text}");
    assert_eq!(batches.number("records"), records, "{text}");
    assert_eq!(batches.number("bytes"), bytes, "{text}");
    let count = batches.number("batches");
    assert_eq!(batches.values("records_per_batch"), count, "{text}");
    assert_eq!(batches.values("bytes_per_batch"), count, "{text}");
    assert!(
        (count..).contains(&batches.number("rounds")) && count > 0,
        "{text}"
    );
    assert_eq!(written.number("writes[aggregator]"), count, "{text}");

    for transport in TRANSPORTS {
        let all = sends.values(&format!("send_ns[{transport}]"))
            + sends.values(&format!("blocked_us[{transport}]"))
            + sends.number(&format!("preempted[{transport}]"));
        assert_eq!(all, RECORDS, "{transport}: {}", sends.text);
    }
    assert_eq!(sends.sum("failed", ""), 0, "{}", sends.text);
}

#[test]
fn dropped_datagrams_are_those_that_the_summary_counts() {
    let _tracing = match tracing() {
        Ok(guard) => guard,
        Err(reason) => return skip(reason),
    };
    const SENT: u64 = 2003;
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["udp"])
        .args(["--buffer", "4096"])
        .start();
    let [trace] = Trace::start_all(&folder, [("skb_drops.bt", &[])]);
    daemon.freeze();
    let status = producer()
        .args(["--ipc", daemon.endpoint("udp"), "--rate", "0", "--count"])
        .arg(SENT.to_string())
        .status();
    assert!(status.unwrap().success());
    let report = trace.stop();
    daemon.thaw();
    wait_for("a record", || daemon.lines_written() > 0);
    let summary = daemon.stop();
    let (records, drops) = (summary.count("records"), summary.count("kernel_drops"));
    assert!(records > 0 && drops > 0);
    assert_eq!(records + drops, SENT);
    let text = &report.text;
    assert_eq!(report.sum("udp_receive_buffer_full", ""), drops, "{text}");
    let number = number_of_reason("SOCKET_RCVBUFF");
    let key = format!(", {number}, SOCKET_RCVBUFF");
    assert_eq!(report.sum("dropped", &key), drops, "{text}");
}

/// The running kernel's number of this reason.
fn number_of_reason(name: &str) -> u32 {
    let path = "/sys/kernel/tracing/events/skb/kfree_skb/format";
    let format = fs::read_to_string(path).unwrap();
    let (before, _) = format.split_once(&format!(", \"{name}\" }}")).unwrap();
    let (_, number) = before.rsplit_once("{ ").unwrap();
    number.parse().unwrap()
}
