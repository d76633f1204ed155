//! Counts by bpftrace: one generated program for a trial.

use super::not_started;
use crate::programs::send_signal;
use crate::trial::Counts;
use log_aggregator::error::Error;
use nix::sys::signal::Signal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use syscalls::Sysno;

/// The program. Producers are those that a thread of ours forks and that then execute a program, so that another's
/// never count. Wake-ups are counted by the process that is woken; from its wake-up to its running ends at the
/// switch to it, and a switch away from it voids a wake-up that found it running. In the subset of the language
/// that bpftrace 0.17 to 0.26 share.
const PROGRAM: &str = r#"
BEGIN { printf("ready\n"); }
tracepoint:sched:sched_process_fork /args->parent_pid == SPAWNER/ { @child[(uint64)args->child_pid] = 1; }
tracepoint:sched:sched_process_exec /@child[(uint64)args->pid]/ { @producer[(uint64)args->pid] = 1; }
tracepoint:raw_syscalls:sys_enter /pid == DAEMON/ { @daemon_calls[args->id] = count(); }
tracepoint:raw_syscalls:sys_enter /@producer[(uint64)pid]/ { @producer_calls[args->id] = count(); }
tracepoint:sched:sched_wakeup /args->pid == DAEMON/ { @daemon_wakeups = count(); @woken_at = nsecs; }
tracepoint:sched:sched_wakeup /@producer[(uint64)args->pid]/ { @producer_wakeups = count(); }
tracepoint:sched:sched_switch /args->prev_pid == DAEMON/ { @woken_at = (uint64)0; }
tracepoint:sched:sched_switch /args->next_pid == DAEMON && @woken_at != 0/ {
  @runs = count(); @wake_to_run_ns = sum(nsecs - @woken_at); @woken_at = (uint64)0;
}
END { clear(@child); clear(@producer); clear(@woken_at); }
"#;

/// Where the kernel shows its tracepoints.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// bpftrace at work. It is killed when this is dropped.
#[derive(Debug)]
pub struct Bpftrace {
    child: Child,
    said: BufReader<ChildStdout>,
}

/// Whether bpftrace works here.
///
/// # Errors
/// Why it does not, and what to do.
pub fn try_out() -> Result<(), Error> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::new("trace", "with bpftrace", "that needs root").advise("use sudo"));
    }
    let version = Command::new("bpftrace").arg("--version").output();
    version.map_err(|e| not_started("bpftrace", &e))?;
    let has_tracepoints = |root: &&str| Path::new(root).join("events/raw_syscalls").exists();
    if !TRACEFS.iter().any(|root| has_tracepoints(root)) {
        let unmounted = Error::new("trace", "with bpftrace", "tracefs is not mounted");
        return Err(unmounted.advise("mount -t tracefs nodev /sys/kernel/tracing"));
    }
    Bpftrace::start(std::process::id())?.stop().map(drop)
}

impl Bpftrace {
    /// Starts it and returns when its probes are attached. The calling thread starts the producers.
    pub fn start(daemon: u32) -> Result<Self, Error> {
        let spawner = nix::unistd::gettid().to_string();
        let program = PROGRAM
            .replace("SPAWNER", &spawner)
            .replace("DAEMON", &daemon.to_string());
        let mut child = Command::new("bpftrace")
            .args(["-f", "json", "-e", &program])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| not_started("bpftrace", &e))?;
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut bpftrace = Self { child, said };
        bpftrace.wait_until_ready()?;
        Ok(bpftrace)
    }

    /// What BEGIN prints is shown when the probes are attached, in every version.
    fn wait_until_ready(&mut self) -> Result<(), Error> {
        let mut line = String::new();
        while !line.contains("ready") {
            line.clear();
            match self.said.read_line(&mut line) {
                Ok(0) => return Err(self.failed()),
                Ok(_) => {}
                Err(e) => return Err(Error::new("hear", "bpftrace", e)),
            }
        }
        Ok(())
    }

    /// Why it ended.
    fn failed(&mut self) -> Error {
        let mut complaint = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut complaint); // what there is
        }
        let last = complaint.lines().rfind(|line| !line.trim().is_empty());
        let reason = last.unwrap_or("it ended and said nothing");
        Error::new("trace", "with bpftrace", reason)
            .advise("see bpftrace/README.md for what it needs")
    }

    pub fn stop(mut self) -> Result<Counts, Error> {
        send_signal(self.child.id(), Signal::SIGINT);
        let mut output = String::new();
        let read = self.said.read_to_string(&mut output);
        read.map_err(|e| Error::new("hear", "bpftrace", e))?;
        let status = self.child.wait();
        let status = status.map_err(|e| Error::new("stop", "bpftrace", e))?;
        if status.success() {
            counts(&output)
        } else {
            Err(self.failed())
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

/// Reads the lines of JSON that bpftrace ends with. A map that got nothing is not printed, or is 0.
fn counts(output: &str) -> Result<Counts, Error> {
    let mut maps = Map::new();
    for line in output.lines().filter(|line| !line.trim().is_empty()) {
        let said: Value = serde_json::from_str(line)
            .map_err(|e| Error::new("understand", "bpftrace", format!("{e} in '{line}'")))?;
        if let ("map", Some(data)) = (
            said["type"].as_str().unwrap_or(""),
            said["data"].as_object(),
        ) {
            maps.extend(data.clone());
        }
    }
    let number = |name: &str| maps.get(name).and_then(Value::as_u64).unwrap_or(0);
    Ok(Counts {
        daemon_calls: calls(maps.get("@daemon_calls")),
        producer_calls: calls(maps.get("@producer_calls")),
        daemon_wakeups: Some(number("@daemon_wakeups")),
        producer_wakeups: Some(number("@producer_wakeups")),
        daemon_wake_to_run: Some((number("@runs"), number("@wake_to_run_ns"))),
    })
}

/// Counts by the numbers of system calls become counts by their names on this machine's architecture.
fn calls(map: Option<&Value>) -> BTreeMap<String, u64> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    let named = entries.map(|(id, count)| {
        let known = id.parse().ok().and_then(Sysno::new);
        let name = known.map_or_else(|| format!("number {id}"), |call| call.name().to_owned());
        (name, count.as_u64().unwrap_or(0))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_become_counts_by_name() {
        let write = Sysno::write.id();
        let output = format!(
            "\n{{\"type\": \"map\", \"data\": {{\"@daemon_calls\": {{\"{write}\": 23, \"99999\": 1}}}}}}\n\
             {{\"type\": \"map\", \"data\": {{\"@daemon_wakeups\": 7}}}}\n\
             {{\"type\": \"map\", \"data\": {{\"@runs\": 6}}}}\n\
             {{\"type\": \"map\", \"data\": {{\"@wake_to_run_ns\": 60000000000}}}}\n"
        );
        let counts = counts(&output).unwrap();
        assert_eq!(counts.daemon_calls["write"], 23);
        assert_eq!(counts.daemon_calls["number 99999"], 1);
        assert!(counts.producer_calls.is_empty());
        assert_eq!(counts.daemon_wakeups, Some(7));
        assert_eq!(counts.producer_wakeups, Some(0));
        assert_eq!(counts.daemon_wake_to_run, Some((6, 60_000_000_000)));
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        let error = counts("Lost 3 events\n").unwrap_err();
        assert!(error.to_string().contains("Lost 3 events"), "{error}");
    }
}
