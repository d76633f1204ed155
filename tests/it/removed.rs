//! An output that is removed or replaced without a signal.

use crate::anew::{WAYS, make_anew, record, records, rotated, setup, stop};
use crate::faults::SmallDisk;
use crate::harness::{Daemon, Folder, has_program, read_lines, skip, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How an output loses its last name.
fn take_name(output: &Path, how: &str) {
    match how {
        "removed" => fs::remove_file(output).unwrap(),
        "replaced" => {
            let other = output.with_extension("other");
            fs::write(&other, "{\"other\":1}\n").unwrap();
            fs::rename(other, output).unwrap();
        }
        _ => {
            let second = output.with_extension("second");
            fs::rename(output, &second).unwrap();
            fs::remove_file(second).unwrap();
        }
    }
}

fn said_anew(daemon: &Daemon, times: usize) {
    wait_for("a word of it", || {
        daemon
            .stderr()
            .matches("removed or replaced, and is made anew")
            .count()
            == times
    });
}

#[test]
fn an_output_that_has_lost_its_name_is_made_anew_while_idle() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for how in ["removed", "replaced", "moved and removed"] {
        let folder = Folder::new();
        let trace = folder.path("trace");
        let daemon = setup(&folder)
            .wrapper(["strace", "-o", trace.to_str().unwrap()])
            .start();
        let mut client = daemon.connect("unixsock");
        client.send("{}\n");
        daemon.wait_for_lines(1);
        // More than once: the watch goes with the file.
        for times in 1..=3 {
            daemon.calls_while_idle(&trace, Duration::ZERO);
            take_name(&daemon.output, how);
            said_anew(&daemon, times);
            // The move may have it look once more, up to a second later; then there is nothing to do.
            wait_for("an idle second", || {
                daemon.calls_while_idle(&trace, Duration::from_secs(1)).1 == 0
            });
            client.send("{\"new\":1}\n");
            daemon.wait_for_lines(1 + usize::from(how == "replaced"));
        }
        let lines = read_lines(&daemon.output);
        assert_eq!(lines.last().unwrap(), "{\"new\":1}", "{how}");
        assert_eq!(lines.len(), 1 + usize::from(how == "replaced"), "{how}");
        assert_eq!(stop(daemon).lines().count(), 3, "{how}");
    }
}

#[test]
fn an_output_is_made_anew_after_a_rotation_and_after_a_signal_too() {
    for way in [WAYS[0], WAYS[1]] {
        let folder = Folder::new();
        let daemon = setup(&folder).args(["--rotate-size=4096"]).start();
        make_anew(&daemon, way);
        take_name(&daemon.output, "removed");
        said_anew(&daemon, 1);
        // What has been moved away is no longer the output.
        for path in rotated(&daemon.output) {
            fs::remove_file(path).unwrap();
        }
        let _ = fs::remove_file(daemon.output.with_extension("1"));
        daemon.connect("unixsock").send("{}\n");
        daemon.wait_for_lines(1);
        assert_eq!(stop(daemon).lines().count(), 1, "{way}");
    }
}

/// Who removes the file that has filled the disk makes room only when it is let go.
#[test]
fn an_output_that_is_removed_while_it_refuses_bytes_is_made_anew() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
        return skip("mounting a tmpfs needs root");
    };
    let output = disk.0.join("records.jsonl");
    let daemon = setup(&folder).output(&output).start();
    let mut client = daemon.connect("unixsock");
    (0..100).for_each(|number| client.send(record(number)));
    wait_for("the full disk", || {
        daemon.stderr().contains("No space left")
    });
    // When it tries again only after seconds: what is noticed is the removal.
    std::thread::sleep(Duration::from_secs(4));
    let removed = Instant::now();
    fs::remove_file(&output).unwrap();
    said_anew(&daemon, 1);
    assert!(
        removed.elapsed() < Duration::from_secs(1),
        "{:?}",
        removed.elapsed()
    );
    wait_for("the rest", || {
        fs::read_to_string(&output).unwrap().ends_with(&record(99))
    });
    assert!(fs::read_to_string(&output).unwrap() == records(65..100));
    stop(daemon);
}

#[test]
fn an_output_that_is_only_moved_waits_for_the_signal() {
    let folder = Folder::new();
    let daemon = setup(&folder).start();
    let moved = folder.path("moved");
    fs::rename(&daemon.output, &moved).unwrap();
    fs::set_permissions(&moved, fs::Permissions::from_mode(0o644)).unwrap();
    daemon.connect("unixsock").send("{}\n");
    wait_for("the record", || fs::read(&moved).unwrap() == b"{}\n");
    assert!(!daemon.output.exists());
    assert_eq!(stop(daemon), "");
}

/// Nothing that the summary counts is in a file that nobody can find, unless it is said.
#[test]
fn an_output_that_is_gone_at_the_end_is_a_failure() {
    let folder = Folder::new();
    let home = folder.path("home");
    fs::create_dir(&home).unwrap();
    let daemon = setup(&folder).output(&home.join("out")).start();
    daemon.connect("unixsock").send("{}\n");
    daemon.wait_for_lines(1);
    fs::remove_dir_all(&home).unwrap();
    wait_for("a word of it", || {
        daemon.stderr().contains("removed or replaced")
    });
    daemon.signal("TERM");
    let stopped = daemon.wait_unread();
    assert_eq!(stopped.status.code(), Some(2));
    let last = stopped.stderr.lines().last().unwrap();
    assert!(
        last.contains("cannot keep ") && last.contains("is lost"),
        "{last}"
    );
}

#[test]
fn where_it_cannot_be_watched_it_is_said() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for (call, want) in [
        ("inotify_init1:error=EMFILE", "paths are not watched: "),
        (
            "inotify_add_watch:error=ENOSPC:when=3+",
            "records.jsonl is not watched: No space left",
        ),
    ] {
        let folder = Folder::new();
        let daemon = setup(&folder)
            .wrapper(["strace", "-o", "/dev/null", "-e", &format!("inject={call}")])
            .start();
        wait_for("a word of it", || daemon.stderr().contains(want));
        fs::remove_file(&daemon.output).unwrap();
        daemon.signal("HUP");
        wait_for("the new file", || daemon.output.exists());
        stop(daemon);
    }
}
