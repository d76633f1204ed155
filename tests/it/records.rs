//! What becomes of input, over real transports, and that any strict parser reads the output.

use crate::harness::{Folder, Setup, Stopped, TRANSPORTS, has_program, run, skip};
use serde_json::{Value, json};
use std::process::Command;

const STREAMS: [&str; 3] = ["unixsock", "tcp", "fifo"];
const DATAGRAMS: [&str; 2] = ["unixgram", "udp"];

/// Sends each piece in turn over one connection, and stops the daemon.
fn sent(transport: &str, args: &[&str], pieces: &[&[u8]]) -> Stopped {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &[transport]).args(args).start();
    let mut client = daemon.connect(transport);
    for piece in pieces {
        client.send(piece);
    }
    drop(client);
    daemon.stop()
}

fn wrapped(transport: &str, own: &Value) -> Value {
    let mut record = json!({"source": transport, "level": "INFO"});
    let members = own.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(members);
    record
}

#[test]
fn objects_pass_byte_for_byte_and_other_lines_are_wrapped() {
    let input: &[u8] =
        b"{\"a\" : 1.0}\n  {\"b\":\"\\u00e4\"}\t\r\n\n \t\n  plain \"text\"\r\n[1]\n\
        \xff{}\n{\"a\":\"\xff\"}\nnul\0\x1b\n{\"c\":\"\\ud800\"}\n";
    for transport in TRANSPORTS {
        let stopped = sent(transport, &[], &[input]);
        assert_eq!(stopped.lines[0], "{\"a\" : 1.0}", "{transport}");
        assert_eq!(stopped.lines[1], "{\"b\":\"\\u00e4\"}", "{transport}");
        let want = [
            json!({"message": "  plain \"text\""}),
            json!({"message": "[1]"}),
            json!({"message": "\u{fffd}{}", "raw_base64": "/3t9"}),
            json!({"message": "{\"a\":\"\u{fffd}\"}", "raw_base64": "eyJhIjoi/yJ9"}),
            json!({"message": "nul\0\x1b"}),
            json!({"message": "{\"c\":\"\\ud800\"}"}),
        ]
        .map(|own| wrapped(transport, &own));
        assert_eq!(stopped.records()[2..], want, "{transport}");
        assert_eq!(stopped.count("wrapped"), 6);
        assert_eq!(stopped.count("truncated"), 0);
    }
}

#[test]
fn a_line_in_pieces_is_one_record_on_a_stream() {
    for transport in STREAMS {
        let stopped = sent(transport, &[], &[b"{\"a\":", b"1", b"}", b"\n{}", b"\n"]);
        assert_eq!(stopped.lines, ["{\"a\":1}", "{}"], "{transport}");
    }
}

#[test]
fn an_unfinished_last_line_is_kept_and_marked() {
    for transport in STREAMS {
        let stopped = sent(transport, &[], &[b"{}\n{\"whole\":1}"]);
        assert_eq!(stopped.lines, ["{}", "{\"whole\":1}"], "{transport}");
        let stopped = sent(transport, &[], &[b"{}\n{\"half\":"]);
        let half = json!({"message": "{\"half\":", "unterminated": true});
        assert_eq!(stopped.records()[1], wrapped(transport, &half));
    }
}

#[test]
fn an_over_long_line_is_kept_in_part_and_the_next_one_is_intact() {
    // 1,023 letters and a euro sign that the limit would cut in two.
    let long = ["x".repeat(1023), "\u{20ac}".to_owned(), "y".repeat(1000)].concat();
    for transport in TRANSPORTS {
        let input = format!("{long}\n{{}}\n{}\n", "z".repeat(1024));
        let stopped = sent(transport, &["--max-record", "1024"], &[input.as_bytes()]);
        let own = json!({"message": "x".repeat(1023), "truncated": true, "original_bytes": 2026});
        let whole = json!({"message": "z".repeat(1024)});
        assert_eq!(
            stopped.records(),
            [
                wrapped(transport, &own),
                json!({}),
                wrapped(transport, &whole)
            ]
        );
        assert_eq!(stopped.count("truncated"), 1);
        assert_eq!(stopped.count("wrapped"), 2);
    }
}

#[test]
fn a_datagram_needs_no_newline_and_holds_any_number_of_lines() {
    for transport in DATAGRAMS {
        let datagrams: [&[u8]; 5] = [b"{\"a\":1}", b"", b"\n", b"one\r\n\ntwo", b"{\"b\":2}\n"];
        let stopped = sent(transport, &[], &datagrams);
        assert_eq!(
            stopped.records(),
            [
                json!({"a": 1}),
                wrapped(transport, &json!({"message": "one"})),
                wrapped(transport, &json!({"message": "two"})),
                json!({"b": 2}),
            ]
        );
    }
}

