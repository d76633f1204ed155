//! launch-producers.sh, as a user types it.

use crate::harness::{Folder, Setup, TRANSPORTS, has_program, one_line, run, skip, wait_for};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn programs() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_aggregator"))
        .parent()
        .unwrap()
}

fn script() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A shell cannot trap what it was started to ignore, as a background job is.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=INT", "bash"])
        .arg(root.join("launch-producers.sh"))
        .env("BIN_DIR", programs());
    command
}

#[track_caller]
fn said(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert_eq!(errors, "");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const FAST: [&str; 5] = ["--", "--rate", "0", "--count", "20"];

#[test]
fn without_a_daemon_it_starts_one_and_leaves_nothing_behind() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let endpoint = folder.endpoint(transport);
        let text = said(&run(script().args([&endpoint, "-n", "3"]).args(FAST)));
        assert!(
            text.starts_with("3 producers sent 60 records over "),
            "{text}"
        );
        assert!(text.contains("wrote 60 records of 60"), "{text}");
        assert!(text.contains("{\"source\":\"producer\""), "{text}");
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn it_keeps_the_records_on_request() {
    let folder = Folder::new();
    let kept = folder.path("kept.jsonl");
    let args = [&folder.endpoint("fifo"), "-o", kept.to_str().unwrap()];
    said(&run(script().args(args).args(FAST)));
    assert_eq!(fs::read_to_string(&kept).unwrap().lines().count(), 100);
    assert_eq!(folder.names(), ["kept.jsonl"]);
}

#[test]
fn a_daemon_that_runs_is_used_and_left_running() {
    for transport in TRANSPORTS {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let kept = folder.path("kept");
        let args = [daemon.endpoint(transport), "-o", kept.to_str().unwrap()];
        let output = run(script().args(args).args(FAST));
        assert_eq!(output.status.code(), Some(1));
        assert!(one_line(&output).contains("listens there already"));
        let text = said(&run(script().arg(daemon.endpoint(transport)).args(FAST)));
        assert!(
            text.starts_with("5 producers sent 100 records over "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert_eq!(daemon.stop().count("records"), 100, "{transport}");
    }
}

#[test]
fn only_what_went_to_its_own_daemon_is_held_against_it() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"]).start();
    // As with all, when one of the five has a daemon already.
    let endpoints = format!(
        "{} {}",
        daemon.endpoint("unixsock"),
        folder.endpoint("fifo")
    );
    let text = said(&run(script()
        .env("ENDPOINTS", endpoints)
        .arg("all")
        .args(FAST)));
    assert!(
        text.starts_with("10 producers sent 200 records over "),
        "{text}"
    );
    assert!(text.contains("started for this run, on fifo="), "{text}");
    assert!(text.contains("wrote 100 records of 100"), "{text}");
    assert_eq!(daemon.stop().count("records"), 100);
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let folder = Folder::new();
    fs::write(folder.path("fifo"), "precious").unwrap();
    let in_the_way = folder.endpoint("fifo");
    for (args, status, want) in [
        (&["pipe"][..], 1, "none of unixsock"),
        (&["-n", "0"], 1, "at least 1"),
        (&["-n"], 1, "needs a value"),
        (&["-x"], 1, "no such option"),
        (&["tcp", "udp"], 1, "one KIND, or all"),
        (&[&in_the_way], 2, "regular file"),
    ] {
        let output = run(script().args(args));
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        assert!(one_line(&output).contains(want), "{}", one_line(&output));
    }
    let output = run(script().args([&folder.endpoint("unixsock"), "-n1", "--", "--rate", "x"]));
    assert_eq!(output.status.code(), Some(1), "-n1 is no option of it");
    assert_eq!(folder.names(), ["fifo"]);
}

#[test]
fn producers_that_fail_are_a_failure() {
    let folder = Folder::new();
    let args = [&folder.endpoint("fifo"), "-n", "2", "--", "--size", "5000"];
    let output = run(script().args(args));
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("2 producers failed"), "{errors}");
    assert!(folder.names().is_empty());
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    for transport in ["unixsock", "fifo"] {
        let folder = Folder::new();
        let scratch = folder.path("scratch");
        fs::create_dir(&scratch).unwrap();
        let kept = folder.path("kept.jsonl");
        let mut child = script()
            .args([&folder.endpoint(transport), "-o", kept.to_str().unwrap()])
            .args(["--", "--duration", "600"])
            .env("TMPDIR", &scratch)
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("records", || {
            fs::read_to_string(&kept).is_ok_and(|text| text.lines().count() > 5)
        });
        // A terminal sends the signal to the whole group.
        let group = format!("-{}", child.id());
        let kill = Command::new("kill")
            .args(["-s", "INT", "--", &group])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        let of_group = || {
            let list = Command::new("ps").args(["-eo", "pgid="]).output().unwrap();
            let list = String::from_utf8(list.stdout).unwrap();
            list.lines()
                .filter(|line| line.trim() == &group[1..])
                .count()
        };
        wait_for("the end of all it started", || of_group() == 0);
        assert_eq!(folder.names(), ["kept.jsonl", "scratch"], "{transport}");
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    }
}

#[test]
fn a_fifo_of_any_name_is_removed_and_nothing_else() {
    for name in [
        "x: ok y",
        "x: ok",
        "x: ok (a note)",
        ": in use by a running process",
        "x\nfifo=y: ok",
        "*",
        "-x",
        "a b",
        "a\"b'\\c",
    ] {
        let folder = Folder::new();
        let endpoint = format!("fifo={name}");
        let text = said(&run(script()
            .current_dir(folder.path(""))
            .args([&endpoint])
            .args(FAST)));
        assert!(text.contains("wrote 100 records of 100"), "{name}: {text}");
        assert!(folder.names().is_empty(), "{name}: {:?}", folder.names());
    }
}

/// Runs it on a FIFO of this name, and does something before it ends.
#[track_caller]
fn meanwhile(folder: &Folder, name: &str, mut act: impl FnMut()) {
    let kept = folder.path("kept.jsonl");
    let mut child = script()
        .current_dir(folder.path(""))
        .args([&format!("fifo={name}"), "-n", "1", "-o", "kept.jsonl"])
        .args(["--", "--duration", "600"])
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("records", || {
        fs::read_to_string(&kept).is_ok_and(|text| text.lines().count() > 2)
    });
    act();
    let group = format!("-{}", child.id());
    let kill = Command::new("kill")
        .args(["-s", "INT", "--", &group])
        .status();
    assert!(kill.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn what_somebody_puts_beside_or_in_place_of_the_fifo_stays() {
    let folder = Folder::new();
    meanwhile(&folder, "x: ok y", || {
        fs::write(folder.path("x"), "precious").unwrap();
    });
    assert_eq!(folder.names(), ["kept.jsonl", "x"]);

    let folder = Folder::new();
    meanwhile(&folder, "x", || {
        let new = folder.path("new");
        fs::write(&new, "precious").unwrap();
        fs::rename(&new, folder.path("x")).unwrap();
    });
    assert_eq!(fs::read_to_string(folder.path("x")).unwrap(), "precious");
}

#[test]
fn shellcheck_finds_nothing() {
    if !has_program("shellcheck") {
        return skip("shellcheck is not installed");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scripts = ["launch-producers.sh", "scripts/programs", ".ci/run"];
    let output = run(Command::new("shellcheck").args(scripts).current_dir(root));
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
