//! What counts as a JSON object here, and how its own keys give way to ours.
//!
//! Pure. The rule is stricter than the grammar of RFC 8259 where parsers differ, so that every
//! reader of the output accepts every line: see [`parse`].

mod scan;

pub use scan::{Scanner, object_length};

use memchr::memchr2;

/// Deepest nesting of a record that is written as it came. Parsers refuse more at depths of their
/// own: serde_json at 128, jq 1.6 at 257, Python's json at about 1,000.
pub const NESTING_MAX: usize = 127;

/// Returns the JSON object that `line` is, blanks around it aside; `None` when it is anything else.
///
/// Not an object here: bytes that are not UTF-8, half of a surrogate pair (`"\ud800"`: the grammar
/// allows it, but it is no character, and strict parsers refuse it), more than [`NESTING_MAX`] levels,
/// and a number that rounds to no double (`1e999`: serde_json and Go refuse it, others make it infinite,
/// and Python has a limit of its own for whole numbers).
pub fn parse(line: &[u8]) -> Option<&[u8]> {
    let text = trim(line);
    (object_length(text)? == text.len()).then_some(text)
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

/// The place of the quote that ends the string which begins with the quote at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    // In a valid text there is one.
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
        at += found;
        if bytes[at] == b'"' {
            break;
        }
        at += 2;
    }
    at
}

/// What is put before a top-level key that begins with an underscore: those are ours.
const RENAMED: &[u8] = b"producer";

/// Appends a JSON object without its closing brace, its top-level keys that begin with `_` (written
/// as it is or as `\u005f`) renamed: `_transport` becomes `producer_transport`. Returns whether it
/// has any member.
pub fn append_open(out: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let (mut depth, mut copied, mut at) = (0_usize, 0, 0);
    let mut key_is_next = false;
    let mut has_member = false;
    while at < bytes.len() - 1 {
        match bytes[at] {
            b'{' | b'[' => {
                depth += 1;
                key_is_next = depth == 1;
            }
            b'}' | b']' => depth -= 1,
            b',' => key_is_next = depth == 1,
            b'"' => {
                has_member = true;
                if std::mem::take(&mut key_is_next) && begins_with_underscore(&bytes[at + 1..]) {
                    out.extend_from_slice(&bytes[copied..=at]);
                    out.extend_from_slice(RENAMED);
                    copied = at + 1;
                }
                at = end_of_string(bytes, at);
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(&bytes[copied..bytes.len() - 1]);
    has_member
}

fn begins_with_underscore(key: &[u8]) -> bool {
    key.starts_with(b"_") || unicode_escape(key) == Some(u16::from(b'_'))
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
            assert_eq!(parse(line), Some(want.as_bytes()));
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
        let long = format!("0.{}", digits(60_000));
        let cancelled = format!("{}e-59000", digits(59_100));
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
            let text = parse(line.as_bytes()).unwrap();
            serde_json::from_slice::<serde_json::Value>(text).unwrap();
        }
    }

    #[test]
    fn top_level_keys_that_begin_with_an_underscore_are_renamed() {
        #[track_caller]
        fn check(object: &str, want: &str, want_member: bool) {
            let mut out = Vec::new();
            let has_member = append_open(&mut out, object.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), want);
            assert_eq!(has_member, want_member);
        }
        check("{}", "{", false);
        check("{ }", "{ ", false);
        check(r#"{"a":1}"#, r#"{"a":1"#, true);
        check(
            r#"{"_a":1,"_":2}"#,
            r#"{"producer_a":1,"producer_":2"#,
            true,
        );
        check(r#"{ "\u005fa" : 1 }"#, r#"{ "producer\u005fa" : 1 "#, true);
        check(r#"{"\u005Fa":1}"#, r#"{"producer\u005Fa":1"#, true);
        check(
            r#"{"a":"_b","c":["_d",{"_e":1}],"_f":{"_g":2}}"#,
            r#"{"a":"_b","c":["_d",{"_e":1}],"producer_f":{"_g":2}"#,
            true,
        );
        check(
            r#"{"a\",\"_b":"{,\"_c","_d":0}"#,
            r#"{"a\",\"_b":"{,\"_c","producer_d":0"#,
            true,
        );
        check(r#"{"":1,"\\_":2}"#, r#"{"":1,"\\_":2"#, true);
    }

    /// Each object is found as if it stood alone, whatever the one before it was.
    #[test]
    fn objects_behind_each_other_are_found_as_if_each_stood_alone() {
        let mut random = numbers(7);
        let seeds = [
            r#"{"source":"producer","timestamp":1763800000,"level":"INFO","message":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","pid":17,"seq":8}"#,
            r#"{ "a" : [1, {"b": "\ud83d\ude00", "c": 0}, -1e5] , "text" : "x\"y", "d": {"e": {}}, "f": true, "g": null}"#,
            "{\"\u{e4}\":\"\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}\u{65e5}\u{5fd7}\u{8bb0}\u{5f55}\u{65e5}\u{5fd7}\",\"\u{fc}\":1}",
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
                        0 => line[at] = b"\"\\{}[],: 0e-9u\x1f\xc3\xa4"[random() % 17],
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
                assert_eq!(found, object_length(line), "{}", text.escape_ascii());
            }
            let mut scanner = Scanner::new(&text);
            let mut at = 0;
            loop {
                let alone = object_length(&text[at..]).map(|length| at + length);
                assert_eq!(scanner.object(at), alone, "{} at {at}", text.escape_ascii());
                // As the recorder goes on: behind an object and its newline.
                match alone {
                    Some(end) if text.get(end) == Some(&b'\n') && end + 1 < text.len() => {
                        at = end + 1;
                    }
                    _ => break,
                }
            }
        }
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
