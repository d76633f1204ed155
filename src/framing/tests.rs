//! Cut at every byte, and against a naive splitter.

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
    check_by(LineFramer::new, input, want);
}

/// The same for what any stream has in common: a connection, too.
#[track_caller]
fn check_both(input: &[u8], want: &[&str]) {
    check_by(LineFramer::new, input, want);
    check_by(LineFramer::of_connection, input, want);
}

#[track_caller]
fn check_by(framer: fn(usize) -> LineFramer, input: &[u8], want: &[&str]) {
    let mut chunkings: Vec<Vec<&[u8]>> = (0..=input.len())
        .map(|cut| vec![&input[..cut], &input[cut..]])
        .collect();
    chunkings.push(input.chunks(1).collect());
    for chunks in chunkings {
        let mut framer = framer(MAX);
        // An input that has ended leaves nothing behind for the next one.
        for _ in 0..2 {
            let mut got = Vec::new();
            for chunk in &chunks {
                framer.feed(chunk, |frame| got.push(word(frame)));
                assert!(framer.partial.capacity() <= MAX + MARK_MAX);
            }
            framer.finish(|frame| got.push(word(frame)));
            framer.finish(|frame| got.push(format!("again: {}", word(frame))));
            assert_eq!(got, want, "fed as {chunks:?}");
            assert_eq!(framer.partial.capacity(), 0, "an idle framer holds memory");
        }
    }
}

#[test]
fn lines_are_cut_at_newlines_wherever_the_chunks_end() {
    check_both(b"", &[]);
    check_both(b"a\n", &["a"]);
    check_both(b"a\nbc\n\nd\n", &["a", "bc", "", "d"]);
    check_both(b"\n\n", &["", ""]);
}

#[test]
fn one_carriage_return_before_the_newline_is_no_content() {
    check_both(b"a\r\nb\r\r\n\r\n", &["a", "b\r", ""]);
    check_both(b"a\rb\n", &["a\rb"]);
    check_both(b"a\r", &["!a\r"]);
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
    check_both(b"a\nbc", &["a", "!bc"]);
}

#[test]
fn a_line_of_exactly_the_limit_is_whole_and_one_byte_more_is_not() {
    check_both(b"12345678\n{}\n", &["12345678", "{}"]);
    check_both(b"12345678\r\n{}\n", &["12345678", "{}"]);
    check_both(b"123456789\n{}\n", &["12345678/9", "{}"]);
    check_both(b"123456789\r\n{}\n", &["12345678/9", "{}"]);
    check_both(b"1234567890ab\r\n{}\n", &["12345678/12", "{}"]);
    check_both(b"1234567890ab\n{}\n", &["12345678/12", "{}"]);
    check_both(b"12345678\r\r\n{}\n", &["12345678/9", "{}"]);
}

#[test]
fn an_oversize_tail_is_oversize_and_unterminated() {
    check_both(b"12345678", &["!12345678"]);
    check_both(b"123456789", &["!12345678/9"]);
    check_both(b"12345678\r", &["!12345678/9"]);
    check_both(b"1234567890\r", &["!12345678/11"]);
}

#[test]
fn a_byte_order_mark_goes_at_the_beginning_of_an_input_and_nowhere_else() {
    check_both(b"\xef\xbb\xbfa\nb\n", &["a", "b"]);
    check_both(b"\xef\xbb\xbf", &[]);
    check_both(b"\xef\xbb\xbf\n", &[""]);
    check_both(b"\xef\xbb\xbfab", &["!ab"]);
    check_both(
        "\u{feff}\u{feff}a\n\u{feff}b\n".as_bytes(),
        &["\u{feff}a", "\u{feff}b"],
    );
    check_both(b"a\xef\xbb\xbf\n", &["a\u{feff}"]);
    // What only begins like one is text.
    check_both(b"\xef", &["!\u{fffd}"]);
    check_both(b"\xef\xbb\n", &["\u{fffd}"]);
    check_both("\u{fefe}\n".as_bytes(), &["\u{fefe}"]);
    // It takes no room.
    check_both(b"\xef\xbb\xbf12345678\n", &["12345678"]);
    check_both(b"\xef\xbb\xbf123456789\n", &["12345678/9"]);
}

