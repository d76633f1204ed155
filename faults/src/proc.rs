//! What /proc says of a daemon, so that it need not be asked itself.

use crate::transport::{Address, Transport};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

/// The processor's time that a process has used, to 10 ms.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    // USER_HZ is 100 on every Linux.
    Some(Duration::from_millis(ticks * 10))
}

/// How often each of its threads has gone to sleep of its own will. None if the process is gone.
///
/// Threads come and go while one looks: one that has ended meanwhile is passed over.
pub fn sleeps(pid: u32) -> Option<Sleeps> {
    let mut sleeps = Sleeps::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let Ok(status) = fs::read_to_string(task.path().join("status")) else {
            continue;
        };
        let mut lines = status.lines();
        let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        if let Some(count) = count.and_then(|count| count.trim().parse().ok()) {
            sleeps.insert(task.file_name(), count);
        }
    }
    (!sleeps.is_empty()).then_some(sleeps)
}

/// The count of each thread, by its ID.
pub type Sleeps = HashMap<OsString, u64>;

/// How often threads have woken up between two looks. One that has ended has done so at least once.
pub fn wakes(before: &Sleeps, after: &Sleeps) -> u64 {
    let still_there = after.iter().map(|(thread, count)| {
        let count_before = before.get(thread).copied().unwrap_or_default();
        count.saturating_sub(count_before)
    });
    let ended = before.keys().filter(|thread| !after.contains_key(*thread));
    still_there.sum::<u64>() + ended.count() as u64
}

/// The sockets that it has open.
pub fn sockets(pid: u32) -> usize {
    let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return 0;
    };
    let targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

/// Its limit of descriptors, as it is now.
pub fn descriptor_limit(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// Whether somebody listens there. Not for FIFOs, of which /proc tells nothing.
pub fn is_bound(transport: Transport, address: &Address) -> bool {
    let table = match transport {
        Transport::Unixsock | Transport::Unixgram => "/proc/net/unix",
        Transport::Tcp => "/proc/net/tcp",
        Transport::Udp => "/proc/net/udp",
        Transport::Fifo => return false,
    };
    let table = fs::read_to_string(table).unwrap_or_default();
    lists(&table, transport, address)
}

fn lists(table: &str, transport: Transport, address: &Address) -> bool {
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match (transport, address) {
            // Num RefCount Protocol Flags Type St Inode Path; the flag is __SO_ACCEPTCON.
            (Transport::Unixsock, Address::Path(path)) => {
                fields.get(3) == Some(&"00010000") && fields.get(7) == path.to_str().as_ref()
            }
            (Transport::Unixgram, Address::Path(path)) => {
                fields.get(4) == Some(&"0002") && fields.get(7) == path.to_str().as_ref()
            }
            // sl local_address rem_address st; 0A is TCP_LISTEN.
            (Transport::Tcp, Address::Port(port)) => {
                fields.get(3) == Some(&"0A") && has_port(&fields, port.port())
            }
            (_, Address::Port(port)) => has_port(&fields, port.port()),
            (_, Address::Path(_)) => false,
        }
    })
}

fn has_port(fields: &[&str], port: u16) -> bool {
    let local = fields.get(1).and_then(|local| local.rsplit_once(':'));
    local.is_some_and(|(_, found)| found == format!("{port:04X}"))
}

/// What the kernel has dropped for want of room at this port's socket.
pub fn udp_drops(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").unwrap_or_default();
    drops_in(&table, port)
}

fn drops_in(table: &str, port: u16) -> u64 {
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        has_port(&fields, port).then(|| fields.last()?.parse::<u64>().ok())?
    });
    rows.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};
    use std::os::unix::net::{UnixDatagram, UnixListener};

    /// Another test's child may have a copy of the socket, until it executes its program.
    #[track_caller]
    fn becomes_free(transport: Transport, address: &Address) {
        let patience = crate::patience::Patience::new(Duration::from_secs(20));
        assert!(patience.wait_for(|| !is_bound(transport, address)));
    }

    #[test]
    fn a_bound_socket_is_seen_and_a_path_left_behind_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Path(path.clone());
        let listener = UnixListener::bind(&path).unwrap();
        assert!(is_bound(Transport::Unixsock, &address));
        assert!(!is_bound(Transport::Unixgram, &address));
        drop(listener);
        becomes_free(Transport::Unixsock, &address);
        assert!(path.exists());
        std::fs::remove_file(&path).unwrap();
        let _socket = UnixDatagram::bind(&path).unwrap();
        assert!(is_bound(Transport::Unixgram, &address));
    }

    #[test]
    fn a_bound_port_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(bound) = listener.local_addr().unwrap() else {
            panic!("not IPv4");
        };
        assert!(is_bound(Transport::Tcp, &Address::Port(bound)));
        drop(listener);
        becomes_free(Transport::Tcp, &Address::Port(bound));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(bound) = socket.local_addr().unwrap() else {
            panic!("not IPv4");
        };
        assert!(is_bound(Transport::Udp, &Address::Port(bound)));
        assert_eq!(udp_drops(bound.port()), 0);
    }

    #[test]
    fn drops_are_the_last_column() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             100: 0100007F:4E20 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5 2 0000000000000000 17\n";
        assert_eq!(drops_in(table, 20_000), 17);
        assert_eq!(drops_in(table, 20_001), 0);
    }

    #[test]
    fn this_process_has_time_sockets_and_a_limit() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_some());
        assert!(descriptor_limit(pid).unwrap() > 3);
        let _pair = UnixDatagram::pair().unwrap();
        assert!(sockets(pid) >= 2);
    }

    #[test]
    fn a_process_that_wakes_up_is_seen_to_and_one_that_is_gone_is_none() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do sleep 0.01; done"])
            .spawn()
            .unwrap();
        let before = sleeps(child.id()).unwrap();
        let patience = crate::patience::Patience::new(Duration::from_secs(60));
        let woke = patience.wait_for(|| wakes(&before, &sleeps(child.id()).unwrap()) > 3);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(woke);
        assert!(sleeps(child.id()).is_none() && cpu_time(child.id()).is_none());
    }

    #[test]
    fn threads_that_end_while_one_looks_do_not_hide_the_others() {
        let pid = std::process::id();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::spawn(|| ()).join().unwrap();
                }
            });
            let seen = (0..2000).all(|_| sleeps(pid).is_some());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(seen);
        });
    }

    #[test]
    fn wake_ups_are_counted_for_threads_that_stay_come_and_go() {
        let look = |counts: &[(&str, u64)]| -> Sleeps {
            counts
                .iter()
                .map(|&(thread, n)| (thread.into(), n))
                .collect()
        };
        let before = look(&[("1", 10), ("2", 1000)]);
        assert_eq!(wakes(&before, &before), 0);
        // Another's end does not make up for what the first has done.
        assert_eq!(wakes(&before, &look(&[("1", 13)])), 3 + 1);
        assert_eq!(
            wakes(&before, &look(&[("1", 10), ("2", 1000), ("3", 5)])),
            5
        );
    }
}
