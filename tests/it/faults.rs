//! An output that refuses bytes: nothing is lost, nothing is torn, and nothing spins.

use crate::harness::{
    Folder, Setup, TRANSPORTS, has_program, run, sent_by, sequences, skip, spawn_producer, wait_for,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const REFUSED: &str = "No space left on device";
const RESUMED: &str = "the output takes records again";

/// A small file system of its own, unmounted when dropped.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `None` where we may not mount.
    pub fn mount(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let options = format!("size={size}");
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(&path));
        mounted.status.success().then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Sends over all five transports into a disk that fills while they send, and is freed.
#[test]
fn a_full_disk_holds_everybody_up_and_loses_nothing() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "16m") else {
        return skip("mounting a tmpfs needs root");
    };
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![0; 15 << 20]).unwrap();
    let output = disk.0.join("records.jsonl");
    let daemon = Setup::new(&folder, &TRANSPORTS).output(&output).start();
    let producers: Vec<_> = TRANSPORTS
        .iter()
        .flat_map(|transport| [transport; 2])
        .map(|transport| spawn_producer(daemon.endpoint(transport), ["--rate=0", "--count=4000"]))
        .collect();
    wait_for("the full disk", || daemon.stderr().contains(REFUSED));
    let (lines, cpu) = (daemon.lines_written(), daemon.cpu_ns());
    std::thread::sleep(Duration::from_secs(1)); // in which it must neither write nor spin
    assert_eq!(daemon.lines_written(), lines);
    let spent = daemon.cpu_ns() - cpu;
    assert!(
        spent < 20_000_000,
        "{spent} ns of processor time in a second of waiting"
    );

    fs::remove_file(&filler).unwrap();
    let sent: u64 = sent_by(producers).values().sum();
    assert_eq!(sent, 5 * 2 * 4000);
    let stopped = daemon.stop();
    assert_eq!(
        stopped.count("records") + stopped.count("kernel_drops"),
        sent
    );
    assert!(stopped.summary["paused_seconds"].as_f64() > Some(0.5));
    for (pid, numbers) in sequences(&stopped.lines) {
        assert!(numbers.is_sorted_by(|a, b| a < b), "of producer {pid}");
    }
    // Only UDP lost anything, which is in its own count.
    for (name, part) in stopped.summary["endpoints"].as_object().unwrap() {
        let lost = 8000 - part["records"].as_u64().unwrap();
        assert!(name.starts_with("udp=") || lost == 0, "{name}: {part}");
    }
    let said: Vec<&str> = stopped.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains(REFUSED) && said[1].contains(RESUMED),
        "{said:?}"
    );
}

/// Refusals that strace makes, in the middle of a load.
#[test]
fn a_load_goes_on_after_each_kind_of_refusal() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for errno in ["ENOSPC", "EDQUOT", "EIO", "EROFS"] {
        let folder = Folder::new();
        let inject = format!("inject=write:error={errno}:when=3..5");
        let daemon = Setup::new(&folder, &["unixsock"])
            .wrapper([
                "strace",
                "-o",
                "/dev/null",
                "-e",
                "trace=write",
                "-e",
                &inject,
            ])
            .start();
        let args = ["--rate=2000", "--count=1000"];
        let sent = sent_by(vec![spawn_producer(daemon.endpoint("unixsock"), args)]);
        daemon.wait_for_lines(1000);
        let stopped = daemon.stop();
        let got = sequences(&stopped.lines);
        for (pid, count) in sent {
            assert!(got[&pid].iter().copied().eq(0..count), "{errno}");
        }
        assert!(
            stopped.stderr.contains(RESUMED),
            "{errno}: {}",
            stopped.stderr
        );
    }
}

#[test]
fn a_stop_while_the_output_refuses_says_what_could_not_be_written() {
    let folder = Folder::new();
    let full = Path::new("/dev/full");
    let daemon = Setup::new(&folder, &["unixsock"]).output(full).start();
    daemon.connect("unixsock").send("{}\n{}\n{}\n");
    wait_for("the refusal", || daemon.stderr().contains(REFUSED));
    daemon.signal("TERM");
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(3));
    assert_eq!(stopped.count("records"), 0);
    assert!(
        stopped.stderr.contains("3 records could not be written"),
        "{}",
        stopped.stderr
    );
    assert!(!folder.path("unixsock").exists());
}

#[test]
fn what_a_full_disk_tore_is_made_whole_at_the_next_start() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
        return skip("mounting a tmpfs needs root");
    };
    let output = disk.0.join("records.jsonl");
    let record = format!("{{\"a\":\"{}\"}}\n", "x".repeat(990));
    let daemon = Setup::new(&folder, &["unixsock"]).output(&output).start();
    let mut client = daemon.connect("unixsock");
    daemon.freeze(); // so that it reads them all at once
    client.send(record.repeat(100));
    daemon.thaw();
    wait_for("the full disk", || daemon.stderr().contains(REFUSED));
    daemon.signal("TERM");
    let left = daemon.wait_unchecked();
    assert_eq!(left.status.code(), Some(3));
    let written = left.summary["records"].as_u64().unwrap();
    assert_eq!(left.summary["bytes"], 65_536);
    let could_not = format!("{} records could not be written", 100 - written);
    assert!(
        left.stderr.contains(&could_not),
        "{could_not}: {}",
        left.stderr
    );

    let remount = ["-o", "remount,size=1m"];
    assert!(
        run(Command::new("mount").args(remount).arg(&disk.0))
            .status
            .success()
    );
    let daemon = Setup::new(&folder, &["unixsock"]).output(&output).start();
    daemon.connect("unixsock").send("{\"new\":1}\n");
    daemon.wait_for_lines(usize::try_from(written).unwrap() + 2);
    daemon.signal("TERM");
    let lines = daemon.wait_unchecked().lines;
    for line in &lines {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(lines[lines.len() - 2].contains("\"unterminated\":true"));
    assert_eq!(lines[lines.len() - 1], "{\"new\":1}");
}

