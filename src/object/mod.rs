//! What counts as a JSON object here, and how its own keys give way to ours.
//!
//! Pure. The rule is stricter than the grammar of RFC 8259 where parsers differ, so that every
//! reader of the output accepts every line: see [`parse`].

mod keys;
mod nesting;
mod readers;
mod scan;

pub use keys::append_open;
pub use readers::{PlainWriter, write_plain};
pub use scan::{Scanner, object_length};

/// Deepest nesting of a record that is written as it came: .NET's System.Text.Json takes no more. (Others
/// refuse at depths of their own: Ruby's json at 101, serde_json at 128, jq 1.6 at 257, Jackson and Python's
/// json at about 1,000.)
pub const NESTING_MAX: usize = 64;

/// Most digits of a number: Jackson takes no more, and counts those of the fraction and of the exponent as well
/// (`StreamReadConstraints`).
pub const NUMBER_DIGITS_MAX: usize = 1000;

/// Longest key, in bytes between its quotes: Jackson takes no more since 2.16. It counts what escapes stand for, but
/// that is never more.
pub const KEY_BYTES_MAX: usize = 50_000;

/// A JSON object as it stands in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// From its first brace to its last.
    pub text: &'a [u8],
    /// Whether it may go out byte for byte; if not, [`write_plain`] knows how.
    pub is_plain: bool,
}

/// Returns the JSON object that `line` is, blanks around it aside; `None` when it is anything else.
///
/// Not an object here: bytes that are not UTF-8, half of a surrogate pair (`"\ud800"`: the grammar
/// allows it, but it is no character, and strict parsers refuse it), more than [`NESTING_MAX`] levels,
/// a number of more than [`NUMBER_DIGITS_MAX`] digits or that rounds to no double (`1e999`: serde_json and Go
/// refuse it, others make it infinite, and Python has a limit of its own for whole numbers), and a key of more
/// than [`KEY_BYTES_MAX`] bytes.
pub fn parse(line: &[u8]) -> Option<Object<'_>> {
    let text = trim(line);
    let mut scanner = Scanner::new(text);
    (scanner.object(0)? == text.len()).then_some(Object {
        text,
        is_plain: scanner.is_plain(),
    })
}

/// The line without the blanks around it, as JSON counts them (RFC 8259, section 2).
fn trim(mut line: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r'] = line {
        line = rest;
    }
    line
}

