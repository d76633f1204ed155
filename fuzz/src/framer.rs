//! The frames are those of a naive splitter that sees the whole input, however it is cut on its way.

use super::delivery::Delivery;
use log_aggregator::framing::{Frame, LineFramer, datagram};

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
        let mut framer = LineFramer::new(delivery.max);
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
    let content = |bytes| <[u8]>::strip_suffix(bytes, b"\r").unwrap_or(bytes);
    let mut pieces: Vec<&[u8]> = delivery.input.split(|byte| *byte == b'\n').collect();
    let tail = pieces.pop().expect("a split has a last piece");
    let mut lines: Vec<Line> = pieces.iter().map(|p| line(content(p), 0, false)).collect();
    lines.extend(match (delivery.is_datagram, delivery.cut) {
        (true, 1..) => Some(line(tail, delivery.cut, false)),
        _ if tail.is_empty() => None,
        (true, 0) => Some(line(content(tail), 0, false)),
        (false, _) => Some(line(tail, 0, true)),
    });
    lines
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
