//! One sender's way to the daemon: a connection, a connected datagram socket, or a FIFO's write end.

use crate::patience::Patience;
use crate::transport::{Address, Transport};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// How often a wait for the kernel looks at its patience, in milliseconds.
const WAIT: u8 = 50;

/// Longest wait for a TCP handshake.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// For the rest of a record, when patience is over.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Wire {
    fd: OwnedFd,
    transport: Transport,
}

/// Why a record was not sent.
#[derive(Debug)]
pub enum Failure {
    /// Nobody takes it any more; of a stream's record, this many bytes had been taken.
    Gone { taken: usize },
    /// It is longer than the transport takes.
    TooLong,
    /// Patience was over first.
    Over,
}

impl Wire {
    /// Tries once.
    pub fn connect(
        transport: Transport,
        address: &Address,
        patience: &Patience,
    ) -> io::Result<Self> {
        let fd = match (transport, address) {
            (Transport::Fifo, Address::Path(path)) => OpenOptions::new()
                .write(true)
                .custom_flags(nix::libc::O_NONBLOCK)
                .open(path)?
                .into(),
            (_, Address::Path(path)) => socket(transport, &SockAddr::unix(path)?, patience)?,
            (_, Address::Port(port)) => socket(transport, &(*port).into(), patience)?,
        };
        Ok(Self { fd, transport })
    }

    /// Tries, at these intervals, until it succeeds or patience is over.
    pub fn connect_at_last(
        transport: Transport,
        address: &Address,
        interval: Duration,
        patience: &Patience,
    ) -> Option<Self> {
        while !patience.is_over() {
            if let Ok(wire) = Self::connect(transport, address, patience) {
                return Some(wire);
            }
            std::thread::sleep(interval);
        }
        None
    }

    /// Sends a record: as one datagram, or as a line.
    pub fn send(&self, record: &[u8], patience: &Patience) -> Result<(), Failure> {
        if self.transport.is_datagram() {
            self.write(record, patience)
        } else {
            // In one write: to a FIFO, up to PIPE_BUF bytes go whole.
            self.write(&[record, b"\n"].concat(), patience)
        }
    }

    /// Writes just these bytes.
    pub fn write(&self, bytes: &[u8], patience: &Patience) -> Result<(), Failure> {
        let mut taken = 0;
        let mut grace = Patience::new(GRACE);
        loop {
            match nix::unistd::write(&self.fd, &bytes[taken..]) {
                Ok(n) => taken += n,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN | Errno::ENOBUFS) => self.wait(),
                Err(Errno::EMSGSIZE) => return Err(Failure::TooLong),
                Err(_) => return Err(Failure::Gone { taken }),
            }
            if taken == bytes.len() {
                return Ok(());
            }
            // A record that is half sent is sent to its end: the output must not be torn by us.
            if patience.is_over() && (taken == 0 || grace.is_over()) {
                return Err(Failure::Over);
            }
            if !patience.is_over() {
                grace = Patience::new(GRACE);
            }
        }
    }

    /// Waits, for a moment, until the kernel takes more.
    fn wait(&self) {
        // Whatever it says, the next write says it too.
        let _ = poll(
            &mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)],
            WAIT,
        );
    }
}

fn socket(transport: Transport, address: &SockAddr, patience: &Patience) -> io::Result<OwnedFd> {
    let kind = if transport.is_datagram() {
        Type::DGRAM
    } else {
        Type::STREAM
    };
    let socket = Socket::new(address.domain(), kind, None)?;
    socket.set_nonblocking(true)?;
    if address.domain() == Domain::IPV4 && kind == Type::STREAM {
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(address) {
        Err(e) if e.raw_os_error() == Some(nix::libc::EINPROGRESS) => {
            let patience = patience.at_most(HANDSHAKE);
            if !patience.wait_for(|| is_writable(&socket)) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            socket.take_error()?.map_or(Ok(()), Err)?;
        }
        result => result?,
    }
    Ok(socket.into())
}

fn is_writable(socket: &Socket) -> bool {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::{UnixDatagram, UnixListener};

    fn patience() -> Patience {
        Patience::new(Duration::from_secs(20))
    }

    #[test]
    fn a_stream_gets_lines_and_a_datagram_socket_gets_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let address = Address::Path(path.clone());
        let listener = UnixListener::bind(&path).unwrap();
        let wire = Wire::connect(Transport::Unixsock, &address, &patience()).unwrap();
        wire.send(b"one", &patience()).unwrap();
        drop(wire);
        let mut text = String::new();
        listener
            .accept()
            .unwrap()
            .0
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "one\n");

        std::fs::remove_file(&path).unwrap();
        let receiver = UnixDatagram::bind(&path).unwrap();
        let wire = Wire::connect(Transport::Unixgram, &address, &patience()).unwrap();
        wire.send(b"two", &patience()).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
        drop(receiver);
        let failure = wire.send(b"three", &patience()).unwrap_err();
        assert!(matches!(failure, Failure::Gone { taken: 0 }), "{failure:?}");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_a_sender_up_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let _listener = UnixListener::bind(&path).unwrap();
        let address = Address::Path(path);
        let wire = Wire::connect(Transport::Unixsock, &address, &patience()).unwrap();
        let short = Patience::new(Duration::from_millis(200));
        let failure = wire.write(&vec![0; 16 << 20], &short).unwrap_err();
        assert!(matches!(failure, Failure::Over), "{failure:?}");
    }
}
