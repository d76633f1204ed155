//! What becomes of each kind of frame, and of the edges of an input.

use super::*;
use crate::batch::{Batch, Tally};
use serde_json::{Value, json};

const CLOCK: Clock = Clock {
    unix_seconds: || 1_700_000_000,
    stamp: || Stamp {
        wall_ns: 17,
        mono_ns: 4,
    },
};

fn record(frame: Frame<'_>, stamping: bool) -> (String, Tally) {
    let mut batch = Batch::default();
    let mut recorder = Recorder {
        source: "fifo",
        stamping,
        stamp: None,
        clock: CLOCK,
        lines: batch.lines_of(0),
    };
    recorder.arrived();
    recorder.frame(frame);
    let text = String::from_utf8(batch.rest().to_vec()).unwrap();
    batch.take(text.len());
    let mut counted = Tally::default();
    batch.settle(|_, tally| counted = tally);
    assert_eq!(counted.records, u64::from(!text.is_empty()));
    (text, counted)
}

#[track_caller]
fn check_wrapped(frame: Frame<'_>, own: &Value) {
    let (line, tally) = record(frame, false);
    let mut want = json!({"source": "fifo", "timestamp": 1_700_000_000, "level": "INFO"});
    want.as_object_mut()
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), want);
    assert!(line.ends_with("}\n"));
    assert_eq!(tally.wrapped, 1);
    assert_eq!(tally.truncated, u64::from(own.get("truncated").is_some()));
}

#[test]
fn an_object_is_written_byte_for_byte() {
    let (line, tally) = record(Frame::Line(b"  { \"b\":1.0,\"a\" : \"\\u00e4\" }  "), false);
    assert_eq!(line, "{ \"b\":1.0,\"a\" : \"\\u00e4\" }\n");
    assert_eq!(tally.wrapped, 0);
    let (line, tally) = record(Frame::Unterminated(b"{\"a\":1}"), false);
    assert_eq!(line, "{\"a\":1}\n");
    assert_eq!(tally.wrapped, 0);
}

#[test]
fn what_readers_take_for_the_end_of_a_line_is_written_otherwise() {
    const STAMP: &str = r#","_transport":"fifo","_received_ns":17,"_received_mono_ns":4}"#;
    for (sent, want) in [
        (
            "{\r\"a\":1,\r\r\"b\"\r:[2\r]\r}",
            "{ \"a\":1,  \"b\" :[2 ] ",
        ),
        (
            "{\"\u{85}\":\"\u{2027}\u{2028}\u{2029}\u{202a}\\\\\u{2028}\\\"\u{85}\"}",
            "{\"\\u0085\":\"\u{2027}\\u2028\\u2029\u{202a}\\\\\\u2028\\\"\\u0085\"",
        ),
    ] {
        let (line, tally) = record(Frame::Line(sent.as_bytes()), false);
        assert_eq!(line, format!("{want}}}\n"));
        assert_eq!(tally.wrapped, 0);
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&line), value(sent));
        let (line, _) = record(Frame::Line(sent.as_bytes()), true);
        assert_eq!(line, format!("{want}{STAMP}\n"));
    }
    let text = "\u{84}\u{85}a\r\u{2028}\u{2029}\u{202a}\x7f\x1c";
    check_wrapped(Frame::Line(text.as_bytes()), &json!({"message": text}));
    let (line, _) = record(Frame::Line(text.as_bytes()), false);
    let want = "\"\u{84}\\u0085a\\r\\u2028\\u2029\u{202a}\x7f\\u001c\"}\n";
    assert!(line.ends_with(want), "{line}");
}

