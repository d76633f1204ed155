//! Counting what processes do, with a tracer. A traced trial is never timed.
//!
//! Both tracers count the same: system calls as they are entered; the daemon's from [`Tracer::start`] on, each
//! producer's from its exec on (which is not counted itself).

mod bpftrace;
mod strace;

use crate::cli::TraceChoice;
use crate::trial::{Counts, Tracing};
use bpftrace::Bpftrace;
use log_aggregator::error::Error;
use std::path::Path;
use std::process::Command;
use strace::Strace;

/// A tracer at work.
#[derive(Debug)]
pub enum Tracer {
    /// Sees all, at the price of a small program at each system call.
    Bpftrace(Bpftrace),
    /// Sees system calls alone, and stops its process twice at each.
    Strace(Strace),
}

impl Tracer {
    /// Begins to count what the daemon does, and what those producers do that the calling thread starts from now
    /// on, made by [`Tracer::producer`]; returns when it counts. Nobody else's processes count. `folder` is for
    /// scratch files. With [`Tracing::Off`] there is no tracer.
    ///
    /// # Errors
    /// When the tracer is not there, or may not trace.
    pub fn start(tracing: Tracing, daemon: u32, folder: &Path) -> Result<Option<Self>, Error> {
        match tracing {
            Tracing::Off => Ok(None),
            Tracing::Bpftrace => Bpftrace::start(daemon, folder).map(|it| Some(Self::Bpftrace(it))),
            Tracing::Strace => Strace::start(daemon, folder).map(|it| Some(Self::Strace(it))),
        }
    }

    /// The command that starts this producer so that it is counted. Its process is the producer's.
    pub fn producer(&mut self, command: Command) -> Command {
        match self {
            Self::Bpftrace(_) => command,
            Self::Strace(strace) => strace.producer(&command),
        }
    }

    /// Ends the counting and returns the counts. All producers must have ended.
    ///
    /// # Errors
    /// When the tracer fails or says what cannot be understood.
    pub fn stop(self) -> Result<Counts, Error> {
        match self {
            Self::Bpftrace(bpftrace) => bpftrace.stop(),
            Self::Strace(strace) => strace.stop(),
        }
    }
}

/// The tracer that is wanted, or for [`TraceChoice::Auto`] the first that works here. The second value says what is
/// missing and how to get it, a line each; there may be something missing beside a tracer that works.
///
/// # Errors
/// When the tracer that is wanted by name does not work.
pub fn choose(choice: TraceChoice) -> Result<(Tracing, Vec<String>), Error> {
    match choice {
        TraceChoice::Off => Ok((Tracing::Off, Vec::new())),
        TraceChoice::Bpftrace => bpftrace::try_out().map(|()| (Tracing::Bpftrace, Vec::new())),
        TraceChoice::Strace => strace::try_out().map(|()| (Tracing::Strace, Vec::new())),
        TraceChoice::Auto => {
            let Err(no_bpftrace) = bpftrace::try_out() else {
                return Ok((Tracing::Bpftrace, Vec::new()));
            };
            let mut missing = vec![format!(
                "wake-ups are not counted, and records are followed by their stamps alone: {no_bpftrace}"
            )];
            match strace::try_out() {
                Ok(()) => Ok((Tracing::Strace, missing)),
                Err(no_strace) => {
                    missing.push(format!("system calls are not counted: {no_strace}"));
                    Ok((Tracing::Off, missing))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;

    /// What this tracer counts of a program that writes 23 times, beside a daemon that does nothing.
    fn counts_of_23_writes(tracing: Tracing) -> Counts {
        let folder = tempfile::tempdir().unwrap();
        let mut daemon = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let mut tracer = Tracer::start(tracing, daemon.id(), folder.path())
            .unwrap()
            .unwrap();
        let mut producer = Command::new("dd");
        producer.args([
            "if=/dev/zero",
            "of=/dev/null",
            "bs=1",
            "count=23",
            "status=none",
        ]);
        assert!(tracer.producer(producer).status().unwrap().success());
        let counts = tracer.stop().unwrap();
        drop(daemon.stdin.take());
        daemon.wait().unwrap();
        counts
    }

    #[test]
    fn every_tracer_that_works_here_counts_every_call() {
        let [bpftrace, strace] = [TraceChoice::Bpftrace, TraceChoice::Strace].map(choose);
        let mut seen = Vec::new();
        for (tracing, _) in [bpftrace, strace].into_iter().flatten() {
            let counts = counts_of_23_writes(tracing);
            assert_eq!(counts.producer_calls["write"], 23, "{tracing:?}");
            assert_eq!(counts.daemon_calls.get("write"), None, "{tracing:?}");
            assert_eq!(counts.producer_calls["exit_group"], 1, "{tracing:?}");
            assert!(!counts.producer_calls.contains_key("execve"), "{tracing:?}");
            seen.push(counts.producer_calls);
        }
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
    }
}
