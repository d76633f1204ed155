//! What a daemon is allowed to do worse than well.
//!
//! A file with a line for each exception: fault, transport or `*`, and what is allowed, as in
//! `kill-9 tcp lost<=5000 corrupt<=2`. All else is to be kept, or quiet.

use crate::cases::Fault;
use crate::transport::Transport;
use crate::verdict::{Finding, Word};

#[derive(Debug, Default)]
pub struct Expectations(Vec<Exception>);

#[derive(Debug)]
struct Exception {
    fault: Fault,
    /// All, if none.
    transport: Option<Transport>,
    allowed: Vec<Allowance>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Allowance {
    Lost(u64),
    /// Any loss that the daemon itself accounts for.
    Reported,
    Corrupt(u64),
    Duplicated(u64),
    Wakes(f64),
}

impl Allowance {
    fn parse(text: &str) -> Option<Self> {
        if text == "reported" {
            return Some(Self::Reported);
        }
        let (what, limit) = text.split_once("<=")?;
        match what {
            "lost" => limit.parse().ok().map(Self::Lost),
            "corrupt" => limit.parse().ok().map(Self::Corrupt),
            "duplicated" => limit.parse().ok().map(Self::Duplicated),
            "wakes" => limit.parse().ok().map(Self::Wakes),
            _ => None,
        }
    }

    fn covers(self, word: Word) -> bool {
        match (self, word) {
            (Self::Lost(limit), Word::Lost { records, .. }) => records <= limit,
            (Self::Reported, Word::Lost { reported, .. }) => reported,
            (Self::Corrupt(limit), Word::Corrupt(lines)) => lines <= limit,
            (Self::Duplicated(limit), Word::Duplicated(records)) => records <= limit,
            (Self::Wakes(limit), Word::Wakes(rate)) => rate <= limit,
            _ => false,
        }
    }
}

impl Expectations {
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default());
        let exceptions = lines
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(i, line)| exception(line).map_err(|e| format!("line {}: {e}", i + 1)));
        exceptions.collect::<Result<_, String>>().map(Self)
    }

    /// Whether this is no worse than allowed.
    pub fn allow(&self, fault: Fault, transport: Transport, finding: &Finding) -> bool {
        let allowed = self.0.iter().filter(|exception| {
            exception.fault == fault && exception.transport.is_none_or(|it| it == transport)
        });
        let allowed: Vec<Allowance> = allowed.flat_map(|it| it.allowed.clone()).collect();
        finding.words().into_iter().all(|word| {
            matches!(word, Word::Kept | Word::Quiet) || allowed.iter().any(|it| it.covers(word))
        })
    }
}

fn exception(line: &str) -> Result<Exception, String> {
    let mut words = line.split_whitespace();
    let fault = words.next().ok_or("names no fault")?.parse()?;
    let transport = match words.next().ok_or("names no transport: give one, or *")? {
        "*" => None,
        name => Some(name.parse()?),
    };
    let allowed: Vec<Allowance> = words
        .map(|word| {
            Allowance::parse(word).ok_or_else(|| {
                format!(
                    "'{word}' is none of lost<=N, reported, corrupt<=N, duplicated<=N, wakes<=N"
                )
            })
        })
        .collect::<Result<_, String>>()?;
    if allowed.is_empty() {
        return Err("allows nothing: say what, as in lost<=10".to_owned());
    }
    Ok(Exception {
        fault,
        transport,
        allowed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(records: u64) -> Finding {
        Finding {
            sent: 100,
            lost: records,
            ..Finding::default()
        }
    }

    #[test]
    fn what_is_not_excepted_is_to_be_kept() {
        let none = Expectations::default();
        let allow = |finding| none.allow(Fault::Sigterm, Transport::Tcp, &finding);
        assert!(allow(lost(0)));
        assert!(!allow(lost(1)));
        assert!(!allow(Finding {
            hangs: Some("yes".to_owned()),
            ..lost(0)
        }));
    }

    #[test]
    fn an_exception_holds_for_its_fault_transport_and_limit() {
        let text = "# comment\n\nsigterm tcp lost<=10 # here, too\nkill-9 * lost<=20 corrupt<=1\n";
        let these = Expectations::parse(text).unwrap();
        assert!(these.allow(Fault::Sigterm, Transport::Tcp, &lost(10)));
        assert!(!these.allow(Fault::Sigterm, Transport::Tcp, &lost(11)));
        assert!(!these.allow(Fault::Sigterm, Transport::Fifo, &lost(1)));
        let torn = Finding {
            corrupt: 1,
            ..lost(20)
        };
        assert!(these.allow(Fault::Kill, Transport::Fifo, &torn));
        assert!(!these.allow(Fault::Sigterm, Transport::Tcp, &torn));
    }

    #[test]
    fn a_reported_loss_may_be_of_any_size() {
        let these = Expectations::parse("udp-balance udp reported").unwrap();
        let mut finding = lost(50);
        assert!(!these.allow(Fault::UdpBalance, Transport::Udp, &finding));
        finding.reported = Some(50);
        assert!(these.allow(Fault::UdpBalance, Transport::Udp, &finding));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, advice) in [
            ("\nflood tcp lost<=1", "line 2: 'flood'"),
            ("sigterm", "transport"),
            ("sigterm pipe lost<=1", "fifo"),
            ("sigterm tcp", "allows nothing"),
            ("sigterm tcp lost<1", "lost<=N"),
            ("sigterm tcp lost<=many", "lost<=N"),
        ] {
            let error = Expectations::parse(text).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
