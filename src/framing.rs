//! Cuts bytes into lines.
//!
//! Pure: no descriptor, no clock, no logging, and no idea of what a record is. A stream or a FIFO
//! feeds a [`LineFramer`] as its bytes arrive; a datagram is whole and needs no state
//! ([`datagram`]).

use memchr::{memchr, memrchr};

/// A piece of input, without its newline and without one `\r` before it. May be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A complete line.
    Line(&'a [u8]),
    /// What stood after the last newline when the input ended.
    Unterminated(&'a [u8]),
    /// A line longer than the limit.
    Oversize {
        /// Its first bytes, as many as the limit allows.
        head: &'a [u8],
        /// How long it was, in bytes.
        original_bytes: u64,
        /// Whether the input ended before a newline did.
        unterminated: bool,
    },
}

/// Cuts a stream of bytes into lines, however they are divided on their way.
#[derive(Debug)]
pub struct LineFramer {
    /// Longest line, in bytes without the newline.
    max: usize,
    /// The beginning of the unfinished line; never holds a newline. One byte more than `max` fits,
    /// since the last may be the `\r` that does not count. Holds no memory while no line is begun.
    partial: Vec<u8>,
    /// How many bytes of the unfinished line did not fit in `partial`, which is full when this is
    /// not 0.
    skipped: u64,
    /// The last byte of the unfinished line, when it is one that did not fit.
    last_skipped: u8,
}

impl LineFramer {
    /// A framer for lines of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            partial: Vec::new(),
            skipped: 0,
            last_skipped: 0,
        }
    }

    /// Feeds the next bytes of the input, in order of arrival, and emits each line that they end.
    ///
    /// Every byte is searched once and, unless its line goes on in the next chunk, not copied.
    pub fn feed(&mut self, mut chunk: &[u8], mut emit: impl FnMut(Frame<'_>)) {
        if self.is_within_line() {
            let Some(end) = memchr(b'\n', chunk) else {
                return self.keep(chunk);
            };
            self.keep(&chunk[..end]);
            self.end_line(false, &mut emit);
            chunk = &chunk[end + 1..];
        }
        let rest = match memrchr(b'\n', chunk) {
            Some(end) => {
                lines(&chunk[..=end], self.max, &mut emit);
                &chunk[end + 1..]
            }
            None => chunk,
        };
        self.keep(rest);
    }

    /// Ends the input: the end of a stream, or the last writer of a FIFO has left.
    pub fn finish(&mut self, mut emit: impl FnMut(Frame<'_>)) {
        if self.is_within_line() {
            self.end_line(true, &mut emit);
        }
    }

    /// Tells whether a line has begun and not ended.
    pub fn is_within_line(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Adds bytes of the unfinished line.
    fn keep(&mut self, bytes: &[u8]) {
        let room = self.max + 1 - self.partial.len();
        let (kept, skipped) = bytes.split_at(bytes.len().min(room));
        if self.partial.capacity() < self.partial.len() + kept.len() {
            // Doubled, so that a line that comes byte by byte is not copied each time, but never
            // above the limit.
            let needed = self.partial.len() + kept.len();
            let wanted = needed.max(self.partial.capacity() * 2).min(self.max + 1);
            self.partial.reserve_exact(wanted - self.partial.len());
        }
        self.partial.extend_from_slice(kept);
        self.skipped += skipped.len() as u64;
        if let Some(&last) = skipped.last() {
            self.last_skipped = last;
        }
        debug_assert!(self.skipped == 0 || self.partial.len() == self.max + 1);
    }

    /// Emits the unfinished line as it stands and begins a new one.
    fn end_line(&mut self, unterminated: bool, emit: &mut impl FnMut(Frame<'_>)) {
        let line = std::mem::take(&mut self.partial);
        let skipped = std::mem::take(&mut self.skipped);
        if skipped == 0 {
            return emit_line(&line, self.max, unterminated, emit);
        }
        let return_sent = !unterminated && self.last_skipped == b'\r';
        emit(Frame::Oversize {
            head: &line[..self.max],
            original_bytes: line.len() as u64 + skipped - u64::from(return_sent),
            unterminated,
        });
    }
}

/// Emits the lines of one datagram. The end of the datagram ends its last line.
///
/// `cut` is how many bytes the datagram had beyond those that were received; they belong to its
/// last line, which is oversize then.
pub fn datagram(bytes: &[u8], cut: usize, max: usize, mut emit: impl FnMut(Frame<'_>)) {
    let whole = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    let (whole, rest) = bytes.split_at(whole);
    lines(whole, max, &mut emit);
    if cut > 0 {
        emit(Frame::Oversize {
            head: &rest[..rest.len().min(max)],
            original_bytes: (rest.len() + cut) as u64,
            unterminated: false,
        });
    } else if !rest.is_empty() {
        emit_line(rest, max, false, &mut emit);
    }
}

/// Emits each line of `bytes`, which end in a newline or are empty.
fn lines(mut bytes: &[u8], max: usize, emit: &mut impl FnMut(Frame<'_>)) {
    while let Some(end) = memchr(b'\n', bytes) {
        emit_line(&bytes[..end], max, false, emit);
        bytes = &bytes[end + 1..];
    }
}

/// Emits a line whose bytes are all at hand.
fn emit_line(line: &[u8], max: usize, unterminated: bool, emit: &mut impl FnMut(Frame<'_>)) {
    // Without a newline, a last `\r` is content like any other.
    let line = match line {
        [text @ .., b'\r'] if !unterminated => text,
        _ => line,
    };
    emit(if line.len() > max {
        Frame::Oversize {
            head: &line[..max],
            original_bytes: line.len() as u64,
            unterminated,
        }
    } else if unterminated {
        Frame::Unterminated(line)
    } else {
        Frame::Line(line)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame in the words of the tests: the text, `!` before an unterminated one, and
    /// `head/original_bytes` for an oversize one.
    fn word(frame: Frame<'_>) -> String {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let mark = |unterminated| if unterminated { "!" } else { "" };
        match frame {
            Frame::Line(line) => text(line),
            Frame::Unterminated(tail) => format!("!{}", text(tail)),
            Frame::Oversize {
                head,
                original_bytes,
                unterminated,
            } => format!("{}{}/{original_bytes}", mark(unterminated), text(head)),
        }
    }

    const MAX: usize = 8;

    /// Feeds `input` in two pieces, cut at every place in turn, and in single bytes.
    #[track_caller]
    fn check(input: &[u8], want: &[&str]) {
        let mut chunkings: Vec<Vec<&[u8]>> = (0..=input.len())
            .map(|cut| vec![&input[..cut], &input[cut..]])
            .collect();
        chunkings.push(input.chunks(1).collect());
        for chunks in chunkings {
            let mut framer = LineFramer::new(MAX);
            let mut got = Vec::new();
            for chunk in &chunks {
                framer.feed(chunk, |frame| got.push(word(frame)));
                assert!(framer.partial.capacity() <= MAX + 1);
            }
            framer.finish(|frame| got.push(word(frame)));
            framer.finish(|frame| got.push(format!("again: {}", word(frame))));
            assert_eq!(got, want, "fed as {chunks:?}");
            assert_eq!(framer.partial.capacity(), 0, "an idle framer holds memory");
        }
    }

    #[test]
    fn lines_are_cut_at_newlines_wherever_the_chunks_end() {
        check(b"", &[]);
        check(b"a\n", &["a"]);
        check(b"a\nbc\n\nd\n", &["a", "bc", "", "d"]);
        check(b"\n\n", &["", ""]);
    }

    #[test]
    fn one_carriage_return_before_the_newline_is_no_content() {
        check(b"a\r\nb\r\r\n\r\n", &["a", "b\r", ""]);
        check(b"a\rb\n", &["a\rb"]);
        check(b"a\r", &["!a\r"]);
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_is_moved_a_few_times_and_not_each_time() {
        const MAX: usize = 1 << 20;
        let mut framer = LineFramer::new(MAX);
        let mut moves = 0;
        for _ in 0..2 * MAX {
            let before = framer.partial.capacity();
            framer.feed(b"x", |_| panic!("no line has ended"));
            moves += u32::from(framer.partial.capacity() != before);
        }
        assert!(moves <= MAX.ilog2() + 2, "{moves}");
    }

    #[test]
    fn a_tail_without_newline_is_unterminated() {
        check(b"a\nbc", &["a", "!bc"]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole_and_one_byte_more_is_not() {
        check(b"12345678\n{}\n", &["12345678", "{}"]);
        check(b"12345678\r\n{}\n", &["12345678", "{}"]);
        check(b"123456789\n{}\n", &["12345678/9", "{}"]);
        check(b"123456789\r\n{}\n", &["12345678/9", "{}"]);
        check(b"1234567890ab\r\n{}\n", &["12345678/12", "{}"]);
        check(b"1234567890ab\n{}\n", &["12345678/12", "{}"]);
        check(b"12345678\r\r\n{}\n", &["12345678/9", "{}"]);
    }

    #[test]
    fn an_oversize_tail_is_oversize_and_unterminated() {
        check(b"12345678", &["!12345678"]);
        check(b"123456789", &["!12345678/9"]);
        check(b"12345678\r", &["!12345678/9"]);
        check(b"1234567890\r", &["!12345678/11"]);
    }

    #[test]
    fn a_datagrams_end_ends_its_last_line() {
        #[track_caller]
        fn check(input: &[u8], cut: usize, want: &[&str]) {
            let mut got = Vec::new();
            datagram(input, cut, MAX, |frame| got.push(word(frame)));
            assert_eq!(got, want);
        }
        check(b"", 0, &[]);
        check(b"a", 0, &["a"]);
        check(b"a\r\n", 0, &["a"]);
        check(b"a\nb", 0, &["a", "b"]);
        check(b"a\n\nb\n", 0, &["a", "", "b"]);
        check(b"12345678", 0, &["12345678"]);
        check(b"123456789", 0, &["12345678/9"]);
        check(b"a\nbcd", 5, &["a", "bcd/8"]);
        check(b"a\n", 5, &["a", "/5"]);
        check(b"a\n1234567890", 5, &["a", "12345678/15"]);
    }

    /// A small generator of pseudo-random numbers (xorshift64), so that a seed names a case.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).unwrap()
        }
    }

    #[test]
    fn random_chunks_give_what_a_naive_split_gives() {
        for seed in 1..=2000 {
            let mut random = Random(seed);
            let input: Vec<u8> = (0..random.below(200))
                .map(|_| b"ab\r\n\n"[random.below(5)])
                .collect();

            let mut framer = LineFramer::new(MAX);
            let mut got = Vec::new();
            let mut rest = &input[..];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(1 + random.below(rest.len()));
                framer.feed(chunk, |frame| got.push(word(frame)));
                rest = after;
            }
            framer.finish(|frame| got.push(word(frame)));

            assert_eq!(got, naive(&input), "seed {seed}: {input:?}");
        }
    }

    fn naive(input: &[u8]) -> Vec<String> {
        let mut pieces: Vec<&[u8]> = input.split(|&byte| byte == b'\n').collect();
        let tail = pieces.pop().unwrap();
        let mut words: Vec<String> = pieces
            .into_iter()
            .map(|line| word_of(line.strip_suffix(b"\r").unwrap_or(line), ""))
            .collect();
        if !tail.is_empty() {
            words.push(word_of(tail, "!"));
        }
        words
    }

    fn word_of(line: &[u8], mark: &str) -> String {
        let head = String::from_utf8_lossy(&line[..line.len().min(MAX)]);
        if line.len() > MAX {
            format!("{mark}{head}/{}", line.len())
        } else {
            format!("{mark}{head}")
        }
    }
}
