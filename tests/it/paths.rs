//! Socket paths: stale, alive, somebody else's; permissions; removal.

use crate::harness::{Daemon, Folder, Setup, Stopped, aggregator, one_line, run};
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::Command;

const UNIX: [&str; 2] = ["unixsock", "unixgram"];

/// Starts a daemon that is to be refused, and returns what it said.
#[track_caller]
fn refused(folder: &Folder, endpoint: &str) -> String {
    let output = run(aggregator()
        .args(["--ipc", endpoint, "--output"])
        .arg(folder.path("refused")));
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    one_line(&output)
}

fn send_one(daemon: Daemon, transport: &str) -> Stopped {
    daemon.connect(transport).send("{\"one\":1}\n");
    daemon.stop()
}

#[test]
fn a_stale_socket_is_replaced() {
    for transport in UNIX {
        let folder = Folder::new();
        let path = folder.path(transport);
        drop(match transport {
            "unixsock" => UnixListener::bind(&path).map(drop),
            _ => UnixDatagram::bind(&path).map(drop),
        });
        assert!(path.exists());
        let stopped = send_one(Setup::new(&folder, &[transport]).start(), transport);
        assert_eq!(stopped.lines.len(), 1);
    }
}

#[test]
fn a_daemon_that_was_killed_is_no_obstacle() {
    for transport in UNIX {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        drop(daemon); // SIGKILL
        assert!(folder.path(transport).exists());
        let stopped = send_one(Setup::new(&folder, &[transport]).start(), transport);
        assert_eq!(stopped.lines.len(), 1);
    }
}

#[test]
fn a_live_daemon_is_never_robbed() {
    for transport in UNIX {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let endpoint = daemon.endpoint(transport).to_owned();
        let other = if transport == "unixsock" {
            "unixgram"
        } else {
            "unixsock"
        };
        for endpoint in [endpoint.clone(), endpoint.replacen(transport, other, 1)] {
            assert!(refused(&folder, &endpoint).contains("in use by a running process"));
        }
        assert_eq!(send_one(daemon, transport).lines.len(), 1);
    }
}

#[test]
fn a_socket_whose_backlog_is_full_is_alive() {
    let folder = Folder::new();
    let path = folder.path("unixsock");
    let listener =
        socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    let address = socket2::SockAddr::unix(&path).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let mut clients = Vec::new();
    loop {
        let kind = socket2::Type::STREAM.nonblocking();
        let client = socket2::Socket::new(socket2::Domain::UNIX, kind, None).unwrap();
        let full = client.connect(&address).is_err();
        clients.push(client);
        if full {
            break;
        }
    }
    let said = refused(&folder, &format!("unixsock={}", path.display()));
    assert!(said.contains("in use by a running process"), "{said}");
    assert!(path.exists());
}

