//! A folder of results: written trial by trial, read whole.

use crate::environment::Environment;
use crate::journey::Journey;
use crate::trial::Trial;
use log_aggregator::error::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file that makes a folder one of results.
pub const ENVIRONMENT: &str = "environment.json";
const TRIALS: &str = "trials.jsonl";
const JOURNEYS: &str = "journeys.jsonl";

/// Where a run writes what it finds.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
}

impl Writer {
    /// Begins a folder of results.
    ///
    /// # Errors
    /// When it holds results already, or cannot be made.
    pub fn create(folder: &Path, environment: &Environment) -> Result<Self, Error> {
        if folder.join(TRIALS).exists() {
            let taken = Error::usage(folder.display(), "it holds the results of another run");
            return Err(taken.advise("name another folder with --out"));
        }
        fs::create_dir_all(folder).map_err(|e| Error::new("create", folder.display(), e))?;
        let path = folder.join(ENVIRONMENT);
        let text =
            serde_json::to_string_pretty(environment).expect("it is made of text and numbers");
        fs::write(&path, text + "\n").map_err(|e| Error::new("write", path.display(), e))?;
        Ok(Self {
            folder: folder.into(),
        })
    }

    /// Begins a folder of results, or goes on with one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: &Path, environment: &Environment) -> Result<Self, Error> {
        if folder.join(ENVIRONMENT).exists() {
            return Ok(Self {
                folder: folder.into(),
            });
        }
        Self::create(folder, environment)
    }

    /// Adds a trial, before the next one starts.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn trial(&self, trial: &Trial) -> Result<(), Error> {
        self.append(TRIALS, trial)
    }

    /// Whether there is one.
    pub fn has_trials(&self) -> bool {
        self.folder.join(TRIALS).exists()
    }

    /// Adds a journey.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn journey(&self, journey: &Journey) -> Result<(), Error> {
        self.append(JOURNEYS, journey)
    }

    fn append(&self, name: &str, line: &impl Serialize) -> Result<(), Error> {
        let path = self.folder.join(name);
        let text = serde_json::to_string(line).expect("it is made of text and numbers") + "\n";
        let append = || {
            File::options()
                .create(true)
                .append(true)
                .open(&path)?
                .write_all(text.as_bytes())
        };
        append().map_err(|e| Error::new("write", path.display(), e))
    }
}

/// All that a folder of results holds.
#[derive(Debug)]
pub struct Results {
    /// Where it was made.
    pub environment: Environment,
    /// In the order in which they were made.
    pub trials: Vec<Trial>,
    /// In the order in which they were made.
    pub journeys: Vec<Journey>,
}

impl Results {
    /// Reads a folder.
    ///
    /// # Errors
    /// When a file is missing or is not what it should be. There may be no journeys.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(ENVIRONMENT);
        let text = fs::read_to_string(&path).map_err(|e| {
            Error::new("read", path.display(), e)
                .advise("name a folder that a run of lab has written")
        })?;
        let environment =
            serde_json::from_str(&text).map_err(|e| Error::new("read", path.display(), e))?;
        Ok(Self {
            environment,
            trials: lines(&folder.join(TRIALS))?,
            journeys: lines(&folder.join(JOURNEYS))?,
        })
    }
}

/// The lines of a file; none if there is no such file. (A run of journeys alone makes no trials.)
fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))?;
    let parse = |(number, line): (usize, &str)| {
        let place = format!("{}:{}", path.display(), number + 1);
        serde_json::from_str(line).map_err(|e| Error::new("read", place, e))
    };
    text.lines().enumerate().map(parse).collect()
}
