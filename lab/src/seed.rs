//! The original's workload, its tables side by side with ours.

use crate::cli;
use log_aggregator::error::{Error, Exit};

pub fn run(_: &cli::Seed) -> Result<Exit, Error> {
    Ok(Exit::Success)
}
