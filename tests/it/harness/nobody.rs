//! A daemon that another user runs: one without any rights.

use super::{aggregator, has_program, skip};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

const USER: u32 = 65_534;
const SETPRIV: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// That user, with a copy of the program that he may run, unlike the one in this checkout perhaps.
pub struct Nobody(TempDir);

impl Nobody {
    /// `None`, and said, where we cannot act for him.
    #[track_caller]
    pub fn new() -> Option<Self> {
        if !has_program("setpriv") || fs::metadata("/proc/self").unwrap().uid() != 0 {
            skip("setpriv is not installed, or the tests are not run by root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let nobody = Self(folder);
        fs::copy(aggregator().get_program(), nobody.program()).unwrap();
        Some(nobody)
    }

    fn program(&self) -> PathBuf {
        self.0.path().join("aggregator")
    }

    /// The wrapper that has him run the daemon.
    pub fn wrapper(&self) -> Vec<String> {
        let script = format!("exec {} \"$PROGRAM\" \"$@\"", SETPRIV.join(" "));
        let program = format!("PROGRAM={}", self.program().display());
        let words = ["env", &program, "sh", "-c", &script];
        words.map(str::to_owned).into() // what follows is our own program's path, its $0
    }

    /// The daemon, run by him.
    pub fn aggregator(&self) -> Command {
        self.command(self.program().to_str().unwrap())
    }

    /// A program, run by him.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(SETPRIV[0]);
        command.args(&SETPRIV[1..]).arg(program);
        command
    }

    /// Gives him a file.
    pub fn owns(&self, path: &std::path::Path) {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
}