#[test]
fn one_nul_right_behind_a_newline_goes_with_it() {
    check_both(b"a\n\0b\n\0", &["a", "b"]);
    check_both(b"a\r\n\0b\r\n\0", &["a", "b"]);
    check_both(b"\n\0\n\0", &["", ""]);
    check_both(b"a\n\0\0b\n", &["a", "\0b"]);
    check_both(b"a\n\0\0", &["a", "!\0"]);
    check_both(b"a\nb\0c\n", &["a", "b\0c"]);
    check_both(b"a\nb\0\n", &["a", "b\0"]);
    check_both(b"a\nb\0", &["a", "!b\0"]);
    check_both(b"a\n\x0012345678\n\0b", &["a", "12345678", "!b"]);
    check_both(b"a\n\x00123456789\n\0b", &["a", "12345678/9", "!b"]);
}

#[test]
fn a_nul_is_text_where_many_may_write() {
    check(b"a\0b\0", &["!a\0b\0"]);
    check(b"\0\n\0", &["\0"]);
    check(b"a\0b\nc\n", &["a\0b", "c"]);
}

#[test]
fn nuls_end_the_lines_of_a_connection_whose_first_line_ends_with_one() {
    let check = |input: &[u8], want: &[&str]| check_by(LineFramer::of_connection, input, want);
    check(b"a\0bc\0", &["a", "bc"]);
    check(b"a\0b", &["a", "!b"]);
    check(b"\0a\n\0", &["", "a"]);
    check(b"a\r\0b\r\n\0c\n\0d\n\n\0", &["a\r", "b", "c", "d\n"]);
    check(b"a\0b\nc\0\nd\0", &["a", "b\nc", "\nd"]);
    // Nothing is left of newlines behind the NULs.
    check(b"a\0\n", &["a", "!"]);
    check(b"a\0\r\n", &["a", "!"]);
    check(b"\xef\xbb\xbfa\0b\0", &["a", "b"]);
    check(b"12345678\x0012345678\n\0", &["12345678", "12345678"]);
    check(b"123456789\x0012345678\r\n\0", &["12345678/9", "12345678"]);
    check(b"a\x00123456789\r\n\0b\0", &["a", "12345678/9", "b"]);
    check(b"a\x001234567890\n\0b\0", &["a", "12345678/10", "b"]);
    check(b"a\x0012345678901\r\n\0b\0", &["a", "12345678/11", "b"]);
    check(b"a\x0012345678901\r\n", &["a", "!12345678/11"]);
}

/// What is hinted at, and after how many bytes.
#[track_caller]
fn check_hints(framer: fn(usize) -> LineFramer, input: &[u8], want: &[(usize, Hint)]) {
    let mut framer = framer(MAX);
    let mut got = Vec::new();
    for (index, byte) in input.chunks(1).enumerate() {
        framer.feed(byte, |_| ());
        got.extend(framer.take_hint().map(|hint| (index + 1, hint)));
    }
    assert_eq!(got, want, "{}", input.escape_ascii());
    framer.finish(|_| ());
    framer.take_hint();
    framer.feed(input, |_| ());
    let last = want.last().map(|(_, hint)| *hint);
    assert_eq!(framer.take_hint(), last, "{}", input.escape_ascii());
}

#[test]
fn a_connection_that_begins_like_a_counted_frame_is_told_of_at_once() {
    let new = LineFramer::of_connection;
    check_hints(new, b"83 <13>text", &[(4, Hint::Counted)]);
    check_hints(new, b"\xef\xbb\xbf5 <", &[(6, Hint::Counted)]);
    // And not of the consequence.
    check_hints(new, b"5 <1>ab5 <1>cd5 <1>ef\n", &[(3, Hint::Counted)]);
    check_hints(new, b"text\n5 <13>\n", &[]);
    check_hints(new, b"5\n <13>\n", &[]);
    check_hints(LineFramer::new, b"5 <13>\n", &[]);
}

#[test]
fn a_line_beyond_the_limit_is_told_of_before_it_ends() {
    for new in [LineFramer::new, LineFramer::of_connection] {
        check_hints(new, b"12345678\r\n", &[]);
        check_hints(new, b"12345678901234567890", &[(11, Hint::TooLong)]);
        check_hints(new, b"1\n123456789\n", &[(12, Hint::TooLong)]);
        check_hints(new, b"12345678901\n1\n", &[(11, Hint::TooLong)]);
    }
    let by_nul = b"1\x0012345678901\n\0";
    check_hints(LineFramer::of_connection, by_nul, &[(13, Hint::TooLong)]);
}

