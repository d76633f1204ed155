//! Half lines on FIFOs that never end.

use crate::harness::{Daemon, Folder, Setup, has_program, run, skip, wait_for};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

/// Makes a FIFO and holds it open as rsyslog does, so that it has no end.
fn hold(folder: &Folder, name: &str) -> File {
    let path = folder.path(name);
    assert!(run(Command::new("mkfifo").arg(&path)).status.success());
    let both = OpenOptions::new().read(true).write(true).open(path);
    both.unwrap()
}

fn start(folder: &Folder, seconds: &str) -> Daemon {
    let setup = Setup::new(folder, &["fifo", "unixsock"]);
    setup.args(["--half-line", seconds]).start()
}

#[test]
fn half_a_line_that_never_ends_becomes_a_record_after_its_time() {
    let folder = Folder::new();
    let mut holder = hold(&folder, "fifo");
    let daemon = start(&folder, "0.2");
    // An object that lacks its newline is whole; of a text it cannot be told.
    for (count, written) in ["half", "{\"a\":1}", "{\"a\":"].into_iter().enumerate() {
        holder.write_all(written.as_bytes()).unwrap();
        daemon.wait_for_lines(count + 1);
    }
    daemon.connect("fifo").send("{\"other\":1}\n");
    daemon.wait_for_lines(4);
    assert_eq!(
        daemon.stop().records(),
        [
            json!({"source": "fifo", "level": "INFO", "message": "half", "unterminated": true}),
            json!({"a": 1}),
            json!({"source": "fifo", "level": "INFO", "message": "{\"a\":", "unterminated": true}),
            json!({"other": 1}),
        ]
    );
}

#[test]
fn so_it_does_on_a_fifo_that_a_service_manager_holds() {
    let folder = Folder::new();
    let mut holder = hold(&folder, "fifo");
    let mut setup = Setup::new(&folder, &[])
        .args(["--half-line=0.2"])
        .wrapper(["sh", "-c"])
        .wrapper(["LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    setup.stdin = holder.as_fd().try_clone_to_owned().unwrap().into();
    let daemon = setup.start();
    holder.write_all(b"half").unwrap();
    daemon.wait_for_lines(1);
    assert_eq!(daemon.stop().records()[0]["unterminated"], true);
}

/// A connection has an end of its own: it may take as long as it likes.
#[test]
fn a_connection_is_never_cut_by_time() {
    let folder = Folder::new();
    let mut holder = hold(&folder, "fifo");
    let daemon = start(&folder, "0.2");
    let mut client = daemon.connect("unixsock");
    client.send("{\"connection\":");
    client.send("1");
    for count in 1..=2 {
        holder.write_all(b"half").unwrap();
        daemon.wait_for_lines(count); // the time has passed for both
    }
    client.send("}\n");
    daemon.wait_for_lines(3);
    assert_eq!(daemon.stop().lines[2], "{\"connection\":1}");
}

/// The rest of a line that comes in time belongs to it, and then nothing is due any more: one wake-up for a half line,
/// and none without.
#[test]
fn half_a_line_costs_one_wake_up_and_a_whole_one_none() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for (seconds, wake_ups) in [("0.5", 1), ("0", 0)] {
        let folder = Folder::new();
        let mut holder = hold(&folder, "fifo");
        let trace = folder.path("trace");
        let daemon = Setup::new(&folder, &["fifo"])
            .wrapper(["strace", "-o", trace.to_str().unwrap()])
            .args(["--half-line", seconds])
            .start();
        holder.write_all(b"{\"a\":").unwrap();
        holder.write_all(b"1}\n").unwrap();
        daemon.wait_for_lines(1);
        let (_, idle) = daemon.calls_while_idle(&trace, Duration::from_secs(1));
        assert_eq!(idle, 0, "a line that is whole");
        // Not seen by the waiting below: its own read. All that comes later is due to time.
        let reads = || fs::read_to_string(&trace).unwrap().matches("read(").count();
        let before = reads();
        holder.write_all(b"half").unwrap();
        wait_for("the read", || reads() > before);
        if wake_ups > 0 {
            daemon.wait_for_lines(2);
        }
        let (_, idle) = daemon.calls_while_idle(&trace, Duration::from_secs(1));
        assert_eq!(idle, 0, "half a line whose time was up, or never is");
        assert_eq!(daemon.lines_written(), 1 + wake_ups);
        // What has just come, and once more, to see whether anything has.
        assert!(reads() - before <= 1 + wake_ups, "{seconds}");
        daemon.stop();
    }
}

/// Nothing is read then, and so it is not known that nothing has come; nor does it keep the daemon busy.
#[test]
fn while_the_output_refuses_half_a_line_waits_for_its_rest() {
    let folder = Folder::new();
    let mut holder = hold(&folder, "fifo");
    let mut output = hold(&folder, "output");
    let daemon = Setup::new(&folder, &["fifo", "unixsock"])
        .output(&folder.path("output"))
        .args(["--half-line=0.2", "--linger=0"])
        .start();
    let mut flood = daemon.connect("unixsock");
    holder.write_all(b"half ").unwrap();
    // More than a pipe holds: from here on the output takes nothing.
    let sender = std::thread::spawn(move || flood.send("{}\n".repeat(100_000)));
    let is_asleep = || {
        let before = daemon.cpu_ns();
        std::thread::sleep(Duration::from_millis(100));
        daemon.cpu_ns() == before
    };
    wait_for("a standstill", is_asleep);
    let before = daemon.cpu_ns();
    std::thread::sleep(Duration::from_millis(600)); // three times as long
    assert!(daemon.cpu_ns() - before < 20_000_000, "it is busy");
    holder.write_all(b"line\n{\"next\":1}\n").unwrap();

    let mut text = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    while !text.ends_with(b"{\"next\":1}\n") || !sender.is_finished() {
        let bytes = output.read(&mut chunk).unwrap();
        text.extend_from_slice(&chunk[..bytes]);
    }
    sender.join().unwrap();
    let text = String::from_utf8(text).unwrap();
    let others: Vec<&str> = text.lines().filter(|line| *line != "{}").collect();
    assert_eq!(others.len(), 2, "{others:?}");
    assert!(
        others[0].contains("\"message\":\"half line\""),
        "{others:?}"
    );
    assert!(!others[0].contains("unterminated"), "{others:?}");
    assert_eq!(others[1], "{\"next\":1}");
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
}
