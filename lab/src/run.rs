//! The study, whole and short.

use crate::cli::{self, TraceChoice};
use crate::plan::Plan;
use crate::programs::Programs;
use crate::session::Session;
use crate::trace;
use log_aggregator::error::{Error, Exit};

/// How many records are followed over each mechanism.
const JOURNEYS: u32 = 40;
const JOURNEYS_QUICK: u32 = 12;

pub fn run(options: &cli::Run) -> Result<Exit, Error> {
    let programs = Programs::find()?;
    let (tracing, missing) = trace::choose(options.trace)?;
    let session = Session {
        plan: Plan::run(options, tracing),
        journeys: if options.trace == TraceChoice::Off {
            0
        } else {
            JOURNEYS
        },
        missing,
        out: options.out.clone(),
    };
    session.perform(&programs)
}

pub fn quick(options: &cli::Quick) -> Result<Exit, Error> {
    let programs = Programs::find()?;
    let (tracing, missing) = trace::choose(TraceChoice::Auto)?;
    let session = Session {
        plan: Plan::quick(options.reverse, tracing),
        journeys: JOURNEYS_QUICK,
        missing,
        out: options.out.clone(),
    };
    session.perform(&programs)
}
