//! Lets the prime workload run, and asks everyone who has seen it.

use crate::interrupt::Interrupt;
use crate::proc::{self, Look};
use crate::programs::{Daemon, Programs, send_signal};
use crate::tally::Tally;
use crate::trace::Tracer;
use crate::trial::{Axis, Counts, Linger, Setting, Tracing, Usage};
use log_aggregator::error::Error;
use log_aggregator::transports::Transport;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Producers, and records of each: a prime, so that no other product of small numbers passes for it.
pub const PRIME: u32 = 23;

/// Longest wait for a fact that is sure to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often we look whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A run of the workload.
#[derive(Debug)]
pub struct Watch<'a> {
    pub programs: &'a Programs,
    pub interrupt: &'a Interrupt,
    pub transport: Transport,
    /// Who counts for both sides.
    pub tracing: Tracing,
    /// Whether bpftrace counts for the daemon, beside that.
    pub with_bpftrace: bool,
    /// Whether the daemon stands still while they send, flat out.
    pub frozen: bool,
}

/// What everyone says of a run.
#[derive(Debug)]
pub struct Seen {
    /// Records sent, by the producers' reports.
    pub reported: u64,
    /// The daemon's summary.
    pub summary: Value,
    /// Lines in the file.
    pub lines: u64,
    /// Its length, by its inode.
    pub file_bytes: u64,
    /// Sequence numbers that are missing in it.
    pub missing: u64,
    /// What the kernel counted for the producers.
    pub producers: Usage,
    /// And for the daemon, since the tracers were there.
    pub daemon: Usage,
    /// Datagrams that the kernel dropped for want of room, in the whole network namespace.
    pub kernel_drops: u64,
    /// By the tracer of both sides.
    pub counts: Option<Counts>,
    /// By bpftrace beside it.
    pub beside: Option<Counts>,
}

