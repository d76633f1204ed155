//! What the mechanism itself costs: a bare event loop that reads, cuts at the last newline and writes.
//!
//! It checks nothing, waits for nothing, counts nothing and never stops in good order: only a yardstick,
//! for `bench/compare`. Not the floor, since it wakes up for whatever has come.
//!
//! Usage: yardstick KIND=ADDRESS OUTPUT

use log_aggregator::sys::{self, DatagramRing};
use log_aggregator::transports::{Endpoint, UnixAddress};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Room for one read, with the unfinished line before it.
const READ_BYTES: usize = 64 << 10;

/// Room for what is written together.
const BATCH_BYTES: usize = 1 << 20;

const BACKLOG: i32 = 1024;

/// The receive buffer that UDP asks for, and the size of the pipe.
const UDP_BUFFER_BYTES: usize = 4 << 20;
const PIPE_BYTES: usize = 1 << 20;

/// What an event is for.
enum Source {
    Listener(Socket),
    Datagrams(Socket, DatagramRing),
    /// A stream and its unfinished line.
    Stream(File, Vec<u8>),
}

impl Source {
    fn raw_fd(&self) -> i32 {
        match self {
            Self::Listener(socket) | Self::Datagrams(socket, _) => socket.as_raw_fd(),
            Self::Stream(file, _) => file.as_raw_fd(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, endpoint, output] = args.as_slice() else {
        return Err("usage: yardstick KIND=ADDRESS OUTPUT".into());
    };
    sys::raise_descriptor_limit()?;
    let output = OpenOptions::new().create(true).append(true).open(output)?;
    let source = open(&endpoint.parse()?)?;
    run(source, Batch::new(output))?;
    Ok(())
}

fn open(endpoint: &Endpoint) -> io::Result<Source> {
    let datagrams = |socket| Source::Datagrams(socket, DatagramRing::new());
    Ok(match endpoint {
        Endpoint::Unixsock(address) => Source::Listener(listen(&unix(address)?)?),
        Endpoint::Tcp(address) => Source::Listener(listen(&(*address).into())?),
        Endpoint::Unixgram(address) => datagrams(bind(&unix(address)?, Type::DGRAM)?),
        Endpoint::Udp(address) => {
            let socket = bind(&(*address).into(), Type::DGRAM)?;
            socket.set_recv_buffer_size(UDP_BUFFER_BYTES)?;
            datagrams(socket)
        }
        Endpoint::Fifo(path) => {
            sys::make_fifo(path, 0o600)?;
            let fifo = sys::open_fifo_reader(&sys::follow_own_links(path)?)?;
            sys::set_pipe_size(fifo.as_fd(), PIPE_BYTES)?;
            Source::Stream(fifo, Vec::new())
        }
    })
}

fn unix(address: &UnixAddress) -> io::Result<SockAddr> {
    match address {
        UnixAddress::Path(path) => SockAddr::unix(path),
        UnixAddress::Abstract(_) => Err(ErrorKind::Unsupported.into()),
    }
}

fn bind(address: &SockAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), kind.nonblocking(), None)?;
    if address.domain() != Domain::UNIX && kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: &SockAddr) -> io::Result<Socket> {
    let socket = bind(address, Type::STREAM)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn run(first: Source, mut batch: Batch) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    // A token is an index, and never used again.
    let mut sources: Vec<Option<Source>> = Vec::new();
    let mut arrived = vec![first];
    loop {
        for source in arrived.drain(..) {
            let token = Token(sources.len());
            poll.registry()
                .register(&mut SourceFd(&source.raw_fd()), token, Interest::READABLE)?;
            sources.push(Some(source));
        }
        poll.poll(&mut events, None)?;
        for event in &events {
            let entry = &mut sources[event.token().0];
            let is_open = match entry {
                None => true,
                Some(Source::Listener(listener)) => accept(listener, &mut arrived)?,
                Some(Source::Datagrams(socket, ring)) => receive(socket, ring, &mut batch)?,
                Some(Source::Stream(file, tail)) => {
                    read(file, tail, event.is_read_closed(), &mut batch)?
                }
            };
            if !is_open && event.token().0 > 0 {
                *entry = None;
            }
        }
        batch.write()?;
    }
}

fn accept(listener: &Socket, arrived: &mut Vec<Source>) -> io::Result<bool> {
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(true)?;
                let file = File::from(OwnedFd::from(socket));
                arrived.push(Source::Stream(file, Vec::new()));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        }
    }
}

fn receive(socket: &Socket, ring: &mut DatagramRing, batch: &mut Batch) -> io::Result<bool> {
    loop {
        let count = match ring.receive(socket.as_fd()) {
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        };
        for index in 0..count {
            batch.append(ring.datagram(index).0)?;
        }
        if count < DatagramRing::CAPACITY {
            return Ok(true);
        }
    }
}

/// Reads until there is nothing more; tells whether more may come. A FIFO's end is not one: the next
/// writer continues.
fn read(
    file: &mut File,
    tail: &mut Vec<u8>,
    to_the_end: bool,
    batch: &mut Batch,
) -> io::Result<bool> {
    loop {
        let room = batch.room(tail)?;
        let asked = room.len();
        match file.read(room) {
            Ok(0) => return Ok(false),
            Ok(bytes) => {
                batch.take(tail, bytes);
                // A read that has brought less than asked for has emptied it (epoll(7), question 9).
                if bytes < asked && !to_the_end {
                    return Ok(true);
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(_) => return Ok(false),
        }
    }
}

/// What is written together.
struct Batch {
    output: File,
    bytes: Box<[u8]>,
    used: usize,
}

impl Batch {
    fn new(output: File) -> Self {
        Self {
            output,
            bytes: vec![0; BATCH_BYTES].into(),
            used: 0,
        }
    }

    /// Room for a read, behind the unfinished line, whose bytes are put there.
    fn room(&mut self, tail: &[u8]) -> io::Result<&mut [u8]> {
        self.reserve(tail.len() + READ_BYTES)?;
        self.bytes[self.used..][..tail.len()].copy_from_slice(tail);
        Ok(&mut self.bytes[self.used + tail.len()..][..READ_BYTES])
    }

    /// Takes the lines that are complete after a read; `tail` becomes what is not.
    fn take(&mut self, tail: &mut Vec<u8>, read: usize) {
        let new = &self.bytes[self.used..][..tail.len() + read];
        let complete = memchr::memrchr(b'\n', new).map_or(0, |last| last + 1);
        tail.clear();
        tail.extend_from_slice(&new[complete..]);
        self.used += complete;
    }

    fn append(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.reserve(datagram.len())?;
        self.bytes[self.used..][..datagram.len()].copy_from_slice(datagram);
        self.used += datagram.len();
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        if self.bytes.len() - self.used < bytes {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        if self.used > 0 {
            self.output.write_all(&self.bytes[..self.used])?;
            self.used = 0;
        }
        Ok(())
    }
}
