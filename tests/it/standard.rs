//! An output that is our standard output or standard error, by whatever name: nothing is overwritten there, and
//! nothing but records stands there.

use crate::harness::{Client, Folder, aggregator, one_line, run, wait_for};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

const RECORDS: usize = 20;

/// What a standard descriptor leads to, and how its bytes are read at the end.
enum Target {
    File,
    Stream(Box<dyn Read>),
}

const KINDS: [&str; 5] = ["file", "file for appending", "pipe", "fifo", "socket"];

/// Opens one of them; where it has a name, that is `all`.
fn open(kind: &str, folder: &Folder) -> (OwnedFd, Target) {
    let all = folder.path("all");
    match kind {
        "file" => (File::create(all).unwrap().into(), Target::File),
        "file for appending" => {
            let file = File::options().create(true).append(true).open(all);
            (file.unwrap().into(), Target::File)
        }
        "pipe" => {
            let (reader, writer) = io::pipe().unwrap();
            (writer.into(), Target::Stream(Box::new(reader)))
        }
        "fifo" => {
            assert!(run(Command::new("mkfifo").arg(&all)).status.success());
            let both = File::options().read(true).write(true).open(&all).unwrap();
            let reader = File::open(&all).unwrap();
            let writer = File::options().write(true).open(&all).unwrap();
            drop(both);
            (writer.into(), Target::Stream(Box::new(reader)))
        }
        _ => {
            let (ours, theirs) = UnixStream::pair().unwrap();
            (theirs.into(), Target::Stream(Box::new(ours)))
        }
    }
}

/// The names that descriptor `number` has, in this folder as well; `-` is one of standard output.
fn names(kind: &str, number: u8, folder: &Folder) -> Vec<String> {
    let word = ["", "stdout", "stderr"][usize::from(number)];
    let mut names = vec![
        format!("/dev/{word}"),
        format!("/dev/fd/{number}"),
        format!("/proc/self/fd/{number}"),
        format!("/proc/thread-self/fd/{number}"),
    ];
    let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
    symlink(format!("/dev/{word}"), folder.path("link to it")).unwrap();
    symlink("link to it", folder.path("link to a link")).unwrap();
    names.extend([path("link to it"), path("link to a link")]);
    if number == 1 {
        names.push("-".to_owned());
    }
    if kind.starts_with("fi") {
        symlink("all", folder.path("link")).unwrap();
        fs::hard_link(folder.path("all"), folder.path("hard link")).unwrap();
        names.extend([path("all"), path("link"), path("hard link")]);
    }
    names
}

/// Which descriptors lead to the output.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Redirected {
    Output,
    Error,
    Both,
}

/// Runs a daemon for some records, one of them with a warning, and returns what became of the output and what was
/// said on the other descriptor.
fn collect(kind: &str, name_index: usize, redirected: Redirected) -> Option<(String, String)> {
    let folder = Folder::new();
    let (descriptor, target) = open(kind, &folder);
    let number = if redirected == Redirected::Error {
        2
    } else {
        1
    };
    let name = names(kind, number, &folder).get(name_index)?.clone();
    let other = folder.path("other");
    let said = || Stdio::from(File::create(&other).unwrap());
    let same = || Stdio::from(descriptor.try_clone().unwrap());
    let (stdout, stderr) = match redirected {
        Redirected::Output => (same(), said()),
        Redirected::Error => (said(), same()),
        Redirected::Both => (same(), same()),
    };
    let endpoint = folder.endpoint("unixsock");
    let mut child = aggregator()
        // The second one is warned of.
        .args([
            "--ipc",
            &endpoint,
            "--ipc",
            "udp=0.0.0.0:0",
            "--output",
            &name,
        ])
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    drop(descriptor);
    let path = folder.path("unixsock");
    wait_for("the socket", || UnixStream::connect(&path).is_ok());
    let mut client = Client::connect("unixsock", path.to_str().unwrap());
    for number in 0..RECORDS {
        client.send(format!("{{\"number\":{number}}}\n"));
    }
    drop(client);
    crate::harness::signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success(), "{kind} {name}");
    let text = match target {
        Target::File => fs::read_to_string(folder.path("all")).unwrap(),
        Target::Stream(mut stream) => {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        }
    };
    let said = fs::read_to_string(other).unwrap_or_default();
    Some((text, said))
}

