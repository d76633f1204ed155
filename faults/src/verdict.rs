//! From what was measured to a verdict.

use crate::load::Report;
use crate::tally::Tally;
use serde_json::{Value, json};
use std::fmt;

/// What was measured for one daemon, fault and transport.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Finding {
    /// Records that the senders got rid of.
    pub sent: u64,
    /// Records that stand in the output.
    pub written: u64,
    /// Sent, and not in the output.
    pub lost: u64,
    pub duplicates: u64,
    /// Lines with parts of records, but not just one whole record.
    pub corrupt: u64,
    /// What the daemon itself says was dropped, if it says.
    pub reported: Option<u64>,
    /// Why it does not start, or not serve.
    pub refuses: Option<String>,
    /// What it did not do in time.
    pub hangs: Option<String>,
    /// How much more than was sent it writes.
    pub floods: Option<String>,
    /// Records that another got instead.
    pub robbed: u64,
    /// The share of a processor used while there was nothing to do.
    pub spins: Option<f64>,
    /// Times that it woke up while there was nothing to do, a second.
    pub wakes: Option<f64>,
    /// Seconds for which the slowest record of a slow sender was passed by others.
    pub starves: Option<f64>,
    /// One line, in the order in which it was noted.
    pub evidence: Vec<String>,
}

/// Above this share of a processor a daemon with nothing to do spins.
const SPIN: f64 = 0.5;

/// Above this many seconds a slow sender starves.
const STARVE: f64 = 1.0;

/// One word of a verdict. The order is that of gravity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Word {
    Hangs,
    Floods,
    Refuses,
    Robbed(u64),
    Spins,
    Corrupt(u64),
    Lost {
        records: u64,
        of: u64,
        reported: bool,
    },
    Duplicated(u64),
    Starves,
    Wakes(f64),
    Kept,
    Quiet,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Hangs => f.write_str("hangs"),
            Self::Floods => f.write_str("floods"),
            Self::Refuses => f.write_str("refuses"),
            Self::Robbed(records) => write!(f, "robbed of {}", grouped(records)),
            Self::Spins => f.write_str("spins"),
            Self::Corrupt(lines) => write!(f, "corrupt {}", grouped(lines)),
            Self::Lost {
                records,
                of,
                reported,
            } => {
                let (records, of) = (grouped(records), grouped(of));
                let reported = if reported { ", all reported" } else { "" };
                write!(f, "lost {records} of {of}{reported}")
            }
            Self::Duplicated(records) => write!(f, "duplicated {}", grouped(records)),
            Self::Starves => f.write_str("starves"),
            Self::Wakes(rate) => write!(f, "wakes {rate:.1}/s"),
            Self::Kept => f.write_str("kept"),
            Self::Quiet => f.write_str("quiet"),
        }
    }
}

