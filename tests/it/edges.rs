//! What stands at a record's edge and is no part of it: byte order marks, NULs, counts; and what is said of
//! senders that should be set otherwise.

use crate::harness::{
    Daemon, Folder, Setup, Stopped, TRANSPORTS, has_program, run, skip, wait_for,
};
use serde_json::{Value, json};
use std::process::Command;

const STREAMS: [&str; 3] = ["unixsock", "tcp", "fifo"];
const CONNECTIONS: [&str; 2] = ["unixsock", "tcp"];
const DATAGRAMS: [&str; 2] = ["unixgram", "udp"];

/// The records of one sender that sends each of these pieces by itself: the messages of wrapped ones, the
/// others as they are.
fn texts(transport: &str, pieces: &[&[u8]]) -> Vec<String> {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).start();
    let mut client = daemon.connect(transport);
    for piece in pieces {
        client.send(piece);
    }
    drop(client);
    messages(&daemon.stop())
}

fn messages(stopped: &Stopped) -> Vec<String> {
    let text = |(record, line): (Value, &String)| match record.get("message") {
        Some(message) if record.get("unterminated").is_some() => format!("!{message}"),
        Some(message) => message.as_str().unwrap().to_owned(),
        None => line.clone(),
    };
    let records = stopped.records().into_iter();
    records.zip(&stopped.lines).map(text).collect()
}

/// As a stream, whole, in two pieces cut at each place in turn, and byte by byte.
#[track_caller]
fn check_stream(transport: &str, input: &str, want: &[&str]) {
    let input = input.as_bytes();
    let mut cuts: Vec<Vec<&[u8]>> = (1..=input.len())
        .map(|cut| vec![&input[..cut], &input[cut..]])
        .collect();
    cuts.push(input.chunks(1).collect());
    if transport == "fifo" {
        for pieces in cuts {
            assert_eq!(texts(transport, &pieces), want, "{pieces:?}");
        }
        return;
    }
    // One connection after the other.
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).start();
    for (index, pieces) in cuts.iter().enumerate() {
        let mut client = daemon.connect(transport);
        for piece in pieces {
            client.send(piece);
        }
        drop(client);
        daemon.wait_for_lines((index + 1) * want.len());
    }
    let got = messages(&daemon.stop());
    assert_eq!(got.len(), cuts.len() * want.len(), "{transport}: {got:?}");
    for (pieces, got) in cuts.iter().zip(got.chunks(want.len().max(1))) {
        assert_eq!(got, want, "{transport}: {pieces:?}");
    }
}

#[test]
fn a_byte_order_mark_goes_at_the_start_of_a_stream() {
    for transport in STREAMS {
        let input = "\u{feff}{\"a\":1}\n\u{feff}{\"b\":2}\n";
        check_stream(transport, input, &["{\"a\":1}", "\u{feff}{\"b\":2}"]);
        check_stream(transport, "\u{feff}", &[]);
        check_stream(transport, "\u{feff}x", &["!\"x\""]);
    }
}

#[test]
fn a_byte_order_mark_goes_at_the_start_of_a_datagram() {
    for transport in DATAGRAMS {
        let mark = "\u{feff}";
        let datagrams = [
            format!("{mark}{{\"a\":1}}\n"),
            format!("{mark}{{\"a\":2}}"),
            mark.to_owned(),
            format!("{mark}text\n{mark}text"),
        ];
        let datagrams: Vec<&[u8]> = datagrams.iter().map(String::as_bytes).collect();
        let want = ["{\"a\":1}", "{\"a\":2}", "text", "\u{feff}text"];
        assert_eq!(texts(transport, &datagrams), want, "{transport}");
    }
}

#[test]
fn each_life_of_a_fifo_begins_anew() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    for life in 1..=3 {
        let mut writer = daemon.connect("fifo");
        // It is a record when the end has been read.
        writer.send(format!("\u{feff}{{\"life\":{life}}}"));
        drop(writer);
        daemon.wait_for_lines(life);
    }
    let stopped = daemon.stop();
    let want = ["{\"life\":1}", "{\"life\":2}", "{\"life\":3}"];
    assert_eq!(stopped.lines, want);
}

#[test]
fn one_nul_goes_at_a_datagrams_end() {
    for transport in DATAGRAMS {
        for end in ["\0", "\n\0", "\r\n\0", "\0\n", "\0\r\n"] {
            let datagrams = [
                format!("{{\"a\":1}}{end}"),
                format!("text{end}"),
                format!("two\nlines\0{end}"),
                end.to_owned(),
                "{\"b\":1}\n".to_owned(),
            ];
            let datagrams: Vec<&[u8]> = datagrams.iter().map(String::as_bytes).collect();
            let want = ["{\"a\":1}", "text", "two", "lines\0", "{\"b\":1}"];
            assert_eq!(texts(transport, &datagrams), want, "{transport} {end:?}");
        }
        let inner = [&b"a\0b"[..], b"\0c\n"];
        assert_eq!(texts(transport, &inner), ["a\0b", "\0c"], "{transport}");
    }
    // Of a datagram that is cut, the last byte that is here was not its end.
    let mut datagram = vec![b'x'; 65_534];
    datagram.extend_from_slice(b"\0more");
    let whole = texts("unixgram", &[&datagram])[0].len();
    assert_eq!(whole, 65_535);
}

