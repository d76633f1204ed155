//! The tables, in Markdown and in JSON.

use crate::adapter::Description;
use crate::cases::Fault;
use crate::transport::Transport;
use crate::verdict::Finding;
use serde_json::{Value, json};
use std::fmt::Write as _;

const BEGIN: &str = "<!-- fault-table: begin -->";
const END: &str = "<!-- fault-table: end -->";

/// What became of one measurement.
#[derive(Debug, Clone)]
pub enum Outcome {
    Found(Finding),
    /// The daemon has no such input.
    NotServed,
    /// The fault means nothing for this transport.
    DoesNotApply,
    /// The daemon cannot be asked for what the fault needs.
    NoSuchSetting,
    /// Not the daemon's fault.
    Skipped(String),
}

impl Outcome {
    pub fn verdict(&self) -> String {
        match self {
            Self::Found(finding) => finding.verdict(),
            Self::NotServed => "not served".to_owned(),
            Self::DoesNotApply => "-".to_owned(),
            Self::NoSuchSetting => "no such setting".to_owned(),
            Self::Skipped(_) => "skipped".to_owned(),
        }
    }

    pub fn evidence(&self) -> String {
        match self {
            Self::Found(finding) => finding.evidence(),
            Self::Skipped(reason) => reason.clone(),
            Self::NotServed | Self::DoesNotApply | Self::NoSuchSetting => String::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Row {
    pub daemon: String,
    pub fault: Fault,
    pub transport: Transport,
    pub outcome: Outcome,
}

/// Where and how it was measured.
#[derive(Debug, Clone)]
pub struct Circumstances {
    pub date: String,
    pub kernel: String,
    pub processors: usize,
    pub records: u32,
    pub watch: u32,
    pub jobs: usize,
}

#[derive(Debug)]
pub struct Report {
    pub circumstances: Circumstances,
    pub daemons: Vec<Description>,
    /// Daemons that were not there, and why.
    pub absent: Vec<String>,
    pub rows: Vec<Row>,
}

impl Report {
    fn cell(&self, daemon: &str, fault: Fault, transport: Transport) -> Option<&Outcome> {
        let mut rows = self.rows.iter();
        let row = rows
            .find(|row| row.daemon == daemon && row.fault == fault && row.transport == transport);
        row.map(|row| &row.outcome)
    }

    pub fn to_markdown(&self) -> String {
        let mut text = self.heading();
        text.push_str("\n| fault | daemon |");
        for transport in Transport::ALL {
            let _ = write!(text, " {transport} |");
        }
        text.push_str("\n| --- | --- | --- | --- | --- | --- | --- |\n");
        for fault in Fault::ALL {
            for daemon in &self.daemons {
                let cells = Transport::ALL.map(|it| self.cell(&daemon.name, fault, it));
                if cells.iter().all(Option::is_none) {
                    continue;
                }
                let _ = write!(text, "| {} | {} |", fault.name(), escaped(&daemon.name));
                for cell in cells {
                    let verdict = cell.map_or_else(String::new, Outcome::verdict);
                    let _ = write!(text, " {} |", escaped(&verdict));
                }
                text.push('\n');
            }
        }
        text.push_str("\nThe evidence, measurement by measurement:\n");
        text.push_str("\n| fault | transport | daemon | verdict | evidence |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        for row in self
            .rows
            .iter()
            .filter(|row| !row.outcome.evidence().is_empty())
        {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} |",
                row.fault.name(),
                row.transport,
                escaped(&row.daemon),
                escaped(&row.outcome.verdict()),
                escaped(&row.outcome.evidence())
            );
        }
        text
    }

    fn heading(&self) -> String {
        let it = &self.circumstances;
        let daemons = self.daemons.iter();
        let daemons: Vec<String> = daemons
            .map(|daemon| format!("{} {}", daemon.name, daemon.version))
            .collect();
        let mut text = format!(
            "{}: {}. Linux {}, {} processors, {} records for a fault, {} s watched, {} at a time.\n",
            it.date,
            daemons.join(", "),
            it.kernel,
            it.processors,
            crate::verdict::grouped(u64::from(it.records)),
            it.watch,
            it.jobs
        );
        for absent in &self.absent {
            let _ = writeln!(text, "\nNot measured: {}", escaped(absent));
        }
        text
    }

    pub fn to_json(&self) -> Value {
        let it = &self.circumstances;
        let daemons = self.daemons.iter();
        let daemons = daemons.map(|it| json!({ "name": it.name, "version": it.version }));
        let results = self.rows.iter().map(|row| {
            let mut result = json!({
                "fault": row.fault.name(),
                "transport": row.transport.name(),
                "daemon": row.daemon,
                "verdict": row.outcome.verdict(),
                "evidence": row.outcome.evidence(),
            });
            if let Outcome::Found(finding) = &row.outcome {
                result["measured"] = finding.to_json();
            }
            result
        });
        json!({
            "date": it.date,
            "kernel": it.kernel,
            "processors": it.processors,
            "records": it.records,
            "watch_seconds": it.watch,
            "jobs": it.jobs,
            "daemons": daemons.collect::<Vec<_>>(),
            "not_measured": self.absent,
            "results": results.collect::<Vec<_>>(),
        })
    }
}

/// Text that a table's cell can hold.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('|', "\\|");
    text.replace('<', "&lt;").replace('\n', " ")
}

/// The document with the table between its markers.
pub fn insert(document: &str, table: &str) -> Result<String, String> {
    let missing = || format!("has no lines '{BEGIN}' and '{END}' to put the table between");
    let (before, rest) = document.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{table}{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Marks;

    fn report() -> Report {
        let daemon = |name: &str| Description {
            name: name.to_owned(),
            version: "1.2".to_owned(),
            transports: vec![Transport::Tcp],
            marks: Marks::default(),
            limits_connections: false,
            reports_drops: false,
            program: None,
        };
        let row = |daemon: &str, transport, outcome| Row {
            daemon: daemon.to_owned(),
            fault: Fault::Sigterm,
            transport,
            outcome,
        };
        let lost = Finding {
            sent: 20,
            written: 13,
            lost: 7,
            evidence: vec!["says a|b <x>".to_owned()],
            ..Finding::default()
        };
        Report {
            circumstances: Circumstances {
                date: "2024-01-02".to_owned(),
                kernel: "6.1".to_owned(),
                processors: 2,
                records: 20_000,
                watch: 3,
                jobs: 1,
            },
            daemons: vec![daemon("one"), daemon("two")],
            absent: vec!["three is not installed".to_owned()],
            rows: vec![
                row("one", Transport::Tcp, Outcome::Found(Finding::default())),
                row("two", Transport::Tcp, Outcome::Found(lost)),
                row("two", Transport::Fifo, Outcome::NotServed),
            ],
        }
    }

    #[test]
    fn a_row_for_each_fault_and_daemon_and_a_line_of_evidence_for_each_finding() {
        let text = report().to_markdown();
        assert!(text.starts_with("2024-01-02: one 1.2, two 1.2. Linux 6.1, 2 processors, 20,000"));
        assert!(text.contains("\nNot measured: three is not installed\n"));
        assert!(text.contains("| fault | daemon | unixsock | tcp | unixgram | udp | fifo |\n"));
        assert!(text.contains("| sigterm | one |  | kept |  |  |  |\n"));
        assert!(text.contains("| sigterm | two |  | lost 7 of 20 |  |  | not served |\n"));
        let evidence =
            "| sigterm | tcp | two | lost 7 of 20 | sent 20, written 13; says a\\|b &lt;x> |\n";
        assert!(text.contains(evidence), "{text}");
        assert!(!text.contains("| kill-9 |"));
    }

    #[test]
    fn the_json_has_every_number() {
        let value = report().to_json();
        assert_eq!(value["daemons"][1]["version"], "1.2");
        assert_eq!(value["results"][1]["measured"]["lost"], 7);
        assert_eq!(value["results"][2]["verdict"], "not served");
        assert!(value["results"][2].get("measured").is_none());
        assert_eq!(value["not_measured"][0], "three is not installed");
    }

    #[test]
    fn a_table_is_put_between_the_markers_and_nowhere_else() {
        let document = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = insert(&document, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n{END}\nb\n"));
        assert_eq!(insert(&new, "new\n").unwrap(), new);
        assert!(insert("no markers", "new").is_err());
    }
}