#[test]
fn lines_that_others_take_out_are_lines() {
    let mut framer = LineFramer::of_connection(MAX);
    let mut got = Vec::new();
    assert_eq!(framer.skip_edge(b"\xef\xbb"), 2);
    assert!(!framer.is_between_lines());
    assert_eq!(framer.skip_edge(b"\xbf{}\n\0a\0\n"), 1);
    assert!(framer.is_between_lines());
    framer.pass_lines();
    framer.feed(b"\0a\0\n", |frame| got.push(word(frame)));
    assert_eq!(got, ["a\0"]);
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

    // One NUL goes at its end, before or behind the newline.
    for end in ["\0", "\n\0", "\r\n\0", "\0\n", "\0\r\n"] {
        check(format!("a{end}").as_bytes(), 0, &["a"]);
        check(format!("12345678{end}").as_bytes(), 0, &["12345678"]);
        check(format!("a\nb\0{end}").as_bytes(), 0, &["a", "b\0"]);
        let alone: &[&str] = if end.starts_with('\0') { &[] } else { &[""] };
        check(end.as_bytes(), 0, alone);
    }
    check(b"a\0b", 0, &["a\0b"]);
    check(b"a\n\0b\n", 0, &["a", "\0b"]);
    // What is cut has its end elsewhere.
    check(b"a\0", 1, &["a\0/3"]);
    check(b"a\n\0", 1, &["a", "\0/2"]);

    check(b"\xef\xbb\xbfa\n", 0, &["a"]);
    check(b"\xef\xbb\xbf", 0, &[]);
    check(b"\xef\xbb\xbfa", 1, &["a/2"]);
    check("\u{feff}\u{feff}".as_bytes(), 0, &["\u{feff}"]);
    check("a\n\u{feff}".as_bytes(), 0, &["a", "\u{feff}"]);
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
    for seed in 1..=4000 {
        let mut random = Random(seed);
        let pieces: [&[u8]; 10] = [
            b"a",
            b"b",
            b"\r",
            b"\n",
            b"\n",
            b"\0",
            b"\xef\xbb\xbf",
            b"\xef",
            b"12345678",
            b"5 <",
        ];
        let input: Vec<u8> = (0..random.below(60))
            .flat_map(|_| pieces[random.below(10)])
            .copied()
            .collect();
        let is_connection = seed % 2 == 0;

        let mut framer = if is_connection {
            LineFramer::of_connection(MAX)
        } else {
            LineFramer::new(MAX)
        };
        let mut got = Vec::new();
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(1 + random.below(rest.len()));
            framer.feed(chunk, |frame| got.push(word(frame)));
            rest = after;
        }
        framer.finish(|frame| got.push(word(frame)));

        assert_eq!(
            got,
            naive(&input, is_connection),
            "seed {seed}: {}",
            input.escape_ascii()
        );
    }
}

fn naive(input: &[u8], is_connection: bool) -> Vec<String> {
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let first_end = input.iter().find(|byte| b"\n\0".contains(byte));
    if is_connection && first_end == Some(&0) {
        let mut pieces: Vec<&[u8]> = input.split(|&byte| byte == 0).collect();
        let tail = pieces.pop().unwrap();
        let text = |line: &[u8], mark| {
            let shorter = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n"));
            word_of(shorter.unwrap_or(line), mark)
        };
        let mut words: Vec<String> = pieces.into_iter().map(|line| text(line, "")).collect();
        words.extend((!tail.is_empty()).then(|| text(tail, "!")));
        return words;
    }
    let pieces = input.split(|&byte| byte == b'\n').enumerate();
    let mut pieces: Vec<&[u8]> = pieces
        .map(|(index, line)| match line {
            [0, text @ ..] if index > 0 => text,
            _ => line,
        })
        .collect();
    let tail = pieces.pop().unwrap();
    let mut words: Vec<String> = pieces
        .into_iter()
        .map(|line| word_of(line.strip_suffix(b"\r").unwrap_or(line), ""))
        .collect();
    words.extend((!tail.is_empty()).then(|| word_of(tail, "!")));
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
