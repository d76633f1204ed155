//! The lines of a datagram, which is whole.

use super::opening::BOM;
use super::{End, Frame, frame_of};
use memchr::memchr;

/// Emits the lines of one datagram. The end of the datagram ends its last line.
///
/// `cut` is how many bytes the datagram had beyond those that were received; they belong to its
/// last line, which is oversize then.
pub fn datagram(bytes: &[u8], cut: usize, max: usize, emit: impl FnMut(Frame<'_>)) {
    datagram_lines(datagram_text(bytes, cut), cut, max, emit);
}

/// A datagram without what stands at its edges and is no text: a byte order mark, and at the end one NUL, be
/// it before the newline or behind it (C's `send(fd, text, sizeof text)`, Python's `SysLogHandler`, Perl's
/// Sys::Syslog).
pub fn datagram_text(bytes: &[u8], cut: usize) -> &[u8] {
    let text = bytes.strip_prefix(&BOM).unwrap_or(bytes);
    match text {
        // What is at the end here was not at the end there.
        _ if cut > 0 => text,
        [text @ .., 0] | [text @ .., 0, b'\n'] | [text @ .., 0, b'\r', b'\n'] => text,
        _ => text,
    }
}

/// The same as [`datagram()`] for what is left of it: its edges are [gone](datagram_text), and perhaps some of
/// its first lines.
pub fn datagram_lines(mut bytes: &[u8], cut: usize, max: usize, mut emit: impl FnMut(Frame<'_>)) {
    while let Some(end) = memchr(b'\n', bytes) {
        emit(frame_of(&bytes[..end], max, End::Newline, false));
        bytes = &bytes[end + 1..];
    }
    if cut > 0 {
        emit(Frame::Oversize {
            head: &bytes[..bytes.len().min(max)],
            original_bytes: (bytes.len() + cut) as u64,
            unterminated: false,
        });
    } else if !bytes.is_empty() {
        emit(frame_of(bytes, max, End::Newline, false));
    }
}
