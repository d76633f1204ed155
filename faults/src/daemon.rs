//! A daemon that runs.

use crate::adapter::Adapter;
use crate::patience::Patience;
use crate::proc;
use crate::transport::{Address, Transport};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longest time from the start to a bound address.
const READY: Duration = Duration::from_secs(15);

/// Longest time from SIGTERM to the end.
pub const STOP: Duration = Duration::from_secs(20);

/// How a daemon is started.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    pub adapter: &'a Adapter,
    pub transport: Transport,
    pub address: &'a Address,
    pub output: &'a Path,
    /// For its configuration and state; what it says goes to `stdout` and `stderr` there.
    pub work: &'a Path,
    pub descriptors: Option<u32>,
    pub connections: Option<u32>,
}

#[derive(Debug)]
pub struct Daemon {
    child: Child,
    transport: Transport,
    address: Address,
    work: PathBuf,
}

/// Why a fault's measurement ended before its verdict.
#[derive(Debug)]
pub enum Trouble {
    /// The daemon does not start, or has ended by itself.
    Refuses(String),
    /// It does not do in time what it was to do.
    Hangs(String),
    /// It writes far more than it was sent.
    Floods(String),
    /// It is not the daemon's fault.
    Machine(String),
    Interrupted,
}

impl Start<'_> {
    /// Starts it, without waiting until it is ready.
    pub fn spawn(&self) -> Result<Daemon, Trouble> {
        let machine = |e: std::io::Error| Trouble::Machine(format!("start the adapter: {e}"));
        fs::create_dir_all(self.work).map_err(machine)?;
        let log = |name: &str| {
            let mut options = OpenOptions::new();
            options.create(true).append(true).open(self.work.join(name))
        };
        // It dies with the suite, whatever becomes of the suite.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]);
        if let Some(descriptors) = self.descriptors {
            let limit = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
            command.args(["sh", "-c", &limit]);
            command.env("FAULTS_DESCRIPTORS", descriptors.to_string());
        }
        if let Some(connections) = self.connections {
            command.env("FAULTS_CONNECTIONS", connections.to_string());
        }
        if let Some(program) = &self.adapter.daemon.program {
            command.env("FAULTS_PROGRAM", program);
        }
        let child = command
            .arg(&self.adapter.program)
            .args(["run", self.transport.name(), &self.address.to_string()])
            .args([self.output, self.work])
            .stdin(Stdio::null())
            .stdout(log("stdout").map_err(machine)?)
            .stderr(log("stderr").map_err(machine)?)
            .process_group(0)
            .spawn()
            .map_err(machine)?;
        Ok(Daemon {
            child,
            transport: self.transport,
            address: self.address.clone(),
            work: self.work.to_owned(),
        })
    }

    /// Starts it, and returns when it is ready.
    pub fn ready(&self, patience: &Patience) -> Result<Daemon, Trouble> {
        let mut daemon = self.spawn()?;
        let mut ended = None;
        let is_ready = patience.at_most(READY).wait_for(|| {
            ended = daemon.child.try_wait().ok().flatten();
            ended.is_some() || daemon.is_listening()
        });
        match (ended, is_ready) {
            (Some(status), _) => Err(Trouble::Refuses(format!(
                "ended at the start with {status}: {}",
                daemon.last_words()
            ))),
            (None, true) => Ok(daemon),
            (None, false) if crate::patience::interrupted() => Err(Trouble::Interrupted),
            (None, false) => Err(Trouble::Refuses(format!(
                "does not listen {} s after its start: {}",
                READY.as_secs(),
                daemon.last_words()
            ))),
        }
    }
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn is_listening(&self) -> bool {
        match (self.transport, &self.address) {
            // As a writer would see it.
            (Transport::Fifo, Address::Path(path)) => {
                let mut options = OpenOptions::new();
                let nonblocking = nix::libc::O_NONBLOCK;
                // A regular file in its place would open, too.
                let is_regular = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
                !is_regular
                    && options
                        .write(true)
                        .custom_flags(nonblocking)
                        .open(path)
                        .is_ok()
            }
            (transport, address) => proc::is_bound(transport, address),
        }
    }

    pub fn signal(&self, signal: Signal) {
        // If it has gone, the next look finds that.
        let _ = kill(self.id(), signal);
    }

    fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process ID"))
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: &Patience) -> Option<ExitStatus> {
        let mut status = None;
        patience.wait_for(|| {
            status = self.ended();
            status.is_some()
        });
        status
    }

    /// Sends a signal, and waits for the end that it is to bring. The time that took, and how it ended.
    pub fn end_by(
        &mut self,
        signal: Signal,
        patience: &Patience,
    ) -> Result<(Duration, ExitStatus), Trouble> {
        if let Some(status) = self.ended() {
            let words = self.last_words();
            return Err(Trouble::Refuses(format!(
                "ended by itself with {status}: {words}"
            )));
        }
        let start = Instant::now();
        self.signal(signal);
        match self.wait(&patience.at_most(STOP)) {
            Some(status) => Ok((start.elapsed(), status)),
            None if crate::patience::interrupted() => Err(Trouble::Interrupted),
            None => Err(Trouble::Hangs(format!(
                "runs on {} s after {signal}: {}",
                start.elapsed().as_secs(),
                self.last_words()
            ))),
        }
    }

    /// The share of one processor that it uses over this time.
    pub fn load_over(&self, time: Duration, patience: &Patience) -> Result<f64, Trouble> {
        let before = self.observed(proc::cpu_time(self.pid()))?;
        let start = Instant::now();
        patience.sleep(time);
        let used = self.observed(proc::cpu_time(self.pid()))?;
        Ok(used.saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64())
    }

    /// What /proc was to tell of it. What it does not tell is not taken for nothing.
    pub fn observed<T>(&self, fact: Option<T>) -> Result<T, Trouble> {
        let gone = || format!("has gone while it was watched: {}", self.last_words());
        fact.ok_or_else(|| Trouble::Refuses(gone()))
    }

    /// The last line that it wrote to standard error or else to standard output.
    pub fn last_words(&self) -> String {
        let last_line = |name: &str| {
            let bytes = fs::read(self.work.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let mut lines = text.lines().rev();
            lines.find(|line| !line.trim().is_empty()).map(plain)
        };
        let line = last_line("stderr").or_else(|| last_line("stdout"));
        line.unwrap_or_else(|| "it says nothing".to_owned())
    }
}

/// A line without control characters, and not too long for a table.
fn plain(line: &str) -> String {
    let text = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut text: String = text.take(160).collect();
    text.truncate(text.trim_end().len());
    text
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its whole process group: an adapter may have left something beside the daemon.
        let _ = killpg(self.id(), Signal::SIGKILL);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a process ended, in words.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
