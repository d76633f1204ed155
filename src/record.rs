//! Turns a frame into one line of the output: a JSON object as it came, anything else wrapped.
//!
//! Pure: the clock comes as a [`Clock`]. Whatever is fed in, what comes out is lines of one JSON
//! object each, and nothing is dropped but blank lines.

use crate::batch::Lines;
use crate::framing::{self, Frame, LineFramer};
use crate::object::{self, Scanner};
use crate::sys::{self, Stamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use memchr::memchr;
use std::io::Write;

/// Where the time comes from.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds since 1970, for the timestamp of a wrapped record.
    pub unix_seconds: fn() -> u64,
    /// Both clocks in nanoseconds, for `--stamp`.
    pub stamp: fn() -> Stamp,
}

impl Clock {
    /// The machine's clocks.
    pub const SYSTEM: Self = Self {
        unix_seconds: sys::unix_seconds,
        stamp: Stamp::now,
    };
}

/// Appends records of one source to a batch, and counts them.
#[derive(Debug)]
pub struct Recorder<'a> {
    /// What is put as `source` of a wrapped record and, with stamps, as `_transport` of all.
    pub source: &'static str,
    /// Whether records get our three fields.
    pub stamping: bool,
    /// When the frames that come next were read. Set by [`arrived`](Self::arrived).
    pub stamp: Option<Stamp>,
    /// The clock.
    pub clock: Clock,
    /// Where lines go.
    pub lines: Lines<'a>,
}

/// Why a frame is not written as it came.
#[derive(Clone, Copy, Default)]
struct Wrapping {
    /// How long it was, when only its beginning is at hand.
    original_bytes: Option<u64>,
    unterminated: bool,
}

impl Recorder<'_> {
    /// Notes that bytes have just been read; to be called before their frames come. Costs nothing
    /// without stamps.
    pub fn arrived(&mut self) {
        if self.stamping {
            self.stamp = Some((self.clock.stamp)());
        }
    }

    /// Appends what the next bytes of a stream stand for, as far as lines end; `max` is the framer's.
    pub fn chunk(&mut self, framer: &mut LineFramer, mut bytes: &[u8], max: usize) {
        while !bytes.is_empty() {
            if !framer.is_within_line() {
                bytes = &bytes[self.objects(&mut Scanner::new(bytes), bytes, max)..];
            }
            let end = memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
            framer.feed(&bytes[..end], |frame| self.frame(frame));
            bytes = &bytes[end..];
        }
    }

    /// Appends what a datagram stands for, of which `cut` more bytes were sent than received. The scanner is that of
    /// the datagrams before it, or a new one.
    pub fn datagram<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        bytes: &'a [u8],
        cut: usize,
        max: usize,
    ) {
        scanner.go_on(bytes);
        let taken = self.objects(scanner, bytes, max);
        framing::datagram(&bytes[taken..], cut, max, |frame| self.frame(frame));
    }

    /// Appends the lines that `bytes` begin with and that are written byte for byte: objects of at most
    /// `max` bytes, each with its newline and nothing else. Returns how many bytes they are; what
    /// follows is for [`frame`](Self::frame).
    ///
    /// Most of most input goes this way: looked at once, and copied together.
    fn objects(&mut self, scanner: &mut Scanner<'_>, bytes: &[u8], max: usize) -> usize {
        if self.stamping {
            return 0;
        }
        let (mut taken, mut count) = (0, 0);
        while let Some(end) = scanner.object(taken)
            && end - taken <= max
            && bytes.get(end) == Some(&b'\n')
        {
            taken = end + 1;
            count += 1;
        }
        self.lines.append_verbatim(&bytes[..taken], count);
        taken
    }

    /// Appends what the frame stands for: one line, or none for a blank one.
    pub fn frame(&mut self, frame: Frame<'_>) {
        debug_assert_eq!(self.stamping, self.stamp.is_some());
        match frame {
            Frame::Line(line) => self.line(line, false),
            Frame::Unterminated(tail) => self.line(tail, true),
            Frame::Oversize {
                head,
                original_bytes,
                unterminated,
            } => self.wrap(
                without_cut_character(head),
                Wrapping {
                    original_bytes: Some(original_bytes),
                    unterminated,
                },
            ),
        }
    }

    fn line(&mut self, line: &[u8], unterminated: bool) {
        if let Some(object) = object::parse(line) {
            self.verbatim(object);
        } else if !is_blank(line) {
            self.wrap(
                line,
                Wrapping {
                    original_bytes: None,
                    unterminated,
                },
            );
        }
    }

    fn verbatim(&mut self, object: &[u8]) {
        self.lines.count_verbatim();
        let out = &mut *self.lines.bytes;
        if self.stamp.is_some() {
            let has_member = object::append_open(out, object);
            self.close(has_member);
        } else {
            out.extend_from_slice(object);
            out.push(b'\n');
        }
    }

    fn wrap(&mut self, text: &[u8], why: Wrapping) {
        self.lines.count_wrapped(why.original_bytes.is_some());
        let out = &mut *self.lines.bytes;
        wrap_open(out, self.source, (self.clock.unix_seconds)(), text);
        if let Some(bytes) = why.original_bytes {
            append(
                out,
                format_args!(",\"truncated\":true,\"original_bytes\":{bytes}"),
            );
        }
        if why.unterminated {
            out.extend_from_slice(b",\"unterminated\":true");
        }
        self.close(true);
    }

    /// Ends an object that has been appended without its closing brace.
    fn close(&mut self, has_member: bool) {
        let out = &mut *self.lines.bytes;
        if let Some(stamp) = self.stamp {
            let comma = if has_member { "," } else { "" };
            append(
                out,
                format_args!(
                    "{comma}\"_transport\":\"{}\",\"_received_ns\":{},\"_received_mono_ns\":{}",
                    self.source, stamp.wall_ns, stamp.mono_ns
                ),
            );
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends a record whose message is `text`, without the closing brace. Bytes that are not UTF-8
/// become U+FFFD in the message; `raw_base64` keeps the exact ones then.
pub fn wrap_open(out: &mut Vec<u8>, source: &str, unix_seconds: u64, text: &[u8]) {
    append(
        out,
        format_args!(
            "{{\"source\":\"{source}\",\"timestamp\":{unix_seconds},\"level\":\"INFO\",\"message\":"
        ),
    );
    let message = String::from_utf8_lossy(text);
    serde_json::to_writer(&mut *out, &*message).expect("a string is JSON and a Vec takes it");
    if matches!(message, std::borrow::Cow::Owned(_)) {
        append(
            out,
            format_args!(",\"raw_base64\":\"{}\"", BASE64.encode(text)),
        );
    }
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes every byte");
}

/// Tells whether a frame is one that no record is made of.
pub fn is_skipped(frame: Frame<'_>) -> bool {
    match frame {
        Frame::Line(line) | Frame::Unterminated(line) => is_blank(line),
        Frame::Oversize { .. } => false,
    }
}

/// A blank line holds nothing but spaces and tabs (POSIX.1-2017, 3.75).
fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

/// Shortens the beginning of a text so that it does not end within a character.
pub fn without_cut_character(head: &[u8]) -> &[u8] {
    match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_none() => &head[..e.valid_up_to()],
        _ => head,
    }
}

#[cfg(test)]
mod tests {
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
}
