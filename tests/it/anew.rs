//! The output's file behind links, and opened anew; and what the tests of that share.

use crate::harness::{Client, Daemon, Folder, Setup, has_program, skip, wait_for};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A record of about 1,000 bytes.
pub fn record(number: usize) -> String {
    format!("{{\"number\":\"{number:05}{}\"}}\n", "x".repeat(980))
}

pub fn records(numbers: std::ops::Range<usize>) -> String {
    numbers.map(record).collect()
}

/// A daemon that obeys SIGHUP, whatever the tests were started from.
pub fn setup(folder: &Folder) -> Setup<'_> {
    Setup::new(folder, &["unixsock"]).wrapper(["env", "--default-signal=HUP"])
}

/// The rotated files of an output, oldest first.
pub fn rotated(output: &Path) -> Vec<PathBuf> {
    let begin = format!("{}.", output.file_name().unwrap().to_str().unwrap());
    let entries = fs::read_dir(output.parent().unwrap()).unwrap();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&begin)
        })
        .collect();
    paths.sort();
    paths
}

/// Sends records one by one, each of which must arrive before the next.
fn send_each(client: &mut Client, numbers: std::ops::Range<usize>, has: impl Fn(&str) -> bool) {
    for number in numbers {
        let line = record(number);
        client.send(&line);
        wait_for("the record", || has(&line));
    }
}

#[track_caller]
pub fn stop(daemon: Daemon) -> String {
    daemon.signal("TERM");
    let stopped = daemon.wait_unread();
    assert_eq!(stopped.status.code(), Some(0), "{}", stopped.stderr);
    stopped.stderr
}

/// The ways in which a new file comes to be, under a daemon that runs.
pub const WAYS: [&str; 3] = ["rotated by its size", "moved, and SIGHUP", "removed"];

/// Has the output made anew in one of these ways, and returns the new file's owner, group and mode.
pub fn make_anew(daemon: &Daemon, way: &str) -> (u32, u32, u32) {
    let inode = || daemon.output.metadata().map_or(0, |open| open.ino());
    // Held, so that its number is not given to the new one.
    let old = File::options().append(true).open(&daemon.output).unwrap();
    let before = old.metadata().unwrap().ino();
    match way {
        "rotated by its size" => daemon.connect("unixsock").send(records(0..5)),
        "removed" => fs::remove_file(&daemon.output).unwrap(),
        _ => {
            fs::rename(&daemon.output, daemon.output.with_extension("1")).unwrap();
            daemon.signal("HUP");
        }
    }
    wait_for("the new file", || ![0, before].contains(&inode()));
    // Its owner is the last that it gets.
    wait_for("the old one to be closed", || {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid)).unwrap();
        let is_old = |path: PathBuf| path.metadata().is_ok_and(|open| open.ino() == before);
        !descriptors
            .filter_map(|fd| Some(fd.ok()?.path()))
            .any(is_old)
    });
    let new = daemon.output.metadata().unwrap();
    (new.uid(), new.gid(), new.mode() & 0o7777)
}

