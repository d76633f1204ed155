//! A cell of the matrix: who sends what, and what the daemon's buffers are.

use log_aggregator::transports::Transport;
use std::fmt;

/// Senders that are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The mechanism.
    pub transport: Transport,
    /// Bytes of a record with its newline.
    pub size: u32,
    /// Processes, side by side.
    pub senders: u32,
    /// Records a second of all of them together; 0 is as fast as they can.
    pub rate: u32,
    /// What they ask for with SO_SNDBUF; the kernel doubles it, and makes 4,608 of 1.
    pub sndbuf: Option<u32>,
    /// Nagle's algorithm on or off; `None`: on, as in every new socket (TCP).
    pub nagle: Option<bool>,
    /// The congestion control; `None`: the machine's (TCP).
    pub congestion: Option<&'static str>,
}

/// The pipe, or the UDP receive buffer, of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// As the daemon has it by default: the largest.
    Usual,
    /// `--buffer` with so many bytes.
    Bytes(u32),
    /// A pipe of so many bytes that a service manager opened.
    Inherited(u32),
    /// `--buffer` with more than the daemon may have: the pipe keeps what the kernel made it.
    Refused,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// The part that it belongs to, by name.
    pub part: &'static str,
    /// One group, or two that send at a time.
    pub groups: Vec<Group>,
    /// The daemon's buffers.
    pub buffer: Buffer,
    /// `net.unix.max_dgram_qlen`; `None`: the machine's.
    pub qlen: Option<u32>,
}

impl Group {
    /// One sender, flat out, with everything as it is by default.
    pub fn new(transport: Transport, size: u32) -> Self {
        Self {
            transport,
            size,
            senders: 1,
            rate: 0,
            sndbuf: None,
            nagle: None,
            congestion: None,
        }
    }

    /// So many senders.
    #[must_use]
    pub fn by(mut self, senders: u32) -> Self {
        self.senders = senders;
        self
    }

    /// So many records a second of all together.
    #[must_use]
    pub fn at(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// With SO_SNDBUF set to this.
    #[must_use]
    pub fn sndbuf(mut self, bytes: u32) -> Self {
        self.sndbuf = Some(bytes);
        self
    }
}

impl Cell {
    /// One group, with everything else as it is by default.
    pub fn of(part: &'static str, group: Group) -> Self {
        Self {
            part,
            groups: vec![group],
            buffer: Buffer::Usual,
            qlen: None,
        }
    }

    /// With these buffers of the daemon.
    #[must_use]
    pub fn buffer(mut self, buffer: Buffer) -> Self {
        self.buffer = buffer;
        self
    }

    /// With this `net.unix.max_dgram_qlen`.
    #[must_use]
    pub fn qlen(mut self, qlen: u32) -> Self {
        self.qlen = Some(qlen);
        self
    }

    /// The transports, each once.
    pub fn transports(&self) -> Vec<Transport> {
        let mut found = Vec::new();
        for group in &self.groups {
            if !found.contains(&group.transport) {
                found.push(group.transport);
            }
        }
        found
    }

    /// What is particular to it, without its part.
    pub fn words(&self) -> String {
        let groups: Vec<String> = self.groups.iter().map(Group::to_string).collect();
        let mut words = groups.join("+");
        match self.buffer {
            Buffer::Usual => {}
            Buffer::Bytes(bytes) => words += &format!("/buffer={bytes}"),
            Buffer::Inherited(bytes) => words += &format!("/inherited={bytes}"),
            Buffer::Refused => words += "/refused",
        }
        if let Some(qlen) = self.qlen {
            words += &format!("/qlen={qlen}");
        }
        words
    }
}

/// `tcp/size=197/senders=5/rate=1000`: what is as by default is not said.
impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/size={}", self.transport, self.size)?;
        if self.senders > 1 {
            write!(f, "/senders={}", self.senders)?;
        }
        if self.rate > 0 {
            write!(f, "/rate={}", self.rate)?;
        }
        if let Some(bytes) = self.sndbuf {
            write!(f, "/sndbuf={bytes}")?;
        }
        if let Some(is_on) = self.nagle {
            write!(f, "/nagle={}", if is_on { "on" } else { "off" })?;
        }
        if let Some(name) = self.congestion {
            write!(f, "/{name}")?;
        }
        Ok(())
    }
}

/// Its name: the part, and what is particular to it.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_is_particular() {
        let plain = Cell::of("sizes", Group::new(Transport::Fifo, 64));
        assert_eq!(plain.to_string(), "sizes/fifo/size=64");
        let mut tcp = Group::new(Transport::Tcp, 900).by(5).at(1000).sndbuf(1);
        tcp.nagle = Some(false);
        tcp.congestion = Some("bbr");
        let name = "tcp/size=900/senders=5/rate=1000/sndbuf=1/nagle=off/bbr";
        assert_eq!(tcp.to_string(), name);
        let mut mixed = Cell::of("mixed", Group::new(Transport::Unixgram, 16)).qlen(64);
        mixed.groups.push(Group::new(Transport::Fifo, 20));
        let mixed = mixed.buffer(Buffer::Inherited(4096));
        let name = "mixed/unixgram/size=16+fifo/size=20/inherited=4096/qlen=64";
        assert_eq!(mixed.to_string(), name);
        let both = [Transport::Unixgram, Transport::Fifo];
        assert_eq!(mixed.transports(), both);
    }
}
