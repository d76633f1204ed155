//! What a folder of results says.

use crate::cli;
use log_aggregator::error::{Error, Exit};

pub fn run(_: &cli::Report) -> Result<Exit, Error> {
    Ok(Exit::Success)
}
