//! An output that refuses bytes, while its path leads to another file by now.

use crate::anew::{record, records, setup, stop};
use crate::faults::SmallDisk;
use crate::harness::{Client, Daemon, Folder, Setup, has_program, run, skip, wait_for};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// A daemon whose output is on a disk that is full, with half a line in it.
fn on_a_full_disk(folder: &Folder, disk: &SmallDisk) -> (Daemon, Client) {
    let output = disk.0.join("records.jsonl");
    let setup = Setup::new(folder, &["unixsock"]).output(&output);
    let daemon = setup.start();
    let mut client = daemon.connect("unixsock");
    for number in 0..100 {
        client.send(record(number));
    }
    wait_for("the full disk", || {
        daemon.stderr().contains("No space left")
    });
    (daemon, client)
}

/// All that was sent stands in the two files, each line in one of them, and no half line in either.
#[track_caller]
fn check_moved_on(daemon: Daemon, old: &Path, new: &Path, before: &str) {
    let new_text = || fs::read_to_string(new).unwrap_or_default();
    wait_for("the rest", || new_text().ends_with(&record(99)));
    let said = stop(daemon);
    assert!(said.contains("takes records again"), "{said}");
    let text = format!("{}{}", fs::read_to_string(old).unwrap(), new_text());
    assert!(
        text == format!("{}{before}{}", records(0..65), records(65..100)),
        "{text:.2000}"
    );
}

/// Each time that it tries again, it looks where the path leads by now. No signal is sent.
#[test]
fn what_refuses_bytes_is_left_when_the_path_leads_elsewhere() {
    for way in ["another file", "none", "a link to another disk", "removed"] {
        let folder = Folder::new();
        let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
            return skip("mounting a tmpfs needs root");
        };
        let (daemon, _client) = on_a_full_disk(&folder, &disk);
        let (output, old) = (daemon.output.clone(), disk.0.join("old"));
        let mut before = "";
        match way {
            "another file" => {
                before = "{\"other\":1}\n";
                fs::write(folder.path("other"), before).unwrap();
                fs::rename(&output, &old).unwrap();
                symlink(folder.path("other"), &output).unwrap();
            }
            "none" => {
                // As who makes room by copying what is there, and moves it out of the way.
                fs::rename(&output, &old).unwrap();
                run(Command::new("mount")
                    .args(["-o", "remount,size=1m"])
                    .arg(&disk.0));
            }
            "a link to another disk" => {
                fs::rename(&output, &old).unwrap();
                symlink(folder.path("bigger"), &output).unwrap();
            }
            _ => {
                // The last name that it has is not one that anybody finds.
                fs::hard_link(&output, &old).unwrap();
                fs::remove_file(&output).unwrap();
                run(Command::new("mount")
                    .args(["-o", "remount,size=1m"])
                    .arg(&disk.0));
            }
        }
        check_moved_on(daemon, &old, &output, before);
    }
}

/// A file system is mounted over the folder, or in its place: the open file is where nobody finds it.
#[test]
fn what_refuses_bytes_is_left_when_another_file_system_is_mounted() {
    for way in ["over it", "in its place", "a folder over it", "with a copy"] {
        let folder = Folder::new();
        let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
            return skip("mounting a tmpfs needs root");
        };
        let (daemon, _client) = on_a_full_disk(&folder, &disk);
        let output = daemon.output.clone();
        // The old file, by another way than its path.
        let mirror = folder.path("mirror");
        fs::create_dir(&mirror).unwrap();
        let bind = |from: &Path, to: &Path| {
            let bound = run(Command::new("mount").arg("--bind").args([from, to]));
            assert!(bound.status.success());
        };
        bind(&disk.0, &mirror);
        let _mirror = SmallDisk(mirror.clone());
        let bigger = folder.path("bigger");
        fs::create_dir(&bigger).unwrap();
        if way == "in its place" {
            let unmounted = run(Command::new("umount").arg("--lazy").arg(&disk.0));
            assert!(unmounted.status.success());
        }
        if way == "with a copy" {
            fs::copy(&output, bigger.join("records.jsonl")).unwrap();
        }
        bind(&bigger, &disk.0);
        let _over = SmallDisk(disk.0.clone());
        let old = mirror.join("records.jsonl");
        if way == "with a copy" {
            let new_text = || fs::read_to_string(&output).unwrap_or_default();
            wait_for("the rest", || new_text().ends_with(&record(99)));
            assert!(new_text() == records(0..100), "{}", new_text().len());
            stop(daemon);
        } else {
            check_moved_on(daemon, &old, &output, "");
        }
    }
}

/// A stop is one more try.
#[test]
fn a_stop_looks_where_the_path_leads_too() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::mount(folder.path("disk"), "64k") else {
        return skip("mounting a tmpfs needs root");
    };
    let (daemon, _client) = on_a_full_disk(&folder, &disk);
    let (output, old) = (daemon.output.clone(), disk.0.join("old"));
    daemon.freeze();
    fs::rename(&output, &old).unwrap();
    symlink(folder.path("bigger"), &output).unwrap();
    daemon.signal("TERM");
    daemon.thaw();
    let stopped = daemon.wait_unread();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    let text = [old, output].map(|path| fs::read_to_string(path).unwrap());
    assert!(text.concat() == records(0..100));
}

/// A file system that was restarted under the open file: that one is dead, and the path leads to a new one.
#[test]
fn a_dead_file_is_left_and_a_line_goes_over_whole() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    for errno in ["ENOTCONN", "ESTALE"] {
        let folder = Folder::new();
        let output = folder.path("records.jsonl");
        let mut file = File::create(&output).unwrap();
        file.write_all(b"{\"before\":1}\n").unwrap();
        let daemon = setup(&folder)
            .wrapper([
                "strace",
                "-o",
                "/dev/null",
                "-P",
                output.to_str().unwrap(),
                "-e",
            ])
            .wrapper([format!("inject=write:error={errno}:when=2+")])
            .start();
        let mut client = daemon.connect("unixsock");
        client.send(record(0));
        daemon.wait_for_lines(2);
        client.send(record(1));
        wait_for("the refusal", || {
            daemon.stderr().contains("nothing is read")
        });
        // strace tells the old one by its name, which the new one does not have.
        let new = folder.path("new");
        fs::write(&new, "").unwrap();
        fs::rename(&output, folder.path("old")).unwrap();
        symlink(&new, &output).unwrap();
        wait_for("the rest", || {
            fs::read_to_string(&new).unwrap() == record(1)
        });
        stop(daemon);
    }
}
