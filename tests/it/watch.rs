//! Paths that change under a running daemon.

use crate::harness::{Client, Daemon, Folder, OPEN, Setup, has_program, skip, wait_for};
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

const WITH_PATH: [&str; 3] = ["unixsock", "unixgram", "fifo"];

fn said_anew(daemon: &Daemon, times: usize) {
    wait_for("a path made anew", || {
        daemon.stderr().matches("is made anew").count() == times
    });
}

/// What a user, a cleaner of /tmp or a second program may do to a path.
fn disturb(how: &str, folder: &Folder, transport: &str) {
    let path = folder.path(transport);
    match how {
        "removed" => fs::remove_file(path).unwrap(),
        "moved" => fs::rename(path, folder.path("elsewhere")).unwrap(),
        // By one that nobody serves.
        "replaced" => {
            let other = folder.path("other");
            match transport {
                "fifo" => {
                    let made = Command::new("mkfifo").arg(&other).status();
                    assert!(made.unwrap().success());
                }
                _ => drop(UnixDatagram::bind(&other).unwrap()),
            }
            fs::rename(other, path).unwrap();
        }
        _ => unreachable!(),
    }
}

#[test]
fn a_path_that_is_removed_moved_or_replaced_is_made_anew_while_idle() {
    for transport in WITH_PATH {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        for (times, how) in ["removed", "moved", "replaced"].into_iter().enumerate() {
            disturb(how, &folder, transport);
            said_anew(&daemon, times + 1);
            daemon.connect(transport).send(format!("{{\"{how}\":1}}\n"));
            daemon.wait_for_lines(times + 1);
        }
        let stopped = daemon.stop();
        assert_eq!(
            stopped.lines,
            ["{\"removed\":1}", "{\"moved\":1}", "{\"replaced\":1}"]
        );
        assert_eq!(stopped.stderr.lines().count(), 3, "{}", stopped.stderr);
        // The new socket is as much ours as the first one was.
        assert_eq!(folder.path(transport).exists(), transport == "fifo");
    }
}

/// Stopped in its tracks, so that all of it waits in the kernel when the daemon learns of the path.
#[test]
fn what_was_queued_on_the_old_one_is_read_first() {
    for transport in WITH_PATH {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        daemon.freeze();
        let mut early: Vec<Client> = (0..3).map(|_| daemon.connect(transport)).collect();
        for (number, client) in early.iter_mut().enumerate() {
            client.send(format!("{{\"early\":{number}}}\n"));
        }
        disturb("removed", &folder, transport);
        daemon.thaw();
        said_anew(&daemon, 1);
        daemon.connect(transport).send("{\"late\":1}\n");
        daemon.wait_for_lines(4);
        let stopped = daemon.stop();
        assert_eq!(stopped.lines.last().unwrap(), "{\"late\":1}");
        assert_eq!(stopped.lines.len(), 4, "{transport}: {:?}", stopped.lines);
    }
}

#[test]
fn clients_of_the_old_one_are_served_or_told() {
    for transport in WITH_PATH {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let mut client = daemon.connect(transport);
        client.send("{\"before\":1}\n");
        daemon.wait_for_lines(1);
        disturb("removed", &folder, transport);
        said_anew(&daemon, 1);
        let served = client.try_send(b"{\"after\":1}\n").is_ok();
        // A connection is; a sender of datagrams has to look for the new socket.
        assert_eq!(served, transport != "unixgram");
        drop(client);
        let stopped = daemon.stop();
        assert_eq!(stopped.lines.len(), 1 + usize::from(served));
    }
}

