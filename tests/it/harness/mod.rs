//! Starts daemons and producers, and looks at what they wrote.

mod client;
mod nobody;
mod tail;

pub use client::Client;
pub use nobody::Nobody;
pub use tail::Tail;

use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const TRANSPORTS: [&str; 5] = ["unixsock", "tcp", "unixgram", "udp", "fifo"];

/// Longest wait for a fact that is sure to come.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn aggregator() -> Command {
    Command::new(env!("CARGO_BIN_EXE_aggregator"))
}

pub fn producer() -> Command {
    Command::new(env!("CARGO_BIN_EXE_producer"))
}

/// Waits until `fact` holds.
#[track_caller]
pub fn wait_for(what: &str, mut fact: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the test may be left out here, for this reason. Never under CI.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "must not be skipped under CI: {reason}"
    );
    // Not by a macro: the test runner would keep that to itself.
    let _ = writeln!(io::stderr(), "skipped: {reason}");
}

/// Whether the programs are static ones, by musl, into which nothing can be loaded from outside.
pub const IS_STATIC: bool = cfg!(target_env = "musl");

/// The name of the wait of the event loop: mio asks the C library, and not each makes the same call of it.
pub const EPOLL_WAIT: &str = if IS_STATIC {
    "epoll_pwait"
} else {
    "epoll_wait"
};

/// The name of the call that opens a file, likewise.
pub const OPEN: &str = if IS_STATIC { "open" } else { "openat" };

/// Says that a test has no meaning for these programs.
pub fn has_no_meaning(reason: &str) {
    let _ = writeln!(io::stderr(), "left out: {reason}");
}

/// A number in the environment, where a test can be made longer by one.
pub fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|e| panic!("{variable}={text}: {e}")))
}

pub fn has_program(name: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", name])
        .output();
    found.is_ok_and(|output| output.status.success())
}

/// Sends a signal to a process.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(status.unwrap().success(), "kill -s {name} {pid}");
}

/// A private folder with the addresses of each transport in it.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("agg-").tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The argument of `--ipc` for this transport.
    pub fn endpoint(&self, transport: &str) -> String {
        match transport {
            "tcp" | "udp" => format!("{transport}=127.0.0.1:0"),
            _ => format!("{transport}={}", self.path(transport).display()),
        }
    }

    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// How to start a daemon.
pub struct Setup<'a> {
    pub folder: &'a Folder,
    pub transports: Vec<String>,
    pub args: Vec<String>,
    /// A program to run it with: strace and its options, for example.
    pub wrapper: Vec<String>,
    pub output: PathBuf,
    /// Its standard input.
    pub stdin: Stdio,
}

impl<'a> Setup<'a> {
    pub fn new(folder: &'a Folder, transports: &[&str]) -> Self {
        Self {
            folder,
            transports: transports.iter().map(ToString::to_string).collect(),
            args: Vec::new(),
            wrapper: Vec::new(),
            output: folder.path("records.jsonl"),
            stdin: Stdio::null(),
        }
    }

    pub fn args<S: AsRef<str>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub fn wrapper<S: AsRef<str>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.wrapper
            .extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        self
    }

    pub fn output(mut self, path: &Path) -> Self {
        self.output = path.to_owned();
        self
    }

    fn command(&self) -> Command {
        let mut command = match self.wrapper.split_first() {
            None => aggregator(),
            Some((program, args)) => {
                let mut command = Command::new(program);
                command.args(args).arg(aggregator().get_program());
                command
            }
        };
        for transport in &self.transports {
            command.args(["--ipc", &self.folder.endpoint(transport)]);
        }
        command.arg("--output").arg(&self.output).args(&self.args);
        command
    }

    /// Starts it, and returns when it is ready.
    pub fn start(self) -> Daemon {
        let errors = self.folder.path("stderr");
        let mut child = self
            .command()
            .stdin(self.stdin)
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let errors = fs::read_to_string(&errors).unwrap();
            panic!("no ready line but {line:?}; standard error:\n{errors}");
        };
        assert_eq!(ready["ready"], true, "{ready}");
        let endpoints = ready["endpoints"].as_array().unwrap();
        Daemon {
            child,
            pid: u32::try_from(ready["pid"].as_u64().unwrap()).unwrap(),
            stdout,
            errors,
            output: self.output,
            endpoints: endpoints
                .iter()
                .map(|endpoint| endpoint.as_str().unwrap().to_owned())
                .collect(),
        }
    }
}

