//! Counts by strace: the daemon is attached to, each producer is started under a strace of its own.

use crate::programs::send_signal;
use crate::trial::Counts;
use log_aggregator::error::Error;
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No text of arguments, no signals: only calls.
const TERSE: [&str; 3] = ["-s0", "-esignal=none", "-o"];

/// For what strace is sure to write once its process has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// strace at work. It is killed when this is dropped, which lets the daemon go.
#[derive(Debug)]
pub struct Strace {
    child: Child,
    folder: PathBuf,
    producers: u32,
}

/// Whether strace works here.
///
/// # Errors
/// Why it does not, and what to do.
pub fn try_out() -> Result<(), Error> {
    let tried = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    let output = tried.map_err(|e| not_started(&e))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let reason = complaint.lines().next().unwrap_or("it failed").to_owned();
    let advice = "allow it: sysctl kernel.yama.ptrace_scope=1, in a container --cap-add SYS_PTRACE";
    Err(Error::new("trace", "with strace", reason).advise(advice))
}

impl Strace {
    /// Starts it and returns when it is attached.
    pub fn start(daemon: u32, folder: &Path) -> Result<Self, Error> {
        let child = Command::new("strace")
            .args(TERSE)
            .arg(folder.join("strace-daemon"))
            .args(["-p", &daemon.to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| not_started(&e))?;
        let mut strace = Self {
            child,
            folder: folder.into(),
            producers: 0,
        };
        let stderr = strace.child.stderr.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(stderr).read_line(&mut line);
        read.map_err(|e| Error::new("hear", "strace", e))?;
        if line.contains("attached") {
            Ok(strace)
        } else {
            Err(Error::new("trace", "with strace", line.trim_end()))
        }
    }

    /// With -D the tracer is a grandchild and the process that we start is the producer.
    pub fn producer(&mut self, producer: &Command) -> Command {
        let log = self.log(self.producers);
        self.producers += 1;
        let mut command = Command::new("strace");
        command.process_group(0).stdin(Stdio::null()); // as the producer would be
        for (name, value) in producer.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.arg("-D").args(TERSE).arg(log);
        command.arg("--").arg(producer.get_program());
        command.args(producer.get_args());
        command
    }

    fn log(&self, producer: u32) -> PathBuf {
        self.folder.join(format!("strace-producer-{producer}"))
    }

    pub fn stop(mut self) -> Result<Counts, Error> {
        send_signal(self.child.id(), Signal::SIGINT);
        let ended = self.child.wait();
        ended.map_err(|e| Error::new("stop", "strace", e))?;
        let mut counts = Counts::default();
        count(
            &read(&self.folder.join("strace-daemon"))?,
            &mut counts.daemon_calls,
        );
        for producer in 0..self.producers {
            let log = whole_log(&self.log(producer))?;
            count(after_exec(&log), &mut counts.producer_calls);
        }
        Ok(counts)
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It has ended already unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::new("read", path.display(), e))
}

/// The log of a process that has ended, as soon as strace has written its end, too.
fn whole_log(path: &Path) -> Result<String, Error> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = read(path)?;
        if log.contains("\n+++ ") {
            return Ok(log);
        }
        if Instant::now() > deadline {
            let silent = "strace has not written the end of a producer";
            return Err(Error::new("read", path.display(), silent));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What follows the first call, which is the exec that makes the process a producer.
fn after_exec(log: &str) -> &str {
    log.split_once('\n').map_or("", |(_, rest)| rest)
}

/// Counts the calls of a log by name, each by the line that begins with it: `write(1, ""..., 5) = 5`.
fn count(log: &str, into: &mut BTreeMap<String, u64>) {
    for line in log.lines() {
        let Some((name, _)) = line.split_once('(') else {
            continue; // `+++ exited with 0 +++`, `<... epoll_wait resumed>`
        };
        if !name.is_empty() && name.bytes().all(|b| b == b'_' || b.is_ascii_alphanumeric()) {
            *into.entry(name.to_owned()).or_default() += 1;
        }
    }
}

fn not_started(error: &std::io::Error) -> Error {
    Error::new("run", "strace", error).advise("install it: apt-get install strace")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_as_they_are_entered() {
        let log = "execve(\"\"..., [\"\"...], 0x7ffc /* 3 vars */) = 0\n\
                   write(3, \"\"..., 5)               = 5\n\
                   write(3, \"\"..., 5)               = -1 EPIPE (Broken pipe)\n\
                   <... epoll_wait resumed>[], 1024, -1) = 0\n\
                   epoll_wait(4,  <detached ...>\n\
                   +++ exited with 0 +++\n";
        let mut counts = BTreeMap::new();
        count(after_exec(log), &mut counts);
        let want = [("write".to_owned(), 2), ("epoll_wait".to_owned(), 1)];
        assert_eq!(counts, BTreeMap::from(want));
    }
}
