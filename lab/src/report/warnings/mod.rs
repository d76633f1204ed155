//! What a reader should know before believing the numbers, and what to do about it.

mod delivery;
mod load;
mod trust;

use super::Point;
use super::summary::{Part, Summary};
use crate::trial::Trial;
use delivery::{broken_promises, disagreement};
use load::{congestion, plan_not_kept, saturation, short_queue};
use log_aggregator::transports::Transport;
use std::collections::BTreeMap;
use std::fmt;
use trust::{intrusion, machine, noise};

/// A line of advice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is called.
    pub name: &'static str,
    /// Where, and what to do.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// All warnings, the gravest first.
pub fn all(summary: &Summary) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for part in &summary.parts {
        let mut own = Vec::new();
        for check in [
            broken_promises,
            disagreement,
            saturation,
            plan_not_kept,
            short_queue,
            congestion,
            noise,
            intrusion,
            machine,
        ] {
            check(part, &mut own);
        }
        for warning in &mut own {
            if !part.name.is_empty() {
                warning.text = format!("{} ({})", warning.text, part.name);
            }
        }
        warnings.append(&mut own);
    }
    warnings
}

fn warn(warnings: &mut Vec<Warning>, name: &'static str, text: String) {
    warnings.push(Warning { name, text });
}

/// Transport and load of the trials that this holds for, with something to say of each; the repetitions once.
fn where_it_holds(part: &Part, mut holds: impl FnMut(&Trial) -> Option<String>) -> Vec<String> {
    let mut found: BTreeMap<(Point, Transport), String> = BTreeMap::new();
    for trial in &part.results.trials {
        if let Some(what) = holds(trial) {
            found.insert((Point::of(&trial.setting), trial.setting.transport), what);
        }
    }
    let say = |((point, transport), what): (&(Point, Transport), &String)| {
        format!("{}/{point}{what}", transport.name())
    };
    found.iter().map(say).collect()
}

/// The first few of many.
fn some(mut places: Vec<String>) -> String {
    let more = places.len().saturating_sub(5);
    places.truncate(5);
    match more {
        0 => places.join(", "),
        more => format!("{} and {more} more", places.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    fn names(trials: Vec<Trial>, change: impl FnOnce(&mut Part)) -> Vec<&'static str> {
        let mut part = Part::new(String::new(), fixture::results(trials, Vec::new()));
        change(&mut part);
        let warnings = all(&Summary::new(vec![part]));
        warnings.iter().map(|warning| warning.name).collect()
    }

    fn sound() -> Vec<Trial> {
        let mut trials = vec![fixture::timed(fixture::centre("unixgram"), 1000); 3];
        trials.push(fixture::traced(fixture::centre("unixgram"), 1000));
        trials
    }

    #[test]
    fn a_sound_run_has_no_warnings() {
        assert_eq!(names(sound(), |_| {}), Vec::<&str>::new());
    }

    #[test]
    fn each_trouble_has_its_name() {
        let with = |change: fn(&mut Trial)| {
            let mut trials = sound();
            change(&mut trials[0]);
            names(trials, |_| {})
        };
        assert_eq!(
            with(|t| t.delivery.missing = 1),
            ["loss on a reliable transport"]
        );
        assert_eq!(
            with(|t| t.delivery.written = 999),
            ["loss on a reliable transport"]
        );
        assert_eq!(with(|t| t.delivery.duplicates = 1), ["records came twice"]);
        assert_eq!(with(|t| t.delivery.reordered = 1), ["records out of order"]);
        assert_eq!(
            with(|t| t.machine_cpu_ns = 1_900_000_000),
            ["producers saturated the CPUs"]
        );
        assert_eq!(with(|t| t.daemon.cpu_ns *= 3), ["noisy repetitions"]);
        assert_eq!(with(|t| t.seconds = 1.2), ["rate not reached"]);
        let trial = fixture::timed(fixture::centre("unixgram"), 1000);
        assert_eq!(
            names(vec![trial], |_| {}),
            ["not repeated", "nothing was traced"]
        );
        assert_eq!(names(sound()[1..].to_vec(), |_| {}), ["few repetitions"]);
    }

    #[test]
    fn only_an_unusual_congestion_control_is_named_and_only_where_it_matters() {
        let under = |control: &str, rate| {
            let trials = vec![fixture::timed(fixture::at_rate("tcp", rate), 1000); 3];
            let mut found = names(trials, |part| {
                let sysctls = &mut part.results.environment.sysctls;
                sysctls.insert(
                    "net.ipv4.tcp_congestion_control".to_owned(),
                    control.to_owned(),
                );
            });
            found.retain(|name| *name == "an unusual TCP");
            found.len()
        };
        assert_eq!(under("bbr\n", 0), 1);
        assert_eq!(under("cubic\n", 0), 0);
        assert_eq!(under("bbr\n", 1000), 0);
    }

    #[test]
    fn losses_of_udp_are_no_fault_but_must_be_agreed_on() {
        let mut trials = vec![fixture::timed(fixture::centre("udp"), 1000); 3];
        trials.push(fixture::traced(fixture::centre("udp"), 1000));
        for trial in &mut trials {
            trial.delivery.written -= 50;
            trial.delivery.missing = 50;
            trial.delivery.socket_drops = 50;
            trial.delivery.kernel_drops = 50;
        }
        assert_eq!(names(trials.clone(), |_| {}), Vec::<&str>::new());
        trials[1].delivery.kernel_drops = 51;
        assert_eq!(names(trials, |_| {}), ["witnesses of loss disagree"]);
    }

    #[test]
    fn the_machine_is_looked_at() {
        let found = names(sound(), |part| {
            let environment = &mut part.results.environment;
            environment
                .sysctls
                .insert("net.unix.max_dgram_qlen".to_owned(), "10".to_owned());
            environment.load_average = 1.0;
            environment.governor = "powersave".to_owned();
            environment.clock_source = "hpet".to_owned();
            environment.git_revision = "abc-dirty".to_owned();
            environment.missing = vec!["bpftrace: apt-get install bpftrace".to_owned()];
        });
        let want = [
            "qlen 10 limits unixgram",
            "the machine was busy",
            "the frequency may change",
            "a slow clock",
            "changed sources",
            "not done here",
        ];
        assert_eq!(found, want);
    }
}