/// A running daemon.
pub struct Daemon {
    child: Child,
    pub pid: u32,
    stdout: BufReader<ChildStdout>,
    errors: PathBuf,
    pub output: PathBuf,
    /// With the real addresses.
    pub endpoints: Vec<String>,
}

/// What a daemon left.
pub struct Stopped {
    pub status: ExitStatus,
    pub summary: Value,
    pub stderr: String,
    pub lines: Vec<String>,
}

impl Daemon {
    /// The endpoint of this transport.
    pub fn endpoint(&self, transport: &str) -> &str {
        let begin = format!("{transport}=");
        let found = self.endpoints.iter().find(|e| e.starts_with(&begin));
        found.unwrap_or_else(|| panic!("{:?} has no {transport}", self.endpoints))
    }

    /// The address of this transport.
    pub fn address(&self, transport: &str) -> &str {
        self.endpoint(transport).split_once('=').unwrap().1
    }

    pub fn connect(&self, transport: &str) -> Client {
        Client::connect(transport, self.address(transport))
    }

    pub fn lines_written(&self) -> usize {
        let bytes = fs::read(&self.output).unwrap();
        bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    #[track_caller]
    pub fn wait_for_lines(&self, count: usize) {
        wait_for(&format!("{count} lines"), || self.lines_written() >= count);
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid, name);
    }

    /// The value of a line of /proc/PID/status.
    pub fn status_line(&self, key: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_once(':').unwrap().1.trim().to_owned()
    }

    /// The most memory that it has had so far, in bytes.
    pub fn memory_peak(&self) -> usize {
        let kib = self.status_line("VmHWM");
        kib.trim_end_matches(" kB").parse::<usize>().unwrap() << 10
    }

