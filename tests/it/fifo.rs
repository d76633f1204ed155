//! FIFOs: writers that come and go, half lines, and whose FIFO it is.

use crate::harness::{
    Client, Folder, OPEN, Setup, aggregator, has_program, one_line, run, skip, wait_for,
};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn short_lived_writers_lose_nothing_and_never_meet_a_missing_reader() {
    const WRITERS: usize = 2000;
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let path = daemon.address("fifo");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let writer = next.fetch_add(1, Ordering::Relaxed);
                    if writer >= WRITERS {
                        break;
                    }
                    // Every other one refuses to wait: with no reader at any moment, it would fail.
                    let flags = if writer.is_multiple_of(2) {
                        libc_o_nonblock()
                    } else {
                        0
                    };
                    let mut fifo = OpenOptions::new()
                        .write(true)
                        .custom_flags(flags)
                        .open(path)
                        .unwrap();
                    fifo.write_all(format!("{{\"writer\":{writer}}}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
    let stopped = daemon.stop();
    let mut writers: Vec<u64> = stopped
        .records()
        .iter()
        .map(|record| record["writer"].as_u64().unwrap())
        .collect();
    writers.sort_unstable();
    assert!(writers.into_iter().eq(0..WRITERS as u64));
    assert_eq!(stopped.stderr, "");
}

/// The value of O_NONBLOCK on this machine, which std does not name: what a file opened with it has
/// in /proc.
pub fn libc_o_nonblock() -> i32 {
    if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
        0o200
    } else {
        0o4000
    }
}

#[test]
fn processes_of_a_shell_come_and_go() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let path = daemon.address("fifo");
    let script = "for i in $(seq 50); do echo \"hello $i\" > \"$0\" & done; wait";
    assert!(
        run(Command::new("sh").args(["-c", script, path]))
            .status
            .success()
    );
    let stopped = daemon.stop();
    assert_eq!(stopped.lines.len(), 50);
    assert!(stopped.records().contains(&json!(
        {"source": "fifo", "level": "INFO", "message": "hello 50"}
    )));
}

#[test]
fn two_writers_half_lines_are_never_glued_together() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    for (count, half) in ["{\"a\":", "1}"].into_iter().enumerate() {
        let mut client = daemon.connect("fifo");
        client.send(half);
        drop(client);
        daemon.wait_for_lines(count + 1);
    }
    let messages: Vec<_> = daemon
        .stop()
        .records()
        .iter()
        .map(|record| (record["message"].clone(), record["unterminated"].clone()))
        .collect();
    assert_eq!(
        messages,
        [(json!("{\"a\":"), json!(true)), (json!("1}"), json!(true))]
    );
}

#[test]
fn a_fifo_stays_and_serves_the_next_daemon() {
    let folder = Folder::new();
    for round in 1..=2 {
        let daemon = Setup::new(&folder, &["fifo"]).start();
        daemon.connect("fifo").send("{}\n");
        assert_eq!(daemon.stop().count("records"), 1);
        let kind = fs::symlink_metadata(folder.path("fifo"))
            .unwrap()
            .file_type();
        assert!(kind.is_fifo(), "round {round}");
        fs::remove_file(folder.path("records.jsonl")).unwrap();
    }
}

#[test]
fn a_writer_that_waits_for_a_daemon_is_served() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let path = daemon.address("fifo").to_owned();
    daemon.stop();
    fs::remove_file(folder.path("records.jsonl")).unwrap();
    let writer = std::thread::spawn(move || Client::connect("fifo", &path).send("{}\n"));
    let daemon = Setup::new(&folder, &["fifo"]).start();
    writer.join().unwrap();
    assert_eq!(daemon.stop().lines, ["{}"]);
}

#[test]
fn a_path_that_is_something_else_is_refused_and_left_alone() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "precious").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    for (name, want) in [("file", "regular file"), ("folder", "not a FIFO")] {
        let endpoint = format!("fifo={}", folder.path(name).display());
        let output = run(aggregator()
            .args(["--ipc", &endpoint, "--output"])
            .arg(folder.path("records")));
        assert_eq!(output.status.code(), Some(2));
        assert!(one_line(&output).contains(want));
    }
    assert_eq!(fs::read(folder.path("file")).unwrap(), b"precious");
}

#[test]
fn a_fifo_that_another_daemon_reads_is_refused() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let output = run(aggregator()
        .args(["--ipc", daemon.endpoint("fifo"), "--output"])
        .arg(folder.path("second")));
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("in use by a running process"));
    daemon.connect("fifo").send("{}\n");
    assert_eq!(daemon.stop().lines, ["{}"]);
}