#[test]
fn a_nul_right_behind_a_newline_goes_with_it() {
    for transport in STREAMS {
        let input = "{\"a\":1}\n\0text\r\n\0{\"b\":2}\n\0";
        check_stream(transport, input, &["{\"a\":1}", "text", "{\"b\":2}"]);
        let input = "{\"a\":1}\n\0\0x\0\ny\0";
        check_stream(transport, input, &["{\"a\":1}", "\0x\0", "!\"y\\u0000\""]);
    }
}

#[test]
fn nul_ends_the_records_of_a_connection_whose_first_line_ends_with_one() {
    for transport in CONNECTIONS {
        let input = "one\0{\"a\":1}\0two\nlines\n\0{\"b\":2}\r\n\0";
        check_stream(
            transport,
            input,
            &["one", "{\"a\":1}", "two\nlines", "{\"b\":2}"],
        );
        check_stream(transport, "one\0half", &["one", "!\"half\""]);
        check_stream(transport, "\u{feff}one\0\n", &["one"]);
        check_stream(
            transport,
            "one\ntwo\0\nthree",
            &["one", "two\0", "!\"three\""],
        );
    }
    check_stream("fifo", "one\0two\nthree\n", &["one\0two", "three"]);
}

#[test]
fn two_thousand_records_that_end_in_nul_are_two_thousand() {
    for transport in CONNECTIONS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let mut client = daemon.connect(transport);
        let record = |n: usize| format!("<14>{n} {}", "x".repeat(120));
        for n in 0..2000 {
            client.send(record(n) + "\0");
        }
        daemon.wait_for_lines(2000);
        let stopped = daemon.stop();
        let want: Vec<String> = (0..2000).map(record).collect();
        assert_eq!(messages(&stopped), want, "{transport}");
        assert_eq!(stopped.stderr, "");
    }
}

/// A program in one of the languages that log, and what it is given: kind, address, and port where there is
/// one.
fn send_by(daemon: &Daemon, transport: &str, program: &[&str]) {
    let address = daemon.address(transport);
    let (host, port) = match transport {
        "tcp" | "udp" => address.rsplit_once(':').unwrap(),
        _ => (address, ""),
    };
    let mut command = Command::new(program[0]);
    let output = run(command.args(&program[1..]).args([transport, host, port]));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?} {transport}: {errors}");
}

#[test]
fn pythons_syslog_handler_is_understood() {
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    let program = "import logging, logging.handlers, socket, sys\n\
        kind, host, port = sys.argv[1:]\n\
        address = (host, int(port)) if port else host\n\
        type = socket.SOCK_STREAM if kind in ('tcp', 'unixsock') else socket.SOCK_DGRAM\n\
        logger = logging.getLogger()\n\
        logger.addHandler(logging.handlers.SysLogHandler(address, socktype=type))\n\
        for n in range(20): logger.warning('number %d', n)\n\
        if type == socket.SOCK_STREAM: logger.warning('two\\nlines')";
    for transport in ["unixsock", "tcp", "unixgram", "udp"] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        send_by(&daemon, transport, &["python3", "-c", program]);
        let mut want: Vec<String> = (0..20).map(|n| format!("<12>number {n}")).collect();
        if CONNECTIONS.contains(&transport) {
            want.push("<12>two\nlines".to_owned());
        }
        daemon.wait_for_lines(want.len());
        assert_eq!(messages(&daemon.stop()), want, "{transport}");
    }
}

#[test]
fn perls_sys_syslog_is_understood() {
    let has_module = run(Command::new("sh").args(["-c", "perl -MSys::Syslog -e 1"]));
    if !has_module.status.success() {
        return skip("perl's Sys::Syslog is not installed");
    }
    let program = "use Sys::Syslog qw(:standard :macros :extended);\n\
        my ($kind, $host, $port) = @ARGV;\n\
        my $type = $kind eq 'fifo' ? 'stream' : $port ? $kind : 'unix';\n\
        setlogsock($port ? {type => $type, host => $host, port => $port} : {type => $type, path => $host}) or die;\n\
        openlog('perl', 'nofatal,ndelay', LOG_USER) or die;\n\
        for my $n (0 .. 19) { syslog(LOG_INFO, 'number %d', $n) or die }\n\
        closelog()";
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        send_by(&daemon, transport, &["perl", "-e", program]);
        daemon.wait_for_lines(20);
        let messages = messages(&daemon.stop());
        assert_eq!(messages.len(), 20, "{transport}: {messages:?}");
        for (n, message) in messages.iter().enumerate() {
            assert!(message.starts_with("<14>"), "{transport}: {message:?}");
            let end = format!("perl: number {n}");
            assert!(message.ends_with(&end), "{transport}: {message:?}");
        }
    }
}