#[test]
fn a_datagram_of_the_largest_size_is_whole() {
    for (transport, bytes) in [("udp", 65_507), ("unixgram", 65_535)] {
        let message = "m".repeat(bytes);
        let stopped = sent(transport, &[], &[message.as_bytes(), b"{}"]);
        let own = json!({"message": message});
        assert_eq!(stopped.records(), [wrapped(transport, &own), json!({})]);
    }
}

#[test]
fn a_datagram_larger_than_the_buffer_is_marked_with_its_true_length() {
    let mut datagram = b"{\"first\":1}\n".to_vec();
    datagram.resize(100_000, b'm');
    let stopped = sent("unixgram", &[], &[&datagram, b"{}"]);
    let own = json!({
        "message": "m".repeat(65_535 - 12),
        "truncated": true,
        "original_bytes": 100_000 - 12,
    });
    assert_eq!(
        stopped.records(),
        [json!({"first": 1}), wrapped("unixgram", &own), json!({})]
    );
}

#[test]
fn no_producer_can_forge_a_stamp() {
    let forged = br#"{"_transport":"forged","\u005freceived_ns":0,"a":{"_transport":1}}"#;
    for transport in TRANSPORTS {
        let stopped = sent(transport, &["--stamp"], &[forged, b"\n"]);
        let record = &stopped.records()[0];
        assert_eq!(record["_transport"], transport);
        assert!(record["_received_ns"].as_u64() > Some(0));
        assert_eq!(record["producer_transport"], "forged");
        assert_eq!(record["producer_received_ns"], 0);
        assert_eq!(record["a"]["_transport"], 1);
    }
}

#[test]
fn a_stamp_makes_no_key_twice() {
    for (sent, want) in [
        (
            r#"{"_x":1,"producer_x":2}"#,
            r#"{"producer2_x":1,"producer_x":2,"#,
        ),
        (
            r#"{"_x":1,"\u0070roducer_x":2,"producer2\u005fx":3,"_y":4}"#,
            r#"{"producer3_x":1,"\u0070roducer_x":2,"producer2\u005fx":3,"producer_y":4,"#,
        ),
        // What the sender had twice stays so.
        (
            r#"{"a":1,"a":2,"_x":3,"_x":4}"#,
            r#"{"a":1,"a":2,"producer_x":3,"producer_x":4,"#,
        ),
    ] {
        for transport in TRANSPORTS {
            let stopped = sent_lines(transport, &["--stamp"], sent);
            let end = format!("\"_transport\":\"{transport}\",\"_received_ns\":");
            let line = &stopped.lines[0];
            assert!(line.starts_with(&(want.to_owned() + &end)), "{line}");
        }
    }
}

/// Sends a line over one connection, once as the first one and once behind one that begins like it.
fn sent_lines(transport: &str, args: &[&str], line: &str) -> Stopped {
    let line = format!("{line}\n");
    let stopped = sent(transport, args, &[line.as_bytes(), line.as_bytes()]);
    assert_eq!(stopped.lines.len(), 2, "{:?}", stopped.lines);
    stopped
}

#[test]
fn what_ends_a_line_for_some_readers_goes_out_otherwise() {
    for (sent, want) in [
        ("{\"a\":1,\r\"b\":2}", "{\"a\":1, \"b\":2}"),
        ("{\r\r\"a\"\r:\r[\r]\r}\r", "{  \"a\" : [ ] }"),
        (
            "{\"\u{85}\":\"\u{2027}\u{2028}\u{2029}\"}",
            "{\"\\u0085\":\"\u{2027}\\u2028\\u2029\"}",
        ),
        // Byte for byte.
        (
            "{\"a\" :\t\"\u{84}\\r\\u2028\u{202a}\u{7f}\"  }",
            "{\"a\" :\t\"\u{84}\\r\\u2028\u{202a}\u{7f}\"  }",
        ),
    ] {
        for transport in TRANSPORTS {
            let stopped = sent_lines(transport, &[], sent);
            assert_eq!(stopped.lines, [want, want], "{transport}");
            assert_eq!(stopped.count("wrapped"), 0);
            let stamped = sent_lines(transport, &["--stamp"], sent);
            let begin = want.strip_suffix('}').unwrap();
            assert!(stamped.lines[1].starts_with(begin), "{}", stamped.lines[1]);
        }
    }
    let text = "a\rb\u{85}c\u{2028}d\u{2029}e";
    for transport in TRANSPORTS {
        let stopped = sent_lines(transport, &[], text);
        let own = wrapped(transport, &json!({ "message": text }));
        assert_eq!(stopped.records(), [own.clone(), own]);
        let want = r#""message":"a\rb\u0085c\u2028d\u2029e"}"#;
        assert!(stopped.lines[0].ends_with(want), "{}", stopped.lines[0]);
    }
}

