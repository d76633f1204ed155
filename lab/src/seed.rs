//! The original's workload, its tables side by side with ours.

use crate::cli;
use crate::plan::Plan;
use crate::programs::Programs;
use crate::session::Session;
use crate::trace;
use log_aggregator::error::{Error, Exit};

pub fn run(options: &cli::Seed) -> Result<Exit, Error> {
    let programs = Programs::find()?;
    let (tracing, missing) = trace::choose(options.trace)?;
    let session = Session {
        plan: Plan::seed(tracing),
        journeys: 0,
        missing,
        out: options.out.clone(),
    };
    session.perform(&programs)
}
