//! Cuts bytes into lines, and leaves out what stands at their edges and is no text.
//!
//! Pure: no descriptor, no clock, no logging, and no idea of what a record is. A stream or a FIFO
//! feeds a [`LineFramer`] as its bytes arrive; a datagram is whole and needs no state
//! ([`datagram()`]).

mod datagram;
mod opening;

pub use datagram::{datagram, datagram_lines, datagram_text};

use memchr::{memchr, memchr2};
use opening::{BOM, CountWatch};

/// A piece of input, without what ended it and without one `\r` before a newline. May be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A complete line.
    Line(&'a [u8]),
    /// What stood after the last line when the input ended.
    Unterminated(&'a [u8]),
    /// A line longer than the limit.
    Oversize {
        /// Its first bytes, as many as the limit allows.
        head: &'a [u8],
        /// How long it was, in bytes.
        original_bytes: u64,
        /// Whether the input ended before the line did.
        unterminated: bool,
    },
}

/// What a sender seems to have got wrong. Only the sender can set it right, so somebody should be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The input begins like a counted frame (RFC 6587, section 3.4.1), and no newline need ever come.
    Counted,
    /// A line has grown beyond the limit; if it has ended, and where, is another matter.
    TooLong,
}

/// What ends a line of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Newline,
    /// A NUL; a newline before it is a part of the end, not of the text.
    Nul,
    /// Whichever of them the first line ends with.
    AsTheFirst,
}

impl End {
    /// How many of a line's last bytes belong to its end and not to its text.
    ///
    /// Without a newline, a last `\r` is text like any other. What is left of an input by NULs is not: its
    /// sender may well have written a newline behind each.
    fn mark(self, line: &[u8], unterminated: bool) -> usize {
        match self {
            Self::Nul if line.ends_with(b"\r\n") => 2,
            Self::Nul => usize::from(line.ends_with(b"\n")),
            Self::Newline | Self::AsTheFirst => usize::from(!unterminated && line.ends_with(b"\r")),
        }
    }
}

/// The longest of those marks, in bytes.
const MARK_MAX: usize = 2;

/// What may come next that belongs to no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    /// A byte order mark, of which so many bytes have come: the input has just begun.
    Mark(usize),
    /// A NUL: what came last is a newline. (Perl's Sys::Syslog ends its messages so.)
    Nul,
    /// Nothing.
    None,
}

/// Cuts a stream of bytes into lines, however they are divided on their way.
#[derive(Debug)]
pub struct LineFramer {
    /// Longest line, in bytes without its end.
    max: usize,
    /// The beginning of the unfinished line; never holds what ends one. As many bytes more than `max` fit
    /// as may belong to the end. Holds no memory while no line is begun.
    partial: Vec<u8>,
    /// How many bytes of the unfinished line did not fit in `partial`, which is full when this is
    /// not 0.
    skipped: u64,
    /// The last bytes of the unfinished line, when `skipped` is not 0.
    last: [u8; MARK_MAX],
    edge: Edge,
    end: End,
    /// What `end` is when an input begins.
    first_end: End,
    count: CountWatch,
    hint: Option<Hint>,
}