#[test]
fn what_is_not_a_socket_is_never_touched() {
    for transport in UNIX {
        let folder = Folder::new();
        let path = folder.path(transport);
        fs::write(&path, "precious").unwrap();
        let said = refused(&folder, &folder.endpoint(transport));
        assert!(said.contains("not a socket"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let folder = Folder::new();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for endpoint in [
        format!("tcp={}", tcp.local_addr().unwrap()),
        format!("udp={}", udp.local_addr().unwrap()),
    ] {
        assert!(refused(&folder, &endpoint).contains("in use by a running process"));
    }
}

#[test]
fn our_paths_are_removed_at_the_end_and_nobody_elses() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &UNIX).start();
    let _other = UnixDatagram::bind(folder.path("other")).unwrap();
    fs::rename(folder.path("other"), folder.path("unixgram")).unwrap();
    daemon.stop();
    assert_eq!(folder.names(), ["records.jsonl", "stderr", "unixgram"]);
}

#[test]
fn a_daemon_that_cannot_start_leaves_no_socket() {
    let folder = Folder::new();
    fs::write(folder.path("unixgram"), "precious").unwrap();
    let output = run(aggregator()
        .args([
            "--ipc",
            &folder.endpoint("unixsock"),
            "--ipc",
            &folder.endpoint("unixgram"),
        ])
        .arg("--output")
        .arg(folder.path("records")));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(folder.names(), ["unixgram"]);
}

#[test]
fn permissions_are_as_asked_for_whatever_the_umask() {
    for umask in ["000", "077", "777"] {
        for (args, mode) in [(&[][..], 0o660), (&["--socket-mode", "0622"][..], 0o622)] {
            let folder = Folder::new();
            let transports = ["unixsock", "unixgram", "fifo"];
            let script = format!("umask {umask}; exec \"$@\"");
            // The output exists already: its own permissions are another matter.
            fs::write(folder.path("records.jsonl"), "").unwrap();
            let daemon = Setup::new(&folder, &transports)
                .args(args)
                .wrapper(["sh", "-c", &script, "sh"])
                .start();
            for transport in transports {
                let metadata = fs::symlink_metadata(folder.path(transport)).unwrap();
                assert!(!metadata.file_type().is_file());
                assert_eq!(
                    metadata.permissions().mode() & 0o7777,
                    mode,
                    "{transport} under umask {umask}"
                );
            }
            daemon.stop();
        }
    }
}

/// In force before the first client can connect: no call of the daemon changes a mode later.
#[test]
fn no_path_ever_has_other_permissions() {
    if !crate::harness::has_program("strace") {
        return crate::harness::skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    Setup::new(&folder, &["unixsock", "unixgram", "fifo"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .start()
        .stop();
    let text = fs::read_to_string(trace).unwrap();
    assert!(text.contains("bind("), "{text}");
    assert!(!text.contains("chmod"), "{text}");
}

#[test]
fn abstract_addresses_leave_no_file() {
    let folder = Folder::new();
    let name = format!("log-aggregator-test-{}", std::process::id());
    let args = [
        "--ipc",
        &format!("unixsock=@{name}-s"),
        "--ipc",
        &format!("unixgram=@{name}-d"),
    ];
    let daemon = Setup::new(&folder, &[]).args(args).start();
    assert_eq!(daemon.endpoints, [args[1], args[3]]);
    for endpoint in [args[1], args[3]] {
        let said = refused(&folder, endpoint);
        assert!(said.contains("in use by a running process"), "{said}");
        let producer = run(crate::harness::producer().args(["--ipc", endpoint, "--count", "3"]));
        assert!(producer.status.success());
    }
    let lock = ".records.jsonl.lock"; // the output's
    assert_eq!(folder.names(), [lock, "records.jsonl", "stderr"]);
    assert_eq!(daemon.stop().count("records"), 6);
}

#[test]
fn ipv6_works_and_other_machines_are_warned_of_once() {
    let folder = Folder::new();
    let args = ["--ipc", "tcp=[::1]:0", "--ipc", "udp=0.0.0.0:0"];
    let daemon = Setup::new(&folder, &[]).args(args).start();
    daemon.connect("tcp").send("{}\n");
    daemon.wait_for_lines(1);
    let stopped = daemon.stop();
    assert_eq!(stopped.stderr.lines().count(), 1, "{}", stopped.stderr);
    assert!(
        stopped
            .stderr
            .contains("neither encrypted nor authenticated")
    );
    assert!(stopped.stderr.contains("udp=0.0.0.0:"));
}

#[test]
fn checking_creates_nothing_and_says_what_would_be() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixgram"]).start();
    fs::write(folder.path("fifo"), "precious").unwrap();
    let before = folder.names();
    let check = |endpoints: &[&str]| {
        let mut command = Command::new(aggregator().get_program());
        for endpoint in endpoints {
            command.args(["--ipc", endpoint]);
        }
        let output = run(command
            .args(["--check", "--output"])
            .arg(folder.path("new")));
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let [unixsock, unixgram, fifo] = ["unixsock", "unixgram", "fifo"].map(|t| folder.endpoint(t));
    let new = folder.path("new");

    let (status, said) = check(&[
        &unixsock,
        "tcp=127.0.0.1:0",
        "udp=[::1]:0",
        "unixsock=@unused",
    ]);
    assert_eq!(status, Some(0));
    let want = [
        format!("{unixsock}: ok"),
        "tcp=127.0.0.1:0: ok".to_owned(),
        "udp=[::1]:0: ok".to_owned(),
        "unixsock=@unused: ok".to_owned(),
        format!("output={}: ok", new.display()),
    ];
    assert_eq!(said.lines().collect::<Vec<_>>(), want);

    let (status, said) = check(&[&unixgram, &fifo, "unixsock=/nowhere/at/all"]);
    assert_eq!(status, Some(2));
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].ends_with(": in use by a running process"),
        "{said}"
    );
    assert!(lines[1].contains("regular file"), "{said}");
    assert!(lines[2].contains("No such file"), "{said}");

    assert_eq!(folder.names(), before);
    daemon.stop();
}

#[test]
fn checking_does_not_create_what_a_symlink_points_to() {
    let folder = Folder::new();
    std::os::unix::fs::symlink(folder.path("target"), folder.path("link")).unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", folder.path("bad")).unwrap();
    for (name, status) in [("link", 0), ("bad", 2)] {
        let output = run(aggregator()
            .args(["--ipc", "tcp=127.0.0.1:0", "--check", "--output"])
            .arg(folder.path(name)));
        assert_eq!(output.status.code(), Some(status), "{name}");
    }
    assert_eq!(folder.names(), ["bad", "link"]);
}

/// A socket that is bound and does not listen yet looks stale. strace makes that moment long.
#[test]
fn of_two_daemons_that_start_together_one_is_refused() {
    if !crate::harness::has_program("strace") {
        return crate::harness::skip("strace is not installed");
    }
    let folder = Folder::new();
    let endpoint = folder.endpoint("unixsock");
    let second = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            Setup::new(&folder, &["unixsock"])
                .wrapper([
                    "strace",
                    "-o",
                    "/dev/null",
                    "-e",
                    "inject=listen:delay_enter=700000",
                ])
                .start()
        });
        crate::harness::wait_for("the first one's socket", || {
            folder.path("unixsock").exists()
        });
        let second = refused(&folder, &endpoint);
        assert_eq!(send_one(first.join().unwrap(), "unixsock").lines.len(), 1);
        second
    });
    assert!(second.contains("in use by a running process"), "{second}");
}
