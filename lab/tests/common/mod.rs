//! What the black-box tests share.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

pub const TRANSPORTS: [&str; 5] = ["unixsock", "tcp", "unixgram", "udp", "fifo"];

/// Runs lab to its end. It builds what it measures if that is missing, which takes the real PATH: so once before
/// all others.
pub fn lab(words: &[&str], change: impl FnOnce(&mut Command)) -> Output {
    static BUILT: Once = Once::new();
    let command = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
        command.args(words).stdin(Stdio::null());
        command
    };
    BUILT.call_once(|| {
        let output = command(&["follow", "fifo"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    });
    let mut command = command(words);
    change(&mut command);
    command.output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// All went well; returns what it said, which fits a terminal.
#[track_caller]
pub fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = stdout(output);
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "too wide: {line}");
    }
    text
}

/// Where PATH has this program.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name));
    found.into_iter().find(|path| path.is_file())
}

/// Why bpftrace cannot be used here.
pub fn no_bpftrace() -> Option<&'static str> {
    if find_program("bpftrace").is_none() {
        return Some("bpftrace is not installed");
    }
    let events = Path::new("/sys/kernel/tracing/events/raw_syscalls");
    (!events.is_dir()).then_some("tracefs is not mounted or not readable (tracing needs root)")
}

/// Whether the test may be left out here, for this reason. Never under CI.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "must not be skipped under CI: {reason}"
    );
    // Not by a macro: the test runner would keep that to itself.
    let _ = writeln!(std::io::stderr(), "skipped: {reason}");
}
