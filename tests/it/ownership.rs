//! Who owns what we make, and whose symbolic links are followed. As root: only root may give files away.

use crate::harness::{Folder, Setup, aggregator, has_program, one_line, run, skip, wait_for};
use std::fs;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::Path;

const WITH_PATH: [&str; 3] = ["unixsock", "unixgram", "fifo"];

/// Some user and group that nobody is.
const USER: u32 = 12_345;
const GROUP: u32 = 23_456;

fn is_root(folder: &Folder) -> bool {
    let probe = folder.path("probe");
    fs::write(&probe, "").unwrap();
    let is_root = lchown(&probe, Some(USER), None).is_ok();
    fs::remove_file(&probe).unwrap();
    if !is_root {
        skip("not root");
    }
    is_root
}

/// Starts a daemon that is to be refused, and returns what it said.
#[track_caller]
fn refused(args: &[&str]) -> String {
    let output = run(aggregator().args(args));
    assert_eq!(output.status.code(), Some(2), "{args:?}");
    one_line(&output)
}

#[test]
fn paths_are_given_to_the_owner_and_group_that_were_asked_for() {
    let folder = Folder::new();
    if !is_root(&folder) {
        return;
    }
    let user = USER.to_string();
    for (args, owner, group, mode) in [
        (vec!["--socket-owner", &user], USER, 0, 0o660),
        (vec!["--socket-group", "daemon"], 0, 1, 0o660),
        (
            vec![
                "--socket-owner",
                "daemon",
                "--socket-group",
                "23456",
                "--socket-mode",
                "0666",
            ],
            1,
            GROUP,
            0o666,
        ),
    ] {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &WITH_PATH).args(&args).start();
        for transport in WITH_PATH {
            let found = folder.path(transport).symlink_metadata().unwrap();
            assert_eq!(
                (found.uid(), found.gid(), found.mode() & 0o7777),
                (owner, group, mode),
                "{transport} {args:?}"
            );
            daemon.connect(transport).send("{}\n");
        }
        // One that is made anew is given away as well.
        fs::remove_file(folder.path("unixgram")).unwrap();
        wait_for("a path made anew", || daemon.stderr().contains("made anew"));
        let found = folder.path("unixgram").symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (owner, group));
        daemon.stop();
    }
}

/// Nobody but us gets in before the path belongs to whom it shall belong to.
#[test]
fn a_path_lets_nobody_in_before_it_is_given_away() {
    let folder = Folder::new();
    if !is_root(&folder) {
        return;
    }
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let trace = folder.path("trace");
    Setup::new(&folder, &WITH_PATH)
        .args(["--socket-group", "daemon", "--socket-mode", "0666"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .wrapper(["-e", "umask,mknod,mknodat,chmod,fchmod,fchmodat,fchownat"])
        .start()
        .stop();
    let calls = fs::read_to_string(trace).unwrap();
    assert_eq!(calls.matches("umask(0177)").count(), 2, "{calls}");
    assert!(calls.contains("S_IFIFO|0600"), "{calls}");
    let order: Vec<bool> = calls
        .lines()
        .filter(|line| line.contains("chown") || line.contains("chmod"))
        .map(|line| line.contains("chown"))
        .collect();
    assert_eq!(order, [true, false, true, false, true, false], "{calls}");
}

#[test]
fn somebody_elses_link_is_not_followed() {
    let folder = Folder::new();
    if !is_root(&folder) {
        return;
    }
    let target = folder.path("target");
    let link = folder.path("link");
    let ours = folder.path("ours");
    symlink(&target, &link).unwrap();
    symlink(&link, &ours).unwrap();
    lchown(&link, Some(USER), None).unwrap();
    let unixsock = folder.endpoint("unixsock");
    // Directly, and at the end of a link of ours.
    for path in [&link, &ours] {
        let path = path.to_str().unwrap();
        let fifo = format!("fifo={path}");
        let out = folder.path("records");
        for args in [
            ["--ipc", &unixsock, "--output", path],
            ["--ipc", &fifo, "--output", out.to_str().unwrap()],
        ] {
            let said = refused(&args);
            assert!(said.contains("another user's symbolic link"), "{said}");
            let mut checked = args.to_vec();
            checked.push("--check");
            let output = run(aggregator().args(checked));
            assert_eq!(output.status.code(), Some(2));
        }
        assert!(!target.exists());
    }
    lchown(&link, Some(0), None).unwrap();
    let daemon = Setup::new(&folder, &["unixsock"]).output(&ours).start();
    daemon.connect("unixsock").send("{}\n");
    daemon.wait_for_lines(1);
    daemon.stop();
    assert_eq!(fs::read(target).unwrap(), b"{}\n");
}

#[test]
fn a_link_planted_after_a_rotation_is_not_followed() {
    let folder = Folder::new();
    if !is_root(&folder) {
        return;
    }
    let daemon = Setup::new(&folder, &["unixsock"]).start();
    let mut client = daemon.connect("unixsock");
    fs::rename(&daemon.output, folder.path("rotated")).unwrap();
    symlink(folder.path("precious"), &daemon.output).unwrap();
    lchown(&daemon.output, Some(USER), None).unwrap();
    daemon.signal("HUP");
    wait_for("a word of it", || {
        daemon.stderr().contains("another user's symbolic link")
    });
    client.send("{}\n");
    wait_for("the record", || {
        fs::read(folder.path("rotated")).unwrap() == b"{}\n"
    });
    assert!(!folder.path("precious").exists());
    fs::remove_file(&daemon.output).unwrap();
    fs::rename(folder.path("rotated"), &daemon.output).unwrap();
    daemon.stop();
}

/// /dev/stdout leads to a link that the kernel makes, whose text is no path.
#[test]
fn the_kernels_own_links_are_followed() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock"])
        .output(Path::new("/proc/self/fd/4"))
        .wrapper(["env", &format!("OUT={}", folder.path("out").display())])
        .wrapper(["sh", "-c", "exec \"$0\" \"$@\" 4>\"$OUT\""])
        .start();
    daemon.connect("unixsock").send("{}\n");
    wait_for("the record", || {
        fs::read(folder.path("out")).unwrap() == b"{}\n"
    });
}
