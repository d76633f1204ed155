//! A network namespace of our own, whose settings are nobody else's.

use log_aggregator::error::Error;
use nix::sched::{CloneFlags, unshare};

const QLEN: &str = "/proc/sys/net/unix/max_dgram_qlen";

/// Moves this thread, and what it starts from now on, to a network namespace of its own. Unix sockets work there as
/// before; it has no other network.
///
/// # Errors
/// Without root.
pub fn enter() -> Result<(), Error> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| {
        Error::new("make", "a network namespace", e)
            .advise("run it as root: net.unix.max_dgram_qlen shall not be changed for others")
    })
}

/// Sets how many datagrams may wait at a Unix socket that is made from now on, in the namespace that
/// [`enter`] made.
///
/// # Errors
/// When the kernel does not take it.
pub fn set_qlen(qlen: u32) -> Result<(), Error> {
    std::fs::write(QLEN, qlen.to_string()).map_err(|e| Error::new("write", QLEN, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qlen() -> String {
        std::fs::read_to_string(QLEN).unwrap()
    }

    #[test]
    fn what_is_set_there_is_not_set_here() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a network namespace needs root");
            return;
        }
        let here = qlen();
        let there = std::thread::spawn(|| {
            enter().unwrap();
            set_qlen(23).unwrap();
            qlen()
        });
        assert_eq!(there.join().unwrap().trim(), "23");
        assert_eq!(qlen(), here);
    }
}
