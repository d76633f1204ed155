//! One knob, turned.

use crate::cli::{self, Knob};
use crate::namespace;
use crate::plan::Plan;
use crate::programs::Programs;
use crate::session::Session;
use crate::trial::{Axis, Linger, Setting};
use log_aggregator::error::{Error, Exit};
use log_aggregator::transports::Transport;

/// The default of the kernel, one between, and what systemd sets.
const QLENS: [u32; 3] = [10, 64, 512];
/// The default of the kernel, and the most that it gives an unprivileged process.
const PIPE_BYTES: [u32; 2] = [64 << 10, 1 << 20];
const LINGERS: [Linger; 2] = [Linger::Microseconds(0), Linger::Auto];

pub fn run(options: &cli::Sweep) -> Result<Exit, Error> {
    let programs = Programs::find()?;
    if options.knob == Knob::Qlen {
        namespace::enter()?;
    }
    let session = Session {
        plan: plan(options.knob, options.repeat),
        journeys: 0,
        missing: Vec::new(),
        out: options.out.clone(),
    };
    session.perform(&programs)
}

fn plan(knob: Knob, repeat: u32) -> Plan {
    let with = |turn: fn(&mut Setting, usize), values: usize| {
        move |plain: &Setting| {
            let settings = (0..values).map(|at| {
                let mut setting = plain.clone();
                turn(&mut setting, at);
                setting
            });
            settings.collect::<Vec<_>>()
        }
    };
    match knob {
        Knob::Qlen => {
            let turn = with(|it, at| it.qlen = Some(QLENS[at]), QLENS.len());
            Plan::sweep(&[Transport::Unixgram], Axis::Qlen, repeat, turn)
        }
        Knob::Pipe => {
            let turn = with(
                |it, at| it.pipe_bytes = Some(PIPE_BYTES[at]),
                PIPE_BYTES.len(),
            );
            Plan::sweep(&[Transport::Fifo], Axis::Pipe, repeat, turn)
        }
        Knob::Nagle => {
            let turn = with(|it, at| it.nagle = at == 1, 2);
            Plan::sweep(&[Transport::Tcp], Axis::Nagle, repeat, turn)
        }
        Knob::Linger => {
            let turn = with(|it, at| it.linger = LINGERS[at], LINGERS.len());
            Plan::sweep(&Transport::ALL, Axis::Linger, repeat, turn)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_turns_one_knob_and_nothing_else() {
        for (knob, values, transports) in [
            (Knob::Qlen, 3, 1),
            (Knob::Pipe, 2, 1),
            (Knob::Nagle, 2, 1),
            (Knob::Linger, 2, 5),
        ] {
            let trials = plan(knob, 3).trials;
            assert_eq!(trials.len(), 3 * 2 * values * transports, "{knob:?}");
            for pair in trials.chunks(values) {
                let [first, second] = [&pair[0].setting, &pair[1].setting];
                assert_ne!(first, second);
                let same = Setting {
                    qlen: first.qlen,
                    pipe_bytes: first.pipe_bytes,
                    nagle: first.nagle,
                    linger: first.linger,
                    ..second.clone()
                };
                assert_eq!(&same, first);
            }
        }
    }
}