#[test]
fn what_some_reader_refuses_is_wrapped() {
    let nested = |levels: usize| ["[".repeat(levels - 1), "]".repeat(levels - 1)].concat();
    let key = |bytes| format!("{{\"{}\":1}}", "k".repeat(bytes));
    for (last, first_beyond) in [
        (nested(64), nested(65)),
        (
            format!("0.{}", "1".repeat(999)),
            format!("0.{}", "1".repeat(1000)),
        ),
        (
            format!("-1.{}e-99", "1".repeat(997)),
            format!("-1.{}e-99", "1".repeat(998)),
        ),
        (key(50_000), key(50_001)),
    ] {
        for transport in TRANSPORTS {
            let object = |value: &str| format!("{{\"a\":{value}}}");
            let (last, beyond) = (object(&last), object(&first_beyond));
            let pieces = [last.clone() + "\n", beyond.clone() + "\n"];
            let stopped = sent(transport, &[], &pieces.each_ref().map(String::as_bytes));
            assert_eq!(stopped.lines[0], last, "{transport}");
            let own = wrapped(transport, &json!({ "message": beyond }));
            assert_eq!(stopped.records()[1], own, "{transport}");
        }
    }
}

/// An object without a newline becomes a record when the input ends, in a turn that reads nothing.
#[test]
fn the_last_record_of_an_ended_input_has_its_stamp() {
    for transport in STREAMS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).args(["--stamp"]).start();
        let mut client = daemon.connect(transport);
        client.send("{}\n{\"_transport\":\"forged\"}");
        daemon.wait_for_lines(1);
        drop(client);
        daemon.wait_for_lines(2);
        let record = &daemon.stop().records()[1];
        assert_eq!(record["_transport"], transport);
        assert_eq!(record["producer_transport"], "forged");
        assert!(record["_received_mono_ns"].as_u64() > Some(0));
    }
}

/// Bytes that tried to break out, on every transport, read by parsers that we did not write.
#[test]
fn python_and_jq_read_every_line() {
    if !has_program("python3") || !has_program("jq") {
        return skip("python3 or jq is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS)
        .args(["--max-record", "8192", "--stamp"])
        .start();
    let mut lines: Vec<Vec<u8>> = vec![
        b"{\"a\":1}".to_vec(),
        b"{\"a\":\"\\ud800\"}".to_vec(),
        b"{\"a\":\"\\ud83d\\ude00\"}".to_vec(),
        b"{\"a\":1e999,\"a\":-0.0}".to_vec(),
        "{\"a\":\"\u{2028}\u{85}\u{7f}\"}".into(),
        b"{\"a\":\"\x01\"}".to_vec(),
        b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
        b"\",\"x\":{\"".to_vec(),
        b"\\".to_vec(),
        b"}".to_vec(),
        b"NaN".to_vec(),
        b"{\"a\":NaN}".to_vec(),
        b"{\"a\":Infinity}".to_vec(),
        format!("{{\"a\":{}{}}}", "[".repeat(400), "]".repeat(400)).into(),
        format!("{{\"a\":{}{}}}", "[".repeat(126), "]".repeat(126)).into(),
        format!("{{\"a\":{}}}", "1".repeat(5000)).into(),
        vec![0xff; 2000],
        "\u{20ac}".repeat(5000).into(),
    ];
    lines.extend((0..=255).map(|byte| vec![b'x', byte, b'y']));
    let sent: usize = lines
        .iter()
        .map(|line| if line.contains(&b'\n') { 2 } else { 1 })
        .sum();
    for transport in TRANSPORTS {
        let mut client = daemon.connect(transport);
        for line in &lines {
            client.send([line, &b"\n"[..]].concat());
        }
    }
    let output = daemon.output.clone();
    let stopped = daemon.stop();
    assert_eq!(stopped.lines.len(), sent * TRANSPORTS.len());

    let python = "import json, sys\n\
        rows = [json.loads(line) for line in open(sys.argv[1], 'rb').read().split(b'\\n')[:-1]]\n\
        assert all(type(row) is dict and row['_transport'] for row in rows)\n\
        print(len(rows))";
    let by_python = run(Command::new("python3").args(["-c", python]).arg(&output));
    let errors = String::from_utf8_lossy(&by_python.stderr);
    assert_eq!(
        by_python.stdout,
        format!("{}\n", stopped.lines.len()).into_bytes(),
        "{errors}"
    );
    let by_jq = run(Command::new("jq").args(["-c", "type"]).arg(&output));
    let errors = String::from_utf8_lossy(&by_jq.stderr);
    assert_eq!(
        by_jq.stdout,
        "\"object\"\n".repeat(stopped.lines.len()).into_bytes(),
        "{errors}"
    );
}
