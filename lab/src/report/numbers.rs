//! `numbers.jsonl`: all numbers of a report for other programs, one a line.

use super::summary::{Key, Summary};
use super::value::Value;
use super::{measure, tables};
use serde_json::json;

/// A line for each number: key, folder (empty if there is one alone), what is shown, its unit, the lowest and the
/// highest repetition, each repetition, and the meaning.
pub fn lines(summary: &Summary) -> String {
    let own = summary.parts.iter().flat_map(|part| {
        part.values
            .iter()
            .map(|(key, value)| line(&part.name, key, value))
    });
    let original = summary
        .original
        .iter()
        .map(|(key, value)| line("original", key, value));
    own.chain(original).collect()
}

fn line(folder: &str, key: &Key, value: &Value) -> String {
    let unit = measure::describe(&key.measure).map_or("", |measure| measure.unit);
    let object = json!({
        "key": key.to_string(),
        "folder": folder,
        "value": value.value,
        "unit": unit,
        "low": value.low(),
        "high": value.high(),
        "each": value.each,
        "meaning": tables::words(key),
    });
    format!("{object}\n")
}
