//! The five ways into a daemon, and addresses on them.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU16, Ordering};

/// How records reach the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A Unix stream socket.
    Unixsock,
    Tcp,
    /// A Unix datagram socket.
    Unixgram,
    Udp,
    Fifo,
}

impl Transport {
    pub const ALL: [Self; 5] = [
        Self::Unixsock,
        Self::Tcp,
        Self::Unixgram,
        Self::Udp,
        Self::Fifo,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unixsock => "unixsock",
            Self::Tcp => "tcp",
            Self::Unixgram => "unixgram",
            Self::Udp => "udp",
            Self::Fifo => "fifo",
        }
    }

    /// Whether a record is a datagram; else it ends with a newline.
    pub fn is_datagram(self) -> bool {
        matches!(self, Self::Unixgram | Self::Udp)
    }

    /// Whether the daemon accepts a connection for each sender.
    pub fn has_connections(self) -> bool {
        matches!(self, Self::Unixsock | Self::Tcp)
    }

    /// Whether its address is a path.
    pub fn has_path(self) -> bool {
        !matches!(self, Self::Tcp | Self::Udp)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|it| it.name() == name);
        found.ok_or_else(|| {
            format!("'{name}' is none of unixsock, tcp, unixgram, udp, fifo: name one of them")
        })
    }
}

/// Where a daemon is to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Path(PathBuf),
    Port(SocketAddrV4),
}

impl Address {
    /// One that nobody uses: a path in `folder`, or a port on loopback.
    pub fn fresh(transport: Transport, folder: &Path) -> Self {
        if transport.has_path() {
            Self::Path(folder.join("in"))
        } else {
            Self::Port(SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()))
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Port(address) => write!(f, "{address}"),
        }
    }
}

/// Ports below the range that the kernel hands out. From that range a sender that connects anew and
/// anew while the daemon is down would in the end connect to itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that is free and that this process has not handed out lately.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 11_000).expect("below 11,000");
    loop {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + (start + offset) % (PORTS.end - PORTS.start);
        let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
        if udp.is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for transport in Transport::ALL {
            assert_eq!(transport.name().parse(), Ok(transport));
        }
        assert!("unix".parse::<Transport>().is_err());
    }

    #[test]
    fn ports_are_free_and_not_handed_out_twice() {
        let first = Address::fresh(Transport::Tcp, Path::new("/"));
        let second = Address::fresh(Transport::Udp, Path::new("/"));
        assert_ne!(first, second);
        let Address::Port(address) = first else {
            panic!("{first}");
        };
        assert!(PORTS.contains(&address.port()));
    }
}
