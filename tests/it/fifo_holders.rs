//! FIFOs that somebody else holds open: rsyslog's ompipe and syslog-ng's pipe() open theirs for reading as well.

use crate::fifo::libc_o_nonblock;
use crate::harness::{
    Folder, Nobody, OPEN, Setup, aggregator, has_program, one_line, run, skip, wait_for,
};
use log_aggregator::sys::pipe_size;
use serde_json::Value;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn make_fifo(folder: &Folder) {
    let made = run(Command::new("mkfifo").arg(folder.path("fifo")));
    assert!(made.status.success());
}

fn open(folder: &Folder, read: bool, write: bool) -> File {
    let mut options = OpenOptions::new();
    options.custom_flags(libc_o_nonblock());
    let opened = options.read(read).write(write).open(folder.path("fifo"));
    opened.unwrap()
}

/// Asks `--check`, and returns its first line.
fn verdict(folder: &Folder) -> String {
    let output = run(aggregator()
        .args(["--check", "--ipc", &folder.endpoint("fifo")])
        .arg("--output")
        .arg(folder.path("other")));
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().next().unwrap();
    line.rsplit_once(": ").unwrap().1.to_owned()
}

#[test]
fn a_fifo_that_somebody_holds_open_is_served() {
    for (read, write) in [(true, true), (true, false)] {
        let folder = Folder::new();
        make_fifo(&folder);
        let _holders = [open(&folder, read, write), open(&folder, read, write)];
        assert_eq!(verdict(&folder), "ok");
        let daemon = Setup::new(&folder, &["fifo"]).start();
        daemon.connect("fifo").send("{\"n\":1}\n");
        daemon.wait_for_lines(1);
        // And nobody else gets it.
        assert_eq!(verdict(&folder), "in use by a running process");
        let second = run(aggregator()
            .args(["--ipc", daemon.endpoint("fifo"), "--output"])
            .arg(folder.path("second")));
        assert!(one_line(&second).contains("in use by a running process"));
        let stopped = daemon.stop();
        assert_eq!(stopped.lines, ["{\"n\":1}"]);
        assert_eq!(stopped.stderr, "");
    }
}

/// A writer that opens the FIFO as rsyslog does, and numbers its records. An error but a full pipe is one too many.
fn write_on(mut fifo: File, enough: &AtomicBool, written: &AtomicU64) {
    let mut number = 0;
    while !enough.load(Ordering::Relaxed) {
        match fifo.write(format!("{{\"n\":{number}}}\n").as_bytes()) {
            Ok(_) => {
                number += 1;
                written.store(number, Ordering::Relaxed);
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(e) => panic!("after {number} records: {e}"),
        }
    }
}

/// Ends the writer, also when the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_writer_that_holds_the_fifo_open_goes_on_across_restarts() {
    let folder = Folder::new();
    make_fifo(&folder);
    let fifo = open(&folder, true, true);
    let pipe = fifo.try_clone().unwrap();
    let (enough, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let lines = std::thread::scope(|scope| {
        let _end = End(&enough);
        let writer = scope.spawn(|| write_on(fifo, &enough, &written));
        let mut size = None;
        for round in 1..=5 {
            let daemon = Setup::new(&folder, &["fifo"]).start();
            let before = daemon.lines_written();
            daemon.wait_for_lines(before + 1000);
            daemon.signal("TERM");
            let stopped = daemon.wait_unchecked();
            assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
            assert_eq!(stopped.stderr, "");
            let now = pipe_size(pipe.as_fd()).unwrap();
            assert_eq!(*size.get_or_insert(now), now, "the pipe's size");
            // It is not shut out: while none runs, it goes on as far as the pipe has room.
            let seen = stopped.lines.len() as u64;
            wait_for("more", || written.load(Ordering::Relaxed) > seen + 10);
            assert!(!writer.is_finished(), "round {round}");
        }
        enough.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        // The last one takes what is left.
        let daemon = Setup::new(&folder, &["fifo"]).start();
        daemon.wait_for_lines(usize::try_from(written.load(Ordering::Relaxed)).unwrap());
        daemon.signal("TERM");
        daemon.wait_unchecked().lines
    });
    for (number, line) in lines.iter().enumerate() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(record["n"], number, "{line}");
    }
    assert_eq!(lines.len() as u64, written.load(Ordering::Relaxed));
}

/// Writers that never pause, on a daemon so slow that there is always more to be read: mere ones are refused at once,
/// and of those who hold the FIFO the next daemon takes what comes after the signal.
#[test]
fn writers_that_never_pause_do_not_hold_a_stop_up() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    const WRITE: &str = "{\"some\":\"record\"}\n";
    for reads_as_well in [false, true] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &["fifo"])
            .args(["--drain-timeout=4"])
            .wrapper(["strace", "-o", "/dev/null", "-e", "trace=write"])
            .wrapper(["-e", "inject=write:delay_exit=30000"])
            .start();
        let mut fifo = OpenOptions::new();
        fifo.read(reads_as_well).write(true);
        let mut fifo = fifo.open(folder.path("fifo")).unwrap();
        let kept = reads_as_well.then(|| fifo.try_clone().unwrap());
        let enough = AtomicBool::new(false);
        let sent = std::thread::scope(|scope| {
            let _end = End(&enough);
            let writer = scope.spawn(|| {
                let mut sent = 0;
                while !enough.load(Ordering::Relaxed)
                    && fifo.write_all(WRITE.repeat(200).as_bytes()).is_ok()
                {
                    sent += 200;
                }
                sent
            });
            daemon.wait_for_lines(20_000);
            let stopped = daemon.stop();
            assert_eq!(stopped.stderr, "");
            enough.store(true, Ordering::Relaxed);
            // The next one takes what is left, and ends a write that waits for room.
            let daemon = Setup::new(&folder, &["fifo"]).start();
            let sent = writer.join().unwrap();
            daemon.wait_for_lines(sent);
            daemon.signal("TERM");
            daemon.wait_unchecked();
            sent
        });
        let lines = fs::read_to_string(folder.path("records.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), sent, "{reads_as_well}");
        drop(kept);
    }
}

