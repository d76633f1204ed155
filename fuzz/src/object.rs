//! An object is what serde_json builds an object of, and only a reserved key of it is renamed.

use log_aggregator::object::{self, Scanner};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// Holds the property.
pub fn object(line: &[u8]) {
    if has_borderline_number(line) {
        return;
    }
    let got = object::parse(line);
    let text = got.map(|object| std::str::from_utf8(object.text).expect("an object is UTF-8"));
    assert_eq!(text, expected(line), "{:?}", line.escape_ascii());
    assert_eq!(object::object_length(line), expected_length(line));
    each_as_if_alone(line);
    let Some(object) = got else { return };
    let text = std::str::from_utf8(object.text).expect("it has been one above");
    let mut out = Vec::new();
    object::write_plain(&mut out, object.text).expect("a Vec takes every byte");
    assert_eq!(out, plain(text).as_bytes());
    assert_eq!(object.is_plain, out == object.text, "{text:?}");
    let text = &*plain(text);
    out.clear();
    let has_member = object::append_open(&mut out, object);
    out.push(b'}');
    let renamed = String::from_utf8(out).expect("an object is UTF-8");
    let members = members(text);
    assert_eq!(has_member, !members.is_empty(), "{text}");
    if members.iter().all(|(key, _)| !key.starts_with('_')) {
        assert_eq!(renamed, text);
    }
    assert_eq!(
        self::members(&renamed),
        with_renamed_keys(members),
        "{text}"
    );
}

/// What a scanner has seen changes nothing of what it finds, be it in the same text or in the one before.
fn each_as_if_alone(text: &[u8]) {
    let mut in_a_row = Scanner::new(text);
    let mut one_by_one = Scanner::new(&[]);
    let mut start = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let alone = object::object_length(line);
        let is_plain = alone.is_none_or(|length| plain_bytes(&line[..length]) == line[..length]);
        one_by_one.go_on(line);
        assert_eq!(one_by_one.object(0), alone, "{:?}", text.escape_ascii());
        let found = in_a_row.object(start).map(|end| end - start);
        assert_eq!(found, alone, "{:?}", text.escape_ascii());
        if found.is_some() {
            assert_eq!(one_by_one.is_plain(), is_plain, "{:?}", text.escape_ascii());
            assert_eq!(in_a_row.is_plain(), is_plain, "{:?}", text.escape_ascii());
        }
        start += line.len();
    }
}

/// The object that `line` is, without the blanks around it.
pub fn expected(line: &[u8]) -> Option<&str> {
    if line.contains(&b'\n') {
        return None;
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(_)) if !is_beyond_readers(line) => std::str::from_utf8(line)
            .ok()
            .map(|text| text.trim_matches([' ', '\t', '\r'])),
        _ => None,
    }
}

/// The length of the object that `bytes` begin with, whatever comes behind it.
fn expected_length(bytes: &[u8]) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
    match values.next() {
        Some(Ok(Value::Object(_))) if bytes[0] == b'{' => {
            let length = values.byte_offset();
            let is_one = !bytes[..length].contains(&b'\n') && !is_beyond_readers(&bytes[..length]);
            is_one.then_some(length)
        }
        _ => None,
    }
}

/// Tells whether a valid object is too deep for .NET, or has a number too long for Jackson.
fn is_beyond_readers(object: &[u8]) -> bool {
    let (mut depth, mut is_string, mut digits) = (0, false, 0);
    let mut bytes = object.iter();
    while let Some(byte) = bytes.next() {
        match (is_string, byte) {
            (true, b'\\') => drop(bytes.next()),
            (_, b'"') => is_string = !is_string,
            (true, _) => {}
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth -= 1,
            _ => {}
        }
        digits = match (is_string, byte) {
            (false, b'0'..=b'9') => digits + 1,
            (false, b'+' | b'-' | b'.' | b'e' | b'E') => digits,
            _ => 0,
        };
        if depth > 64 || digits > 1000 {
            return true;
        }
    }
    false
}

/// What becomes of an object for the sake of readers that end lines at more than newlines.
pub fn plain(object: &str) -> String {
    let escape = |character: char| format!("\\u{:04x}", u32::from(character));
    let mut plain = object.replace('\r', " ");
    for character in ['\u{85}', '\u{2028}', '\u{2029}'] {
        plain = plain.replace(character, &escape(character));
    }
    plain
}

fn plain_bytes(object: &[u8]) -> Vec<u8> {
    plain(std::str::from_utf8(object).expect("an object is UTF-8")).into()
}

/// Tells whether there is a number that serde_json, which rounds twice, may take for more than the
/// largest double though it is not, or the other way round.
pub fn has_borderline_number(line: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    line.split(|byte| !is_part(byte)).any(|number| {
        let number = std::str::from_utf8(number).expect("ASCII");
        let ours = number.parse::<f64>().ok();
        let theirs = serde_json::from_str::<f64>(number).ok();
        let is_near = |n: f64| n.is_finite() && n.abs() > 1.797_693_134_862_315e308;
        ours.is_some_and(is_near) || theirs.is_some_and(is_near)
    })
}

/// The members of a JSON object in their order, each value as the bytes that it is.
pub fn members(object: &str) -> Vec<(String, String)> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                members.push((key, value.get().to_owned()));
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let members = deserializer.deserialize_map(Members);
    let members = members.unwrap_or_else(|e| panic!("{e}: {object}"));
    deserializer.end().expect("nothing after the object");
    members
}

/// What becomes of an object's members with `--stamp`.
pub fn with_renamed_keys(mut members: Vec<(String, String)>) -> Vec<(String, String)> {
    let taken: Vec<String> = members.iter().map(|(key, _)| key.clone()).collect();
    for (key, _) in &mut members {
        if key.starts_with('_') {
            let names = (1..).map(|number| match number {
                1 => format!("producer{key}"),
                _ => format!("producer{number}{key}"),
            });
            *key = { names }
                .find(|name| !taken.contains(name))
                .expect("one is free");
        }
    }
    members
}