#[test]
fn an_old_fifo_whose_writers_have_left_is_let_go() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    let descriptors = || {
        fs::read_dir(format!("/proc/{}/fd", daemon.pid))
            .unwrap()
            .count()
    };
    let before = descriptors();
    let mut writer = daemon.connect("fifo");
    for times in 1..=3 {
        disturb("removed", &folder, "fifo");
        said_anew(&daemon, times);
    }
    // Half a line, and the end: no reopening may throw it away or glue it to another's.
    writer.send("half");
    drop(writer);
    daemon.wait_for_lines(1);
    wait_for("the old ends to be closed", || descriptors() == before);
    let stopped = daemon.stop();
    assert_eq!(stopped.records()[0]["message"], "half");
}

#[test]
fn what_stands_in_the_way_is_left_alone_and_said_once() {
    for transport in WITH_PATH {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let path = folder.path(transport);
        fs::write(folder.path("precious"), "precious").unwrap();
        fs::rename(folder.path("precious"), &path).unwrap();
        wait_for("a word of it", || daemon.stderr().contains("trying again"));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        said_anew(&daemon, 1);
        daemon.connect(transport).send("{}\n");
        daemon.wait_for_lines(1);
        let stopped = daemon.stop();
        assert_eq!(stopped.stderr.lines().count(), 2, "{}", stopped.stderr);
    }
}

/// One that goes again before it is watched is not forgotten.
#[test]
fn a_path_that_is_removed_again_and_again_is_there_in_the_end() {
    for transport in WITH_PATH {
        let folder = Folder::new();
        let daemon = Setup::new(&folder, &[transport]).start();
        let path = folder.path(transport);
        let mut removals = 0;
        wait_for("a few removals", || {
            // As fast as can be, so that some come between the making and the watching.
            for _ in 0..20_000 {
                removals += u32::from(fs::remove_file(&path).is_ok());
            }
            removals >= 8
        });
        wait_for("the path", || path.exists());
        wait_for("a record", || {
            let sent = Client::try_connect(transport, path.to_str().unwrap())
                .and_then(|mut client| client.try_send(b"{}\n"));
            sent.is_ok() && daemon.lines_written() > 0
        });
        daemon.stop();
    }
}

#[test]
fn a_folder_that_goes_and_comes_back_is_no_end() {
    let folder = Folder::new();
    let inner = folder.path("inner");
    fs::create_dir(&inner).unwrap();
    let endpoint = |transport| format!("{transport}={}", inner.join(transport).display());
    let args = WITH_PATH.map(|transport| ["--ipc".to_owned(), endpoint(transport)]);
    let daemon = Setup::new(&folder, &[]).args(args.as_flattened()).start();
    daemon.freeze(); // so that it makes none anew while the others are removed
    // The daemon may make a path anew before the folder is gone.
    wait_for("the folder to go", || {
        fs::remove_dir_all(&inner).is_ok() || !inner.exists()
    });
    daemon.thaw();
    wait_for("a word of it", || {
        daemon.stderr().matches("trying again").count() == 3
    });
    let before = daemon.stderr().matches("is made anew").count();
    fs::create_dir(&inner).unwrap();
    said_anew(&daemon, before + 3);
    for transport in WITH_PATH {
        daemon.connect(transport).send("{}\n");
    }
    daemon.wait_for_lines(3);
    daemon.stop();
}

/// A service of another name that takes the path over is not robbed in turn.
#[test]
fn a_path_that_a_live_process_has_taken_stays_its_own() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixgram"]).start();
    let other = UnixDatagram::bind(folder.path("other")).unwrap();
    fs::rename(folder.path("other"), folder.path("unixgram")).unwrap();
    wait_for("a word of it", || {
        daemon.stderr().contains("in use by a running process")
    });
    other.set_nonblocking(true).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.send_to(b"theirs", folder.path("unixgram")).unwrap();
    assert_eq!(other.recv(&mut [0; 8]).unwrap(), 6);
    assert_eq!(daemon.stop().lines.len(), 0);
    assert!(folder.path("unixgram").exists());
}

