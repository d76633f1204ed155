//! Where numbers were made: what a reader has to know to distrust them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A fingerprint of the machine and of the programs: `environment.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The command line of the run.
    pub command: String,
    /// When the run began, in seconds since 1970.
    pub started: u64,
    /// Of the source that the programs were built from, with `-dirty` if it was changed since; empty if unknown.
    pub git_revision: String,
    /// Name and release of the kernel.
    pub kernel: String,
    /// The processor's name.
    pub cpu: String,
    /// Processors that are on.
    pub cpus: u32,
    /// How their frequency is governed; empty where the machine does not say.
    pub governor: String,
    /// What the kernel does against the processor's faults (/sys/devices/system/cpu/vulnerabilities).
    pub mitigations: BTreeMap<String, String>,
    /// What CLOCK_MONOTONIC is read from.
    pub clock_source: String,
    /// Kernel settings that change the results, by their sysctl names.
    pub sysctls: BTreeMap<String, String>,
    /// Versions of aggregator, producer, bpftrace, strace, by name; those that are missing are not there.
    pub versions: BTreeMap<String, String>,
    /// The load average before the first trial.
    pub load_average: f64,
    /// Things that could not be done here, and how to get them, a line each.
    pub missing: Vec<String>,
}
