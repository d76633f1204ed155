//! What the compiler cannot check in `src/sys/`: memory that the kernel fills.

use crate::harness::{
    Folder, IS_STATIC, Setup, TRANSPORTS, has_no_meaning, has_program, sent_by, skip,
    spawn_producer, wait_for,
};

/// valgrind knows what each system call reads and writes. Its exit status takes the place of ours if
/// that was out of bounds, uninitialised, or lost.
#[test]
fn valgrind_finds_nothing_under_a_load_on_all_five() {
    if IS_STATIC {
        return has_no_meaning("valgrind cannot take the place of a static program's malloc");
    }
    if !has_program("valgrind") {
        return skip("valgrind is not installed");
    }
    let folder = Folder::new();
    let log = folder.path("valgrind");
    let log_file = format!("--log-file={}", log.display());
    let valgrind = [
        "valgrind",
        "--quiet",
        "--error-exitcode=99",
        "--leak-check=full",
    ];
    let daemon = Setup::new(&folder, &TRANSPORTS)
        .args([
            "--stamp",
            "--rotate-size",
            "1000000",
            "--max-record",
            "2048",
        ])
        .wrapper(valgrind)
        .wrapper([&log_file])
        .start();
    for transport in ["unixgram", "udp"] {
        let mut client = daemon.connect(transport);
        for datagram in [&b""[..], b"\n", b"\xff\n\0m", &[b'm'; 60_000]] {
            client.send(datagram);
        }
        // Longer than the room for one, where that is possible.
        if transport == "unixgram" {
            client.send([b'm'; 100_000]);
        }
    }
    let load = |size: &str, count: &str| {
        let producers = TRANSPORTS.map(|transport| {
            let args = ["--rate", "0", "--count", count, "--size", size];
            spawn_producer(daemon.endpoint(transport), args)
        });
        sent_by(producers.into())
    };
    load("100", "3000");
    daemon.signal("HUP");
    std::fs::remove_file(folder.path("fifo")).unwrap();
    wait_for("a new FIFO", || folder.path("fifo").exists());
    load("3000", "100");
    daemon.signal("TERM");
    let stopped = daemon.wait_unchecked();
    let said = std::fs::read_to_string(log).unwrap();
    assert_eq!((stopped.status.code(), &said[..]), (Some(0), ""));
    assert!(stopped.count("truncated") > 0);
    let all = stopped.count("records") + stopped.count("kernel_drops");
    assert_eq!(all, 5 * 3100 + 2 * 3 + 1);
}