/// A number with commas, as in 20,000.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Finding {
    pub fn of(report: &Report, tally: &Tally) -> Self {
        let mut finding = Self {
            sent: report.sent.iter().sum(),
            written: tally.records(),
            lost: tally.lost(&report.sent),
            duplicates: tally.duplicates(),
            corrupt: tally.corrupt,
            ..Self::default()
        };
        if report.stuck > 0 {
            let stuck = report.stuck;
            finding.hangs = Some(format!("{stuck} senders could not send all they had"));
        }
        for (count, what) in [
            (report.resent, "sent again after a failed send"),
            (report.cut, "of those half taken"),
            (report.told, "refused, which the sender was told"),
            (tally.marked, "fragments that the daemon marks"),
        ] {
            if count > 0 {
                finding.note(format!("{} {what}", grouped(count)));
            }
        }
        finding
    }

    pub fn note(&mut self, evidence: impl Into<String>) {
        self.evidence.push(evidence.into());
    }

    /// Notes the load while there was nothing to do.
    pub fn note_load(&mut self, share: f64, when: &str) {
        self.note(format!("{:.0} % of a processor {when}", share * 100.0));
        if share > SPIN {
            self.spins = Some(share);
        }
    }

    pub fn words(&self) -> Vec<Word> {
        let found = [
            self.hangs.is_some().then_some(Word::Hangs),
            self.floods.is_some().then_some(Word::Floods),
            self.refuses.is_some().then_some(Word::Refuses),
            (self.robbed > 0).then_some(Word::Robbed(self.robbed)),
            self.spins.map(|_| Word::Spins),
            (self.corrupt > 0).then_some(Word::Corrupt(self.corrupt)),
            (self.lost > 0).then_some(Word::Lost {
                records: self.lost,
                of: self.sent,
                reported: self.all_reported(),
            }),
            (self.duplicates > 0).then_some(Word::Duplicated(self.duplicates)),
            self.starves.filter(|&s| s > STARVE).map(|_| Word::Starves),
            self.wakes.filter(|&rate| rate > 0.0).map(Word::Wakes),
        ];
        let mut words: Vec<Word> = found.into_iter().flatten().collect();
        if words.is_empty() {
            let asked_for_quiet = self.wakes.is_some();
            words.push(if asked_for_quiet {
                Word::Quiet
            } else {
                Word::Kept
            });
        }
        words
    }

    /// Whether the daemon's own count accounts for what is missing.
    fn all_reported(&self) -> bool {
        self.lost > 0 && self.reported == Some(self.lost)
    }

    pub fn verdict(&self) -> String {
        let words: Vec<String> = self.words().iter().map(Word::to_string).collect();
        words.join(", ")
    }

    /// Everything, in one line.
    pub fn evidence(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.hangs.clone());
        parts.extend(self.floods.clone());
        parts.extend(self.refuses.clone());
        if self.sent > 0 {
            let (sent, written) = (grouped(self.sent), grouped(self.written));
            parts.push(format!("sent {sent}, written {written}"));
        }
        if let Some(reported) = self.reported {
            parts.push(format!("reported as dropped {}", grouped(reported)));
        }
        parts.extend(self.evidence.iter().cloned());
        parts.join("; ")
    }

    pub fn to_json(&self) -> Value {
        json!({
            "verdict": self.verdict(),
            "evidence": self.evidence(),
            "sent": self.sent,
            "written": self.written,
            "lost": self.lost,
            "duplicates": self.duplicates,
            "corrupt": self.corrupt,
            "reported": self.reported,
            "robbed": self.robbed,
            "spins": self.spins,
            "wakes_per_second": self.wakes,
            "passed_by_seconds": self.starves,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Id, Marker};
    use crate::tally::Marks;

    #[test]
    fn gaps_in_the_sequence_become_lost_n_of_m() {
        let marker = Marker::fresh();
        let mut output = Vec::new();
        for sequence in [0, 1, 3, 3] {
            output.extend(marker.record(Id {
                sender: 1,
                sequence,
            }));
            output.push(b'\n');
        }
        let mut tally = Tally::default();
        tally.count(&output, &marker, &Marks::default(), None);
        let report = Report {
            sent: vec![0, 5],
            ..Report::default()
        };
        let finding = Finding::of(&report, &tally);
        assert_eq!(finding.verdict(), "lost 2 of 5, duplicated 1");
        assert_eq!(finding.evidence(), "sent 5, written 3");
    }

    #[test]
    fn nothing_bad_is_kept_and_no_wake_up_is_quiet() {
        assert_eq!(Finding::default().verdict(), "kept");
        let mut finding = Finding {
            wakes: Some(0.0),
            ..Finding::default()
        };
        assert_eq!(finding.verdict(), "quiet");
        finding.wakes = Some(0.5);
        assert_eq!(finding.verdict(), "wakes 0.5/s");
    }

    #[test]
    fn the_worst_comes_first() {
        let finding = Finding {
            sent: 20_000,
            lost: 1_234,
            corrupt: 1,
            robbed: 7,
            spins: Some(0.9),
            starves: Some(2.0),
            hangs: Some("no".to_owned()),
            refuses: Some("no".to_owned()),
            floods: Some("yes".to_owned()),
            duplicates: 2,
            ..Finding::default()
        };
        assert_eq!(
            finding.verdict(),
            "hangs, floods, refuses, robbed of 7, spins, corrupt 1, lost 1,234 of 20,000, duplicated 2, starves"
        );
    }

    #[test]
    fn a_loss_is_reported_only_if_the_numbers_agree() {
        let mut finding = Finding {
            sent: 10,
            lost: 4,
            reported: Some(4),
            ..Finding::default()
        };
        assert_eq!(finding.verdict(), "lost 4 of 10, all reported");
        finding.reported = Some(3);
        assert_eq!(finding.verdict(), "lost 4 of 10");
        finding.reported = None;
        assert_eq!(finding.verdict(), "lost 4 of 10");
    }

    #[test]
    fn limits_are_limits() {
        let mut finding = Finding::default();
        finding.note_load(SPIN, "while idle");
        finding.starves = Some(STARVE);
        assert_eq!(finding.verdict(), "kept");
        finding.note_load(SPIN + 0.01, "while idle");
        assert_eq!(finding.verdict(), "spins");
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
