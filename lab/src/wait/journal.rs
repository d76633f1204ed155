//! Every single run, for other programs: a line of JSON for the machine, then one for each cell.

use super::cell::Cell;
use super::figures::Pair;
use crate::environment::Environment;
use log_aggregator::error::Error;
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file, if one was asked for.
#[derive(Debug)]
pub struct Journal(Option<(PathBuf, File)>);

impl Journal {
    /// Begins it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: Option<&Path>, environment: &Environment) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self(None));
        };
        let file = File::create(path).map_err(|e| Error::new("create", path.display(), e))?;
        let mut journal = Self(Some((path.to_owned(), file)));
        journal.write(&json!({ "environment": environment }))?;
        Ok(journal)
    }

    /// A cell that was not run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn skipped(&mut self, cell: &Cell, why: &str) -> Result<(), Error> {
        self.write(&json!({ "cell": cell.to_string(), "skipped": why }))
    }

    /// A cell, and its runs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn made(&mut self, cell: &Cell, pairs: &[Pair]) -> Result<(), Error> {
        self.write(&json!({ "cell": cell.to_string(), "pairs": pairs }))
    }

    fn write(&mut self, value: &Value) -> Result<(), Error> {
        let Some((path, file)) = &mut self.0 else {
            return Ok(());
        };
        writeln!(file, "{value}").map_err(|e| Error::new("write", path.display(), e))
    }
}
