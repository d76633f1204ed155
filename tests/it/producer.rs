//! The producer: what it says when there is no daemon, what it refuses, what it relays.

use crate::harness::{
    Folder, Setup, TRANSPORTS, has_program, one_line, producer, run, run_with_input, sequences,
    skip, spawn_producer, wait_for,
};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};

/// An endpoint where nobody listens.
fn nobody(folder: &Folder, transport: &str) -> String {
    match transport {
        "tcp" => "tcp=127.0.0.1:1".to_owned(),
        "udp" => {
            // Bound and closed: a port that was free a moment ago.
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            format!("udp={}", socket.local_addr().unwrap())
        }
        _ => folder.endpoint(transport),
    }
}

#[test]
fn without_a_daemon_it_says_what_was_tried_and_how_to_start_one() {
    let folder = Folder::new();
    for transport in TRANSPORTS {
        for count in ["1", "3"] {
            let endpoint = nobody(&folder, transport);
            let args = [
                "--ipc", &endpoint, "--count", count, "--rate", "0", "--report",
            ];
            let output = run(producer().args(args));
            assert_eq!(output.status.code(), Some(2), "{transport}");
            let line = one_line(&output);
            assert!(line.contains("no daemon listens there"), "{line}");
            assert!(
                line.ends_with(&format!("start one: aggregator --ipc {endpoint}")),
                "{line}"
            );
            if transport == "udp" {
                let report: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!((&report["sent"], &report["bytes"]), (&json!(0), &json!(0)));
            }
        }
    }
}

#[test]
fn a_fifo_without_a_reader_is_no_daemon() {
    let folder = Folder::new();
    assert!(
        run(Command::new("mkfifo").arg(folder.path("fifo")))
            .status
            .success()
    );
    let output = run(producer().args(["--ipc", &folder.endpoint("fifo")]));
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("no daemon listens there"));
}

#[test]
fn a_regular_file_is_no_daemon_and_stays_as_it_is() {
    for (transport, want) in [
        ("fifo", "not a FIFO"),
        ("unixsock", "not a socket"),
        ("unixgram", "not a socket"),
    ] {
        let folder = Folder::new();
        fs::write(folder.path(transport), "precious").unwrap();
        let output = run(producer().args(["--ipc", &folder.endpoint(transport)]));
        assert_eq!(output.status.code(), Some(2));
        assert!(one_line(&output).contains(want), "{}", one_line(&output));
        assert_eq!(fs::read(folder.path(transport)).unwrap(), b"precious");
    }
}

#[test]
fn it_waits_for_a_daemon_as_long_as_it_is_told_to() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let endpoint = nobody(&folder, transport);
        let waiting = producer()
            .args([
                "--ipc", &endpoint, "--wait", "60", "--count", "3", "--rate", "0",
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It has started to wait when it sleeps.
        wait_for("the producer's sleep", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", waiting.id())).unwrap();
            stat.contains("(producer) S")
        });
        let endpoint = if transport == "tcp" {
            "udp=127.0.0.1:0".to_owned()
        } else {
            endpoint
        };
        let daemon = Setup::new(&folder, &[]).args(["--ipc", &endpoint]).start();
        if transport == "tcp" {
            // Port 1 stays without a daemon: the wait must not end before it is over.
            drop(daemon.stop());
            crate::harness::signal(waiting.id(), "TERM");
            continue;
        }
        let output = waiting.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(daemon.stop().count("records"), 3, "{transport}");
    }
    let folder = Folder::new();
    let output = run(producer().args(["--ipc", &nobody(&folder, "unixsock"), "--wait", "0.05"]));
    assert_eq!(output.status.code(), Some(2));
}

/// It sends nothing but records, not even to find out whether somebody is there.
#[test]
fn waiting_for_a_daemon_does_not_disturb_the_balance_of_udp() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["udp"])
        .args(["--buffer", "8192"])
        .start();
    daemon.freeze();
    let mut sent = 0;
    for _ in 0..5 {
        let args = [
            "--ipc",
            daemon.endpoint("udp"),
            "--rate=0",
            "--count=50",
            "--wait=1",
        ];
        assert!(run(producer().args(args)).status.success());
        sent += 50;
    }
    daemon.thaw();
    let stopped = daemon.stop();
    assert_eq!(
        stopped.count("records") + stopped.count("kernel_drops"),
        sent
    );
    assert!(stopped.count("kernel_drops") > 0);
}

/// The first record after a stop goes to nobody, which the producer learns with the next one.
#[test]
fn what_udp_tells_to_have_gone_to_nobody_is_sent_again() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["udp"]).start();
    let endpoint = daemon.endpoint("udp").to_owned();
    let args = ["--rate=1000", "--count=500", "--wait=30"];
    let running = spawn_producer(&endpoint, args);
    let pid = u64::from(running.id());
    daemon.wait_for_lines(100);
    daemon.stop();
    let daemon = Setup::new(&folder, &[]).args(["--ipc", &endpoint]).start();
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["sent"], &report["errors"]),
        (&json!(500), &json!(0))
    );
    assert_eq!(report["reconnects"], 1, "{report}");
    daemon.signal("TERM");
    let lines = daemon.wait_unchecked().lines;
    assert!(sequences(&lines)[&pid].iter().copied().eq(0..500));
}

