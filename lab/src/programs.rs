//! Starts the two programs that are measured, in folders of their own, and ends them.

use crate::trial::{Linger, Setting};
use log_aggregator::diagnostics::tell;
use log_aggregator::error::Error;
use log_aggregator::transports::Transport;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::SystemTime;

const NAMES: [&str; 2] = ["aggregator", "producer"];

const BUILD: &str = "build them yourself: cargo build --release";

/// The checkout that this program was built in, if it is still there.
pub fn workspace() -> Option<&'static Path> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    workspace.join("Cargo.toml").is_file().then_some(workspace)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
}

/// When the newest file in a folder and those below it was changed.
fn newest_in(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries.filter_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            newest_in(&path)
        } else {
            modified(&path)
        }
    });
    times.max()
}

/// The folder of the programs that cargo has built, or found built, by what it said: a line of JSON for each.
fn folder_of(said: &[u8]) -> Option<PathBuf> {
    let lines = said.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let program = messages
        .filter_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .find(|path| path.file_name() == Some(NAMES[0].as_ref()))?;
    program.parent().map(Path::to_owned)
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those beside this program. In a checkout they are built if they are missing or older than their source.
    ///
    /// # Errors
    /// When they are not there.
    pub fn find() -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(|e| Error::new("find", "the programs", e))?;
        let folder = own.parent().unwrap_or(Path::new(".")).to_owned();
        let mut programs = Self { folder };
        if let Some(workspace) = workspace()
            && programs.are_in_cargos_folder()
            && !programs.are_newer_than(workspace)
        {
            programs.folder = programs.build(workspace)?;
        }
        for name in NAMES {
            let path = programs.path(name);
            if !path.is_file() {
                let missing = Error::new("run", path.display(), "it is not there");
                return Err(missing.advise("build it: cargo build --release"));
            }
        }
        Ok(programs)
    }

    /// Not if this program was copied elsewhere.
    fn are_in_cargos_folder(&self) -> bool {
        let target = self.folder.parent();
        target.is_some_and(|target| target.join("CACHEDIR.TAG").is_file())
    }

    fn are_newer_than(&self, workspace: &Path) -> bool {
        let built = NAMES.map(|name| modified(&self.path(name)));
        let Some(built) = built.into_iter().min().flatten() else {
            return false;
        };
        let manifests =
            ["Cargo.toml", "Cargo.lock", "build.rs"].map(|name| modified(&workspace.join(name)));
        let newest = manifests.into_iter().flatten().max();
        newest
            .max(newest_in(&workspace.join("src")))
            .is_none_or(|source| source <= built)
    }

    /// Builds both, and returns the folder that cargo says they are in: beside this program, as a rule, but its
    /// variables and its config.toml decide, and may have changed since.
    fn build(&self, workspace: &Path) -> Result<PathBuf, Error> {
        tell("lab: building aggregator and producer");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(workspace);
        cargo.args([
            "build",
            "--quiet",
            "--bins",
            "--message-format=json-render-diagnostics",
        ]);
        if self.folder.file_name() == Some("release".as_ref()) {
            cargo.arg("--release");
        }
        let output = cargo.stderr(Stdio::inherit()).output();
        let output = output.map_err(|e| Error::new("run", "cargo", e).advise(BUILD))?;
        if !output.status.success() {
            return Err(Error::new("build", "the programs", "cargo failed").advise(BUILD));
        }
        folder_of(&output.stdout)
            .ok_or_else(|| Error::new("find", "the programs", "cargo names none").advise(BUILD))
    }

    /// The path of one of them.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Starts a daemon for this setting in an empty folder, and returns when it is ready. Records get its stamp if
    /// `stamping`.
    ///
    /// # Errors
    /// When it does not start; it has said why.
    pub fn start_daemon(
        &self,
        setting: &Setting,
        stamping: bool,
        folder: &Path,
    ) -> Result<Daemon, Error> {
        let transport = setting.transport;
        let address = match transport {
            Transport::Tcp | Transport::Udp => "127.0.0.1:0".to_owned(),
            _ => folder.join(transport.name()).display().to_string(),
        };
        let output = folder.join("records.jsonl");
        let mut command = self.command("aggregator");
        command.arg("--ipc").arg(format!("{transport}={address}"));
        command.arg("--output").arg(&output);
        command.args(["--linger", &linger_argument(setting.linger)]);
        let buffer = setting.pipe_bytes.map(|bytes| bytes.to_string());
        command.args(["--buffer", buffer.as_deref().unwrap_or("default")]);
        if stamping {
            command.arg("--stamp");
        }
        Daemon::start(command, output)
    }

    /// A program as a shell would start it: `cargo run` sets a path of libraries, and the loader would look in each of its
    /// folders, a call for each.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        command.env_remove("LD_LIBRARY_PATH");
        command
    }

    /// The command of one producer of this setting; its records say who sent which, and when.
    pub fn producer(&self, setting: &Setting, endpoint: &str) -> Command {
        self.producer_at(f64::from(setting.rate), setting, endpoint)
    }

    /// The same at this rate.
    pub fn producer_at(&self, rate: f64, setting: &Setting, endpoint: &str) -> Command {
        let mut command = self.command("producer");
        command.process_group(0).stdin(Stdio::null()); // as the daemon
        command.args(["--ipc", endpoint, "--stamp"]);
        command.arg("--size").arg(setting.message_bytes.to_string());
        command.arg("--rate").arg(rate.to_string());
        command.arg("--count").arg(setting.records.to_string());
        if setting.nagle {
            command.arg("--nagle");
        }
        command
    }
}

