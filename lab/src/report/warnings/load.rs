//! Loads that the machine, or one of its settings, did not bear.

use super::{Warning, some, warn, where_it_holds};
use crate::report::point::Rate;
use crate::report::summary::Part;
use crate::report::value::with_decimals;
use crate::trial::{Setting, Tracing, Trial};
use log_aggregator::transports::Transport;

/// Share of all processors' time above which they are full.
const FULL: f64 = 0.9;

/// Share of the planned records a second below which the plan was not kept.
const KEPT: f64 = 0.95;

/// Queue of Unix datagrams below which it decides everything.
const SHORT_QUEUE: u32 = 64;

/// What Linux takes unless told otherwise (CONFIG_DEFAULT_TCP_CONG).
const USUAL_CONGESTION_CONTROL: &str = "cubic";

#[allow(clippy::cast_precision_loss)] // nanoseconds of a trial are far below 2^52
fn busy(part: &Part, trial: &Trial) -> f64 {
    let all = trial.seconds * f64::from(part.results.environment.cpus) * 1e9;
    if all > 0.0 {
        trial.machine_cpu_ns as f64 / all
    } else {
        0.0
    }
}

pub fn saturation(part: &Part, warnings: &mut Vec<Warning>) {
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
pub fn plan_not_kept(part: &Part, warnings: &mut Vec<Warning>) {
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

/// Which bytes share a segment is up to the congestion control, and flat out that is most of what TCP costs.
pub fn congestion(part: &Part, warnings: &mut Vec<Warning>) {
    let sysctls = &part.results.environment.sysctls;
    let Some(name) = sysctls.get("net.ipv4.tcp_congestion_control") else {
        return;
    };
    let concerned = where_it_holds(part, |trial| {
        let flat = Rate::of(trial.setting.rate) == Rate::FlatOut;
        (flat && trial.setting.transport == Transport::Tcp).then(String::new)
    });
    if name.trim() != USUAL_CONGESTION_CONTROL && !concerned.is_empty() {
        let text = format!(
            "net.ipv4.tcp_congestion_control is {}, most machines have {USUAL_CONGESTION_CONTROL}: flat out, TCP may \
             be dear with one and cheap with the other",
            name.trim()
        );
        warn(warnings, "an unusual TCP", text);
    }
}

pub fn short_queue(part: &Part, warnings: &mut Vec<Warning>) {
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
