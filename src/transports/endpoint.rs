//! Names of transports and addresses of endpoints, as they are typed and shown.

use super::unix_path::UnixAddress;
use socket2::{Domain, Socket, Type};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The five mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// Unix stream socket (`man 7 unix`).
    Unixsock,
    /// TCP (`man 7 tcp`).
    Tcp,
    /// Unix datagram socket (`man 7 unix`).
    Unixgram,
    /// UDP (`man 7 udp`).
    Udp,
    /// Named pipe (`man 7 fifo`).
    Fifo,
}

impl Transport {
    /// All of them, in the order of their tables.
    pub const ALL: [Self; 5] = [
        Self::Unixsock,
        Self::Tcp,
        Self::Unixgram,
        Self::Udp,
        Self::Fifo,
    ];

    /// The name, as on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unixsock => "unixsock",
            Self::Tcp => "tcp",
            Self::Unixgram => "unixgram",
            Self::Udp => "udp",
            Self::Fifo => "fifo",
        }
    }

    /// Where it listens unless told otherwise.
    pub fn default_endpoint(self) -> Endpoint {
        let port_9000 = SocketAddr::from((Ipv4Addr::LOCALHOST, 9000));
        match self {
            Self::Unixsock => Endpoint::Unixsock(UnixAddress::Path("/tmp/log.sock".into())),
            Self::Tcp => Endpoint::Tcp(port_9000),
            Self::Unixgram => Endpoint::Unixgram(UnixAddress::Path("/tmp/log_dgram.sock".into())),
            Self::Udp => Endpoint::Udp(port_9000),
            Self::Fifo => Endpoint::Fifo("/tmp/log_fifo".into()),
        }
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
        Self::ALL
            .into_iter()
            .find(|transport| transport.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                format!("'{name}' is none of {names}")
            })
    }
}

/// A transport and an address: where records come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `unixsock=PATH` or `unixsock=@NAME`
    Unixsock(UnixAddress),
    /// `tcp=ADDRESS:PORT`
    Tcp(SocketAddr),
    /// `unixgram=PATH` or `unixgram=@NAME`
    Unixgram(UnixAddress),
    /// `udp=ADDRESS:PORT`
    Udp(SocketAddr),
    /// `fifo=PATH`
    Fifo(PathBuf),
}

impl Endpoint {
    /// Its transport.
    pub fn transport(&self) -> Transport {
        match self {
            Self::Unixsock(_) => Transport::Unixsock,
            Self::Tcp(_) => Transport::Tcp,
            Self::Unixgram(_) => Transport::Unixgram,
            Self::Udp(_) => Transport::Udp,
            Self::Fifo(_) => Transport::Fifo,
        }
    }

    /// The path in the file system, if it has one.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Unixsock(UnixAddress::Path(path))
            | Self::Unixgram(UnixAddress::Path(path))
            | Self::Fifo(path) => Some(path),
            Self::Unixsock(UnixAddress::Abstract(_))
            | Self::Unixgram(UnixAddress::Abstract(_))
            | Self::Tcp(_)
            | Self::Udp(_) => None,
        }
    }

    /// Tells whether processes of other machines may reach it.
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Tcp(address) | Self::Udp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unixsock(_) | Self::Unixgram(_) | Self::Fifo(_) => false,
        }
    }

    /// Tells whether the two cannot both be bound, as far as their addresses show.
    pub fn collides_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(a), Self::Tcp(b)) | (Self::Udp(a), Self::Udp(b)) => overlap(*a, *b),
            _ => self == other || (self.path().is_some() && self.path() == other.path()),
        }
    }
}

/// Tells whether a socket bound to one address would get what is sent to the other. The one of all addresses of IPv6 is
/// bound for IPv6 alone, so that it may stand beside that of IPv4.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (a, b) = (canonical(a), canonical(b));
    let is_same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && a.is_ipv4() == b.is_ipv4() && is_same_host
}

/// An IPv4 address in the clothes of IPv6 (`::ffff:127.0.0.1`) as the IPv4 address that it is.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        ip @ IpAddr::V4(_) => SocketAddr::new(ip, address.port()),
        IpAddr::V6(_) => address,
    }
}

/// A socket for this address, which does not block; one of IPv6 for IPv6 alone (`man 7 ipv6`, IPV6_V6ONLY).
pub(super) fn socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let domain = Domain::for_address(canonical(address));
    let socket = Socket::new(domain, kind.nonblocking(), None)?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.transport())?;
        match self {
            Self::Unixsock(address) | Self::Unixgram(address) => address.fmt(f),
            Self::Tcp(address) | Self::Udp(address) => address.fmt(f),
            Self::Fifo(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, address)) = text.split_once('=') else {
            return Ok(text.parse::<Transport>()?.default_endpoint());
        };
        let transport: Transport = kind.parse()?;
        if address.is_empty() {
            return Err(format!("'{text}' names no address"));
        }
        Ok(match transport {
            Transport::Unixsock => Self::Unixsock(address.parse()?),
            Transport::Unixgram => Self::Unixgram(address.parse()?),
            Transport::Tcp => Self::Tcp(numeric(address)?),
            Transport::Udp => Self::Udp(numeric(address)?),
            Transport::Fifo => Self::Fifo(address.into()),
        })
    }
}

