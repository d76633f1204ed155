//! `--check` and the start give the same verdict, word for word, and leave everything as it was.

use crate::harness::{Folder, Setup, aggregator, has_program, run, skip};
use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is in a folder: names, kinds, permissions and owners, contents and times of files.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        let text = if metadata.is_file() {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        } else {
            String::new()
        };
        if metadata.is_dir() {
            found.extend(snapshot(&path));
        }
        let kind = metadata.file_type();
        let what = format!(
            "{kind:?} {} {:o} {} {} {:?} {text}",
            kind.is_socket(),
            metadata.mode(),
            metadata.uid(),
            metadata.ino(),
            metadata.modified().ok().filter(|_| metadata.is_file()),
        );
        found.insert(path, what);
    }
    found
}

/// A start that is to be refused: its arguments, and what is held open meanwhile.
struct Refused {
    args: Vec<String>,
    /// How the reason begins, for a test of the test.
    reason: &'static str,
    wrapper: Vec<String>,
}

impl Refused {
    fn new(folder: &Folder, endpoints: &[&str], reason: &'static str) -> Self {
        let mut args: Vec<String> = Vec::new();
        for endpoint in endpoints {
            args.extend(["--ipc".to_owned(), (*endpoint).to_owned()]);
        }
        args.push("--output".to_owned());
        args.push(folder.path("output").display().to_string());
        Self {
            args,
            reason,
            wrapper: Vec::new(),
        }
    }

    fn output(mut self, path: &str) -> Self {
        *self.args.last_mut().unwrap() = path.to_owned();
        self
    }

    fn arg(mut self, arg: &str) -> Self {
        self.args.insert(0, arg.to_owned());
        self
    }

    /// As nobody, who may do less.
    fn by_nobody(mut self) -> Self {
        let words = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        self.wrapper = words.map(str::to_owned).into();
        self
    }

    fn command(&self, more: &[&str]) -> Command {
        let program = aggregator().get_program().to_owned();
        let mut command = match self.wrapper.split_first() {
            None => Command::new(&program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&program);
                command
            }
        };
        command.args(&self.args).args(more);
        command
    }
}

#[track_caller]
fn check(folder: &Folder, refused: &Refused) {
    let before = snapshot(folder.path("").as_path());
    let started = run(&mut refused.command(&[]));
    let said = String::from_utf8(started.stderr).unwrap();
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(started.status.code(), Some(2), "{:?}: {said}", refused.args);
    assert!(last.contains(refused.reason), "{:?}: {said}", refused.args);
    assert_eq!(
        snapshot(folder.path("").as_path()),
        before,
        "after the start: {last}"
    );

    let checked = run(&mut refused.command(&["--check"]));
    assert_eq!(checked.status.code(), Some(2), "{:?}", refused.args);
    let verdicts = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(
        snapshot(folder.path("").as_path()),
        before,
        "after the check: {last}"
    );
    // "aggregator: cannot VERB OBJECT: REASON; ADVICE", and "OBJECT: REASON".
    let is_same = |verdict: &str| {
        let (object, reason) = verdict.split_once(": ").unwrap();
        let object = object.trim_start_matches("output=");
        last.contains(&format!(" {object}: {reason}; "))
            || last.ends_with(&format!(" {object}: {reason}"))
    };
    let bad: Vec<&str> = verdicts
        .lines()
        .filter(|line| !line.contains(": ok"))
        .collect();
    assert!(
        bad.first().is_some_and(|verdict| is_same(verdict)),
        "{last}\n{verdicts}"
    );
}

fn is_root(folder: &Folder) -> bool {
    fs::metadata(folder.path("")).unwrap().uid() == 0
}

