//! The small language in which documents name numbers: `ratio(program_cpu/tcp/rate=10, program_cpu/fifo/rate=10)`.
//!
//! ```text
//! EXPRESSION = NUMBER | FUNCTION(EXPRESSION, ...) | rank(MEASURE/LOAD) | environment/FIELD     then perhaps :DECIMALS
//! NUMBER     = MEASURE/TRANSPORT/LOAD, perhaps @FOLDER
//! LOAD       = seed | follow | self-check | rate=N, size=N, producers=N, qlen=N, pipe=N, nagle=on, linger=auto by /
//! FUNCTION   = low(A) high(A) range(A) ratio(A, B) share(A, B) more(A, B) minus(A, B) plus(A, ...)
//! ```

use super::rank::rank;
use super::summary::{Key, Summary};
use super::table::show;
use super::value::{Value, number, with_decimals};
use super::{Point, measure};
use log_aggregator::transports::Transport;

/// What an expression comes to, as text for a document.
///
/// # Errors
/// A line that says which name is unknown, or which number was not measured.
pub fn evaluate(summary: &Summary, expression: &str) -> Result<String, String> {
    let text = expression.trim();
    let (text, decimals) = match text.rsplit_once(':') {
        Some((text, decimals)) => {
            let decimals = decimals.parse().ok().filter(|decimals| *decimals < 10);
            let wrong = || format!("'{expression}': after the colon stands a number of decimals");
            (text, Some(decimals.ok_or_else(wrong)?))
        }
        None => (text, None),
    };
    let shown = |value: f64| {
        decimals.map_or_else(|| number(value), |decimals| with_decimals(value, decimals))
    };
    if let Some(field) = text.strip_prefix("environment/") {
        return environment(summary, field);
    }
    if let Some(what) = inside(text, "rank") {
        let (measure, load) = what.split_once('/').unwrap_or((what, ""));
        known(measure)?;
        return Ok(rank(&summary.parts, measure, load.parse()?).to_string());
    }
    if let Some(of) = inside(text, "range") {
        let value = find(summary, of)?;
        return Ok(format!("{} to {}", shown(value.low()), shown(value.high())));
    }
    match (decimals, text.contains('(')) {
        (None, false) => {
            let measure = text.split('/').next().unwrap_or_default();
            Ok(show(measure, find(summary, text)?))
        }
        _ => calculate(summary, text).map(shown),
    }
}

/// The arguments of this function, if the text is a call of it.
fn inside<'a>(text: &'a str, function: &str) -> Option<&'a str> {
    let rest = text.trim().strip_prefix(function)?.trim_start();
    Some(rest.strip_prefix('(')?.strip_suffix(')')?.trim())
}

fn calculate(summary: &Summary, text: &str) -> Result<f64, String> {
    let text = text.trim();
    let Some((function, _)) = text.split_once('(') else {
        return find(summary, text).map(|value| value.value);
    };
    let function = function.trim();
    let Some(arguments) = inside(text, function) else {
        return Err(format!("'{text}': a bracket is missing"));
    };
    if let Some(number) = match function {
        "low" => Some(find(summary, arguments)?.low()),
        "high" => Some(find(summary, arguments)?.high()),
        _ => None,
    } {
        return Ok(number);
    }
    let numbers: Vec<f64> = split(arguments)
        .into_iter()
        .map(|one| calculate(summary, one))
        .collect::<Result<_, _>>()?;
    match (function, numbers.as_slice()) {
        ("plus", numbers) => Ok(numbers.iter().sum()),
        ("minus", [a, b]) => Ok(a - b),
        ("ratio" | "share" | "more", [_, 0.0]) => Err(format!("'{text}' divides by nothing")),
        ("ratio", [a, b]) => Ok(a / b),
        ("share", [a, b]) => Ok(100.0 * a / b),
        ("more", [a, b]) => Ok(100.0 * (a / b - 1.0)),
        _ => Err(format!(
            "'{text}': the functions are low(A), high(A), range(A), ratio(A, B), share(A, B), more(A, B), minus(A, B), \
             plus(A, ...) and rank(MEASURE/LOAD)"
        )),
    }
}

/// Arguments at the commas that are not in brackets.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (index, byte) in arguments.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&arguments[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&arguments[start..]);
    parts
}

fn find<'a>(summary: &'a Summary, text: &str) -> Result<&'a Value, String> {
    let text = text.trim();
    let (path, folder) = match text.split_once('@') {
        Some((path, folder)) => (path, Some(folder)),
        None => (text, None),
    };
    let key = parse(path)?;
    let found = match folder {
        None => summary.find(&key),
        Some(name) => {
            let part = summary.parts.iter().find(|part| part.name == name);
            part.and_then(|part| part.values.get(&key))
        }
    };
    found.ok_or_else(|| {
        let loads = summary.points(&key.measure);
        let loads: Vec<String> = loads.iter().map(ToString::to_string).collect();
        let loads = if loads.is_empty() {
            "none".to_owned()
        } else {
            loads.join(", ")
        };
        format!(
            "'{text}' was not measured; '{}' was at these loads: {loads}",
            key.measure
        )
    })
}