/// Takes one record over this transport and refuses the next, from `--rate=2`. A UDP port stays ours as long as the socket
/// is kept, or another test may get it and take the record.
fn take_one_record(
    transport: &str,
    spawn: impl FnOnce(&str) -> Child,
) -> (String, Child, Option<UdpSocket>) {
    let patience = Some(std::time::Duration::from_secs(60));
    if transport == "udp" {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("udp={}", socket.local_addr().unwrap());
        let running = spawn(&endpoint);
        socket.set_read_timeout(patience).unwrap();
        socket.recv(&mut [0; 1000]).unwrap();
        // From now on it takes what comes from itself, and nothing else.
        socket.connect(socket.local_addr().unwrap()).unwrap();
        return (endpoint, running, Some(socket));
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp={}", listener.local_addr().unwrap());
    let running = spawn(&endpoint);
    let mut connection = BufReader::new(listener.accept().unwrap().0);
    connection.read_line(&mut String::new()).unwrap();
    connection.get_ref().shutdown(Shutdown::Both).unwrap();
    (endpoint, running, None)
}

/// A record that was refused is sent again even if it was the last one. If nobody comes to take it, it is
/// not counted as sent.
#[test]
fn the_fate_of_the_last_record_is_known() {
    for transport in ["tcp", "udp"] {
        for (wait, is_awaited) in [("--wait=30", true), ("--wait=0.1", false)] {
            let args = ["--rate=2", "--count=2", wait];
            let (endpoint, running, port) =
                take_one_record(transport, |endpoint| spawn_producer(endpoint, args));
            let port = port.filter(|_| !is_awaited);
            let folder = Folder::new();
            let daemon =
                is_awaited.then(|| Setup::new(&folder, &[]).args(["--ipc", &endpoint]).start());
            let output = running.wait_with_output().unwrap();
            drop(port);
            assert_eq!(output.status.success(), is_awaited, "{transport}");
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let lost = u64::from(!is_awaited);
            let counts = (&report["sent"], &report["errors"]);
            assert_eq!(counts, (&json!(2 - lost), &json!(lost)), "{transport}");
            if let Some(daemon) = daemon {
                let lines = daemon.stop().lines;
                assert_eq!(lines.len(), 1, "{transport}");
                assert!(lines[0].contains("\"seq\":1,"), "{transport}: {}", lines[0]);
            }
        }
    }
}

#[test]
fn a_daemon_that_has_gone_with_all_of_it_is_not_waited_for() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["tcp"]).start();
    let mut running = producer()
        .args(["--ipc", daemon.endpoint("tcp"), "--stdin", "--wait=600"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = running.stdin.take().unwrap();
    input.write_all(b"{}\n").unwrap();
    daemon.wait_for_lines(1);
    daemon.stop();
    drop(input);
    assert!(running.wait().unwrap().success());
}

#[test]
fn each_line_of_standard_input_is_a_record() {
    let input = b"{\"a\" : 1}\n  text \"x\"\n\n\xff\n[1]\nlast";
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let args = ["--stdin", "--report", "--ipc", daemon.endpoint(transport)];
        let output = run_with_input(producer().args(args), input);
        assert!(output.status.success());
        assert!(output.stderr.is_empty());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["sent"], &report["errors"]), (&json!(6), &json!(0)));
        let stopped = daemon.stop();
        assert_eq!(stopped.lines[0], "{\"a\" : 1}");
        let own =
            |message: &str| json!({"source": "producer", "level": "INFO", "message": message});
        let mut bad = own("\u{fffd}");
        bad["raw_base64"] = json!("/w==");
        let want = [own("  text \"x\""), own(""), bad, own("[1]"), own("last")];
        assert_eq!(stopped.records()[1..], want);
        assert_eq!(stopped.count("wrapped"), 0);
        assert_eq!(report["bytes"], stopped.summary["bytes"]);
    }
}

#[test]
fn a_line_that_cannot_go_whole_is_counted_and_the_rest_goes_on() {
    for (transport, fits) in [("fifo", 4096), ("udp", 65_507), ("unixgram", 65_507)] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport])
            .args(["--max-record", "1000000"])
            .start();
        let object = |bytes: usize| format!("{{\"a\":\"{}\"}}\n", "x".repeat(bytes - 9));
        let far_too_long = object(300_000);
        let input = [
            object(fits),
            far_too_long.clone(),
            far_too_long,
            "{}\n".to_owned(),
        ]
        .concat();
        let args = ["--stdin", "--report", "--ipc", daemon.endpoint(transport)];
        let output = run_with_input(producer().args(args), input.as_bytes());
        assert_eq!(output.status.code(), Some(2));
        assert!(
            one_line(&output).contains("cannot go whole"),
            "{}",
            one_line(&output)
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["sent"], &report["errors"]), (&json!(2), &json!(2)));
        let stopped = daemon.stop();
        assert_eq!(
            stopped.lines,
            [object(fits).trim_end(), "{}"],
            "{transport}"
        );
    }
}

