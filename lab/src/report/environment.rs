//! The fingerprint of the machine, as a table.

use super::summary::Summary;
use super::table::{Cell, Table};
use super::value::number;

/// What a reader has to know to distrust the numbers.
pub fn table(summary: &Summary) -> Table {
    let mut table = Table::new(&["what", "value"]);
    let Some(environment) = summary.environment() else {
        return table;
    };
    let mut add = |what: &str, value: String| {
        let value = if value.is_empty() {
            "unknown".to_owned()
        } else {
            value
        };
        table.rows.push(vec![Cell::text(what), Cell::text(value)]);
    };
    add("kernel", environment.kernel.clone());
    add("processor", environment.cpu.clone());
    add("processors", environment.cpus.to_string());
    add("governor of their frequency", environment.governor.clone());
    add("clock source", environment.clock_source.clone());
    add("load average before", number(environment.load_average));
    add("git revision", environment.git_revision.clone());
    for (name, version) in &environment.versions {
        add(name, version.clone());
    }
    for (name, value) in &environment.sysctls {
        add(name, value.clone());
    }
    for (name, value) in environment
        .mitigations
        .iter()
        .filter(|(_, value)| *value != "Not affected")
    {
        add(&format!("mitigation: {name}"), value.clone());
    }
    for part in &summary.parts {
        let run = match part.name.as_str() {
            "" => "command".to_owned(),
            name => format!("command of {name}"),
        };
        let trials = part.results.trials.len();
        let environment = &part.results.environment;
        let when = date(environment.started);
        add(
            &run,
            format!("{} ({when}, {trials} trials)", environment.command),
        );
    }
    table
}

/// The day, in UTC: 2026-11-24. (Days to a date of the proleptic Gregorian calendar, after Howard Hinnant's
/// `civil_from_days`.)
pub fn date(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let era_day = days % 146_097;
    let year_of_era = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let day_of_year = era_day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153; // from March
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + days / 146_097 * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_a_day() {
        let cases = [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_700_000_000, "2023-11-14"),
            (1_798_761_599, "2026-12-31"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (seconds, want) in cases {
            assert_eq!(date(seconds), want);
        }
    }
}