/// Reads MEASURE/TRANSPORT/LOAD.
pub fn parse(text: &str) -> Result<Key, String> {
    let mut parts = text.splitn(3, '/');
    let [measure, transport, load] = [(); 3].map(|()| parts.next().unwrap_or_default());
    known(measure)?;
    let named = |kind: &Transport| kind.name() == transport;
    let transport = Transport::ALL.into_iter().find(named).ok_or_else(|| {
        format!("'{transport}' in '{text}' is none of unixsock, tcp, unixgram, udp and fifo")
    })?;
    let point: Point = load.parse()?;
    Ok(Key {
        point,
        transport,
        measure: measure.to_owned(),
    })
}

fn known(name: &str) -> Result<(), String> {
    match measure::describe(name) {
        Some(_) => Ok(()),
        None => Err(format!(
            "'{name}' is no measure: they are {}",
            measure::names()
        )),
    }
}

/// A field of the fingerprint of the first folder, by its name in `environment.json`: `kernel`, `cpus`,
/// `versions/bpftrace`.
fn environment(summary: &Summary, field: &str) -> Result<String, String> {
    let unknown = || format!("'environment/{field}' is not in environment.json");
    let environment = summary.environment().ok_or_else(unknown)?;
    let json = serde_json::to_value(environment).map_err(|e| e.to_string())?;
    let found = field
        .split('/')
        .try_fold(&json, |json, name| json.get(name));
    match found.ok_or_else(unknown)? {
        serde_json::Value::String(text) => Ok(text.clone()),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::summary::Part;

    fn summary() -> Summary {
        let mut trials = Vec::new();
        for (transport, seconds) in [("tcp", [4.0, 5.0, 8.0]), ("fifo", [2.0, 2.5, 3.0])] {
            for second in seconds {
                let mut trial = fixture::timed(fixture::at_rate(transport, 0), 1000);
                trial.seconds = second;
                trials.push(trial);
            }
        }
        let run = Part::new("run".to_owned(), fixture::results(trials, Vec::new()));
        let mut trial = fixture::timed(fixture::at_rate("tcp", 0), 1000);
        trial.seconds = 10.0;
        let again = Part::new(
            "again".to_owned(),
            fixture::results(vec![trial], Vec::new()),
        );
        Summary::new(vec![run, again])
    }

    #[test]
    fn expressions_come_to_numbers() {
        let summary = summary();
        let cases = [
            ("throughput/tcp/rate=0", "200"),
            ("throughput/tcp/rate=0:1", "200.0"),
            ("throughput/tcp/rate=0@again", "100"),
            ("throughput/tcp/rate=0@run", "200"),
            ("low(throughput/tcp/rate=0)", "125"),
            ("high( throughput/tcp/rate=0 ):1", "250.0"),
            ("range(throughput/tcp/rate=0)", "125 to 250"),
            (
                "ratio(throughput/fifo/rate=0, throughput/tcp/rate=0)",
                "2.00",
            ),
            (
                "ratio(throughput/fifo/rate=0,minus(throughput/tcp/rate=0, low(throughput/tcp/rate=0))):0",
                "5",
            ),
            ("more(throughput/fifo/rate=0, throughput/tcp/rate=0)", "100"),
            (
                "share(throughput/tcp/rate=0, throughput/fifo/rate=0):0",
                "50",
            ),
            (
                "plus(throughput/tcp/rate=0, throughput/tcp/rate=0, sent/fifo/rate=0)",
                "3,400",
            ),
            ("rank(throughput/rate=0)", "tcp < fifo"),
            ("sent/fifo/rate=0", "3,000"),
            ("original_calls/tcp/seed", "3,928"),
            ("environment/kernel", "Linux 6.18"),
            ("environment/cpus", "2"),
        ];
        for (expression, want) in cases {
            assert_eq!(
                evaluate(&summary, expression).as_deref(),
                Ok(want),
                "{expression}"
            );
        }
    }

    #[test]
    fn what_is_unknown_is_named() {
        let summary = summary();
        let cases = [
            ("speed/tcp/rate=0", "'speed' is no measure"),
            (
                "throughput/dbus/rate=0",
                "'dbus' in 'throughput/dbus/rate=0' is none of",
            ),
            ("throughput/tcp/fast", "'fast' is no load"),
            ("throughput/tcp", "'' is no load"),
            (
                "throughput/tcp/rate=10",
                "was not measured; 'throughput' was at these loads: rate=0",
            ),
            ("throughput/tcp/rate=0@other", "was not measured"),
            ("half(throughput/tcp/rate=0)", "the functions are"),
            ("ratio(throughput/tcp/rate=0)", "the functions are"),
            (
                "ratio(throughput/tcp/rate=0, lost/tcp/rate=0)",
                "divides by nothing",
            ),
            ("low(throughput/tcp/rate=0", "a bracket is missing"),
            ("throughput/tcp/rate=0:many", "number of decimals"),
            ("environment/moon", "is not in environment.json"),
        ];
        for (expression, want) in cases {
            let refused = evaluate(&summary, expression).unwrap_err();
            assert!(refused.contains(want), "{expression}: {refused}");
        }
    }
}
