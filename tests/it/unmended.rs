//! The end of a file that cannot be mended, or not even seen: what comes next stands on a line of its own.

use crate::ending::{End, RECORD, ends, one_record, tail};
use crate::harness::{Folder, Setup, Stopped, aggregator, has_program, run, skip};
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file whose end cannot be mended keeps it, byte for byte, and the record stands on a line of its own.
#[track_caller]
fn check_only_added_to(end: &End, path: &Path, stopped: &Stopped, can_be_seen: bool) {
    let newline = if end.length() == 0 || can_be_seen && end.is_whole() {
        ""
    } else {
        "\n"
    };
    let added = format!("{newline}{RECORD}");
    let file = File::open(path).unwrap();
    let length = file.metadata().unwrap().len();
    assert_eq!(length, end.length() + added.len() as u64, "{}", end.name);
    assert_eq!(tail(path, added.len()), added.as_bytes(), "{}", end.name);
    let mut before = vec![0; end.bytes.len()];
    file.read_exact_at(&mut before, 0).unwrap();
    assert!(before == end.bytes, "{}", end.name);
    // What may not be read may not be watched.
    let unwatched = usize::from(!can_be_seen);
    let said = stopped.stderr.lines().count();
    let want = newline.len() + unwatched;
    assert_eq!(said, want, "{}: {}", end.name, stopped.stderr);
}

/// A file that may only be appended to, as long as it lives.
struct AppendOnly(PathBuf);

impl AppendOnly {
    /// `None` where it cannot be had.
    fn set(path: &Path) -> Option<Self> {
        let set = run(Command::new("chattr").arg("+a").arg(path));
        set.status.success().then(|| Self(path.to_owned()))
    }
}

impl Drop for AppendOnly {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-a").arg(&self.0).status();
    }
}

#[test]
fn a_file_that_may_only_be_appended_to_is() {
    if !has_program("chattr") {
        return skip("chattr (e2fsprogs) is not installed");
    }
    for end in ends() {
        let folder = Folder::new();
        let path = folder.path("records.jsonl");
        end.write(&path);
        let Some(_append_only) = AppendOnly::set(&path) else {
            return skip("chattr +a needs root and a file system that has it");
        };
        let stopped = one_record(Setup::new(&folder, &["unixsock"]).start(), end.name);
        check_only_added_to(&end, &path, &stopped, true);
    }
}

/// What runs a daemon as nobody, who may write the output and not read it.
fn as_nobody(folder: &Folder) -> Option<Vec<String>> {
    let probe = folder.path("probe");
    fs::write(&probe, "").unwrap();
    if !has_program("setpriv") || chown(&probe, Some(65_534), None).is_err() {
        skip("setpriv is not installed, or the tests are not run by root");
        return None;
    }
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    // Where that user may look, unlike this checkout perhaps.
    let program = folder.path("aggregator");
    fs::copy(aggregator().get_program(), &program).unwrap();
    let run_copy = format!("shift; exec {} \"$@\"", program.display());
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let words = words.into_iter().chain(["sh", "-c", &run_copy, "sh"]);
    Some(words.map(str::to_owned).collect())
}

#[test]
fn a_file_that_may_only_be_written_to_is_not_glued_to() {
    for end in ends() {
        let folder = Folder::new();
        let Some(wrapper) = as_nobody(&folder) else {
            return;
        };
        let path = folder.path("records.jsonl");
        end.write(&path);
        chown(&path, Some(65_534), Some(65_534)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o200)).unwrap();
        let daemon = Setup::new(&folder, &["unixsock"]).wrapper(wrapper).start();
        let stopped = one_record(daemon, end.name);
        check_only_added_to(&end, &path, &stopped, false);
    }
}

#[test]
fn an_end_that_cannot_be_read_is_not_glued_to() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let path = folder.path("records.jsonl");
    fs::write(&path, "{\"a\":").unwrap();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["strace", "-o", "/dev/null", "-P", path.to_str().unwrap()])
        .wrapper(["-e", "inject=pread64:error=EIO"])
        .start();
    let stopped = one_record(daemon, "EIO");
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        format!("{{\"a\":\n{RECORD}")
    );
    assert!(stopped.stderr.contains("os error 5"), "{}", stopped.stderr);
}

#[test]
fn without_proc_an_end_is_mended_all_the_same() {
    let has_unshare = has_program("unshare")
        && run(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/proc"]))
            .status
            .success();
    if !has_unshare {
        return skip("unshare --mount needs root");
    }
    let folder = Folder::new();
    let path = folder.path("records.jsonl");
    fs::write(&path, "{}\n{\"a\":").unwrap();
    let hide = "mount -t tmpfs none /proc && exec \"$@\"";
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["unshare", "--mount", "sh", "-c", hide, "sh"])
        .start();
    let stopped = one_record(daemon, "no /proc");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[1]["message"], "{\"a\":", "{}", stopped.stderr);
    assert_eq!(lines.len(), 3);
}
