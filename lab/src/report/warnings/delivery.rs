//! Records that should not be missing, or should be missing by all accounts.

use super::{Warning, some, warn, where_it_holds};
use crate::report::summary::Part;
use crate::trial::Trial;
use log_aggregator::transports::Transport;

pub fn broken_promises(part: &Part, warnings: &mut Vec<Warning>) {
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

pub fn disagreement(part: &Part, warnings: &mut Vec<Warning>) {
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
