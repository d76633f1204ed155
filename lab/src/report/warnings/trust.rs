//! How far the numbers can be trusted: noise, the tracer, the machine.

use super::{Warning, some, warn};
use crate::report::point::{Rate, Work};
use crate::report::summary::{Key, Part};
use crate::report::value::{Value, number, with_decimals};
use crate::trial::Tracing;

/// Spread of repetitions, as a share of the median, above which they are noisy.
const NOISY: f64 = 0.25;

/// Times the processor time of untraced trials above which tracing has changed what it counts.
const INTRUSIVE: f64 = 2.0;

pub fn noise(part: &Part, warnings: &mut Vec<Warning>) {
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
        let say = |(spread, key): &(f64, &Key)| {
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
    match timed.map(|(_, value)| value.each.len()).max() {
        Some(1) => {
            let text = "one repetition has no spread, and nothing can be told apart; repeat it (lab run --repeat 3)";
            warn(warnings, "not repeated", text.to_owned());
        }
        Some(2) => {
            // All of one below all of the other: 2 of the 6 orders that two and two can have.
            let text = "with two of each, one pair of three that do not differ is told apart by chance; repeat more \
                        (lab run --repeat 5)";
            warn(warnings, "few repetitions", text.to_owned());
        }
        _ => {}
    }
}

pub fn intrusion(part: &Part, warnings: &mut Vec<Warning>) {
    let slowed = part
        .values
        .iter()
        .filter(|(key, value)| key.measure == "tracing_cpu" && value.value > INTRUSIVE);
    let say = |(key, value): (&Key, &Value)| {
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

pub fn machine(part: &Part, warnings: &mut Vec<Warning>) {
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
