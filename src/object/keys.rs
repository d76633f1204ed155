//! An object's keys: which are too long, and how those of its first level give way to ours.

use super::{KEY_BYTES_MAX, Object, unicode_escape, write_plain};
use memchr::{memchr, memchr2};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

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

/// Tells whether an object has a key, on any level, that is longer than [`KEY_BYTES_MAX`].
#[cold]
pub(super) fn has_too_long(object: &[u8]) -> bool {
    let mut at = 0;
    // What is left must have room for one.
    while object.len() - at > KEY_BYTES_MAX
        && let Some(quote) = memchr(b'"', &object[at..])
    {
        let end = end_of_string(object, at + quote);
        let is_long = end - (at + quote + 1) > KEY_BYTES_MAX;
        at = end + 1;
        let is_key = || object[at..].trim_ascii_start().starts_with(b":");
        if is_long && is_key() {
            return true;
        }
    }
    false
}

/// Where the keys of an object's first level stand, one after the other, without their quotes.
struct Keys<'a> {
    object: &'a [u8],
    at: usize,
    depth: usize,
    is_next: bool,
}

impl<'a> Keys<'a> {
    fn of(object: &'a [u8]) -> Self {
        Self {
            object,
            at: 0,
            depth: 0,
            is_next: false,
        }
    }
}

impl Iterator for Keys<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Some(byte) = self.object.get(self.at) {
            let start = self.at + 1;
            match byte {
                b'{' | b'[' => {
                    self.depth += 1;
                    self.is_next = self.depth == 1;
                }
                b'}' | b']' => self.depth -= 1,
                b',' => self.is_next = self.depth == 1,
                b'"' => {
                    let end = end_of_string(self.object, self.at);
                    self.at = end + 1;
                    if std::mem::take(&mut self.is_next) {
                        return Some(start..end);
                    }
                    continue;
                }
                _ => {}
            }
            self.at = start;
        }
        None
    }
}

/// What is put before a key of the first level that begins with an underscore: those are ours.
const RENAMED: &str = "producer";

/// Appends a JSON object without its closing brace, its keys of the first level that begin with `_` (written
/// as it is or as `\u005f`) renamed: `_transport` becomes `producer_transport`, or if the object has that as well,
/// `producer2_transport`, and so on. Returns whether it has any member.
pub fn append_open(out: &mut Vec<u8>, object: Object<'_>) -> bool {
    let text = object.text;
    let mut append = |part: &[u8]| {
        if object.is_plain {
            out.extend_from_slice(part);
        } else {
            write_plain(out, part).expect("a Vec takes every byte");
        }
    };
    let (mut copied, mut has_member, mut names) = (0, false, None);
    for key in Keys::of(text) {
        has_member = true;
        let raw = &text[key.clone()];
        if raw.starts_with(b"_") || unicode_escape(raw) == Some(u16::from(b'_')) {
            let names = names.get_or_insert_with(|| Names::of(text));
            append(&text[copied..key.start]);
            append(RENAMED.as_bytes());
            let number = names.number(raw);
            if number > 1 {
                append(number.to_string().as_bytes());
            }
            copied = key.start;
        }
    }
    append(&text[copied..text.len() - 1]);
    has_member
}

/// Which names an object has that a renamed key could get.
struct Names<'a> {
    /// Its keys of the first level that begin as renamed ones do.
    taken: BTreeSet<Cow<'a, str>>,
    /// The numbers of those renamed keys that are not the first of their name, so that however often a
    /// key comes, and however many names it could have are taken, they are gone through once.
    numbers: BTreeMap<Cow<'a, str>, usize>,
}

impl<'a> Names<'a> {
    fn of(object: &'a [u8]) -> Self {
        let may_be = |key: &&[u8]| matches!(key, [b'p' | b'\\', ..]);
        let keys = Keys::of(object).map(|key| &object[key]);
        let keys = keys.filter(may_be).map(decoded);
        Self {
            taken: keys.filter(|key| key.starts_with(RENAMED)).collect(),
            numbers: BTreeMap::new(),
        }
    }

    /// Which number stands in the new name of this key; 1 does not.
    fn number(&mut self, raw: &'a [u8]) -> usize {
        if self.taken.is_empty() {
            return 1;
        }
        let key = decoded(raw);
        if let Some(&number) = self.numbers.get(&key) {
            return number;
        }
        if !self.taken.contains(&*format!("{RENAMED}{key}")) {
            return 1;
        }
        let is_free = |number: &usize| !self.taken.contains(&*format!("{RENAMED}{number}{key}"));
        let number = (2..).find(is_free).expect("an object has an end");
        self.numbers.insert(key, number);
        number
    }
}

