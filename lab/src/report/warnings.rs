//! What a reader should know before believing the numbers, and what to do about it.

use super::Point;
use super::point::{Rate, Work};
use super::summary::{Part, Summary};
use super::value::{number, with_decimals};
use crate::trial::{Setting, Tracing, Trial};
use log_aggregator::transports::Transport;
use std::collections::BTreeMap;
use std::fmt;

/// Spread of repetitions, as a share of the median, above which they are noisy.
const NOISY: f64 = 0.25;
/// Share of all processors' time above which they are full.
const FULL: f64 = 0.9;
/// Share of the planned records a second below which the plan was not kept.
const KEPT: f64 = 0.95;
/// Queue of Unix datagrams below which it decides everything.
const SHORT_QUEUE: u32 = 64;
/// Times the processor time of untraced trials above which tracing has changed what it counts.
const INTRUSIVE: f64 = 2.0;

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
    let more = places.len().saturating_sub(4);
    places.truncate(4);
    match more {
        0 => places.join(", "),
        more => format!("{} and {more} more", places.join(", ")),
    }
}

fn broken_promises(part: &Part, warnings: &mut Vec<Warning>) {
    let reliable = |trial: &Trial| trial.setting.transport != Transport::Udp;
    let lost = where_it_holds(part, |trial| {
        let lost = trial
            .delivery
            .missing
            .max(trial.delivery.sent.saturating_sub(trial.delivery.written));
        (reliable(trial) && lost > 0).then(|| format!(" lost {lost}"))
    });
    if !lost.is_empty() {
        warn(
            warnings,
            "loss on a reliable transport",
            format!(
                "{}; this is a fault of the daemon or of this lab: report it",
                some(lost)
            ),
        );
    }
    let twice = where_it_holds(part, |trial| {
        (trial.delivery.duplicates > 0).then(String::new)
    });
    if !twice.is_empty() {
        warn(
            warnings,
            "records came twice",
            format!("{}; no mechanism may do that: report it", some(twice)),
        );
    }
    let disordered = where_it_holds(part, |trial| {
        (trial.delivery.reordered > 0).then(String::new)
    });
    if !disordered.is_empty() {
        warn(
            warnings,
            "records out of order",
            format!(
                "{}; only UDP may do that, and over loopback does not",
                some(disordered)
            ),
        );
    }
}

fn disagreement(part: &Part, warnings: &mut Vec<Warning>) {
    let differ = where_it_holds(part, |trial| {
        let found = &trial.delivery;
        let agree = found.missing == found.socket_drops && found.missing == found.kernel_drops;
        (trial.setting.transport == Transport::Udp && !agree).then(|| {
            format!(
                " {} missing, {} by the socket, {} by the kernel",
                found.missing, found.socket_drops, found.kernel_drops
            )
        })
    });
    if !differ.is_empty() {
        warn(
            warnings,
            "witnesses of loss disagree",
            format!(
                "{}; does something else use UDP on this machine?",
                some(differ)
            ),
        );
    }
}

#[allow(clippy::cast_precision_loss)] // nanoseconds of a trial are far below 2^52
fn busy(part: &Part, trial: &Trial) -> f64 {
    let all = trial.seconds * f64::from(part.results.environment.cpus) * 1e9;
    if all > 0.0 {
        trial.machine_cpu_ns as f64 / all
    } else {
        0.0
    }
}

fn saturation(part: &Part, warnings: &mut Vec<Warning>) {
    let full = |trial: &Trial| busy(part, trial) > FULL && trial.setting.tracing == Tracing::Off;
    let flat = |setting: &Setting| Rate::of(setting.rate) == Rate::FlatOut;
    let mut text = |places: Vec<String>, advice: &str| {
        if !places.is_empty() {
            warn(
                warnings,
                "producers saturated the CPUs",
                format!("{}; {advice}", some(places)),
            );
        }
    };
    let paced = where_it_holds(part, |t| (full(t) && !flat(&t.setting)).then(String::new));
    text(
        paced,
        "their latencies are those of waiting for a processor: use fewer producers or a lower rate",
    );
    let flat_out = where_it_holds(part, |t| (full(t) && flat(&t.setting)).then(String::new));
    text(
        flat_out,
        "flat out, records/s is what the processors bear, not what the mechanism does: compare CPU a record",
    );
}

#[allow(clippy::cast_precision_loss)] // counts of a trial are far below 2^52
fn plan_not_kept(part: &Part, warnings: &mut Vec<Warning>) {
    let late = where_it_holds(part, |trial| {
        let setting = &trial.setting;
        let planned = setting.records.saturating_sub(1) as f64 / f64::from(setting.rate.max(1));
        let behind =
            setting.rate > 0 && setting.tracing == Tracing::Off && planned < trial.seconds * KEPT;
        // A short trial is mostly its own start.
        (behind && trial.seconds > 1.0).then(|| {
            format!(
                " took {} s for {} s",
                with_decimals(trial.seconds, 2),
                with_decimals(planned, 2)
            )
        })
    });
    if !late.is_empty() {
        warn(
            warnings,
            "rate not reached",
            format!(
                "{}; what is said of that rate holds for a lower one",
                some(late)
            ),
        );
    }
}

