//! Turns a frame into one line of the output: a JSON object as it came, anything else wrapped.
//!
//! Pure: the clock comes as a [`Clock`]. Whatever is fed in, what comes out is lines of one JSON
//! object each, and nothing is dropped but blank lines.

use crate::batch::Lines;
use crate::framing::{self, Frame, LineFramer};
use crate::object::{self, Object, PlainWriter, Scanner};
use crate::sys::{self, Stamp};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
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
            bytes = &bytes[framer.skip_edge(bytes)..];
            if framer.is_between_lines() {
                let taken = self.objects(&mut Scanner::new(bytes), bytes, max);
                if taken > 0 {
                    framer.pass_lines();
                    bytes = &bytes[taken..];
                }
            }
            let fed = framer.feed_line(bytes, |frame| self.frame(frame));
            bytes = &bytes[fed..];
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
        let text = framing::datagram_text(bytes, cut);
        scanner.go_on(text);
        let taken = self.objects(scanner, text, max);
        framing::datagram_lines(&text[taken..], cut, max, |frame| self.frame(frame));
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
            && scanner.is_plain()
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

    fn verbatim(&mut self, object: Object<'_>) {
        self.lines.count_verbatim();
        let out = &mut *self.lines.bytes;
        if self.stamp.is_some() {
            let has_member = object::append_open(out, object);
            self.close(has_member);
        } else {
            if object.is_plain {
                out.extend_from_slice(object.text);
            } else {
                object::write_plain(out, object.text).expect("a Vec takes every byte");
            }
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
    if message.is_ascii() {
        serde_json::to_writer(&mut *out, &*message).expect("a string is JSON and a Vec takes it");
    } else {
        write_plain_message(out, &message);
    }
    if matches!(message, std::borrow::Cow::Owned(_)) {
        append(
            out,
            format_args!(",\"raw_base64\":\"{}\"", BASE64.encode(text)),
        );
    }
}

/// Apart, so that most messages keep their short way.
#[cold]
fn write_plain_message(out: &mut Vec<u8>, message: &str) {
    serde_json::to_writer(PlainWriter(out), message).expect("a string is JSON and a Vec takes it");
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
mod tests;