    /// Processor time that it has used, in nanoseconds. It stands still while the daemon sleeps.
    pub fn cpu_ns(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.pid)).unwrap();
        text.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Keeps it from running until [`thaw`](Self::thaw), so that what is sent meanwhile is queued.
    pub fn freeze(&self) {
        self.signal("STOP");
        wait_for("the stop", || self.status_line("State").starts_with('T'));
    }

    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Tells whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid));
        status.is_ok_and(|status| !status.contains("State:\tZ"))
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// With strace as its wrapper: waits until it makes no more calls, and returns how many it has
    /// made and how many more it makes in that time.
    pub fn calls_while_idle(&self, trace: &Path, time: Duration) -> (usize, usize) {
        let calls = || fs::read_to_string(trace).unwrap().lines().count();
        wait_for("sleep", || {
            let before = calls();
            std::thread::sleep(Duration::from_millis(200));
            calls() == before
        });
        let before = calls();
        std::thread::sleep(time);
        (before, calls() - before)
    }

    /// Ends it with a signal that leaves it no time for a summary.
    pub fn kill(mut self, name: &str) -> ExitStatus {
        self.signal(name);
        self.child.wait().unwrap()
    }

    /// Stops it with SIGTERM and expects that all went well.
    #[track_caller]
    pub fn stop(self) -> Stopped {
        self.signal("TERM");
        let stopped = self.wait();
        assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
        stopped
    }

    /// Waits until it has ended, and compares its summary with its output.
    #[track_caller]
    pub fn wait(self) -> Stopped {
        let is_file = self.output.metadata().unwrap().is_file();
        let stopped = self.wait_unchecked();
        if is_file {
            let Stopped { lines, stderr, .. } = &stopped;
            let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
            assert_eq!(
                stopped.summary["records"],
                lines.len(),
                "the summary's records; {stderr}"
            );
            assert_eq!(
                stopped.summary["bytes"], bytes,
                "the summary's bytes; {stderr}"
            );
        }
        stopped
    }

    /// Waits until it has ended, whatever is in its output.
    #[track_caller]
    pub fn wait_unchecked(self) -> Stopped {
        let output = self.output.clone();
        let mut stopped = self.wait_unread();
        // Not read if it is a pipe, or has been removed.
        if output.metadata().is_ok_and(|m| m.is_file()) {
            let text = fs::read_to_string(output).unwrap();
            stopped.lines = text.lines().map(str::to_owned).collect();
        }
        stopped
    }

    /// Waits until it has ended, whatever it said.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the daemon's end", || {
            self.child.try_wait().unwrap().is_some()
        });
        self.child.wait().unwrap()
    }

    /// Waits until it has ended, and leaves its output unread.
    #[track_caller]
    pub fn wait_unread(mut self) -> Stopped {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        let stderr = fs::read_to_string(&self.errors).unwrap();
        let summary: Value = serde_json::from_str(&rest)
            .unwrap_or_else(|e| panic!("{e} in summary {rest:?}; standard error:\n{stderr}"));
        assert_eq!(summary["summary"], true);
        Stopped {
            status,
            summary,
            stderr,
            lines: Vec::new(),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Ends one that a test has not stopped. With a wrapper, the child is not the daemon.
        if let Ok(None) = self.child.try_wait() {
            let _ = Command::new("kill")
                .args(["-s", "KILL", &self.pid.to_string()])
                .status();
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Stopped {
    /// The records without their timestamps.
    pub fn records(&self) -> Vec<Value> {
        let parse = |line: &String| {
            let mut record: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in the output: {line}"));
            let object = record.as_object_mut().expect("a JSON object");
            object.remove("timestamp");
            record
        };
        self.lines.iter().map(parse).collect()
    }

    pub fn count(&self, key: &str) -> u64 {
        self.summary[key].as_u64().unwrap()
    }
}

pub fn read_lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8(fs::read(path).unwrap()).expect("the output is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "a torn last line");
    text.lines().map(str::to_owned).collect()
}

/// Runs a command to its end, which must come: a daemon that should have been refused would run for
/// ever.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    let mut bounded = Command::new("timeout");
    let seconds = PATIENCE.as_secs().to_string();
    bounded
        .arg(seconds)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    let output = bounded.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert_ne!(output.status.code(), Some(124), "{command:?} did not end");
    output
}

/// Runs a command with these bytes as its standard input.
pub fn run_with_input(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// The one line that a program said on standard error.
#[track_caller]
pub fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1, "not one line: {text}");
    lines[0].to_owned()
}

/// Starts a producer that stamps its records.
pub fn spawn_producer<S: AsRef<OsStr>>(endpoint: &str, args: impl IntoIterator<Item = S>) -> Child {
    producer()
        .args(["--ipc", endpoint, "--stamp", "--report"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for producers and returns how many records each sent, by pid.
#[track_caller]
pub fn sent_by(producers: Vec<Child>) -> HashMap<u64, u64> {
    let sent = |child: Child| {
        let pid = u64::from(child.id());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "producer: {}", output.status);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["errors"], 0, "{report}");
        (pid, report["sent"].as_u64().unwrap())
    };
    producers.into_iter().map(sent).collect()
}

/// The sequence numbers of each producer, in the order of the output.
pub fn sequences(lines: &[String]) -> HashMap<u64, Vec<u64>> {
    let mut sequences: HashMap<u64, Vec<u64>> = HashMap::new();
    for line in lines {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let number = |key: &str| record[key].as_u64().unwrap();
        sequences
            .entry(number("pid"))
            .or_default()
            .push(number("seq"));
    }
    sequences
}