fn short_queue(part: &Part, warnings: &mut Vec<Warning>) {
    let sysctls = &part.results.environment.sysctls;
    let qlen = sysctls
        .get("net.unix.max_dgram_qlen")
        .and_then(|text| text.trim().parse::<u32>().ok());
    let limited = where_it_holds(part, |trial| {
        let setting = &trial.setting;
        (setting.transport == Transport::Unixgram && setting.qlen.is_none()).then(String::new)
    });
    if let Some(qlen) = qlen.filter(|qlen| *qlen < SHORT_QUEUE && !limited.is_empty()) {
        let name = if qlen == 10 {
            "qlen 10 limits unixgram"
        } else {
            "a short qlen limits unixgram"
        };
        let text = format!(
            "net.unix.max_dgram_qlen is {qlen}, so senders wait after {} datagrams; machines with systemd have 512: \
             see lab sweep qlen",
            qlen + 1
        );
        warn(warnings, name, text);
    }
}

fn noise(part: &Part, warnings: &mut Vec<Warning>) {
    for (measure, words) in [
        ("program_cpu", "CPU a record"),
        ("due_p50", "median latency"),
        ("throughput", "records/s"),
    ] {
        let noisy = part.values.iter().filter(|(key, value)| {
            let paced = key.point.rate != Rate::FlatOut || key.point.work != Work::Load;
            let planned = measure == "throughput" && paced;
            key.measure == measure && !planned && value.spread() > NOISY
        });
        let mut noisy: Vec<_> = noisy.map(|(key, value)| (value.spread(), key)).collect();
        noisy.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let say = |(spread, key): &(f64, &super::summary::Key)| {
            format!(
                "{}/{} by {} %",
                key.transport.name(),
                key.point,
                with_decimals(spread * 100.0, 0)
            )
        };
        let places: Vec<String> = noisy.iter().map(say).collect();
        if !places.is_empty() {
            let text = format!(
                "{words} differs between repetitions: {}; close other programs, and repeat more (--repeat)",
                some(places)
            );
            warn(warnings, "noisy repetitions", text);
        }
    }
    let timed = part
        .values
        .iter()
        .filter(|(key, _)| key.measure == "program_cpu" && key.point.work == Work::Load);
    let mut repetitions = timed.map(|(_, value)| value.each.len()).peekable();
    if repetitions.peek().is_some() && repetitions.all(|times| times == 1) {
        let text = "one repetition has no spread, and nothing can be told apart; repeat it (lab run --repeat 3)";
        warn(warnings, "not repeated", text.to_owned());
    }
}

fn intrusion(part: &Part, warnings: &mut Vec<Warning>) {
    let slowed = part
        .values
        .iter()
        .filter(|(key, value)| key.measure == "tracing_cpu" && value.value > INTRUSIVE);
    let say = |(key, value): (&super::summary::Key, &super::value::Value)| {
        format!(
            "{}/{} {} times",
            key.transport.name(),
            key.point,
            number(value.value)
        )
    };
    let places: Vec<String> = slowed.map(say).collect();
    if !places.is_empty() {
        let text = format!(
            "processor time grew under it: {}; its counts of waits and reads may be off, times are not from it",
            some(places)
        );
        warn(warnings, "tracing intruded", text);
    }
    let by = |tracer| {
        part.results
            .trials
            .iter()
            .any(|trial| trial.setting.tracing == tracer)
    };
    if by(Tracing::Strace) && !by(Tracing::Bpftrace) {
        let text = "counts are by strace, which slows both sides and so changes how many records a read brings; \
                    run as root with bpftrace";
        warn(warnings, "counted by strace", text.to_owned());
    }
    if !part.results.trials.is_empty() && !by(Tracing::Strace) && !by(Tracing::Bpftrace) {
        let text = "system calls and wake-ups were not counted; install bpftrace and run as root, or install strace";
        warn(warnings, "nothing was traced", text.to_owned());
    }
}

fn machine(part: &Part, warnings: &mut Vec<Warning>) {
    let environment = &part.results.environment;
    if environment.load_average > 0.25 * f64::from(environment.cpus) {
        let text = format!(
            "the load average was {} before the first trial; measure on an idle machine",
            number(environment.load_average)
        );
        warn(warnings, "the machine was busy", text);
    }
    if !environment.governor.is_empty() && environment.governor != "performance" {
        let text = format!(
            "the frequency is governed by '{}'; set it to performance for steadier times",
            environment.governor
        );
        warn(warnings, "the frequency may change", text);
    }
    if !matches!(
        environment.clock_source.as_str(),
        "" | "tsc" | "kvm-clock" | "arch_sys_counter"
    ) {
        let text = format!(
            "the clock source is '{}', so each time stamp is a system call of its own",
            environment.clock_source
        );
        warn(warnings, "a slow clock", text);
    }
    if environment.git_revision.ends_with("-dirty") {
        let text =
            "the programs were built from sources that no revision has; commit before you publish";
        warn(warnings, "changed sources", text.to_owned());
    }
    for line in &environment.missing {
        warn(warnings, "not done here", line.clone());
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
    }

    #[test]
    fn losses_of_udp_are_no_fault_but_must_be_agreed_on() {
        let mut trials = vec![fixture::timed(fixture::centre("udp"), 1000); 2];
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