impl LineFramer {
    /// A framer for lines of at most `max` bytes that end in a newline. A NUL is text, but for one right
    /// behind a newline.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            partial: Vec::new(),
            skipped: 0,
            last: [0; MARK_MAX],
            edge: Edge::Mark(0),
            end: End::Newline,
            first_end: End::Newline,
            count: CountWatch::over(),
            hint: None,
        }
    }

    /// The same for what one sender has for itself: if a NUL comes before any newline does, NULs end its
    /// lines (Python's `SysLogHandler`, glibc's syslog(3) on a stream). Hints at counted frames.
    pub fn of_connection(max: usize) -> Self {
        Self {
            end: End::AsTheFirst,
            first_end: End::AsTheFirst,
            count: CountWatch::new(),
            ..Self::new(max)
        }
    }

    /// Feeds the next bytes of the input, in order of arrival, and emits each line that they end.
    ///
    /// Every byte is searched once and, unless its line goes on in the next chunk, not copied.
    pub fn feed(&mut self, mut chunk: &[u8], mut emit: impl FnMut(Frame<'_>)) {
        while !chunk.is_empty() {
            let fed = self.feed_line(chunk, &mut emit);
            chunk = &chunk[fed..];
        }
    }

    /// Feeds the next bytes as far as a line goes, or all. Returns how many they were.
    #[inline]
    pub fn feed_line(&mut self, chunk: &[u8], mut emit: impl FnMut(Frame<'_>)) -> usize {
        let edge = self.skip_edge(chunk);
        let rest = &chunk[edge..];
        let end = self.find_end(rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        if self.count.is_open() && self.count.look(line, end.is_some()) {
            self.hint = Some(Hint::Counted);
        }
        let Some(end) = end else {
            self.keep(line);
            return chunk.len();
        };
        if self.partial.is_empty() {
            let frame = frame_of(line, self.max, self.end, false);
            self.note(frame);
            emit(frame);
        } else {
            self.keep(line);
            self.end_line(false, &mut emit);
        }
        if self.end == End::Newline {
            self.edge = Edge::Nul;
        }
        edge + end + 1
    }

    /// How many of the next bytes of the input are passed over here and now, since they belong to no line.
    #[inline]
    pub fn skip_edge(&mut self, chunk: &[u8]) -> usize {
        match self.edge {
            Edge::None => 0,
            _ if chunk.is_empty() => 0,
            Edge::Nul => {
                self.edge = Edge::None;
                usize::from(chunk[0] == 0)
            }
            Edge::Mark(seen) => self.skip_mark(chunk, seen),
        }
    }

    #[cold]
    fn skip_mark(&mut self, chunk: &[u8], seen: usize) -> usize {
        let left = &BOM[seen..];
        let equal = left.iter().zip(chunk).take_while(|(a, b)| a == b).count();
        if equal == left.len() {
            self.edge = Edge::None;
        } else if equal == chunk.len() {
            self.edge = Edge::Mark(seen + equal);
        } else {
            self.edge = Edge::None;
            // It was none, and its first bytes are text. Those that are here come as such.
            self.keep(&BOM[..seen]);
            return 0;
        }
        equal
    }

    /// Tells whether a line may begin here that ends in a newline, so that whoever knows whole lines when he
    /// sees them may take them out of the input, and [`pass_lines`](Self::pass_lines).
    pub fn is_between_lines(&self) -> bool {
        !self.is_within_line() && self.end != End::Nul
    }

    /// Notes that lines with their newlines have been taken out of the input here.
    pub fn pass_lines(&mut self) {
        debug_assert!(self.is_between_lines());
        self.edge = Edge::Nul;
        self.end = End::Newline;
        self.count = CountWatch::over();
    }

    /// Ends the input: the end of a stream, or the last writer of a FIFO has left. What comes then is
    /// another one.
    pub fn finish(&mut self, mut emit: impl FnMut(Frame<'_>)) {
        if let Edge::Mark(seen) = self.edge {
            self.keep(&BOM[..seen]);
        }
        if !self.partial.is_empty() {
            self.end_line(true, &mut emit);
        }
        self.edge = Edge::Mark(0);
        self.end = self.first_end;
        if self.first_end == End::AsTheFirst {
            self.count = CountWatch::new();
        }
    }

    /// Tells whether a line has begun and not ended.
    pub fn is_within_line(&self) -> bool {
        !self.partial.is_empty() || matches!(self.edge, Edge::Mark(1..))
    }

    /// What has been noticed since this was last asked.
    pub fn take_hint(&mut self) -> Option<Hint> {
        self.hint.take()
    }

    /// Where the line ends that goes on with `bytes`.
    #[inline]
    fn find_end(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.end {
            End::Newline => memchr(b'\n', bytes),
            End::Nul => memchr(0, bytes),
            End::AsTheFirst => {
                let end = memchr2(b'\n', 0, bytes)?;
                self.end = if bytes[end] == 0 {
                    End::Nul
                } else {
                    End::Newline
                };
                Some(end)
            }
        }
    }

    /// Adds bytes of the unfinished line.
    fn keep(&mut self, bytes: &[u8]) {
        let most = self.max + MARK_MAX;
        let (kept, skipped) = bytes.split_at(bytes.len().min(most - self.partial.len()));
        if self.partial.capacity() < self.partial.len() + kept.len() {
            // Doubled, so that a line that comes byte by byte is not copied each time, but never
            // above the limit.
            let needed = self.partial.len() + kept.len();
            let wanted = needed.max(self.partial.capacity() * 2).min(most);
            self.partial.reserve_exact(wanted - self.partial.len());
        }
        self.partial.extend_from_slice(kept);
        if !skipped.is_empty() {
            self.skip(skipped);
        }
        debug_assert!(self.skipped == 0 || self.partial.len() == most);
    }

    /// Counts bytes of the unfinished line for which there is no room.
    fn skip(&mut self, bytes: &[u8]) {
        if self.skipped == 0 {
            self.last = *self.partial.last_chunk().expect("it is full");
            self.hint_too_long();
        }
        self.skipped += bytes.len() as u64;
        for &byte in &bytes[bytes.len().saturating_sub(MARK_MAX)..] {
            self.last = [self.last[1], byte];
        }
    }

    /// Emits the unfinished line as it stands and begins a new one.
    fn end_line(&mut self, unterminated: bool, emit: &mut impl FnMut(Frame<'_>)) {
        let line = std::mem::take(&mut self.partial);
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            let frame = frame_of(&line, self.max, self.end, unterminated);
            self.note(frame);
            return emit(frame);
        }
        let mark = self.end.mark(&self.last, unterminated);
        emit(Frame::Oversize {
            head: &line[..self.max],
            original_bytes: line.len() as u64 + skipped - mark as u64,
            unterminated,
        });
    }

    #[inline]
    fn note(&mut self, frame: Frame<'_>) {
        if matches!(frame, Frame::Oversize { .. }) {
            self.hint_too_long();
        }
    }

    /// Of counted frames this is the consequence, and their hint says more.
    #[cold]
    fn hint_too_long(&mut self) {
        if !self.count.has_found() {
            self.hint = Some(Hint::TooLong);
        }
    }
}

/// The frame of a line whose bytes are all at hand.
fn frame_of(line: &[u8], max: usize, end: End, unterminated: bool) -> Frame<'_> {
    let text = &line[..line.len() - end.mark(line, unterminated)];
    if text.len() > max {
        Frame::Oversize {
            head: &text[..max],
            original_bytes: text.len() as u64,
            unterminated,
        }
    } else if unterminated {
        Frame::Unterminated(text)
    } else {
        Frame::Line(text)
    }
}

#[cfg(test)]
mod tests;
