//! The frames are those of a naive splitter that sees the whole input, however it is cut on its way.

use super::delivery::Delivery;
use log_aggregator::framing::{Frame, datagram};

/// What a line amounts to.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Its bytes, or the first of them.
    pub kept: Vec<u8>,
    /// How many it had.
    pub original_bytes: usize,
    /// Whether `kept` is not all of it.
    pub is_oversize: bool,
    /// Whether the input ended before a newline did.
    pub is_unterminated: bool,
}

/// Holds the property.
pub fn framer(bytes: &[u8]) {
    let Some(delivery) = Delivery::new(bytes) else {
        return;
    };
    let mut got = Vec::new();
    let mut emit = |frame: Frame<'_>| got.push(Line::from(frame));
    if delivery.is_datagram {
        datagram(delivery.input, delivery.cut, delivery.max, emit);
    } else {
        let mut framer = delivery.framer();
        for chunk in delivery.chunks() {
            framer.feed(chunk, &mut emit);
        }
        framer.finish(&mut emit);
        framer.finish(|frame| panic!("a frame after the end: {frame:?}"));
    }
    assert_eq!(got, naive(&delivery), "{delivery:?}");
}

/// The lines of the whole input.
pub fn naive(delivery: &Delivery<'_>) -> Vec<Line> {
    let line = |bytes: &[u8], cut: usize, is_unterminated| Line {
        kept: bytes[..bytes.len().min(delivery.max)].to_vec(),
        original_bytes: bytes.len() + cut,
        is_oversize: cut > 0 || bytes.len() > delivery.max,
        is_unterminated,
    };
    let input = without(delivery.input, <[u8]>::strip_prefix, &["\u{feff}"]);
    let cut = if delivery.is_datagram {
        delivery.cut
    } else {
        0
    };
    let input = match delivery.is_datagram && cut == 0 {
        true => without(input, <[u8]>::strip_suffix, &["\0", "\0\n", "\0\r\n"]),
        false => input,
    };
    let first_end = input.iter().find(|byte| b"\n\0".contains(byte));
    let is_by_nul = !delivery.is_datagram && delivery.is_connection && first_end == Some(&0);
    let (end, marks): (u8, &[&str]) = match is_by_nul {
        true => (0, &["\r\n", "\n"]),
        false => (b'\n', &["\r"]),
    };
    let content = |bytes| without(bytes, <[u8]>::strip_suffix, marks);
    let mut pieces: Vec<&[u8]> = input.split(|byte| *byte == end).collect();
    if !is_by_nul && !delivery.is_datagram {
        for piece in &mut pieces[1..] {
            *piece = without(piece, <[u8]>::strip_prefix, &["\0"]);
        }
    }
    let tail = pieces.pop().expect("a split has a last piece");
    let mut lines: Vec<Line> = pieces.iter().map(|p| line(content(p), 0, false)).collect();
    lines.extend(match (delivery.is_datagram, cut) {
        (true, 1..) => Some(line(tail, cut, false)),
        _ if tail.is_empty() => None,
        (true, 0) => Some(line(content(tail), 0, false)),
        (false, _) if is_by_nul => Some(line(content(tail), 0, true)),
        (false, _) => Some(line(tail, 0, true)),
    });
    lines
}

/// Some bytes without the first of these that they have.
fn without<'a>(
    bytes: &'a [u8],
    strip: impl Fn(&'a [u8], &'a [u8]) -> Option<&'a [u8]>,
    any: &[&'a str],
) -> &'a [u8] {
    let shorter = any.iter().find_map(|one| strip(bytes, one.as_bytes()));
    shorter.unwrap_or(bytes)
}

impl From<Frame<'_>> for Line {
    fn from(frame: Frame<'_>) -> Self {
        let (kept, original_bytes, is_oversize, is_unterminated) = match frame {
            Frame::Line(line) => (line, line.len(), false, false),
            Frame::Unterminated(tail) => (tail, tail.len(), false, true),
            Frame::Oversize {
                head,
                original_bytes,
                unterminated,
            } => (
                head,
                usize::try_from(original_bytes).expect("64 bits"),
                true,
                unterminated,
            ),
        };
        Self {
            kept: kept.to_vec(),
            original_bytes,
            is_oversize,
            is_unterminated,
        }
    }
}
