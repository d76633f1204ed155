//! Counts by bpftrace: one generated program for a trial.

use crate::bpftrace::{self, BANNER};
use crate::trial::Counts;
use log_aggregator::error::Error;
use std::collections::BTreeMap;
use std::path::Path;
use syscalls::Sysno;

/// The program. Producers are those that a thread of ours forks and that then execute a program, so that another's
/// never count. Wake-ups are counted by the process that is woken; from its wake-up to its running ends at the
/// switch to it, and a switch away from it voids a wake-up that found it running. Where a task may be preempted inside
/// the kernel, bit 8 of its state says so; the lower bits say whether it sleeps. In the subset of the language
/// that bpftrace 0.17 to 0.26 share.
const PROGRAM: &str = r#"
BEGIN { printf("BANNER\n"); }
tracepoint:sched:sched_process_fork /args->parent_pid == SPAWNER/ { @child[(uint64)args->child_pid] = 1; }
tracepoint:sched:sched_process_exec /@child[(uint64)args->pid]/ { @producer[(uint64)args->pid] = 1; }
tracepoint:raw_syscalls:sys_enter /pid == DAEMON/ { @daemon_calls[args->id] = count(); }
tracepoint:raw_syscalls:sys_enter /@producer[(uint64)pid]/ { @producer_calls[args->id] = count(); }
tracepoint:sched:sched_wakeup /args->pid == DAEMON/ { @daemon_wakeups = count(); @woken_at = nsecs; }
tracepoint:sched:sched_wakeup /@producer[(uint64)args->pid]/ { @producer_wakeups = count(); }
tracepoint:sched:sched_switch /args->prev_pid == DAEMON/ { @woken_at = (uint64)0; }
tracepoint:sched:sched_switch /args->prev_pid == DAEMON && (args->prev_state & 0xff) != 0/ { @sleeps = count(); }
tracepoint:sched:sched_switch /args->next_pid == DAEMON && @woken_at != 0/ {
  @runs = count(); @wake_to_run_ns = sum(nsecs - @woken_at); @woken_at = (uint64)0;
}
END { clear(@child); clear(@producer); clear(@woken_at); }
"#;

/// Producers at a time, and as many system calls of each side: more than there ever are.
const KEYS_MAX: usize = 4096;

/// Whether bpftrace works here.
///
/// # Errors
/// Why it does not, and what to do.
pub fn try_out() -> Result<(), Error> {
    bpftrace::availability().map_err(|reason| Error::new("count", "with bpftrace", reason))?;
    let folder = tempfile::tempdir().map_err(|e| Error::new("create", "a temporary folder", e))?;
    let tried = Bpftrace::start(std::process::id(), folder.path())?.stop();
    tried.map(drop)
}

/// bpftrace at work.
#[derive(Debug)]
pub struct Bpftrace(bpftrace::Bpftrace);

impl Bpftrace {
    /// Starts it and returns when its probes are attached. The calling thread starts the producers.
    pub fn start(daemon: u32, folder: &Path) -> Result<Self, Error> {
        let spawner = nix::unistd::gettid().to_string();
        let program = PROGRAM
            .replace("BANNER", BANNER)
            .replace("SPAWNER", &spawner)
            .replace("DAEMON", &daemon.to_string());
        bpftrace::Bpftrace::start(&program, KEYS_MAX, folder).map(Self)
    }

    pub fn stop(self) -> Result<Counts, Error> {
        Ok(counts(&self.0.stop()?))
    }
}

/// Reads the maps that bpftrace ends with: `@name: 5` or `@name[key]: 5`. One that got nothing is not printed, or
/// is 0.
fn counts(output: &str) -> Counts {
    let mut counts = Counts::default();
    let mut single: BTreeMap<&str, u64> = BTreeMap::new();
    for line in output.lines() {
        let Some((map, Ok(count))) = line
            .split_once(": ")
            .map(|(map, count)| (map, count.parse()))
        else {
            continue;
        };
        match map.trim_end_matches(']').split_once('[') {
            Some(("@daemon_calls", id)) => counts.daemon_calls.insert(name(id), count),
            Some(("@producer_calls", id)) => counts.producer_calls.insert(name(id), count),
            _ => single.insert(map, count),
        };
    }
    let number = |name| single.get(name).copied().unwrap_or(0);
    Counts {
        daemon_wakeups: Some(number("@daemon_wakeups")),
        producer_wakeups: Some(number("@producer_wakeups")),
        daemon_sleeps: Some(number("@sleeps")),
        daemon_wake_to_run: Some((number("@runs"), number("@wake_to_run_ns"))),
        ..counts
    }
}

/// The name of a system call, by its number on this machine's architecture.
fn name(id: &str) -> String {
    let known = id.parse().ok().and_then(Sysno::new);
    known.map_or_else(|| format!("number {id}"), |call| call.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_become_counts_by_name() {
        let write = Sysno::write.id();
        let output = format!(
            "Attaching 9 probes...\n{BANNER}\n\n@daemon_calls[{write}]: 23\n@daemon_calls[99999]: 1\n\n\n\
             @daemon_wakeups: 7\n@sleeps: 5\n@runs: 6\n@wake_to_run_ns: 60000000000\n"
        );
        let counts = counts(&output);
        assert_eq!(counts.daemon_calls["write"], 23);
        assert_eq!(counts.daemon_calls["number 99999"], 1);
        assert!(counts.producer_calls.is_empty());
        assert_eq!(counts.daemon_wakeups, Some(7));
        assert_eq!(counts.producer_wakeups, Some(0));
        assert_eq!(counts.daemon_sleeps, Some(5));
        assert_eq!(counts.daemon_wake_to_run, Some((6, 60_000_000_000)));
    }
}
