//! What tells a second daemon on a FIFO or an output: a lock that no other process can take.

use crate::harness::{
    Daemon, Folder, Nobody, Setup, TRANSPORTS, aggregator, one_line, run, wait_for,
};
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// What a daemon says that is to be refused, at the start and by `--check`.
#[track_caller]
fn refused(program: impl Fn() -> Command, endpoint: &str, output: &Path) -> String {
    let said = ["--check", "--truncate"].map(|arg| {
        let output = run(program()
            .args(["--ipc", endpoint, "--output"])
            .arg(output)
            .arg(arg));
        assert_eq!(output.status.code(), Some(2), "{arg}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    });
    said.concat()
}

fn make_fifo(path: &Path, mode: u32) {
    assert!(run(Command::new("mkfifo").arg(path)).status.success());
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Holds a FIFO open as rsyslog does, and locked.
fn hold(path: &Path) -> File {
    let both = OpenOptions::new().read(true).write(true).open(path);
    let holder = both.unwrap();
    holder.lock().unwrap();
    holder
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn nothing_but_the_output_and_the_fifo_is_left() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &TRANSPORTS).start();
    let locks = [".fifo.lock", ".records.jsonl.lock"];
    let names = folder.names();
    let hidden: Vec<&String> = names.iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(hidden, locks, "none for a socket");
    for lock in locks {
        let found = folder.path(lock).symlink_metadata().unwrap();
        assert!(found.is_file() && found.len() == 0);
        assert_eq!(found.mode() & 0o7777, 0o600);
    }
    daemon.stop();
    assert_eq!(folder.names(), ["fifo", "records.jsonl", "stderr"]);
}

#[test]
fn a_daemon_that_is_refused_leaves_the_others_lock() {
    let folder = Folder::new();
    make_fifo(&folder.path("fifo"), 0o660);
    let _holder = hold(&folder.path("fifo"));
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let (fifo, output) = (daemon.endpoint("fifo"), &daemon.output);
    for _ in 0..2 {
        let said = refused(aggregator, fifo, &folder.path("other"));
        assert!(said.contains("in use by a running process"), "{said}");
        let said = refused(aggregator, &folder.endpoint("unixsock"), output);
        assert!(said.contains("in use by another aggregator"), "{said}");
    }
    daemon.stop();
}

#[test]
fn what_a_killed_daemon_left_is_no_obstacle() {
    let folder = Folder::new();
    drop(Setup::new(&folder, &["fifo"]).start()); // SIGKILL
    assert!(folder.path(".fifo.lock").exists());
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.connect("fifo").send("{}\n");
    assert_eq!(daemon.stop().stderr, "");
    assert_eq!(folder.names(), ["fifo", "records.jsonl", "stderr"]);
}

/// Whoever may read the output or the FIFO may lock it.
#[test]
fn a_strangers_lock_keeps_no_daemon_out() {
    let folder = Folder::new();
    let (fifo, output) = (folder.path("fifo"), folder.path("records.jsonl"));
    make_fifo(&fifo, 0o660);
    fs::write(&output, "").unwrap();
    let _holder = hold(&fifo);
    let reader = File::open(&output).unwrap();
    reader.lock().unwrap();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.connect("fifo").send("{}\n");
    daemon.wait_for_lines(1);
    let said = refused(aggregator, daemon.endpoint("fifo"), &folder.path("other"));
    assert!(said.contains("in use by a running process"), "{said}");
    let said = refused(aggregator, &folder.endpoint("unixsock"), &output);
    assert!(said.contains("in use by another aggregator"), "{said}");
    assert_eq!(daemon.stop().stderr, "");
}

/// A file that another user has put where the lock is to be, in a folder like /tmp.
#[test]
fn a_strangers_lock_file_keeps_no_daemon_out_and_is_said() {
    let Some(nobody) = Nobody::new() else { return };
    let folder = Folder::new();
    mode(&folder.path(""), 0o1777);
    make_fifo(&folder.path("fifo"), 0o660);
    let mut locks = Vec::new();
    for name in [".fifo.lock", ".records.jsonl.lock"] {
        let path = folder.path(name);
        fs::write(&path, "").unwrap();
        mode(&path, 0o600);
        nobody.owns(&path);
        let lock = File::open(&path).unwrap();
        lock.lock().unwrap();
        locks.push(lock);
    }
    let daemon = Setup::new(&folder, &["fifo"]).start();
    daemon.connect("fifo").send("{}\n");
    daemon.wait_for_lines(1);
    // The output's own lock is left.
    let said = refused(aggregator, &folder.endpoint("unixsock"), &daemon.output);
    assert!(said.contains("in use by another aggregator"), "{said}");
    let stopped = daemon.stop();
    assert_eq!(stopped.stderr.lines().count(), 1, "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("would not be noticed"),
        "{}",
        stopped.stderr
    );
    assert!(
        folder.names().contains(&".fifo.lock".to_owned()),
        "not ours"
    );
}

/// Of several users, in a folder like /tmp: neither side may take the other for a stranger's lock.
#[test]
fn daemons_of_different_users_see_each_other() {
    let Some(nobody) = Nobody::new() else { return };
    for (his_is_first, folder_mode) in [(true, 0o1777), (false, 0o1777), (false, 0o755)] {
        let folder = Folder::new();
        mode(&folder.path(""), folder_mode);
        let mut setup = Setup::new(&folder, &["fifo"]);
        fs::write(&setup.output, "").unwrap();
        make_fifo(&folder.path("fifo"), 0o666);
        let _holder = hold(&folder.path("fifo"));
        for path in [&folder.path("fifo"), &setup.output] {
            mode(path, 0o666);
            if his_is_first {
                nobody.owns(path);
            }
        }
        if his_is_first {
            setup = setup.wrapper(nobody.wrapper());
        }
        let daemon = setup.start();
        let second = || {
            if his_is_first {
                aggregator()
            } else {
                nobody.aggregator()
            }
        };
        let said = refused(second, daemon.endpoint("fifo"), Path::new("/dev/null"));
        assert!(said.contains("in use by a running process"), "{said}");
        let said = refused(second, "udp=127.0.0.1:0", &daemon.output);
        assert!(said.contains("in use by another aggregator"), "{said}");
        daemon.stop();
    }
}

/// A daemon that may not make files beside its output has only the output's own lock.
#[test]
fn where_the_folder_cannot_be_written_to_the_output_is_locked_itself() {
    let Some(nobody) = Nobody::new() else { return };
    let folder = Folder::new();
    mode(&folder.path(""), 0o755);
    let output = folder.path("records.jsonl");
    fs::write(&output, "").unwrap();
    nobody.owns(&output);
    let ipc = format!("unixsock=@log-aggregator-test-{}-locks", std::process::id());
    let daemon = Setup::new(&folder, &[])
        .args(["--ipc", &ipc])
        .wrapper(nobody.wrapper())
        .start();
    let second = || refused(|| nobody.aggregator(), "udp=127.0.0.1:0", &output);
    assert!(second().contains("in use by another aggregator"));
    assert_eq!(daemon.stop().stderr, "");
    let stranger = File::open(&output).unwrap();
    stranger.lock().unwrap();
    assert!(second().contains("locked by some other process"));
}

/// Refused by each of these names.
#[track_caller]
fn is_held(daemon: &Daemon, names: &[std::path::PathBuf]) {
    for name in names {
        let said = refused(aggregator, "udp=127.0.0.1:0", name);
        let want = "in use by another aggregator";
        assert!(said.contains(want), "{}: {said}", name.display());
    }
    assert!(daemon.is_running());
}

#[test]
fn an_output_stays_locked_over_rotations_and_by_other_names() {
    let folder = Folder::new();
    let output = folder.path("records.jsonl");
    fs::write(&output, "").unwrap();
    let reader = File::open(&output).unwrap();
    reader.lock().unwrap();
    let daemon = Setup::new(&folder, &["unixsock"])
        .args(["--rotate-size=4096", "--rotate-keep=1"])
        .start();
    let (link, hard) = (folder.path("link"), folder.path("hard"));
    symlink("records.jsonl", &link).unwrap();
    fs::hard_link(&output, &hard).unwrap();
    is_held(&daemon, &[output.clone(), link.clone(), hard]);

    let inode = || output.metadata().map_or(0, |found| found.ino());
    let mut client = daemon.connect("unixsock");
    for _ in 0..3 {
        let before = inode();
        client.send(format!("{{\"pad\":\"{}\"}}\n", "x".repeat(5000)));
        wait_for("a rotation", || ![0, before].contains(&inode()));
        is_held(&daemon, &[output.clone(), link.clone()]);
    }
    fs::rename(&output, folder.path("moved")).unwrap();
    daemon.signal("HUP");
    wait_for("the new file", || output.exists());
    client.send("{}\n");
    daemon.wait_for_lines(1);
    is_held(&daemon, &[output, link]);
    daemon.signal("TERM");
    assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
    assert!(!folder.names().iter().any(|name| name.ends_with(".lock")));
}

/// Devices, pipes and terminals may have several writers, and get no file beside them.
#[test]
fn only_a_regular_output_is_locked() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .output(Path::new("/dev/null"))
        .start();
    assert!(!Path::new("/dev/.null.lock").exists());
    let second = Setup::new(&folder, &["unixgram"]).output(Path::new("/dev/null"));
    let second = second.start();
    for daemon in [daemon, second] {
        daemon.signal("TERM");
        assert_eq!(daemon.wait_unchecked().status.code(), Some(0));
    }
}

/// As people and machines name FIFOs. For the longest, the lock has another name.
#[test]
fn a_fifo_may_have_any_name() {
    let long = "n".repeat(255);
    for name in ["a b", "newline\n", "-", ".hidden", "ü", &long] {
        let folder = Folder::new();
        make_fifo(&folder.path("target"), 0o660);
        let _holder = hold(&folder.path("target"));
        fs::rename(folder.path("target"), folder.path(name)).unwrap();
        symlink(name, folder.path("link")).unwrap();
        let endpoint = format!("fifo={}", folder.path(name).display());
        let daemon = Setup::new(&folder, &[]).args(["--ipc", &endpoint]).start();
        let linked = format!("fifo={}", folder.path("link").display());
        for endpoint in [&endpoint, &linked] {
            let said = refused(aggregator, endpoint, &folder.path("other"));
            assert!(
                said.contains("in use by a running process"),
                "{name}: {said}"
            );
        }
        fs::write(folder.path(name), "{}\n").unwrap();
        daemon.wait_for_lines(1);
        assert_eq!(daemon.stop().stderr, "", "{name}");
        assert!(!folder.names().iter().any(|name| name.ends_with(".lock")));
    }
}

/// A FIFO that a service manager holds is open for reading all the time; only the lock tells whether a daemon runs.
#[test]
fn a_fifo_that_was_opened_for_a_daemon_is_its_own() {
    let folder = Folder::new();
    make_fifo(&folder.path("fifo"), 0o660);
    let holder = hold(&folder.path("fifo"));
    let mut setup = Setup::new(&folder, &[])
        .wrapper(["sh", "-c"])
        .wrapper(["LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\" 3<&0 </dev/null"]);
    setup.stdin = holder.try_clone().unwrap().into();
    let daemon = setup.start();
    let said = refused(aggregator, daemon.endpoint("fifo"), &folder.path("other"));
    assert!(said.contains("in use by a running process"), "{said}");
    assert_eq!(daemon.stop().stderr, "");
    let daemon = Setup::new(&folder, &["fifo"]).start();
    assert_eq!(daemon.stop().stderr, "");
    assert!(!folder.names().iter().any(|name| name.ends_with(".lock")));
}

/// In the working directory, and when the FIFO is replaced: the claim goes on to the new one.
#[test]
fn a_relative_fifo_that_is_replaced_stays_claimed() {
    let folder = Folder::new();
    let folder_path = folder.path("");
    make_fifo(&folder.path("fifo"), 0o660);
    let _holder = hold(&folder.path("fifo"));
    let daemon = Setup::new(&folder, &[])
        .args(["--ipc", "fifo=fifo"])
        .wrapper(["env", "-C", folder_path.to_str().unwrap()])
        .start();
    let absolute = folder.endpoint("fifo");
    let is_claimed = || {
        let said = refused(aggregator, &absolute, &folder.path("other"));
        assert!(said.contains("in use by a running process"), "{said}");
    };
    is_claimed();
    fs::remove_file(folder.path("fifo")).unwrap();
    wait_for("a word", || daemon.stderr().contains("made anew"));
    is_claimed();
    fs::write(folder.path("fifo"), "{}\n").unwrap();
    daemon.wait_for_lines(1);
    daemon.stop();
    assert!(!folder.names().iter().any(|name| name.ends_with(".lock")));
}

/// A FIFO whose path led elsewhere for a while, and leads to it again, is still its daemon's alone.
#[test]
fn a_fifo_that_comes_back_to_its_path_stays_claimed() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let (path, aside) = (folder.path("fifo"), folder.path("aside"));
    fs::rename(&path, &aside).unwrap();
    fs::write(&path, "in the way").unwrap();
    wait_for("the loss", || daemon.stderr().contains("trying again"));
    fs::remove_file(&path).unwrap();
    fs::rename(&aside, &path).unwrap();
    wait_for("its end", || {
        let said = daemon.stderr();
        said.contains("leads to it again") || said.contains("is made anew")
    });
    let second = run(aggregator()
        .args(["--ipc", daemon.endpoint("fifo"), "--output"])
        .arg(folder.path("other")));
    assert_eq!(second.status.code(), Some(2));
    assert!(one_line(&second).contains("in use by a running process"));
    daemon.connect("fifo").send("{}\n");
    daemon.wait_for_lines(1);
    assert_eq!(daemon.stop().lines, ["{}"]);
}
