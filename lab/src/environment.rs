//! Where numbers were made: what a reader has to know to distrust them.

use crate::programs::{Programs, workspace};
use log_aggregator::sys::unix_seconds;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

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

/// What changes the results; those that a machine does not have are left out.
const SYSCTLS: [&str; 12] = [
    "fs.pipe-max-size",
    "kernel.sched_autogroup_enabled",
    "kernel.sched_rt_runtime_us",
    "net.core.rmem_default",
    "net.core.rmem_max",
    "net.core.wmem_default",
    "net.core.wmem_max",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.unix.max_dgram_qlen",
];

const CPU: &str = "/sys/devices/system/cpu";

impl Environment {
    /// This machine, now.
    pub fn here(programs: &Programs, missing: Vec<String>) -> Self {
        Self {
            command: std::env::args().collect::<Vec<_>>().join(" "),
            started: unix_seconds(),
            git_revision: git_revision().unwrap_or_default(),
            kernel: kernel(),
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cpus: std::thread::available_parallelism()
                .map_or(0, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
            governor: line(&format!("{CPU}/cpu0/cpufreq/scaling_governor")),
            mitigations: mitigations(&Path::new(CPU).join("vulnerabilities")),
            clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            sysctls: sysctls(),
            versions: versions(programs),
            load_average: load_average(&line("/proc/loadavg")),
            missing,
        }
    }
}

/// The first line of a file; empty if there is none.
fn line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn kernel() -> String {
    let [name, release] = ["ostype", "osrelease"].map(|it| line(&format!("/proc/sys/kernel/{it}")));
    format!("{name} {release}")
}

/// x86 says "model name"; elsewhere there may be nothing but the architecture.
fn cpu(cpuinfo: &str) -> String {
    let name = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = name.map(|rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

fn mitigations(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let read = entries.map(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (name, line(&entry.path().to_string_lossy()))
    });
    read.collect()
}

fn sysctls() -> BTreeMap<String, String> {
    let read = SYSCTLS.iter().filter_map(|name| {
        let value = line(&format!("/proc/sys/{}", name.replace('.', "/")));
        (!value.is_empty()).then(|| ((*name).to_owned(), value.replace('\t', " ")))
    });
    read.collect()
}

fn versions(programs: &Programs) -> BTreeMap<String, String> {
    let said = |mut command: Command, option: &str| {
        let output = command.arg(option).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map(str::to_owned)
    };
    let ours = ["aggregator", "producer"]
        .map(|name| (name, Command::new(programs.path(name)), "--version"));
    let tracers = [("bpftrace", "--version"), ("strace", "-V")];
    let tracers = tracers.map(|(name, option)| (name, Command::new(name), option));
    let all = ours.into_iter().chain(tracers);
    all.filter_map(|(name, command, option)| Some((name.to_owned(), said(command, option)?)))
        .collect()
}

fn load_average(line: &str) -> f64 {
    let first = line.split_whitespace().next();
    first.and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

/// The revision of the checkout that we were built in.
fn git_revision() -> Option<String> {
    let workspace = workspace()?;
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        // Under sudo the checkout is another user's, which git would not look at.
        command
            .args(["-c", "safe.directory=*", "-C"])
            .arg(workspace)
            .args(words);
        let output = command
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let revision = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() {
        revision
    } else {
        revision + "-dirty"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_has_a_name() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nflags\t: fpu\n";
        assert_eq!(cpu(cpuinfo), "AMD EPYC 7B13");
        assert_eq!(cpu("processor\t: 0\n"), std::env::consts::ARCH);
    }

    #[test]
    fn this_machine_says_what_it_is() {
        assert!(kernel().starts_with("Linux "), "{}", kernel());
        assert!(sysctls().contains_key("net.core.rmem_default"));
        assert!(load_average("0.52 0.58 0.59 1/467 12345") > 0.5);
    }
}