/// The code unit of the `\uXXXX` that `bytes` begin with, if they do.
fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.first_chunk::<4>()?;
    digits.iter().try_fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_taken_as_it_came_without_the_blanks_around_it() {
        for (line, want) in [
            (&b"{}"[..], "{}"),
            (
                b" \t{\"a\" : [1, {\"b\":null}]}\r ",
                "{\"a\" : [1, {\"b\":null}]}",
            ),
            (b"{\"a\":1,\"a\":1e99}", "{\"a\":1,\"a\":1e99}"),
            ("{\"ä\":\"\u{2028}\"}".as_bytes(), "{\"ä\":\"\u{2028}\"}"),
            (
                br#"{"a":"\ud83d\ude00\\ud800"}"#,
                r#"{"a":"\ud83d\ude00\\ud800"}"#,
            ),
        ] {
            assert_eq!(parse(line).unwrap().text, want.as_bytes());
        }
    }

    #[test]
    fn anything_else_is_no_object() {
        for line in [
            &b""[..],
            b" ",
            b"text",
            b"1",
            b"null",
            b"[{}]",
            b"\"{}\"",
            b"{",
            b"{}{}",
            b"{} x",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":01}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xed\xa0\x80\"}",
            b"{\"a\":\"\0\"}",
            b"{\"a\":\"\x1b\"}",
            b"\xef\xbb\xbf{}",
            b"\x0b{}",
            br#"{"a":"\ud800"}"#,
            br#"{"a":"\udc00"}"#,
            br#"{"a":"\ud800\u0041"}"#,
            br#"{"a":"\ud800 \udc00"}"#,
            br#"{"\udfff":1}"#,
        ] {
            assert_eq!(parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn nesting_has_a_limit_that_brackets_in_strings_do_not_count_for() {
        let nested = |levels: usize| {
            format!(
                "{{\"a\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        assert!(parse(nested(NESTING_MAX).as_bytes()).is_some());
        assert!(parse(nested(NESTING_MAX + 1).as_bytes()).is_none());
        assert!(parse(nested(60_000).as_bytes()).is_none());
        let flat = format!("{{\"a\":\"{}\\\"[\"}}", "[".repeat(60_000));
        assert!(parse(flat.as_bytes()).is_some());
        let wide = format!("{{\"a\":[{}1]}}", "[],".repeat(60_000));
        assert!(parse(wide.as_bytes()).is_some());
    }

    #[test]
    fn a_number_beyond_a_double_makes_a_text_of_any_length_no_object() {
        let digits = |count: usize| "1".repeat(count);
        let (huge, largest) = (digits(310), f64::MAX.to_string());
        let long = format!("0.{}", digits(999));
        let cancelled = format!("{}e-900", digits(990));
        for padding in ["", &" ".repeat(1000)] {
            let with = |number: &str| format!("{{\"a\":[-{number}{padding},1],\"b\":0}}");
            for number in [
                "1e308",
                "1.7976931348623157E+308",
                "0e999999999999",
                "1e-999999999999",
            ] {
                assert!(parse(with(number).as_bytes()).is_some(), "{number}");
            }
            for number in [&largest, &long, &cancelled] {
                assert!(parse(with(number).as_bytes()).is_some(), "{number}");
            }
            for number in [
                "1e309",
                "1E999",
                "0.1e310",
                "9e+308",
                "1e99999999999",
                &huge,
            ] {
                assert!(parse(with(number).as_bytes()).is_none(), "{number}");
            }
        }
        let text = format!("{{\"1e999\":\"1e999 {}\"}}", digits(60_000));
        assert!(parse(text.as_bytes()).is_some());
        assert!(parse(b"{\"a\":\"\\\"1e999\"}").is_some());
    }

    /// As Jackson counts them: those of the fraction and of the exponent, too.
    #[test]
    fn a_number_of_more_than_a_thousand_digits_makes_a_text_no_object() {
        let digits = |count: usize| "0".repeat(count);
        for (number, want) in [
            (format!("0.{}", digits(999)), true),
            (format!("0.{}", digits(1000)), false),
            (format!("-0.{}", digits(999)), true),
            (format!("-1.{}", digits(1000)), false),
            (format!("0e{}", digits(999)), true),
            (format!("0e{}", digits(1000)), false),
            (format!("0E-{}", digits(999)), true),
            (format!("0E+{}", digits(1000)), false),
            (format!("1{}e-99{}", digits(497), digits(500)), true),
            (format!("1{}e-99{}", digits(498), digits(500)), false),
            (format!("1.{}e-9999", digits(995)), true),
            (format!("1.{}e-9999", digits(996)), false),
            (format!("0.{}", digits(60_000)), false),
        ] {
            for object in [
                format!("{{\"a\":{number}}}"),
                format!("{{\"a\":[0, {number} ]}}"),
            ] {
                assert_eq!(parse(object.as_bytes()).is_some(), want, "{object:.80}");
            }
        }
    }

    #[test]
    fn an_object_in_which_a_reader_may_find_an_end_of_a_line_is_not_plain() {
        for (line, want) in [
            ("{\"a\":\"\\r\\u2028\u{e4}\u{2027}\u{202a}\u{84}\"}", true),
            (" \r{\"a\" :\t1}\r", true),
            ("{\r}", false),
            ("{\"a\"\r:1}", false),
            ("{\"a\":\r1}", false),
            ("{\"a\":1\r}", false),
            ("{\"a\":1,\r\"b\":1}", false),
            ("{\"a\":[ \r]}", false),
            ("{\"a\":[1,\r2],\"b\":\"c\"}", false),
            ("{\"a\":\"\u{85}\"}", false),
            ("{\"\u{2028}\":1}", false),
            ("{\"a\":[{\"b\":\"x\u{2029}\"}]}", false),
        ] {
            assert_eq!(parse(line.as_bytes()).unwrap().is_plain, want, "{line:?}");
        }
    }

    #[test]
    fn an_object_ends_where_its_brace_is_and_never_goes_over_a_newline() {
        assert_eq!(object_length(b"{\"a\":1}\n{\"b\":2}\n"), Some(7));
        assert_eq!(object_length(b"{\"a\":1} x"), Some(7));
        assert_eq!(object_length("{}\u{e4}".as_bytes()), Some(2));
        assert_eq!(object_length(b"{\"a\":\n1}"), None);
        assert_eq!(object_length(b"{\"a\":\"\n\"}"), None);
        assert_eq!(object_length(b" {}"), None);
    }

    /// What this module accepts, a parser that builds values accepts too.
    #[test]
    fn serde_json_builds_a_value_of_whatever_is_accepted() {
        let deepest = format!(
            "{{\"a\":{}{}}}",
            "[".repeat(NESTING_MAX - 1),
            "]".repeat(NESTING_MAX - 1)
        );
        for line in [&deepest[..], r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\u0000"}"#] {
            let object = parse(line.as_bytes()).unwrap();
            serde_json::from_slice::<serde_json::Value>(object.text).unwrap();
        }
    }

    /// Each object is found as if it stood alone, whatever the one before it was.
    #[test]
    fn objects_behind_each_other_are_found_as_if_each_stood_alone() {
        let mut random = numbers(7);
        let seeds = [
            r#"{"source":"producer","timestamp":1763800000,"level":"INFO","message":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","pid":17,"seq":8}"#,
            r#"{ "a" : [1, {"b": "\ud83d\ude00", "c": 0}, -1e5] , "text" : "x\"y", "d": {"e": {}}, "f": true, "g": null}"#,
            "{\"\u{e4}\":\"\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}\u{65e5}\u{5fd7}\",\"\u{fc}\":1}",
            "{\"a\":1,\r\"b\":2,\"c\":\"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ\",\"d\":3}",
            "{\"a\":1,\"b\":\"\u{2028}\u{2027}\u{85}\u{84}\",\"c\":\"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG\",\"d\":3}",
        ];
        for _ in 0..100_000 {
            let mut line = seeds[random() % seeds.len()].as_bytes().to_vec();
            let mut text = Vec::new();
            for _ in 0..1 + random() % 5 {
                text.extend_from_slice(&line);
                text.push(b'\n');
                for _ in 0..random() % 3 {
                    let at = random() % line.len();
                    match random() % 4 {
                        0 => line[at] = b"\"\\{}[],: 0e-9u\x1f\xc3\xa4\r\x85\xa8"[random() % 20],
                        1 => drop(line.remove(at)),
                        2 => line.insert(at, b"\",:{}[]0"[random() % 8]),
                        _ => line[at] = line[at].wrapping_add(1),
                    }
                }
            }
            let mut one_by_one = Scanner::new(&[]);
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                one_by_one.go_on(line);
                let found = one_by_one.object(0);
                let is_plain = found.map(|_| one_by_one.is_plain());
                assert_eq!((found, is_plain), alone(line), "{}", text.escape_ascii());
            }
            let mut scanner = Scanner::new(&text);
            let mut at = 0;
            loop {
                let (length, is_plain) = alone(&text[at..]);
                let end = length.map(|length| at + length);
                assert_eq!(scanner.object(at), end, "{} at {at}", text.escape_ascii());
                assert_eq!(is_plain.unwrap_or(scanner.is_plain()), scanner.is_plain());
                // As the recorder goes on: behind an object and its newline.
                match end {
                    Some(end) if text.get(end) == Some(&b'\n') && end + 1 < text.len() => {
                        at = end + 1;
                    }
                    _ => break,
                }
            }
        }
    }

    /// The length of the object at the beginning, and whether it is plain, by a scanner that has seen nothing else.
    fn alone(bytes: &[u8]) -> (Option<usize>, Option<bool>) {
        let mut scanner = Scanner::new(bytes);
        let length = scanner.object(0);
        (length, length.map(|_| scanner.is_plain()))
    }

    /// Numbers that look random, the same each time (xorshift64*).
    fn numbers(seed: u64) -> impl FnMut() -> usize {
        let mut state = seed;
        move || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap()
        }
    }
}