#[test]
fn by_whatever_name_nothing_is_overwritten_and_nothing_mixed_in() {
    let want: String = (0..RECORDS)
        .map(|number| format!("{{\"number\":{number}}}\n"))
        .collect();
    let mut count = 0;
    for redirected in [Redirected::Output, Redirected::Error, Redirected::Both] {
        for kind in KINDS {
            for name_index in 0.. {
                let Some((text, said)) = collect(kind, name_index, redirected) else {
                    break;
                };
                let what = format!("{redirected:?} {kind}, name {name_index}");
                assert_eq!(text, want, "{what}");
                let lines: Vec<&str> = said.lines().collect();
                let json = |line: &str| serde_json::from_str::<Value>(line).unwrap();
                match redirected {
                    Redirected::Output => {
                        let [ready, warning, summary] = lines[..] else {
                            panic!("{what}: {said}");
                        };
                        let at = if ready.contains("warning") {
                            warning
                        } else {
                            ready
                        };
                        assert_eq!(json(at)["ready"], true, "{what}");
                        assert_eq!(json(summary)["records"], RECORDS, "{what}");
                    }
                    Redirected::Error => {
                        let [ready, summary] = lines[..] else {
                            panic!("{what}: {said}");
                        };
                        assert_eq!(json(ready)["ready"], true, "{what}");
                        assert_eq!(json(summary)["records"], RECORDS, "{what}");
                    }
                    Redirected::Both => assert_eq!(said, "", "{what}"),
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn a_failure_is_told_on_standard_output_where_standard_error_takes_records() {
    let folder = Folder::new();
    fs::write(folder.path("unixsock"), "in the way").unwrap();
    let all = File::create(folder.path("all")).unwrap();
    let output = aggregator()
        .args(["--ipc", &folder.endpoint("unixsock"), "--output"])
        .arg(folder.path("all"))
        .stdin(Stdio::null())
        .stderr(all)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("cannot bind") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(fs::read_to_string(folder.path("all")).unwrap(), "");
}

/// A name that the kernel makes leads to a descriptor, and renaming it would take it from everybody.
#[test]
fn a_descriptor_is_neither_rotated_nor_opened_anew() {
    let folder = Folder::new();
    symlink("/dev/stdout", folder.path("link")).unwrap();
    let link = folder.path("link");
    let names = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/stderr"];
    for name in names.map(Path::new).into_iter().chain([link.as_path()]) {
        let all = File::create(folder.path("all")).unwrap();
        // One that is not refused runs on.
        let mut command = Command::new("timeout");
        command
            .arg("20")
            .arg(aggregator().get_program())
            .args(["--ipc", &folder.endpoint("unixsock"), "--rotate-size=4096"])
            .arg("--output")
            .arg(name)
            .stdin(Stdio::null())
            .stdout(all);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", name.display());
        let line = match name.to_str() {
            // Where standard error takes records, the other one is told.
            Some("/dev/stderr") => fs::read_to_string(folder.path("all")).unwrap(),
            _ => one_line(&output),
        };
        assert!(
            line.contains("--rotate-size: ") && line.contains("cannot be moved"),
            "{line}"
        );
        assert!(name.symlink_metadata().is_ok(), "{}", name.display());
    }

    let all = File::create(folder.path("all")).unwrap();
    let mut child = Command::new("env")
        .args(["--default-signal=HUP"])
        .arg(aggregator().get_program())
        .args([
            "--ipc",
            &folder.endpoint("unixsock"),
            "--output",
            "/dev/stdout",
        ])
        .stdin(Stdio::null())
        .stdout(all)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let path = folder.path("unixsock");
    wait_for("the socket", || UnixStream::connect(&path).is_ok());
    crate::harness::signal(child.id(), "HUP");
    assert!(child.wait().unwrap().success(), "it stops, as with '-'");
}

/// A file that was our standard output keeps what it holds when the output is another file by now: what we said
/// would go to where that descriptor stands, which is its beginning.
#[test]
fn the_summary_overwrites_nothing_that_has_been_moved_away() {
    let folder = Folder::new();
    let all = folder.path("all");
    let mut child = Command::new("env")
        .args(["--default-signal=HUP"])
        .arg(aggregator().get_program())
        .args(["--ipc", &folder.endpoint("unixsock"), "--output"])
        .arg(&all)
        .stdin(Stdio::null())
        .stdout(File::create(&all).unwrap())
        .stderr(File::create(folder.path("other")).unwrap())
        .spawn()
        .unwrap();
    let path = folder.path("unixsock");
    wait_for("the socket", || UnixStream::connect(&path).is_ok());
    let mut client = Client::connect("unixsock", path.to_str().unwrap());
    client.send("{\"a\":1}\n");
    wait_for("the record", || fs::metadata(&all).unwrap().len() == 8);
    fs::rename(&all, folder.path("moved")).unwrap();
    crate::harness::signal(child.id(), "HUP");
    wait_for("the new file", || all.exists());
    client.send("{\"b\":2}\n");
    drop(client);
    crate::harness::signal(child.id(), "TERM");
    assert!(child.wait().unwrap().success());
    assert_eq!(
        fs::read_to_string(folder.path("moved")).unwrap(),
        "{\"a\":1}\n"
    );
    assert_eq!(fs::read_to_string(&all).unwrap(), "{\"b\":2}\n");
    let said = fs::read_to_string(folder.path("other")).unwrap();
    assert!(said.contains("\"summary\":true"), "{said}");
}