/// Reads `127.0.0.1:9000` or `[::1]:9000`. A name would have to be looked up, and may be several.
fn numeric(address: &str) -> Result<SocketAddr, String> {
    address.parse().map_err(|_| {
        let port = address.rsplit_once(':').map(|(_, port)| port);
        match port.and_then(|port| port.parse::<u16>().ok()) {
            Some(port) => format!(
                "'{address}' is not a numeric address; type 127.0.0.1:{port} or [::1]:{port} for this machine"
            ),
            None => format!("'{address}' is not ADDRESS:PORT, as in 127.0.0.1:9000 or [::1]:9000"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_shown_as_it_is_typed() {
        for text in [
            "unixsock=/run/a b.sock",
            "unixsock=@name",
            "unixgram=relative.sock",
            "tcp=127.0.0.1:0",
            "tcp=[::1]:9000",
            "udp=0.0.0.0:514",
            "fifo=/tmp/a=b",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_transport_alone_has_a_default_address() {
        let shown = Transport::ALL.map(|t| t.name().parse::<Endpoint>().unwrap().to_string());
        assert_eq!(
            shown,
            [
                "unixsock=/tmp/log.sock",
                "tcp=127.0.0.1:9000",
                "unixgram=/tmp/log_dgram.sock",
                "udp=127.0.0.1:9000",
                "fifo=/tmp/log_fifo"
            ]
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_what_to_type() {
        for (text, want) in [
            ("pipe", "none of unixsock, tcp, unixgram, udp, fifo"),
            ("pipe=/x", "none of"),
            ("", "none of"),
            ("fifo=", "names no address"),
            ("tcp=localhost:9000", "type 127.0.0.1:9000 or [::1]:9000"),
            ("tcp=127.0.0.1", "ADDRESS:PORT"),
            ("tcp=9000", "ADDRESS:PORT"),
            ("udp=127.0.0.1:99999", "ADDRESS:PORT"),
            ("unixsock=@", "names no address"),
        ] {
            let reason = text.parse::<Endpoint>().unwrap_err();
            assert!(reason.contains(want), "{text}: {reason}");
        }
    }

    #[test]
    fn a_unix_path_has_107_bytes_at_most() {
        let path = |bytes: usize| format!("unixsock=/{}", "x".repeat(bytes - 1));
        assert!(path(107).parse::<Endpoint>().is_ok());
        assert!(path(108).parse::<Endpoint>().unwrap_err().contains("107"));
        let name = |bytes| format!("unixgram=@{}", "x".repeat(bytes));
        assert!(name(107).parse::<Endpoint>().is_ok());
        assert!(name(108).parse::<Endpoint>().unwrap_err().contains("107"));
    }

    #[test]
    fn only_loopback_is_not_remote() {
        for (text, remote) in [
            ("tcp=127.0.0.1:1", false),
            ("udp=127.8.9.1:1", false),
            ("tcp=[::1]:1", false),
            ("tcp=[::ffff:127.0.0.1]:1", false),
            ("tcp=0.0.0.0:1", true),
            ("udp=[::]:1", true),
            ("fifo=/x", false),
        ] {
            assert_eq!(
                text.parse::<Endpoint>().unwrap().is_remote(),
                remote,
                "{text}"
            );
        }
    }

    #[test]
    fn the_same_address_twice_collides() {
        for (a, b, collide) in [
            ("tcp=127.0.0.1:1", "tcp=127.0.0.1:1", true),
            ("tcp=127.0.0.1:0", "tcp=127.0.0.1:0", false),
            ("tcp=127.0.0.1:1", "udp=127.0.0.1:1", false),
            ("tcp=127.0.0.1:1", "tcp=0.0.0.0:1", true),
            ("udp=0.0.0.0:1", "udp=127.0.0.1:1", true),
            ("tcp=[::]:1", "tcp=[::1]:1", true),
            ("tcp=[::]:1", "tcp=0.0.0.0:1", false),
            ("udp=[::]:1", "udp=127.0.0.1:1", false),
            ("tcp=[::ffff:127.0.0.1]:1", "tcp=127.0.0.1:1", true),
            ("tcp=[::ffff:0.0.0.0]:1", "tcp=127.0.0.1:1", true),
            ("tcp=[::ffff:127.0.0.1]:1", "tcp=[::1]:1", false),
            ("tcp=127.0.0.1:1", "tcp=127.0.0.2:1", false),
            ("tcp=127.0.0.1:1", "tcp=0.0.0.0:2", false),
            ("unixsock=/x", "unixgram=/x", true),
            ("unixsock=/x", "fifo=/x", true),
            ("unixsock=@x", "unixsock=@x", true),
            ("unixsock=@x", "unixsock=/x", false),
        ] {
            let [a, b] = [a, b].map(|text| text.parse::<Endpoint>().unwrap());
            assert_eq!(a.collides_with(&b), collide, "{a} {b}");
        }
    }
}
