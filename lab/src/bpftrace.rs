//! Runs a bpftrace script beside what it watches.

use log_aggregator::error::Error;
use nix::sys::signal::Signal;
use nix::unistd::Uid;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::programs::send_signal;

/// What a script prints first. bpftrace shows it when all probes are attached, whatever its version.
pub const BANNER: &str = "Attached";

/// Longest wait for the banner: a loaded machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether bpftrace can work here; if not, why, and how to get it.
///
/// # Errors
/// The line to show.
pub fn availability() -> Result<(), String> {
    if !Uid::effective().is_root() {
        return Err("bpftrace needs root: run this with sudo".to_owned());
    }
    if !is_program("bpftrace") {
        return Err("bpftrace is not installed: apt-get install bpftrace".to_owned());
    }
    if !Path::new("/sys/kernel/tracing/events/raw_syscalls").is_dir() {
        let advice = "tracefs is not there: mount -t tracefs nodev /sys/kernel/tracing";
        return Err(advice.to_owned());
    }
    Ok(())
}

/// Whether PATH has a program of this name.
pub fn is_program(name: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(name).is_file())
}

/// How long bpftrace has to end before it gets the signal again.
const SIGNAL_AGAIN: Duration = Duration::from_secs(2);

/// A running script. It is killed when this is dropped.
#[derive(Debug)]
pub struct Bpftrace {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

impl Bpftrace {
    /// Starts a script, which must print [`BANNER`] and a newline in its BEGIN, and returns when it is attached.
    /// Each of its maps holds up to `keys_max` keys; its files go into `folder`.
    ///
    /// # Errors
    /// When bpftrace ends before that, with what it said last.
    pub fn start(script: &str, keys_max: usize, folder: &Path) -> Result<Self, Error> {
        let (output, errors) = (folder.join("events"), folder.join("errors"));
        let failed = |e: std::io::Error| Error::new("start", "bpftrace", e);
        // To a file: a pipe would fill, and events be lost.
        let child = Command::new("bpftrace")
            .args(["-e", script])
            .env("BPFTRACE_MAP_KEYS_MAX", keys_max.to_string()) // before 0.20
            .env("BPFTRACE_MAX_MAP_KEYS", keys_max.to_string())
            .process_group(0) // Ctrl-C is for lab alone, which then ends it
            .stdin(Stdio::null())
            .stdout(File::create(&output).map_err(failed)?)
            .stderr(File::create(&errors).map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let mut this = Self {
            child,
            output,
            errors,
        };
        this.await_banner()?;
        Ok(this)
    }

    fn await_banner(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        let banner = format!("{BANNER}\n");
        while !self.text()?.contains(&banner) {
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            if has_ended || Instant::now() > deadline {
                return Err(self.failure("start"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn text(&self) -> Result<String, Error> {
        fs::read_to_string(&self.output).map_err(|e| Error::new("read", self.output.display(), e))
    }

    fn failure(&self, verb: &'static str) -> Error {
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let last = said.lines().rfind(|line| !line.trim().is_empty());
        Error::new(verb, "bpftrace", last.unwrap_or("it did not say why"))
            .advise("see whether bpftrace -e 'BEGIN { exit(); }' works here")
    }

    /// Ends it and returns what it printed, its maps included.
    ///
    /// # Errors
    /// When it fails, or has lost events.
    pub fn stop(mut self) -> Result<String, Error> {
        let failed = |e| Error::new("stop", "bpftrace", e);
        let status = loop {
            send_signal(self.child.id(), Signal::SIGINT);
            // One that comes just before bpftrace's wait is seen only after the next event, which may never come.
            let again = Instant::now() + SIGNAL_AGAIN;
            let status = loop {
                match self.child.try_wait().map_err(failed)? {
                    None if Instant::now() < again => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    status => break status,
                }
            };
            if let Some(status) = status {
                break status;
            }
        };
        if !status.success() {
            return Err(self.failure("stop"));
        }
        let text = self.text()?;
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let mut lines = text.lines().chain(errors.lines());
        match lines.find(|line| line.starts_with("Lost ")) {
            None => Ok(text),
            Some(lost) => Err(Error::new("trust", "bpftrace", lost)
                .advise("try again when the machine has less to do")),
        }
    }
}

impl Drop for Bpftrace {
    fn drop(&mut self) {
        // It has ended already unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