#[test]
fn an_existing_fifo_keeps_its_permissions_unless_told_otherwise() {
    let folder = Folder::new();
    let path = folder.path("fifo");
    assert!(
        run(Command::new("mkfifo").args(["-m", "0606"]).arg(&path))
            .status
            .success()
    );
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    Setup::new(&folder, &["fifo"]).start().stop();
    assert_eq!(mode(), 0o606);
    Setup::new(&folder, &["fifo"])
        .args(["--socket-mode=0622"])
        .start()
        .stop();
    assert_eq!(mode(), 0o622);
}

#[test]
fn the_pipe_is_as_large_as_asked_for() {
    // How much fits before a writer would wait, found with a daemon that has stopped reading.
    let capacity = |buffer: &str| {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &["fifo"])
            .args(["--buffer", buffer])
            .start();
        let mut client = daemon.connect("fifo");
        client.send("{}\n");
        daemon.wait_for_lines(1);
        daemon.freeze();
        let mut writer = OpenOptions::new()
            .write(true)
            .custom_flags(libc_o_nonblock())
            .open(daemon.address("fifo"))
            .unwrap();
        let block = [b'\n'; 4096];
        let mut written = 0;
        while let Ok(bytes) = writer.write(&block) {
            written += bytes;
        }
        daemon.thaw();
        drop((writer, client));
        daemon.stop();
        written
    };
    let mut pipe_max = String::new();
    fs::File::open("/proc/sys/fs/pipe-max-size")
        .unwrap()
        .read_to_string(&mut pipe_max)
        .unwrap();
    assert_eq!(capacity("default"), 65_536);
    assert_eq!(capacity("131072"), 131_072);
    assert_eq!(capacity("max"), pipe_max.trim().parse::<usize>().unwrap());
}

#[test]
fn the_hang_up_of_the_last_writer_costs_a_few_calls_and_no_more() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["fifo"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .start();
    for count in 1..=3 {
        daemon.connect("fifo").send("{}\n");
        daemon.wait_for_lines(count);
    }
    let (_, idle) = daemon.calls_while_idle(&trace, Duration::from_secs(1));
    assert_eq!(idle, 0);
    let text = fs::read_to_string(&trace).unwrap();
    let reads = text
        .lines()
        .filter(|line| line.starts_with("read(") && line.contains("= 0"))
        .count();
    assert!(
        reads <= 4,
        "{reads} ends of input were read from 3 writers:\n{text}"
    );
    daemon.stop();
}

/// The end of a writer that comes and goes between our reading of an end and our opening of the new
/// read end is not reported by the kernel. strace makes that moment long.
#[test]
fn a_writer_that_comes_and_goes_during_the_reopening_has_its_end_seen() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let mut strace = Command::new("strace")
        .args(["-o", trace.to_str().unwrap(), "-p", &daemon.pid.to_string()])
        .args(["-e", &format!("trace={OPEN},read")])
        .args(["-e", &format!("inject={OPEN}:delay_enter=700000")])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut attached = [0; 1];
    strace
        .stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut attached)
        .unwrap();

    let mut first = daemon.connect("fifo");
    first.send("{}\n");
    daemon.wait_for_lines(1);
    drop(first);
    // From here on the daemon is on its way to open it anew, which strace holds up.
    wait_for("the end of the first", || {
        let text = fs::read_to_string(&trace).unwrap();
        text.lines()
            .any(|line| line.starts_with("read(") && line.ends_with("= 0"))
    });
    let mut half = daemon.connect("fifo");
    half.send("{\"half\":");
    drop(half);
    wait_for("the end of the half line", || daemon.lines_written() == 2);
    daemon.connect("fifo").send("{\"whole\":1}\n");
    daemon.wait_for_lines(3);
    let records = daemon.stop().records();
    strace.wait().unwrap();
    assert_eq!(records[1]["message"], "{\"half\":");
    assert_eq!(records[1]["unterminated"], true);
    assert_eq!(records[2], json!({"whole": 1}));
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.contains("DELAYED"), "strace held nothing up: {text}");
}

/// A writer that stays connected through a restart: it has nothing to do with how the daemon before has
/// kept it from writing, not the blank line and not the small pipe.
#[test]
fn a_writer_that_stays_finds_the_next_daemon_as_it_found_the_first() {
    let folder = Folder::new();
    let setup = || Setup::new(&folder, &["fifo"]).args(["--buffer=default"]);
    let daemon = setup().start();
    let mut client = daemon.connect("fifo");
    client.send("{}\n");
    assert_eq!(daemon.stop().lines.len(), 1);
    let daemon = setup().start();
    daemon.signal("STOP");
    wait_for("the stop", || daemon.status_line("State").starts_with('T'));
    let records = "{}\n".repeat(20_000); // almost what a pipe usually holds, and nobody reads
    let sender = std::thread::spawn(move || client.send(records));
    wait_for("room in the pipe", || sender.is_finished());
    daemon.signal("CONT");
    daemon.wait_for_lines(20_001);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().lines.len(), 20_001);
}
