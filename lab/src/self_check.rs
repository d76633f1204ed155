//! Whether all witnesses agree.

use crate::cli;
use log_aggregator::error::{Error, Exit};

pub fn run(_: &cli::SelfCheck) -> Result<Exit, Error> {
    Ok(Exit::Success)
}