#[test]
fn what_is_refused_is_refused_by_both_in_the_same_words() {
    let folder = Folder::new();
    let path = |name: &str| folder.path(name).display().to_string();
    let at = |transport: &str, name: &str| format!("{transport}={}", path(name));
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let _live = UnixListener::bind(folder.path("live")).unwrap();
    let _live_gram = UnixDatagram::bind(folder.path("live_gram")).unwrap();
    fs::write(folder.path("file"), "precious").unwrap();
    fs::create_dir(folder.path("folder")).unwrap();
    fs::create_dir(folder.path("names")).unwrap();
    symlink(folder.path("names"), folder.path("other_names")).unwrap();
    symlink(folder.path("loop"), folder.path("loop")).unwrap();
    drop(UnixListener::bind(folder.path("stale")).unwrap());
    let in_use = "in use by a running process";
    let cases = [
        Refused::new(&folder, &[&format!("tcp={tcp_at}")], in_use),
        Refused::new(&folder, &[&format!("udp={udp_at}")], in_use),
        Refused::new(
            &folder,
            &[&format!("tcp=0.0.0.0:{}", tcp_at.port())],
            in_use,
        ),
        Refused::new(&folder, &["tcp=192.0.2.1:9"], "os error 99"),
        Refused::new(&folder, &[&at("unixsock", "live")], in_use),
        Refused::new(&folder, &[&at("unixgram", "live")], in_use),
        Refused::new(&folder, &[&at("unixsock", "live_gram")], in_use),
        Refused::new(&folder, &[&at("unixsock", "file")], "not a socket"),
        Refused::new(&folder, &[&at("unixgram", "folder")], "not a socket"),
        Refused::new(&folder, &[&at("fifo", "file")], "a regular file"),
        Refused::new(&folder, &[&at("fifo", "live")], "not a FIFO"),
        Refused::new(&folder, &[&at("fifo", "loop")], "os error 40"),
        Refused::new(&folder, &[&at("fifo", "nowhere/f")], "No such file"),
        Refused::new(&folder, &[&at("unixsock", "nowhere/s")], "No such file"),
        // One that is stale stays, if another one is refused.
        Refused::new(
            &folder,
            &[&at("unixsock", "stale"), &at("fifo", "file")],
            "a regular file",
        ),
        // New ones go, if another one is refused.
        Refused::new(
            &folder,
            &[
                &at("unixsock", "new_s"),
                &at("unixgram", "new_g"),
                &at("fifo", "new_f"),
                &at("fifo", "file"),
            ],
            "a regular file",
        ),
        // The same path by two names.
        Refused::new(
            &folder,
            &[&at("unixsock", "names/s"), &at("unixsock", "other_names/s")],
            "it collides with unixsock=",
        ),
        Refused::new(
            &folder,
            &[&at("fifo", "names/f"), &at("fifo", "names/../names/f")],
            "it collides with fifo=",
        ),
        Refused::new(&folder, &["tcp=127.0.0.1:0"], "Is a directory").output(&path("folder")),
        Refused::new(&folder, &["tcp=127.0.0.1:0"], "No such file").output(&path("nowhere/o")),
        Refused::new(&folder, &["tcp=127.0.0.1:0"], "os error 40").output(&path("loop")),
    ];
    for refused in &cases {
        check(&folder, refused);
    }
}

#[test]
fn so_is_what_another_daemon_has() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock", "unixgram", "fifo", "tcp", "udp"]).start();
    for endpoint in &daemon.endpoints {
        check(
            &folder,
            &Refused::new(&folder, &[endpoint], "in use by a running process"),
        );
    }
    let output = daemon.output.display().to_string();
    let refused = Refused::new(
        &folder,
        &["tcp=127.0.0.1:0"],
        "in use by another aggregator",
    );
    check(&folder, &refused.output(&output));
    assert_eq!(daemon.stop().count("records"), 0);
}