#[test]
fn a_fifo_found_through_a_link_is_found_again_through_a_new_link() {
    let folder = Folder::new();
    symlink(folder.path("first"), folder.path("fifo")).unwrap();
    let daemon = Setup::new(&folder, &["fifo"]).start();
    assert!(
        folder
            .path("first")
            .metadata()
            .unwrap()
            .file_type()
            .is_fifo()
    );
    symlink(folder.path("second"), folder.path("link")).unwrap();
    fs::rename(folder.path("link"), folder.path("fifo")).unwrap();
    said_anew(&daemon, 1);
    daemon.connect("fifo").send("{}\n");
    daemon.wait_for_lines(1);
    daemon.stop();
    assert!(
        folder
            .path("second")
            .metadata()
            .unwrap()
            .file_type()
            .is_fifo()
    );
}

/// While the output takes nothing, the event loop is not asked for events.
#[test]
fn a_path_is_made_anew_while_the_output_is_full() {
    let folder = Folder::new();
    let output = folder.path("output");
    assert!(
        Command::new("mkfifo")
            .arg(&output)
            .status()
            .unwrap()
            .success()
    );
    let reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&output)
        .unwrap();
    let daemon = Setup::new(&folder, &["unixsock"]).output(&output).start();
    let mut client = daemon.connect("unixsock");
    let Client::Stream(stream) = &client else {
        unreachable!()
    };
    stream.set_nonblocking(true).unwrap();
    let lines = b"{}\n".repeat(1000);
    let mut refusals = 0;
    wait_for("a standstill", || {
        match client.try_send(&lines) {
            Ok(()) => refusals = 0,
            Err(_) => refusals += 1,
        }
        refusals == 40
    });
    disturb("removed", &folder, "unixsock");
    said_anew(&daemon, 1);
    Client::connect("unixsock", daemon.address("unixsock"));
    drop(reader);
    daemon.signal("TERM");
    daemon.wait_unchecked();
}

/// Each of several paths is watched, and a change that leaves a path alone is no reason for anything.
#[test]
fn a_change_of_permissions_is_not_a_loss() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &WITH_PATH)
        .wrapper([
            "strace",
            "-o",
            trace.to_str().unwrap(),
            "-e",
            "bind,mknodat",
        ])
        .start();
    let calls = || fs::read_to_string(&trace).unwrap().lines().count();
    let before = calls();
    for transport in WITH_PATH {
        let path = folder.path(transport);
        let mut permissions = path.metadata().unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o666);
        fs::set_permissions(path, permissions).unwrap();
        daemon.connect(transport).send("{}\n");
    }
    daemon.wait_for_lines(3);
    assert_eq!(calls(), before);
    let stopped = daemon.stop();
    assert_eq!(stopped.stderr, "");
}

/// The path goes between the end of the last writer and the opening of the FIFO for the next one.
#[test]
fn a_fifo_that_goes_while_it_is_opened_for_the_next_writer_is_said_once() {
    if !has_program("strace") {
        return skip("strace is not installed");
    }
    let folder = Folder::new();
    let trace = folder.path("trace");
    let daemon = Setup::new(&folder, &["fifo"])
        .wrapper(["strace", "-o", trace.to_str().unwrap()])
        .wrapper(["-P", folder.path("fifo").to_str().unwrap()])
        .wrapper(["-e", &format!("inject={OPEN}:delay_enter=300000")])
        .start();
    let mut client = daemon.connect("fifo");
    client.send("{}\n");
    daemon.wait_for_lines(1);
    drop(client);
    wait_for("the end of the writer", || {
        let text = fs::read_to_string(&trace).unwrap();
        text.lines()
            .any(|line| line.starts_with("read(") && line.ends_with("= 0"))
    });
    fs::remove_file(folder.path("fifo")).unwrap();
    said_anew(&daemon, 1);
    daemon.connect("fifo").send("{\"late\":1}\n");
    daemon.wait_for_lines(2);
    assert_eq!(daemon.stop().stderr.lines().count(), 1);
    let text = fs::read_to_string(&trace).unwrap();
    assert!(text.contains("ENOENT"), "it was not gone: {text}");
}
