//! Moving the output away and opening it anew, under load.

use crate::harness::{
    Folder, Setup, has_program, run, sent_by, sequences, signal, skip, spawn_producer, wait_for,
};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The lines of several files, one after the other. Each file ends with a whole line.
fn all_lines(paths: &[PathBuf]) -> Vec<String> {
    paths
        .iter()
        .flat_map(|path| crate::harness::read_lines(path))
        .collect()
}

#[track_caller]
fn check_all_there(sent: &HashMap<u64, u64>, lines: &[String]) {
    let got = sequences(lines);
    for (pid, count) in sent {
        assert!(got[pid].iter().copied().eq(0..*count), "of producer {pid}");
    }
}

#[test]
fn a_hundred_rotations_under_load_lose_and_tear_nothing() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock", "unixgram", "fifo"])
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let mut producers: Vec<_> = ["unixsock", "unixgram", "fifo"]
        .into_iter()
        .map(|transport| {
            spawn_producer(
                daemon.endpoint(transport),
                ["--rate=20000", "--count=60000"],
            )
        })
        .collect();
    let mut files = Vec::new();
    for number in 0..100 {
        // On a busy machine the load may end first.
        let mut is_over = false;
        wait_for("records", || {
            is_over = producers
                .iter_mut()
                .all(|producer| producer.try_wait().unwrap().is_some());
            is_over || daemon.output.metadata().is_ok_and(|m| m.len() > 0)
        });
        if is_over {
            break;
        }
        let moved = folder.path(&format!("records.{number:03}"));
        fs::rename(&daemon.output, &moved).unwrap();
        files.push(moved);
        daemon.signal("HUP");
        wait_for("the new file", || daemon.output.exists());
    }
    assert!(files.len() >= 20, "only {} rotations", files.len());
    let sent = sent_by(producers);
    let output = daemon.output.clone();
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.stderr, "");
    files.push(output);
    let lines = all_lines(&files);
    check_all_there(&sent, &lines);
    assert_eq!(stopped.count("records"), lines.len() as u64);
    assert_eq!(lines.len(), 180_000);
}

/// The rotated files of an output, oldest first.
fn rotated(folder: &Folder) -> Vec<PathBuf> {
    let names = folder.names().into_iter();
    let rotated = names.filter(|name| name.starts_with("records.jsonl."));
    rotated.map(|name| folder.path(&name)).collect()
}

#[test]
fn a_full_file_is_moved_and_nothing_is_lost_or_torn() {
    let folder = Folder::new();
    let transports = ["unixsock", "unixgram", "fifo"];
    let daemon = Setup::new(&folder, &transports)
        .args(["--rotate-size", "100000"])
        .start();
    let producers = transports
        .into_iter()
        .map(|transport| {
            spawn_producer(
                daemon.endpoint(transport),
                ["--rate=20000", "--count=20000"],
            )
        })
        .collect();
    let sent = sent_by(producers);
    let output = daemon.output.clone();
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    assert_eq!(stopped.stderr, "");
    let mut files = rotated(&folder);
    assert!(files.len() > 10, "{files:?}");
    assert!(
        files
            .iter()
            .all(|file| fs::metadata(file).unwrap().len() >= 100_000)
    );
    files.push(output);
    let lines = all_lines(&files);
    check_all_there(&sent, &lines);
    assert_eq!(stopped.count("records"), lines.len() as u64);
}

#[test]
fn as_many_full_files_are_kept_as_asked_for_and_they_are_the_newest() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--rotate-size=4096", "--rotate-keep=2"])
        .start();
    fs::write(folder.path("records.jsonl.keep"), "precious").unwrap();
    let mut client = daemon.connect("unixsock");
    for number in 0..5 {
        client.send(format!(
            "{{\"number\":{number},\"pad\":\"{}\"}}\n",
            "p".repeat(4096)
        ));
        let is_there = |file: &PathBuf| {
            let begin = format!("{{\"number\":{number},");
            fs::read_to_string(file).is_ok_and(|text| text.starts_with(&begin))
        };
        wait_for("the rotation", || rotated(&folder).iter().any(is_there));
    }
    wait_for("two files", || rotated(&folder).len() == 3);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().stderr, "");
    let files = rotated(&folder);
    assert_eq!(files[2], folder.path("records.jsonl.keep"));
    let text = fs::read_to_string(&files[0]).unwrap();
    assert!(text.starts_with("{\"number\":3,"), "{}", &text[..20]);
}