/// The lines of warning about an endpoint, of which there is one at most for each reason.
fn warnings(daemon: &Daemon, transport: &str) -> Vec<String> {
    let begin = format!("aggregator: warning: {}: ", daemon.endpoint(transport));
    let stderr = daemon.stderr();
    let lines = stderr.lines().filter_map(|line| line.strip_prefix(&begin));
    lines.map(str::to_owned).collect()
}

#[test]
fn counted_frames_are_told_of_at_once_and_once() {
    for transport in CONNECTIONS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport])
            .args(["--max-record", "1024"])
            .start();
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut client = daemon.connect(transport);
            for byte in b"83 <" {
                client.send([*byte]);
            }
            open.push(client);
            wait_for("a warning", || !warnings(&daemon, transport).is_empty());
        }
        // What follows from it is not told of as well.
        for client in &mut open {
            client.send("13>a message 83 <13>a message ".repeat(100) + "\n");
        }
        daemon.wait_for_lines(3);
        let said = warnings(&daemon, transport);
        assert_eq!(said.len(), 1, "{said:?}");
        for what in ["RFC 6587", "log-proto legacy", "network()", "--octet-count"] {
            assert!(said[0].contains(what), "{said:?}");
        }
        drop(open);
        daemon.stop();
    }
}

#[test]
fn what_only_looks_a_little_like_a_counted_frame_is_not_told_of() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).start();
    for (n, transport) in CONNECTIONS.iter().enumerate() {
        let lines = [
            "<13>83 <\n",
            "0 <x\n",
            "83\n",
            "12345678901 <\n",
            "83 x\n",
            "x\n83 <\n",
        ];
        for line in lines {
            daemon.connect(transport).send(line);
        }
        daemon.wait_for_lines((n + 1) * 7);
    }
    for transport in ["fifo", "unixgram", "udp"] {
        daemon.connect(transport).send("83 <x>\n");
    }
    // And this is one.
    daemon.connect("tcp").send("1234567890 <13>\n");
    daemon.wait_for_lines(18);
    let stderr = daemon.stop().stderr;
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}

#[test]
fn loggers_counted_frames_are_told_of() {
    if !has_program("logger") {
        return skip("logger is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["tcp"]).start();
    let (host, port) = daemon.address("tcp").rsplit_once(':').unwrap();
    let args = [
        "--tcp",
        "--octet-count",
        "--server",
        host,
        "--port",
        port,
        "text",
    ];
    for lines in 1..=2 {
        assert!(run(Command::new("logger").args(args)).status.success());
        daemon.wait_for_lines(lines);
    }
    assert_eq!(warnings(&daemon, "tcp").len(), 1, "{}", daemon.stderr());
    daemon.stop();
}

#[test]
fn a_record_beyond_the_limit_is_told_of_at_once_and_once() {
    for transport in STREAMS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport])
            .args(["--max-record", "1024"])
            .start();
        let mut client = daemon.connect(transport);
        client.send("x".repeat(1024) + "\r\n");
        daemon.wait_for_lines(1);
        assert_eq!(daemon.stderr(), "", "{transport}");
        client.send("x".repeat(1100)); // and no newline
        wait_for("a warning", || !warnings(&daemon, transport).is_empty());
        client.send("\n".to_owned() + &"y".repeat(1100) + "\n");
        daemon.wait_for_lines(3);
        let said = warnings(&daemon, transport);
        assert_eq!(said.len(), 1, "{said:?}");
        for what in ["1024 bytes", "newline", "--max-record"] {
            assert!(said[0].contains(what), "{said:?}");
        }
        daemon.stop();
    }
}

#[test]
fn a_first_line_that_ends_beyond_the_limit_is_told_of() {
    for transport in CONNECTIONS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport])
            .args(["--max-record", "1024"])
            .start();
        daemon.connect(transport).send("x".repeat(1025));
        daemon.wait_for_lines(1);
        assert_eq!(warnings(&daemon, transport).len(), 1, "{transport}");
        let record = &daemon.stop().records()[0];
        assert_eq!(record["original_bytes"], json!(1025));
    }
}

#[test]
fn the_producer_leaves_the_mark_of_its_standard_input_out() {
    for (input, want) in [
        ("\u{feff}{\"a\":1}\n", &["{\"a\":1}"][..]),
        ("\u{feff}text\n\u{feff}text\n", &["text", "\u{feff}text"]),
        ("one\0two\0\nthree", &["one\0two\0", "three"]),
    ] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &["unixsock"]).start();
        let mut producer = crate::harness::producer();
        producer.args(["--ipc", daemon.endpoint("unixsock"), "--stdin"]);
        let output = crate::harness::run_with_input(&mut producer, input.as_bytes());
        assert!(output.status.success());
        assert_eq!(messages(&daemon.stop()), want);
    }
}