#[test]
fn a_load_whose_records_cannot_go_whole_is_refused() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo", "udp", "unixgram"]).start();
    for (transport, size) in [("fifo", "4090"), ("udp", "65500"), ("unixgram", "300000")] {
        let output = run(producer().args(["--ipc", daemon.endpoint(transport), "--size", size]));
        assert_eq!(output.status.code(), Some(2));
        assert!(one_line(&output).contains("cannot go whole"));
    }
    assert_eq!(daemon.stop().lines.len(), 0);
}

#[test]
fn a_daemon_that_goes_is_an_error_and_not_the_producers_death() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let args = [
            "--ipc",
            daemon.endpoint(transport),
            "--rate",
            "200",
            "--duration",
            "60",
        ];
        let running = producer()
            .args(args)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        daemon.wait_for_lines(1);
        daemon.stop();
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{transport}");
        assert!(one_line(&output).contains("cannot send to"), "{transport}");
    }
}

#[test]
fn a_plan_is_kept_and_a_stamped_record_tells_of_it() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"]).start();
    let args = [
        "--ipc",
        daemon.endpoint("unixsock"),
        "--stamp",
        "--rate",
        "200",
        "--count",
        "40",
    ];
    assert!(run(producer().args(args)).status.success());
    let records = daemon.stop().records();
    let number = |record: &Value, key: &str| record[key].as_u64().unwrap();
    for (seq, record) in records.iter().enumerate() {
        assert_eq!(number(record, "seq"), seq as u64);
        let due = number(record, "due_ns") - number(&records[0], "due_ns");
        assert_eq!(due, seq as u64 * 5_000_000);
        assert!(number(record, "sent_ns") >= number(record, "due_ns"));
    }
}

#[test]
fn nagle_is_off_unless_asked_for() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["tcp"]).start();
    for (args, want) in [
        (&["--count=1"][..], true),
        (&["--count=1", "--nagle"][..], false),
    ] {
        let output = run(Command::new("strace")
            .args(["-e", "trace=setsockopt"])
            .arg(producer().get_program())
            .args(["--ipc", daemon.endpoint("tcp")])
            .args(args));
        let trace = String::from_utf8(output.stderr).unwrap();
        assert_eq!(trace.contains("TCP_NODELAY, [1]"), want, "{trace}");
    }
    daemon.stop();
}

/// What it prints must not become a record because its socket got the place of standard output.
#[test]
fn a_standard_descriptor_that_is_closed_stays_out_of_it() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let endpoint = daemon.endpoint(transport);
        let shell = |script: &str| {
            let program = producer().get_program().to_owned();
            run(Command::new("sh")
                .args(["-c", script])
                .arg(program)
                .arg(endpoint))
        };
        let output = shell("exec \"$0\" --ipc \"$1\" --count 1 --report >&-");
        assert!(output.status.success());
        let output = shell("exec \"$0\" --ipc \"$1\" --stdin <&-");
        assert_eq!(output.status.code(), Some(2), "it read something");
        assert!(one_line(&output).contains("cannot read standard input"));
        let output = shell("exec \"$0\" --ipc \"$1\" --count 1 --report <&- >&- 2>&-");
        assert!(output.status.success());
        assert_eq!(daemon.stop().count("records"), 2, "{transport}");
    }
}

#[test]
fn a_line_beyond_all_limits_is_refused_with_the_limit() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"]).start();
    let mut input = vec![b'x'; (16 << 20) + 1];
    input.extend_from_slice(b"\n{}\n");
    let args = ["--stdin", "--ipc", daemon.endpoint("unixsock")];
    let output = run_with_input(producer().args(args), &input);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        one_line(&output).contains("longer than 16777216"),
        "{}",
        one_line(&output)
    );
    assert_eq!(daemon.stop().lines, ["{}"]);
}

#[test]
fn a_rate_far_below_one_does_not_mean_flat_out() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"]).start();
    let args = [
        "--ipc",
        daemon.endpoint("unixsock"),
        "--rate",
        "1e-12",
        "--count",
        "5",
    ];
    let mut running = producer().args(args).spawn().unwrap();
    daemon.wait_for_lines(1);
    wait_for("the producer's sleep", || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", running.id())).unwrap();
        stat.contains("(producer) S")
    });
    assert_eq!(daemon.lines_written(), 1);
    running.kill().unwrap();
    running.wait().unwrap();
    daemon.stop();
}