/// What a key stands for, escapes read.
fn decoded(raw: &[u8]) -> Cow<'_, str> {
    if raw.contains(&b'\\') {
        let quoted = [b"\"", raw, b"\""].concat();
        Cow::Owned(serde_json::from_slice(&quoted).expect("a valid string"))
    } else {
        Cow::Borrowed(std::str::from_utf8(raw).expect("an object is UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[track_caller]
    fn check(object: &str, want: &str, want_member: bool) {
        let mut out = Vec::new();
        let has_member = append_open(&mut out, parse(object.as_bytes()).unwrap());
        assert_eq!(String::from_utf8(out).unwrap(), want);
        assert_eq!(has_member, want_member);
    }

    #[test]
    fn top_level_keys_that_begin_with_an_underscore_are_renamed() {
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

    #[test]
    fn a_renamed_key_gets_a_name_that_the_object_does_not_have() {
        for (object, want) in [
            (
                r#"{"_x":1,"producer_x":2}"#,
                r#"{"producer2_x":1,"producer_x":2"#,
            ),
            (
                r#"{"producer_x":2,"_x":1}"#,
                r#"{"producer_x":2,"producer2_x":1"#,
            ),
            (
                r#"{"_x":1,"\u0070roducer_x":2}"#,
                r#"{"producer2_x":1,"\u0070roducer_x":2"#,
            ),
            (
                r#"{"\u005fx":1,"producer\u005fx":2,"producer2_\u0078":3}"#,
                r#"{"producer3\u005fx":1,"producer\u005fx":2,"producer2_\u0078":3"#,
            ),
            // What the sender had twice stays so, under one name.
            (
                r#"{"_x":1,"_x":2,"\u005fx":3,"a":4,"a":5}"#,
                r#"{"producer_x":1,"producer_x":2,"producer\u005fx":3,"a":4,"a":5"#,
            ),
            (
                r#"{"_x":1,"producer_x":2,"_x":3,"producer_x":4}"#,
                r#"{"producer2_x":1,"producer_x":2,"producer2_x":3,"producer_x":4"#,
            ),
            // Not the same name, nor a name of the first level.
            (
                r#"{"_x":1,"producer_y":{"producer_x":2},"producer":3,"producer2_x":4}"#,
                r#"{"producer_x":1,"producer_y":{"producer_x":2},"producer":3,"producer2_x":4"#,
            ),
            (
                r#"{"_":1,"producer_":2,"__":3,"producer__":4,"_2":5,"producer2_":6}"#,
                r#"{"producer3_":1,"producer_":2,"producer2__":3,"producer__":4,"producer_2":5,"producer2_":6"#,
            ),
        ] {
            check(object, want, true);
        }
    }

    /// 64 KiB of names that are taken, and of keys that want them.
    #[test]
    fn names_are_gone_through_once() {
        let taken: String = (2..2000).map(|n| format!(",\"producer{n}_x\":0")).collect();
        let object = format!("{{\"producer_x\":0{taken}{}}}", ",\"_x\":0".repeat(4000));
        let mut names = Names::of(object.as_bytes());
        for _ in 0..4000 {
            assert_eq!(names.number(b"_x"), 2000);
            assert_eq!(names.numbers.len(), 1);
        }
    }

    #[test]
    fn a_key_of_more_than_fifty_thousand_bytes_makes_a_text_no_object() {
        let long = "k".repeat(KEY_BYTES_MAX);
        for (object, want) in [
            (format!("{{\"{long}\":1}}"), true),
            (format!("{{\"{long}k\":1}}"), false),
            (format!("{{\"{long}k\" \r:1}}"), false),
            (
                format!("{{\"a\":[{{\"b\":1,\"{long}\\n\":1}}],\"c\":1}}"),
                false,
            ),
            (format!("{{\"a\":\"{long}{long}\",\"b\":\":\"}}"), true),
            (
                format!("{{\"a\":[\"{long}{long}\",\"\\\"\"],\"b\":\":\"}}"),
                true,
            ),
            (format!("{{\"a\":\"{long}\",\"{long}k\":0}}"), false),
            (
                format!("{{\"a\":[{}1],\":\":0}}", "1,".repeat(KEY_BYTES_MAX)),
                true,
            ),
        ] {
            assert_eq!(
                parse(object.as_bytes()).is_some(),
                want,
                "{} bytes",
                object.len()
            );
        }
    }
}
