//! What counts as a JSON object here, and how its own keys give way to ours.
//!
//! Pure. The rule is stricter than the grammar of RFC 8259 where parsers differ, so that every
//! reader of the output accepts every line: see [`parse`].

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

/// Deepest nesting of a record that is written as it came. Parsers refuse more at depths of their
/// own: serde_json at 128, jq 1.6 at 257, Python's json at about 1,000.
pub const NESTING_MAX: usize = 127;

/// Longest row of digits in a number of a record that is written as it came: Python's json refuses
/// whole numbers that are longer (`sys.set_int_max_str_digits`).
pub const DIGITS_MAX: usize = 4300;

/// Returns the JSON object that `line` is, blanks around it aside; `None` when it is anything else.
///
/// Not an object here: bytes that are not UTF-8, half of a surrogate pair (`"\ud800"`: the grammar
/// allows it, but it is no character, and strict parsers refuse it), more than [`NESTING_MAX`] levels,
/// and a number with more than [`DIGITS_MAX`] digits in a row.
pub fn parse(line: &[u8]) -> Option<&str> {
    // RawValue checks grammar and UTF-8 without building anything; IgnoredAny leaves UTF-8 out.
    let value: &RawValue = serde_json::from_slice(line).ok()?;
    let text = value.get();
    (text.starts_with('{') && has_whole_surrogates(text) && is_within_limits(text)).then_some(text)
}

/// Tells whether each `\u` escape of a valid JSON text is a character or a pair that makes one.
fn has_whole_surrogates(text: &str) -> bool {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr(b'\\', rest) {
        let Some(code) = unicode_escape(&rest[at..]) else {
            rest = &rest[at + 2..]; // a two-byte escape
            continue;
        };
        rest = &rest[at + 6..];
        match code {
            0xD800..=0xDBFF => match unicode_escape(rest) {
                Some(0xDC00..=0xDFFF) => rest = &rest[6..],
                _ => return false,
            },
            0xDC00..=0xDFFF => return false,
            _ => {}
        }
    }
    true
}

/// The code unit of the `\uXXXX` that `bytes` begin with, if they do.
fn unicode_escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Tells whether a valid JSON text keeps to [`NESTING_MAX`] and [`DIGITS_MAX`].
fn is_within_limits(text: &str) -> bool {
    // Each level takes two bytes, so most records need no second look.
    if text.len() < 2 * NESTING_MAX + 2 {
        return true;
    }
    let bytes = text.as_bytes();
    let (mut depth, mut digits, mut at) = (0_usize, 0_usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        digits = if bytes[at].is_ascii_digit() {
            digits + 1
        } else {
            0
        };
        if depth > NESTING_MAX || digits > DIGITS_MAX {
            return false;
        }
        at += 1;
    }
    true
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
pub fn append_open(out: &mut Vec<u8>, object: &str) -> bool {
    let bytes = object.as_bytes();
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
            (b"{\"a\":1,\"a\":1e999}", "{\"a\":1,\"a\":1e999}"),
            ("{\"ä\":\"\u{2028}\"}".as_bytes(), "{\"ä\":\"\u{2028}\"}"),
            (
                br#"{"a":"\ud83d\ude00\\ud800"}"#,
                r#"{"a":"\ud83d\ude00\\ud800"}"#,
            ),
        ] {
            assert_eq!(parse(line), Some(want));
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
    fn numbers_have_a_limit_that_digits_in_strings_do_not_count_for() {
        let with = |digits: usize, end: &str| format!("{{\"a\":-{}{end}}}", "1".repeat(digits));
        for end in ["", ".5e7", ",\"b\":[1]"] {
            assert!(parse(with(DIGITS_MAX, end).as_bytes()).is_some());
            assert!(parse(with(DIGITS_MAX + 1, end).as_bytes()).is_none());
        }
        let text = format!("{{\"a\":\"{}\"}}", "1".repeat(60_000));
        assert!(parse(text.as_bytes()).is_some());
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
            serde_json::from_str::<serde_json::Value>(text).unwrap();
        }
    }

    #[test]
    fn top_level_keys_that_begin_with_an_underscore_are_renamed() {
        #[track_caller]
        fn check(object: &str, want: &str, want_member: bool) {
            let mut out = Vec::new();
            let has_member = append_open(&mut out, object);
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
}
