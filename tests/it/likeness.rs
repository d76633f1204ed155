//! A file that is made anew has owner, group and rights of the one before.

use crate::anew::{WAYS, make_anew, setup, stop};
use crate::harness::{Folder, OPEN, Setup, aggregator, has_program, run, skip};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

fn is_root(folder: &Folder) -> bool {
    let probe = folder.path("probe");
    fs::write(&probe, "").unwrap();
    let is_root = chown(&probe, Some(12_345), None).is_ok();
    fs::remove_file(&probe).unwrap();
    if !is_root {
        skip("not root");
    }
    is_root
}

#[test]
fn a_new_file_has_owner_group_and_rights_of_the_old_one() {
    let folder = Folder::new();
    if !is_root(&folder) {
        return;
    }
    for way in WAYS {
        for (user, group, mode, want) in [
            (0, 4, 0o644, 0o644),
            (0, 4, 0o640, 0o640),
            (12_345, 23_456, 0o660, 0o660),
            (12_345, 0, 0o666, 0o666),
            (0, 0, 0o600, 0o600),
            (0, 0, 0o400, 0o400),
            (0, 23_456, 0o7755, 0o755),
        ] {
            let folder = Folder::new();
            let daemon = setup(&folder).args(["--rotate-size=4096"]).start();
            chown(&daemon.output, Some(user), Some(group)).unwrap();
            fs::set_permissions(&daemon.output, fs::Permissions::from_mode(mode)).unwrap();
            let new = make_anew(&daemon, way);
            assert_eq!(new, (user, group, want), "{way} {mode:o}");
            stop(daemon);
        }
    }
}

/// A daemon that may not give the group gives its rights to nobody else.
#[test]
fn a_group_that_cannot_be_given_has_its_rights_given_to_nobody() {
    let folder = Folder::new();
    if !is_root(&folder) || !has_program("setpriv") {
        return skip("setpriv is not installed, or the tests are not run by root");
    }
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path("aggregator");
    fs::copy(aggregator().get_program(), &program).unwrap();
    let run_copy = format!(
        "shift; exec env --default-signal=HUP {} \"$@\"",
        program.display()
    );
    for way in WAYS {
        for (mode, want) in [
            (0o640, 0o600),
            (0o644, 0o644),
            (0o664, 0o644),
            (0o660, 0o600),
            (0o666, 0o666),
            (0o602, 0o602),
        ] {
            let output = folder.path("out");
            let _ = fs::remove_file(&output);
            fs::write(&output, "").unwrap();
            chown(&output, Some(65_534), Some(23_456)).unwrap();
            fs::set_permissions(&output, fs::Permissions::from_mode(mode)).unwrap();
            let daemon = Setup::new(&folder, &["unixsock"])
                .wrapper([
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                ])
                .wrapper(["sh", "-c", &run_copy, "sh"])
                .args(["--rotate-size=4096"])
                .output(&output)
                .start();
            let new = make_anew(&daemon, way);
            assert_eq!(new, (65_534, 65_534, want), "{way} {mode:o}");
            let said = stop(daemon);
            assert_eq!(said.matches("who reads it").count(), 1, "{said}");
        }
    }
}

#[test]
fn a_new_file_is_at_no_moment_more_open_than_in_the_end() {
    let folder = Folder::new();
    if !is_root(&folder) || !has_program("strace") {
        return skip("strace is not installed, or the tests are not run by root");
    }
    let trace = folder.path("trace");
    let daemon = setup(&folder)
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .wrapper(["-e", &format!("trace={OPEN},fchown,fchownat,fchmod")])
        .args(["--rotate-size=4096"])
        .start();
    chown(&daemon.output, Some(12_345), Some(23_456)).unwrap();
    fs::set_permissions(&daemon.output, fs::Permissions::from_mode(0o664)).unwrap();
    make_anew(&daemon, WAYS[0]);
    stop(daemon);
    let text = fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(".lock\""))
        .skip_while(|line| !line.contains("fch") && !line.contains(", 0600)"))
        .filter(|line| line.contains("O_EXCL") || line.starts_with("fch"))
        .collect();
    let [create, group, mode, owner] = calls[..] else {
        panic!("{calls:?}");
    };
    assert!(create.contains(", 0600)"), "{create}");
    assert!(group.contains("-1, 23456"), "{group}");
    assert!(mode.contains("0664"), "{mode}");
    assert!(owner.contains("12345, -1"), "{owner}");
}

/// A list of further readers is rights as well.
#[test]
fn a_new_file_has_the_access_list_of_the_old_one() {
    let list = "import os, struct, sys\n\
        entries = [(1, 6, -1), (2, 4, 12345), (4, 0, -1), (16, 4, -1), (32, 0, -1)]\n\
        text = struct.pack('<I', 2)\n\
        for entry in entries: text += struct.pack('<HHi', *entry)\n\
        os.setxattr(sys.argv[1], 'system.posix_acl_access', text)";
    let show = "import os, sys\n\
        print(os.getxattr(sys.argv[1], 'system.posix_acl_access').hex())";
    let python =
        |code: &str, path: &Path| run(Command::new("python3").args(["-c", code]).arg(path));
    let folder = Folder::new();
    if !has_program("python3") {
        return skip("python3 is not installed");
    }
    let daemon = setup(&folder).start();
    if !python(list, &daemon.output).status.success() {
        return skip("the file system has no access lists");
    }
    let before = python(show, &daemon.output).stdout;
    make_anew(&daemon, WAYS[1]);
    let after = python(show, &daemon.output);
    assert!(
        after.status.success(),
        "{}",
        String::from_utf8_lossy(&after.stderr)
    );
    assert_eq!(after.stdout, before);
    assert_eq!(stop(daemon), "");
}
