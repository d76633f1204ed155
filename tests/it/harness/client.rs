//! A client made by hand, where the producer is too well-behaved.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};

/// A hand-made client: it sends what a test says, as the test cuts it.
pub enum Client {
    Stream(UnixStream),
    Tcp(TcpStream),
    Unixgram(UnixDatagram),
    Udp(UdpSocket),
    Fifo(File),
}

impl Client {
    pub fn connect(transport: &str, address: &str) -> Self {
        Self::try_connect(transport, address).unwrap()
    }

    pub fn try_connect(transport: &str, address: &str) -> io::Result<Self> {
        Ok(match transport {
            "unixsock" => Self::Stream(UnixStream::connect(address)?),
            "tcp" => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Self::Tcp(stream)
            }
            "unixgram" => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(address)?;
                Self::Unixgram(socket)
            }
            "udp" => {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                socket.connect(address)?;
                Self::Udp(socket)
            }
            "fifo" => Self::Fifo(OpenOptions::new().write(true).open(address)?),
            _ => panic!("no transport {transport}"),
        })
    }

    /// Sends these bytes, as one datagram where there are datagrams.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(bytes),
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Fifo(file) => file.write_all(bytes),
            Self::Unixgram(socket) => socket.send(bytes).map(|sent| assert_eq!(sent, bytes.len())),
            Self::Udp(socket) => socket.send(bytes).map(|sent| assert_eq!(sent, bytes.len())),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).unwrap();
    }
}