#[test]
fn a_signal_without_a_rotation_changes_nothing() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let mut client = daemon.connect("unixsock");
    for count in 1..=3 {
        client.send("{}\n");
        daemon.wait_for_lines(count);
        daemon.signal("HUP");
    }
    let stopped = daemon.stop();
    assert_eq!(stopped.lines.len(), 3);
    assert_eq!(stopped.stderr, "");
}

#[test]
fn an_output_that_cannot_be_opened_anew_goes_on_where_it_is() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let moved = folder.path("moved");
    fs::rename(&daemon.output, &moved).unwrap();
    fs::create_dir(&daemon.output).unwrap();
    daemon.signal("HUP");
    wait_for("the complaint", || {
        daemon.stderr().contains("Is a directory")
    });
    daemon.connect("unixsock").send("{}\n");
    wait_for("the record", || {
        fs::read_to_string(&moved).unwrap() == "{}\n"
    });
    fs::remove_dir(&daemon.output).unwrap();
    fs::rename(&moved, &daemon.output).unwrap();
    assert_eq!(daemon.stop().lines, ["{}"]);
}

#[test]
fn the_example_for_logrotate_works() {
    if !has_program("logrotate") || !has_program("pkill") {
        return skip("logrotate or pkill is not installed");
    }
    let folder = Folder::new();
    // The one next to it would stop at the signal.
    let mut other = Command::new("timeout")
        .args(["300", "env", "--default-signal=HUP"])
        .arg(env!("CARGO_BIN_EXE_aggregator"))
        .args(["--ipc", &folder.endpoint("fifo"), "--output", "-"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the other daemon", || folder.path("fifo").exists());
    let daemon = Setup::new(&folder, &["unixsock"])
        .wrapper(["env", "--default-signal=HUP"])
        .start();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, example) = readme.split_once("```logrotate\n").unwrap();
    let (example, behind) = example.split_once("```").unwrap();
    let (_, by_hand) = behind.split_once("```sh\n").unwrap();
    let (by_hand, _) = by_hand.split_once("\n```").unwrap();
    // Of systemd's line no test machine can be sure; the other one is run as it stands.
    let systemd = "systemctl try-reload-or-restart log-aggregator";
    assert!(example.contains(systemd), "{example}");
    let output = daemon.output.to_str().unwrap();
    let config = example
        .replace(systemd, by_hand)
        .replace("/var/log/records\\.jsonl", &output.replace('.', "\\."))
        .replace("/var/log/records.jsonl", output);
    assert!(
        config.contains("pkill -HUP") && !config.contains("/var/log"),
        "{config}"
    );
    let path = folder.path("logrotate.conf");
    fs::write(&path, config).unwrap();
    fs::set_permissions(
        folder.path(""),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();

    let args = ["--rate=5000", "--count=10000"];
    let producer = spawn_producer(daemon.endpoint("unixsock"), args);
    let mut rotated = 0;
    for _ in 0..3 {
        wait_for("records", || {
            daemon.output.metadata().is_ok_and(|m| m.len() > 0)
        });
        let state = folder.path("state");
        let output = run(Command::new("logrotate")
            .arg("--force")
            .arg("--state")
            .arg(state)
            .arg(&path));
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        wait_for("the new file", || daemon.output.exists());
        rotated += 1;
    }
    let sent = sent_by(vec![producer]);
    let output = daemon.output.clone();
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
    assert_eq!(other.try_wait().unwrap(), None, "it must run on");
    signal(other.id(), "TERM");
    assert_eq!(other.wait().unwrap().code(), Some(0));
    let mut files: Vec<PathBuf> = (1..=rotated)
        .rev()
        .map(|number| folder.path(&format!("records.jsonl.{number}")))
        .collect();
    files.push(output);
    check_all_there(&sent, &all_lines(&files));
}