/// What half a line it has read when it stops is a record; the rest, which comes later, is another.
#[test]
fn half_a_line_that_was_read_at_the_stop_is_no_riddle_for_the_next_daemon() {
    let folder = Folder::new();
    make_fifo(&folder);
    let mut fifo = open(&folder, true, true);
    let daemon = Setup::new(&folder, &["fifo"]).start();
    fifo.write_all(b"{\"n\":1}\nhalf").unwrap();
    daemon.wait_for_lines(1);
    let stopped = daemon.stop();
    assert_eq!(stopped.lines.len(), 2);
    assert_eq!(stopped.records()[1]["unterminated"], true);
    fifo.write_all(b"{\"n\":2}\n").unwrap();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.wait_for_lines(3);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().lines[2], "{\"n\":2}");
}

/// A writer that stays, and cannot read, is held up by the stop. Not by the next daemon's pipe, whatever its size is to
/// be and whether it can be had.
#[test]
fn a_mere_writer_gets_its_room_back_from_the_next_daemon() {
    const USUAL: usize = 64 << 10;
    for (buffer, least) in [
        ("default", USUAL),
        ("max", USUAL),
        ("131072", 131_072),
        ("1073741824", USUAL), // more than fs.pipe-max-size, as a rule
    ] {
        let folder = Folder::new();
        let setup = || Setup::new(&folder, &["fifo"]).args(["--buffer", buffer]);
        let daemon = setup().start();
        let mut writer = open(&folder, false, true);
        writer.write_all(b"{}\n").unwrap();
        daemon.wait_for_lines(1);
        assert_eq!(daemon.stop().lines.len(), 1);
        let size = || pipe_size(writer.as_fd()).unwrap();
        assert!(size() < USUAL, "the stop has left it as it was");
        let daemon = setup().start();
        assert!(size() >= least, "--buffer {buffer}: {}", size());
        writer.write_all(b"{}\n").unwrap();
        daemon.wait_for_lines(2);
        daemon.signal("TERM");
        assert_eq!(daemon.wait_unchecked().lines.len(), 2);
    }
}

/// Somebody who opens it after the stop has looked is not shut out either. strace makes that moment long.
#[test]
fn a_holder_that_comes_during_the_stop_is_not_shut_out() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["fifo"])
        .args(["--buffer=131072"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .wrapper(["-e", &format!("trace={OPEN},fcntl")])
        .wrapper(["-e", "inject=fcntl:delay_enter=500000"])
        .start();
    let writer = open(&folder, false, true);
    daemon.signal("TERM");
    wait_for("the look", || {
        let calls = fs::read_to_string(&trace).unwrap();
        calls.contains("ENXIO")
    });
    let mut holder = open(&folder, true, true); // before it fills the pipe
    let stopped = daemon.wait();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(pipe_size(writer.as_fd()).unwrap(), 131_072);
    holder.write_all(b"{\"n\":1}\n").unwrap();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.wait_for_lines(1);
    assert_eq!(daemon.stop().lines, ["{\"n\":1}"]);
}

#[test]
fn the_script_takes_a_holder_for_no_daemon() {
    let folder = Folder::new();
    make_fifo(&folder);
    let _holder = open(&folder, true, true);
    let programs = aggregator();
    let programs = std::path::Path::new(programs.get_program()).parent();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = run(Command::new("bash")
        .arg(root.join("launch-producers.sh"))
        .arg(folder.endpoint("fifo"))
        .args(["-n", "2", "--", "--rate", "0", "--count", "5"])
        .env("BIN_DIR", programs.unwrap()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("wrote 10 records of 10"), "{text}");
    assert_eq!(folder.names(), ["fifo"]); // which was there, and nothing beside it
}

/// A FIFO that the daemon may only read, in a folder that it may not write to.
#[test]
fn a_fifo_that_the_daemon_may_only_read_is_served() {
    let Some(nobody) = Nobody::new() else { return };
    let folder = Folder::new();
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
    make_fifo(&folder);
    let path = folder.path("fifo");
    fs::set_permissions(&path, Permissions::from_mode(0o440)).unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(65_534)).unwrap();
    fs::create_dir(folder.path("his")).unwrap();
    nobody.owns(&folder.path("his"));
    let daemon = Setup::new(&folder, &["fifo"])
        .output(&folder.path("his/records"))
        .wrapper(nobody.wrapper())
        .start();
    daemon.connect("fifo").send("{\"n\":1}\n");
    daemon.wait_for_lines(1);
    let stopped = daemon.stop();
    assert_eq!(stopped.lines, ["{\"n\":1}"]);
    assert_eq!(stopped.stderr.lines().count(), 1, "{}", stopped.stderr);
    let said = "another daemon that reads it would not be noticed";
    assert!(stopped.stderr.contains(said), "{}", stopped.stderr);
}
