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
    let got = got.map(|text| std::str::from_utf8(text).expect("an object is UTF-8"));
    assert_eq!(got, expected(line), "{:?}", line.escape_ascii());
    assert_eq!(object::object_length(line), expected_length(line));
    each_as_if_alone(line);
    let Some(text) = got else { return };
    let mut out = Vec::new();
    let has_member = object::append_open(&mut out, text.as_bytes());
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
        one_by_one.go_on(line);
        assert_eq!(one_by_one.object(0), alone, "{:?}", text.escape_ascii());
        let found = in_a_row.object(start).map(|end| end - start);
        assert_eq!(found, alone, "{:?}", text.escape_ascii());
        start += line.len();
    }
}

/// The object that `line` is, without the blanks around it.
pub fn expected(line: &[u8]) -> Option<&str> {
    if line.contains(&b'\n') {
        return None;
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(_)) => std::str::from_utf8(line)
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
            (!bytes[..length].contains(&b'\n')).then_some(length)
        }
        _ => None,
    }
}

/// Tells whether there is a number that serde_json, which rounds twice, may take for more than the
/// largest double, though it is not.
pub fn has_borderline_number(line: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    line.split(|byte| !is_part(byte)).any(|number| {
        let number = std::str::from_utf8(number).expect("ASCII").parse::<f64>();
        number.is_ok_and(|n| n.is_finite() && n.abs() > 1.797_693_134_862_315e308)
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
    for (key, _) in &mut members {
        if key.starts_with('_') {
            key.insert_str(0, "producer");
        }
    }
    members
}