/// What only shows later is looked at: a path that cannot be removed, a file that cannot be moved or emptied.
#[test]
fn so_is_what_could_not_be_done_later() {
    let folder = Folder::new();
    if !is_root(&folder) || !has_program("setpriv") {
        return skip("the tests are not run by root");
    }
    let path = |name: &str| folder.path(name).display().to_string();
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for (name, mode) in [("closed", 0o755), ("sticky", 0o1777)] {
        fs::create_dir(folder.path(name)).unwrap();
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
        fs::write(folder.path(name).join("o"), "").unwrap();
        fs::set_permissions(
            folder.path(name).join("o"),
            fs::Permissions::from_mode(0o666),
        )
        .unwrap();
    }
    let tcp = ["tcp=127.0.0.1:0"];
    // The folder is closed to the daemon, or its files are their owners' to move.
    for (output, reason) in [
        ("closed/o", "Permission denied"),
        ("sticky/o", "Operation not permitted"),
    ] {
        let refused = Refused::new(&folder, &tcp, reason)
            .output(&path(output))
            .by_nobody();
        check(&folder, &refused.arg("--rotate-size=4096"));
    }
    check(
        &folder,
        &Refused::new(&folder, &["fifo=/proc/f"], "No such file"),
    );

    fs::write(folder.path("fixed"), "{}\n").unwrap();
    let is_fixed = Command::new("chattr")
        .arg("+a")
        .arg(folder.path("fixed"))
        .stderr(Stdio::null())
        .status();
    if is_fixed.is_ok_and(|status| status.success()) {
        let refused =
            || Refused::new(&folder, &tcp, "Operation not permitted").output(&path("fixed"));
        check(&folder, &refused().arg("--rotate-size=4096"));
        check(&folder, &refused().arg("--truncate"));
        let status = Command::new("chattr")
            .arg("-a")
            .arg(folder.path("fixed"))
            .status();
        assert!(status.unwrap().success());
    }

    // A stale socket that is mounted over cannot be replaced.
    drop(UnixListener::bind(folder.path("mounted")).unwrap());
    let mount = Command::new("mount")
        .args(["--bind", &path("mounted"), &path("mounted")])
        .stderr(Stdio::null())
        .status();
    if mount.is_ok_and(|status| status.success()) {
        let endpoint = format!("unixsock={}", path("mounted"));
        let refused = Refused::new(&folder, &[&endpoint], "busy");
        let checked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&folder, &refused)));
        let status = Command::new("umount").arg(path("mounted")).status();
        assert!(status.unwrap().success());
        checked.unwrap();
    }
}

#[test]
fn all_addresses_of_both_families_stand_side_by_side() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let folder = Folder::new();
    let mut args = Vec::new();
    for kind in ["tcp", "udp"] {
        for address in ["0.0.0.0", "[::]"] {
            args.extend(["--ipc".to_owned(), format!("{kind}={address}:{port}")]);
        }
    }
    let daemon = Setup::new(&folder, &[]).args(&args).start();
    for address in ["127.0.0.1", "[::1]"] {
        use std::io::Write;
        let mut client = std::net::TcpStream::connect(format!("{address}:{port}")).unwrap();
        client.write_all(b"{}\n").unwrap();
        let client = UdpSocket::bind(format!("{address}:0")).unwrap();
        client
            .send_to(b"{}\n", format!("{address}:{port}"))
            .unwrap();
    }
    daemon.wait_for_lines(4);
    assert_eq!(daemon.stop().count("records"), 4);
    for (one, other) in [
        ("tcp=127.0.0.1:9", "tcp=0.0.0.0:9"),
        ("tcp=[::ffff:127.0.0.1]:9", "tcp=127.0.0.1:9"),
        ("udp=[::1]:9", "udp=[::]:9"),
    ] {
        for check in [&[][..], &["--check"]] {
            let output = run(aggregator()
                .args(["--ipc", one, "--ipc", other])
                .args(check));
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("collides with {one}")), "{said}");
        }
    }
}

/// A writer that waits for a reader goes on waiting, and nobody's record is taken and lost.
#[test]
fn a_check_lets_nobody_in() {
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    assert!(run(Command::new("mkfifo").arg(&fifo)).status.success());
    let mut writer = Command::new("sh")
        .args(["-c", "echo '{\"waited\":1}' >\"$0\""])
        .arg(&fifo)
        .spawn()
        .unwrap();
    // Tries to get something in, all the time.
    let sender = r#"
import socket, sys, os, time
taken = 0
end = time.time() + 2
while time.time() < end:
    for kind, path in ((socket.SOCK_STREAM, sys.argv[1]), (socket.SOCK_DGRAM, sys.argv[2])):
        s = socket.socket(socket.AF_UNIX, kind)
        try:
            s.connect(path); s.send(b'{}\n'); taken += 1
        except OSError: pass
        s.close()
print(taken)
"#;
    let sender = Command::new("python3")
        .args(["-c", sender])
        .args([folder.path("unixsock"), folder.path("unixgram")])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    for _ in 0..20 {
        let mut check = aggregator();
        for transport in ["unixsock", "unixgram", "fifo"] {
            check.args(["--ipc", &folder.endpoint(transport)]);
        }
        let output = run(check.args(["--check", "--output"]).arg(folder.path("o")));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let taken = sender.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(taken.stdout).unwrap().trim(), "0");
    assert!(writer.try_wait().unwrap().is_none(), "the writer went on");
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.wait_for_lines(1);
    assert!(writer.wait().unwrap().success());
    assert_eq!(daemon.stop().lines, ["{\"waited\":1}"]);
}
