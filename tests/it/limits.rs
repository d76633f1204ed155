//! More clients than there is room for: nobody is turned away, and nothing spins.

use crate::harness::{Client, Folder, Setup, wait_for};

/// Connects 40 clients to a daemon with room for fewer, one record from each, and lets them go one
/// after the other.
fn check(setup: Setup<'_>, transport: &str, room: std::ops::Range<usize>, reason: &str) {
    const CLIENTS: usize = 40;
    let daemon = setup.start();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| daemon.connect(transport)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(format!("{{\"client\":{number}}}\n"));
    }
    wait_for("the warning", || daemon.stderr().contains(reason));
    wait_for("the first clients' records", || {
        room.contains(&daemon.lines_written())
    });
    let before = daemon.cpu_ns();
    std::thread::sleep(std::time::Duration::from_millis(1500)); // in which it must not spin
    let spent = daemon.cpu_ns() - before;
    assert!(
        spent < 50_000_000,
        "{spent} ns of processor time in 1.5 s of waiting"
    );
    assert!(room.contains(&daemon.lines_written()));

    drop(clients);
    daemon.wait_for_lines(CLIENTS);
    let stopped = daemon.stop();
    let mut numbers: Vec<u64> = stopped
        .records()
        .iter()
        .map(|record| record["client"].as_u64().unwrap())
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..CLIENTS as u64));
    assert_eq!(stopped.count("connections"), CLIENTS as u64);
    // Once, and perhaps that it is over.
    assert_eq!(
        stopped.stderr.matches(reason).count(),
        1,
        "{}",
        stopped.stderr
    );
    assert!(stopped.stderr.lines().count() <= 2, "{}", stopped.stderr);
}

#[test]
fn at_the_connection_limit_connections_wait_in_the_backlog() {
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let setup = Setup::new(&folder, &[transport]).args(["--max-connections", "7"]);
        check(setup, transport, 7..8, "connection limit");
    }
}

#[test]
fn without_descriptors_connections_wait_in_the_backlog() {
    for transport in ["unixsock", "tcp"] {
        let folder = Folder::new();
        let setup = Setup::new(&folder, &[transport])
            .args(["--max-connections", "1000"])
            .wrapper(["sh", "-c", "ulimit -n 32; exec \"$@\"", "sh"]);
        check(setup, transport, 16..32, "os error 24"); // EMFILE, in no library's words
    }
}

#[test]
fn the_default_limit_leaves_room_for_everything_else() {
    let folder = Folder::new();
    let setup =
        Setup::new(&folder, &["unixsock"]).wrapper(["sh", "-c", "ulimit -n 50; exec \"$@\"", "sh"]);
    check(setup, "unixsock", 25..26, "connection limit");
}

#[test]
fn waiting_connections_are_read_at_a_stop() {
    let folder = Folder::new();
    let daemon = Setup::new(&folder, &["unixsock", "tcp"])
        .args(["--max-connections", "2"])
        .start();
    let clients: Vec<Client> = ["unixsock", "tcp"]
        .into_iter()
        .flat_map(|transport| (0..10).map(move |_| transport))
        .map(|transport| {
            let mut client = daemon.connect(transport);
            client.send("{}\n");
            client
        })
        .collect();
    let stopped = daemon.stop();
    assert_eq!(stopped.lines.len(), 20);
    drop(clients);
}