fn linger_argument(linger: Linger) -> String {
    match linger {
        Linger::Auto => "auto".to_owned(),
        Linger::Microseconds(microseconds) => microseconds.to_string(),
    }
}

/// A daemon, of one endpoint as a rule. It is killed when this is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    said: BufReader<ChildStdout>,
    /// Where producers reach it: the argument of `--ipc`. Of several, the first.
    pub endpoint: String,
    endpoints: Vec<String>,
    /// Its file.
    pub output: PathBuf,
}

impl Daemon {
    /// Starts this command of a daemon, whose output is this file, and returns when it is ready.
    ///
    /// # Errors
    /// When it does not start; it has said why.
    pub fn start(mut command: Command, output: PathBuf) -> Result<Self, Error> {
        let failed = |reason: &dyn std::fmt::Display| Error::new("start", "a daemon", reason);
        let mut child = command
            .process_group(0) // Ctrl-C is for lab alone, which then ends it
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(&e))?;
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut daemon = Self {
            child,
            said,
            endpoint: String::new(),
            endpoints: Vec::new(),
            output,
        };
        let ready = daemon.next_line()?;
        let endpoints = ready["endpoints"].as_array().into_iter().flatten();
        let endpoints = endpoints.filter_map(|endpoint| endpoint.as_str().map(str::to_owned));
        daemon.endpoints = endpoints.collect();
        daemon.endpoint = daemon.endpoints.first().cloned().unwrap_or_default();
        Ok(daemon)
    }

    /// Where it is reached over this transport; empty if it is not.
    pub fn endpoint_of(&self, transport: Transport) -> &str {
        let is_it = |endpoint: &&String| {
            let kind = endpoint.split_once('=').map(|(kind, _)| kind);
            kind == Some(transport.name())
        };
        self.endpoints.iter().find(is_it).map_or("", String::as_str)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops it and returns its summary.
    ///
    /// # Errors
    /// When it says something else, or fails.
    pub fn stop(mut self) -> Result<Value, Error> {
        send_signal(self.pid(), Signal::SIGTERM);
        let summary = self.next_line()?;
        let status = self
            .child
            .wait()
            .map_err(|e| Error::new("stop", "a daemon", e))?;
        if status.success() {
            Ok(summary)
        } else {
            Err(Error::new(
                "stop",
                "a daemon",
                format!("it ended with {status}"),
            ))
        }
    }

    fn next_line(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        let read = self
            .said
            .read_line(&mut line)
            .map(|_| serde_json::from_str(&line));
        match read {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => {
                let silent = Error::new(
                    "understand",
                    "a daemon",
                    format!("it said '{}'", line.trim_end()),
                );
                Err(silent.advise("see what it says above"))
            }
            Err(e) => Err(Error::new("hear", "a daemon", e)),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process of ours that we have not waited for, so that the number is still its own.
pub fn send_signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal); // it fails only when the process has ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_one_that_cargo_names() {
        let said = br#"
{"reason":"compiler-artifact","target":{"name":"libc"},"executable":null,"fresh":true}
{"reason":"compiler-artifact","target":{"name":"crowd"},"executable":"/else/examples/crowd","fresh":true}
{"reason":"compiler-artifact","target":{"name":"aggregator"},"executable":"/a \"b\"/TRIPLE/release/aggregator"}
{"reason":"build-finished","success":true}
"#;
        let want = PathBuf::from("/a \"b\"/TRIPLE/release");
        assert_eq!(folder_of(said), Some(want));
        assert_eq!(folder_of(b"{\"executable\":null}\nno JSON\n"), None);
    }
}