/// In one chunk and byte by byte, with and without what the fast way passes over.
#[test]
fn what_stands_at_the_edges_is_no_part_of_a_record() {
    let lines = |input: &[u8], size: usize, is_connection: bool| {
        let mut batch = Batch::default();
        let mut recorder = Recorder {
            source: "tcp",
            stamping: false,
            stamp: None,
            clock: CLOCK,
            lines: batch.lines_of(0),
        };
        let mut framer = if is_connection {
            LineFramer::of_connection(64)
        } else {
            LineFramer::new(64)
        };
        for chunk in input.chunks(size) {
            recorder.chunk(&mut framer, chunk, 64);
        }
        framer.finish(|frame| recorder.frame(frame));
        String::from_utf8(batch.rest().to_vec()).unwrap()
    };
    for size in [1, 2, 3, 5, 100] {
        for (input, want) in [
            ("\u{feff}{}\n{\"a\":1}\n", "{}\n{\"a\":1}\n"),
            ("{}\n\0{\"a\":1}\n\0{}\n{}\n\0", "{}\n{\"a\":1}\n{}\n{}\n"),
        ] {
            for is_connection in [false, true] {
                assert_eq!(lines(input.as_bytes(), size, is_connection), want);
            }
        }
        let input = b"{}\0{\"a\":\n1}\n\0{\"b\":1}\n\0";
        let by_nul = lines(input, size, true);
        assert!(by_nul.starts_with("{}\n{\"source\""), "{by_nul}");
        assert!(
            by_nul.contains("{\\\"a\\\":\\n1}\"}\n{\"b\":1}\n"),
            "{by_nul}"
        );
        assert_eq!(by_nul.lines().count(), 3);
    }
}

#[test]
fn a_blank_line_is_skipped() {
    for line in [&b""[..], b" ", b" \t "] {
        assert_eq!(record(Frame::Line(line), true).0, "");
        assert_eq!(record(Frame::Unterminated(line), true).0, "");
    }
}

#[test]
fn anything_else_is_wrapped_and_nothing_of_it_lost() {
    check_wrapped(
        Frame::Line(b"\thello \"x\" "),
        &json!({"message": "\thello \"x\" "}),
    );
    check_wrapped(Frame::Line(b"[1]"), &json!({"message": "[1]"}));
    check_wrapped(
        Frame::Line(b"a\0b\x1b\\"),
        &json!({"message": "a\0b\x1b\\"}),
    );
    check_wrapped(Frame::Line(b"\r"), &json!({"message": "\r"}));
    check_wrapped(
        Frame::Line(b"{\"a\":\"\xff\"}"),
        &json!({"message": "{\"a\":\"\u{fffd}\"}", "raw_base64": "eyJhIjoi/yJ9"}),
    );
    check_wrapped(
        Frame::Unterminated(b"{\"a\":"),
        &json!({"message": "{\"a\":", "unterminated": true}),
    );
}

#[test]
fn a_replacement_character_that_was_sent_is_no_bad_byte() {
    check_wrapped(
        Frame::Line("\u{fffd}".as_bytes()),
        &json!({"message": "\u{fffd}"}),
    );
}

#[test]
fn an_oversize_line_is_cut_at_a_character() {
    let oversize = |head, unterminated| Frame::Oversize {
        head,
        original_bytes: 99,
        unterminated,
    };
    check_wrapped(
        oversize("ab\u{20ac}".as_bytes(), false),
        &json!({"message": "ab\u{20ac}", "truncated": true, "original_bytes": 99}),
    );
    check_wrapped(
        oversize(b"ab\xe2\x82", true),
        &json!({"message": "ab", "truncated": true, "original_bytes": 99, "unterminated": true}),
    );
    check_wrapped(
        oversize(b"a\xffb", false),
        &json!({"message": "a\u{fffd}b", "raw_base64": "Yf9i", "truncated": true, "original_bytes": 99}),
    );
    check_wrapped(
        oversize(b"", false),
        &json!({"message": "", "truncated": true, "original_bytes": 99}),
    );
}

#[test]
fn a_complete_object_that_is_only_a_beginning_is_no_record_of_its_own() {
    check_wrapped(
        Frame::Oversize {
            head: b"{}",
            original_bytes: 99,
            unterminated: false,
        },
        &json!({"message": "{}", "truncated": true, "original_bytes": 99}),
    );
}

#[test]
fn stamps_stand_after_the_records_own_fields_and_cannot_be_forged() {
    const STAMP: &str = r#""_transport":"fifo","_received_ns":17,"_received_mono_ns":4}"#;
    for (sent, want) in [
        ("{}", "{"),
        (r#"{"a":1}"#, r#"{"a":1,"#),
        (
            r#"{"_received_ns":1,"\u005ftransport":2}"#,
            r#"{"producer_received_ns":1,"producer\u005ftransport":2,"#,
        ),
    ] {
        let (line, _) = record(Frame::Line(sent.as_bytes()), true);
        assert_eq!(line, format!("{want}{STAMP}\n"));
    }
    let (line, _) = record(Frame::Line(b"text"), true);
    assert!(
        line.ends_with(&format!("\"message\":\"text\",{STAMP}\n")),
        "{line}"
    );
}