impl Watch<'_> {
    fn setting(&self) -> Setting {
        Setting {
            axis: Axis::SelfCheck,
            transport: self.transport,
            producers: PRIME,
            message_bytes: 100,
            rate: if self.frozen { 0 } else { 100 },
            records: u64::from(PRIME),
            linger: Linger::Microseconds(0),
            nagle: false,
            pipe_bytes: None,
            qlen: None,
            tracing: self.tracing,
        }
    }

    /// Makes the run.
    ///
    /// # Errors
    /// When a program or a tracer fails, or somebody interrupts.
    pub fn run(&self) -> Result<Seen, Error> {
        let folder = tempfile::tempdir().map_err(|e| Error::new("create", "a folder", e))?;
        let setting = self.setting();
        let daemon = self.programs.start_daemon(&setting, false, folder.path())?;
        let mut tracer = Tracer::start(self.tracing, daemon.pid(), folder.path())?;
        let beside = if self.with_bpftrace {
            Tracing::Bpftrace
        } else {
            Tracing::Off
        };
        let beside = Tracer::start(beside, daemon.pid(), folder.path())?;
        let before = self.settled(&daemon, None)?;
        let (used, drops) = (proc::usage(daemon.pid())?, proc::rcvbuf_errors());
        let producers = self.load(&setting, &daemon, tracer.as_mut())?;
        self.settled(&daemon, Some(&before))?;
        let daemon_usage = proc::difference(&used, &proc::usage(daemon.pid())?);
        let kernel_drops = proc::rcvbuf_errors() - drops;
        let counts = tracer.map(Tracer::stop).transpose()?;
        let beside = beside.map(Tracer::stop).transpose()?;
        let output = daemon.output.clone();
        let summary = daemon.stop()?;
        let tally = Tally::of(&output, setting.records)?;
        Ok(Seen {
            reported: producers.reported,
            summary,
            lines: tally.written,
            file_bytes: length(&output)?,
            missing: tally.missing(&producers.pids, setting.records),
            producers: producers.usage,
            daemon: daemon_usage,
            kernel_drops,
            counts,
            beside,
        })
    }

    /// Lets all producers run to their ends.
    fn load(
        &self,
        setting: &Setting,
        daemon: &Daemon,
        mut tracer: Option<&mut Tracer>,
    ) -> Result<Producers, Error> {
        if self.frozen {
            send_signal(daemon.pid(), Signal::SIGSTOP);
            self.wait_for("the daemon's standstill", || {
                Ok(!Look::at(daemon.pid()).is_asleep())
            })?;
        }
        let mut children = Children(Vec::new());
        for _ in 0..setting.producers {
            let mut command = self.programs.producer(setting, &daemon.endpoint);
            command.arg("--report");
            if let Some(tracer) = &mut tracer {
                command = tracer.producer(command);
            }
            let child = command.stdout(Stdio::piped()).spawn();
            children
                .0
                .push(child.map_err(|e| Error::new("start", "a producer", e))?);
        }
        let mut all = Producers::default();
        for child in &mut children.0 {
            self.wait_for("a producer's end", || has_ended(child.id()))?;
            all.add(child)?;
        }
        if self.frozen {
            send_signal(daemon.pid(), Signal::SIGCONT);
        }
        Ok(all)
    }

    /// Waits until the daemon sleeps, has done nothing between two looks, and has closed what it has opened since
    /// an earlier look.
    fn settled(&self, daemon: &Daemon, before: Option<&Look>) -> Result<Look, Error> {
        let mut last = Look::at(daemon.pid());
        self.wait_for("the daemon's sleep", || {
            let look = Look::at(daemon.pid());
            let is_as_before =
                before.is_none_or(|before| before.descriptors() == look.descriptors());
            let is_still = look.is_asleep() && look == last;
            last = look;
            Ok(is_still && is_as_before)
        })?;
        Ok(last)
    }

    fn wait_for(
        &self,
        what: &str,
        mut fact: impl FnMut() -> Result<bool, Error>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            std::thread::sleep(LOOK_EVERY);
            if fact()? {
                return Ok(());
            }
            if self.interrupt.is_set() {
                return Err(Error::new("check", self.transport, "interrupted"));
            }
            if Instant::now() > deadline {
                return Err(Error::new("await", what, "it did not come in 30 seconds"));
            }
        }
    }
}

/// What producers say and have used, all together.
#[derive(Debug, Default)]
struct Producers {
    pids: Vec<u32>,
    reported: u64,
    usage: Usage,
}

impl Producers {
    /// Adds one that has ended and was not waited for, so that /proc still tells of it.
    fn add(&mut self, child: &mut Child) -> Result<(), Error> {
        self.pids.push(child.id());
        proc::add(&mut self.usage, &proc::usage(child.id())?);
        let failed = |reason: String| Error::new("understand", "a producer", reason);
        let mut report = String::new();
        if let Some(stdout) = &mut child.stdout {
            let read = stdout.read_to_string(&mut report);
            read.map_err(|e| failed(e.to_string()))?;
        }
        let status = child.wait().map_err(|e| failed(e.to_string()))?;
        let said: Value = serde_json::from_str(&report).unwrap_or_default();
        match (status.success(), said["sent"].as_u64()) {
            (true, Some(sent)) => self.reported += sent,
            _ => {
                return Err(failed(format!(
                    "it said '{}' and ended with {status}",
                    report.trim()
                )));
            }
        }
        Ok(())
    }
}

/// Children, killed when this is dropped.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        // They have ended already unless something went wrong.
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn has_ended(pid: u32) -> Result<bool, Error> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    match waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), flags) {
        Ok(WaitStatus::StillAlive) | Err(Errno::EINTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(e) => Err(Error::new("wait for", "a producer", e)),
    }
}

fn length(path: &Path) -> Result<u64, Error> {
    let metadata = fs::metadata(path).map_err(|e| Error::new("read", path.display(), e))?;
    Ok(metadata.len())
}
