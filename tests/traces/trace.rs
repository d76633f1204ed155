//! Runs bpftrace scripts, and reads what they print.

use crate::harness::{self, Folder, has_program, wait_for};
use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Held by the test that traces.
static TRACING: Mutex<()> = Mutex::new(());

/// The tracer: `bpftrace`, or what the environment names in BPFTRACE, for another version than the installed one.
pub fn bpftrace() -> String {
    env::var("BPFTRACE").unwrap_or_else(|_| "bpftrace".into())
}

/// The right to trace, or why there is none.
pub fn tracing() -> Result<MutexGuard<'static, ()>, &'static str> {
    if !has_program(&bpftrace()) {
        return Err("bpftrace is not installed");
    }
    if fs::metadata("/sys/kernel/tracing/events/raw_syscalls").is_err() {
        return Err("tracefs is not mounted or not readable (tracing needs root)");
    }
    Ok(TRACING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A file of bpftrace/, or the folder itself.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("bpftrace")
        .join(name)
}

/// The names of all scripts.
pub fn scripts() -> Vec<String> {
    let entries = fs::read_dir(script("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "bt"))
        .collect();
    names.sort();
    assert!(names.len() >= 10, "{names:?}");
    names
}

/// A running script.
pub struct Trace {
    name: String,
    bpftrace: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Trace {
    /// Starts scripts side by side as their headers say, by their own names with these arguments or with
    /// these options of bpftrace, and returns when all are attached.
    pub fn start_all<const N: usize>(folder: &Folder, scripts: [(&str, &[&str]); N]) -> [Self; N] {
        let traces = scripts.map(|(name, args)| Self::spawn(folder, name, args));
        for trace in &traces {
            wait_for(&format!("the banner of {}", trace.name), || {
                let text = trace.text();
                text.contains("Ctrl-C to end") || trace.has_failed()
            });
            assert!(!trace.has_failed(), "{}: {}", trace.name, trace.errors());
            // Of the script: bpftrace warns of the limit on locked memory by itself.
            let errors = trace.errors();
            let warned = |line: &str| line.contains("WARNING") && !line.contains("MEMLOCK");
            assert!(!errors.lines().any(warned), "{}: {errors}", trace.name);
        }
        traces
    }

    fn spawn(folder: &Folder, name: &str, args: &[&str]) -> Self {
        let run = format!("{name} {}", args.join(" "));
        let (output, errors) = (folder.path(&run), folder.path(&format!("{run}.errors")));
        let mut command = Command::new(script(name));
        if args.first().is_some_and(|arg| arg.starts_with('-')) {
            command = Command::new(bpftrace());
            command.args(args).arg(script(name));
        } else if env::var_os("BPFTRACE").is_some() {
            command = Command::new(bpftrace());
            command.arg(script(name)).args(args);
        } else {
            command.args(args);
        }
        let bpftrace = command
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        Self {
            name: name.to_owned(),
            bpftrace,
            output,
            errors,
        }
    }

    /// What it has printed so far.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// Tells whether bpftrace has refused the script.
    fn has_failed(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.bpftrace.id()));
        status.is_ok_and(|status| status.contains("State:\tZ"))
    }

    /// Ends it and returns what it has printed.
    pub fn stop(mut self) -> Report {
        let mut signalled: Option<Instant> = None;
        wait_for("bpftrace's end", || {
            // bpftrace 0.17 forgets a signal that comes while it does not wait for one.
            if signalled.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
                harness::signal(self.bpftrace.id(), "INT");
                signalled = Some(Instant::now());
            }
            self.bpftrace.try_wait().unwrap().is_some()
        });
        let status = self.bpftrace.wait().unwrap();
        assert!(status.success(), "{}: {}", self.name, self.errors());
        Report::parse(self.text())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        if let Ok(None) = self.bpftrace.try_wait() {
            let _ = self.bpftrace.kill();
            let _ = self.bpftrace.wait();
        }
    }
}

/// What a script has printed at its end.
#[derive(Debug, Default)]
pub struct Report {
    pub text: String,
    /// The numbers by what stands before them, without the `@`.
    pub numbers: HashMap<String, u64>,
    /// How many values each histogram has, likewise.
    pub histograms: HashMap<String, u64>,
}

impl Report {
    fn parse(text: String) -> Self {
        let mut report = Self::default();
        let mut histogram = None;
        for line in text.lines() {
            if let Some(line) = line.strip_prefix('@') {
                let (key, value) = line.rsplit_once(':').unwrap();
                let value = value.trim();
                histogram = value.is_empty().then(|| key.to_owned());
                if let Ok(number) = value.parse() {
                    report.numbers.insert(key.to_owned(), number);
                }
            } else if let (Some(key), true) = (&histogram, line.starts_with('[')) {
                let (_, rest) = line.split_once([']', ')']).unwrap();
                let count: u64 = rest.split_whitespace().next().unwrap().parse().unwrap();
                *report.histograms.entry(key.clone()).or_default() += count;
            }
        }
        report.text = text;
        report
    }

    /// The number of this name, 0 if there is none.
    pub fn number(&self, key: &str) -> u64 {
        self.numbers.get(key).copied().unwrap_or_default()
    }

    /// How many values the histogram of this name has, 0 if there is none.
    pub fn values(&self, key: &str) -> u64 {
        self.histograms.get(key).copied().unwrap_or_default()
    }

    /// The sum of the numbers of a map whose keys end like this.
    pub fn sum(&self, map: &str, key_end: &str) -> u64 {
        let begin = format!("{map}[");
        let end = format!("{key_end}]");
        let ours = self.numbers.iter();
        ours.filter(|(key, _)| key.starts_with(&begin) && key.ends_with(&end))
            .map(|(_, number)| number)
            .sum()
    }
}