#[test]
fn what_a_link_leads_to_is_rotated_and_the_link_stays() {
    for (links, is_there) in [
        (&[("out", "ELSEWHERE/r")][..], true),
        (&[("out", "ELSEWHERE/r")], false),
        (&[("out", "elsewhere/r")], true),
        (&[("out", "../NAME/elsewhere/r")], false),
        (
            &[
                ("out", "second"),
                ("second", "elsewhere/third"),
                ("elsewhere/third", "r"),
            ],
            true,
        ),
        (
            &[
                ("out", "elsewhere/third"),
                ("elsewhere/third", "./../elsewhere/r"),
            ],
            false,
        ),
    ] {
        let folder = Folder::new();
        let elsewhere = folder.path("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let target = elsewhere.join("r");
        if is_there {
            fs::write(&target, "").unwrap();
        }
        let home = folder.path("");
        let name = home.file_name().unwrap().to_str().unwrap();
        let text = |text: &str| {
            text.replace("ELSEWHERE", elsewhere.to_str().unwrap())
                .replace("NAME", name)
        };
        for (link, to) in links {
            symlink(text(to), folder.path(link)).unwrap();
        }
        let daemon = setup(&folder)
            .output(&folder.path("out"))
            .args(["--rotate-size=4096", "--rotate-keep=2"])
            .start();
        let mut client = daemon.connect("unixsock");
        send_each(&mut client, 0..23, |line| {
            let mut files = rotated(&target);
            files.push(target.clone());
            files
                .iter()
                .any(|file| fs::read_to_string(file).is_ok_and(|text| text.ends_with(line)))
        });
        assert_eq!(stop(daemon), "", "{links:?}");
        for (link, to) in links {
            assert_eq!(
                fs::read_link(folder.path(link)).unwrap(),
                Path::new(&text(to)),
                "{links:?}"
            );
        }
        // Five to a file: of four full ones the last two, and what has been begun.
        let mut files = rotated(&target);
        assert_eq!(files.len(), 2, "{links:?}");
        files.push(target);
        let text: String = files
            .iter()
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        assert!(text == records(10..23), "{links:?}");
        assert!(rotated(&folder.path("out")).is_empty(), "{links:?}");
    }
}

#[test]
fn a_file_that_is_not_ours_is_not_rotated() {
    let folder = Folder::new();
    let daemon = setup(&folder).args(["--rotate-size=4096"]).start();
    let output = daemon.output.clone();
    let mut client = daemon.connect("unixsock");
    let ends_in =
        |path: &Path, line: &str| fs::read_to_string(path).is_ok_and(|text| text.ends_with(line));
    send_each(&mut client, 0..3, |line| ends_in(&output, line));
    fs::rename(&output, folder.path("moved")).unwrap();
    fs::write(&output, "{\"precious\":1}\n").unwrap();
    send_each(&mut client, 3..5, |line| {
        ends_in(&folder.path("moved"), line)
    });
    send_each(&mut client, 5..6, |line| ends_in(&output, line));
    assert_eq!(stop(daemon), "");
    assert!(rotated(&output).is_empty(), "{:?}", rotated(&output));
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(text, format!("{{\"precious\":1}}\n{}", record(5)));
    assert_eq!(
        fs::read_to_string(folder.path("moved")).unwrap(),
        records(0..5)
    );
}

#[test]
fn what_could_not_be_opened_anew_is_tried_again_and_said_once() {
    let folder = Folder::new();
    let daemon = setup(&folder).start();
    let output = daemon.output.clone();
    fs::rename(&output, folder.path("moved")).unwrap();
    fs::create_dir(&output).unwrap();
    daemon.signal("HUP");
    wait_for("the complaint", || {
        daemon.stderr().contains("Is a directory")
    });
    daemon.signal("HUP");
    std::thread::sleep(Duration::from_millis(400)); // in which it tries again, and says nothing
    let mut client = daemon.connect("unixsock");
    client.send("{\"a\":1}\n");
    wait_for("the record", || {
        fs::read(folder.path("moved")).unwrap() == b"{\"a\":1}\n"
    });
    let cpu = daemon.cpu_ns();
    fs::remove_dir(&output).unwrap();
    wait_for("the new file", || output.exists());
    assert!(daemon.cpu_ns() - cpu < 100_000_000);
    client.send("{\"b\":2}\n");
    daemon.wait_for_lines(1);
    let said = stop(daemon);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("opened anew at last"), "{said:?}");
}

#[test]
fn a_rotation_that_fails_is_said_once_and_tried_again() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let daemon = setup(&folder)
        .args(["--rotate-size=4096"])
        .wrapper(["strace", "-o", "/dev/null", "-e"])
        .wrapper(["inject=rename,renameat,renameat2:error=EACCES:when=1..4"])
        .start();
    let output = daemon.output.clone();
    let mut client = daemon.connect("unixsock");
    for number in 0..200 {
        client.send(record(number));
    }
    // 100, 200, 400 and 800 ms later, though nothing more is sent.
    wait_for("the rotation", || rotated(&output).len() == 1);
    client.send(record(200));
    wait_for("the record", || {
        fs::read_to_string(&output).is_ok_and(|text| text == record(200))
    });
    let said = stop(daemon);
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("cannot rotate") && said[0].contains("Permission denied"),
        "{said:?}"
    );
    assert!(said[1].contains("rotated at last"), "{said:?}");
    assert_eq!(
        fs::read_to_string(&rotated(&output)[0]).unwrap(),
        records(0..200)
    );
}