/// The file that filled the disk is removed, and the daemon holds the last reference to it.
#[test]
fn a_signal_lets_it_go_on_in_a_new_file_when_the_old_one_is_full() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
        return skip("mounting a tmpfs needs root");
    };
    let output = disk.0.join("records.jsonl");
    let daemon = Setup::new(&folder, &["unixsock"])
        .output(&output)
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let record = |number: usize| format!("{{\"number\":\"{number:05}{}\"}}\n", "x".repeat(990));
    let mut client = daemon.connect("unixsock");
    for number in 0..100 {
        client.send(record(number));
    }
    wait_for("the full disk", || daemon.stderr().contains(REFUSED));
    let moved = folder.path("moved");
    fs::copy(&output, &moved).unwrap();
    fs::remove_file(&output).unwrap();
    daemon.signal("HUP");
    wait_for("the rest", || {
        let written = fs::read_to_string(&output).unwrap_or_default();
        written.ends_with(&record(99))
    });
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.count("records"), 100);
    // The line that the old file has in part is whole in the new one.
    let old = fs::read_to_string(&moved).unwrap();
    let whole = old.rfind('\n').unwrap() + 1;
    let lines = old[..whole]
        .lines()
        .chain(stopped.lines.iter().map(String::as_str));
    let want: String = (0..100).map(record).collect();
    assert!(lines.eq(want.lines()));
}

#[test]
fn a_size_limit_is_a_refusal_and_not_a_death() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["sh", "-c", "ulimit -f 8; exec \"$@\"", "sh"])
        .start();
    let mut client = daemon.connect("unixsock");
    client.send("{\"some\":\"record\"}\n".repeat(1000));
    wait_for("the refusal", || daemon.stderr().contains("File too large"));
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().status.code(), Some(3));
}

/// How many syncs and writes to its output a daemon makes for three records sent one by one.
fn syncs_and_writes(args: &[&str]) -> (usize, usize) {
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(args)
        .wrapper([
            "strace",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "trace=fsync,write",
        ])
        .start();
    let mut client = daemon.connect("unixsock");
    for count in 1..=3 {
        client.send("{}\n");
        daemon.wait_for_lines(count);
    }
    daemon.stop();
    let text = fs::read_to_string(trace).unwrap();
    let count = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
    let writes = text.matches(", \"{}\\n\", 3)").count();
    (count("fsync("), writes)
}

#[test]
fn it_syncs_when_it_is_told_to() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    assert_eq!(syncs_and_writes(&["--sync=never"]), (0, 3));
    assert_eq!(syncs_and_writes(&[]), (1, 3));
    assert_eq!(syncs_and_writes(&["--sync=exit"]), (1, 3));
    assert_eq!(syncs_and_writes(&["--sync=interval=3600"]), (1, 3));
    assert_eq!(syncs_and_writes(&["--sync=batch"]), (3, 3));
}

#[test]
fn an_interval_ends_in_one_sync_and_then_in_silence() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--sync", "interval=0.3"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .start();
    let mut client = daemon.connect("unixsock");
    client.send("{}\n");
    let syncs = || {
        let text = fs::read_to_string(&trace).unwrap();
        text.lines()
            .filter(|line| line.starts_with("fsync("))
            .count()
    };
    wait_for("the sync", || syncs() == 1);
    let (_, idle) = daemon.calls_while_idle(&trace, Duration::from_secs(1));
    assert_eq!(idle, 0);
    daemon.stop();
    assert_eq!(syncs(), 1, "there was nothing more to sync");
}

#[test]
fn a_sync_that_fails_is_said_and_counted_and_never_cured() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--sync=batch"])
        .wrapper([
            "strace",
            "-o",
            "/dev/null",
            "-e",
            "inject=fsync:error=EIO:when=2",
        ])
        .start();
    let mut client = daemon.connect("unixsock");
    for count in 1..=3 {
        client.send("{}\n");
        daemon.wait_for_lines(count);
    }
    daemon.signal("TERM");
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(2), "{}", stopped.stderr);
    assert_eq!(stopped.count("sync_errors"), 1);
    assert_eq!(stopped.lines.len(), 3);
    assert!(stopped.stderr.contains("cannot sync"), "{}", stopped.stderr);
}

/// An output that is not read ends a stop when its time is up.
#[test]
fn a_stop_takes_no_longer_than_it_may() {
    let folder = Folder::new();
    let fifo = folder.path("out");
    assert!(run(Command::new("mkfifo").arg(&fifo)).status.success());
    let keep = fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--drain-timeout", "0.5"])
        .output(&fifo)
        .start();
    let mut client = daemon.connect("unixsock");
    client.send("{\"some\":\"record\"}\n".repeat(10_000));
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(3));
    assert!(
        stopped.stderr.contains("the time for draining is up"),
        "{}",
        stopped.stderr
    );
    assert!(
        stopped.stderr.contains("records could not be written"),
        "{}",
        stopped.stderr
    );
    drop(keep);
}
