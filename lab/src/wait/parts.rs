//! The parts of the matrix, and the cells of each.

use super::cell::{Buffer, Cell, Group};
use log_aggregator::transports::Transport::{self, Fifo, Tcp, Udp, Unixgram, Unixsock};
use std::str::FromStr;

/// The longest datagram of UDP over IPv4.
const UDP_MAX: u32 = 65_507;

/// As much of a Unix datagram as the daemon receives.
const UNIXGRAM_MAX: u32 = 65_535;

/// Up to here a FIFO keeps a write together (PIPE_BUF).
const FIFO_MAX: u32 = 4096;

/// A part, chosen by its name.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it varies, for people.
    pub title: &'static str,
    cells: fn(&'static str) -> Vec<Cell>,
}

/// All parts. The last one is for CI: some cells of the others, those that were slow once.
pub const PARTS: [Part; 10] = [
    part("sizes", "Record sizes, one sender flat out", sizes),
    part("senders", "5 and 100 senders, flat out", senders),
    part("sndbuf", "The sender's buffer (SO_SNDBUF)", sndbuf),
    part("tcp", "Nagle's algorithm and congestion control", tcp),
    part("pipes", "Pipe sizes", pipes),
    part("qlen", "net.unix.max_dgram_qlen", qlen),
    part("udpbuf", "UDP receive buffers", udpbuf),
    part("rates", "Rates, 5 senders", rates),
    part("mixed", "Two groups of senders at a time", mixed),
    part(CI, "The cells that CI runs", ci),
];

/// The part that is not run unless it is asked for: its cells are in others.
const CI: &str = "ci";

const fn part(
    name: &'static str,
    title: &'static str,
    cells: fn(&'static str) -> Vec<Cell>,
) -> Part {
    Part { name, title, cells }
}

impl Part {
    /// Its cells, in their order.
    pub fn cells(&self) -> Vec<Cell> {
        (self.cells)(self.name)
    }

    /// Those that a matrix consists of if none is named.
    pub fn usual() -> Vec<Self> {
        PARTS.into_iter().filter(|part| part.name != CI).collect()
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = PARTS.into_iter().find(|part| part.name == text);
        known.ok_or_else(|| {
            let names = PARTS.map(|part| part.name).join(", ");
            format!("'{text}' is none of {names}")
        })
    }
}

/// A record of this size, or the largest that the transport keeps in one.
fn fitting(transport: Transport, size: u32) -> Option<u32> {
    match transport {
        Fifo if size > FIFO_MAX => None,
        Udp => Some(size.min(UDP_MAX)),
        Unixgram => Some(size.min(UNIXGRAM_MAX)),
        _ => Some(size),
    }
}

fn sizes(part: &'static str) -> Vec<Cell> {
    const SIZES: [u32; 14] = [
        16, 64, 197, 500, 1000, 1400, 1800, 2100, 2600, 4000, FIFO_MAX, 8000, 16_000, 65_536,
    ];
    let mut cells = Vec::new();
    for transport in Transport::ALL {
        // 4,096 bytes are the FIFO's largest and nothing to the others.
        let sizes = SIZES
            .into_iter()
            .filter(|size| transport == Fifo || *size != FIFO_MAX);
        let sizes = sizes.filter_map(|size| fitting(transport, size));
        cells.extend(sizes.map(|size| Cell::of(part, Group::new(transport, size))));
    }
    cells
}

fn senders(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for transport in Transport::ALL {
        for senders in [5, 100] {
            for size in [197, 2000] {
                cells.push(Cell::of(part, Group::new(transport, size).by(senders)));
            }
        }
    }
    cells
}

fn sndbuf(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for transport in [Unixsock, Unixgram, Tcp] {
        for bytes in [1, 8192, 16_384, 65_536] {
            for size in [160, 900, 2000] {
                let group = Group::new(transport, size).sndbuf(bytes);
                cells.push(Cell::of(part, group));
            }
        }
    }
    cells
}

fn tcp(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for is_on in [true, false] {
        for congestion in ["cubic", "bbr"] {
            for size in [197, 900, 20_000] {
                let mut group = Group::new(Tcp, size);
                group.nagle = Some(is_on);
                group.congestion = Some(congestion);
                cells.push(Cell::of(part, group));
            }
        }
    }
    cells
}

fn pipes(part: &'static str) -> Vec<Cell> {
    let buffers = [
        Buffer::Bytes(4096),
        Buffer::Bytes(8192),
        Buffer::Bytes(65_536),
        Buffer::Bytes(1_048_576),
        Buffer::Inherited(65_536),
        Buffer::Inherited(4096),
        Buffer::Refused,
    ];
    let mut cells = Vec::new();
    for buffer in buffers {
        for size in [173, 1400, 2100, FIFO_MAX] {
            cells.push(Cell::of(part, Group::new(Fifo, size)).buffer(buffer));
        }
    }
    cells
}

fn qlen(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for qlen in [10, 64, 512] {
        for size in [200, 1000, 4000] {
            for senders in [1, 5] {
                let group = Group::new(Unixgram, size).by(senders);
                cells.push(Cell::of(part, group).qlen(qlen));
            }
        }
    }
    cells
}

fn udpbuf(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for bytes in [212_992, 4_194_304] {
        for size in [197, 1000, 8000] {
            let cell = Cell::of(part, Group::new(Udp, size));
            cells.push(cell.buffer(Buffer::Bytes(bytes)));
        }
    }
    cells
}

fn rates(part: &'static str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for transport in Transport::ALL {
        for rate in [1000, 5000, 20_000, 50_000, 100_000] {
            for size in [197, 2000] {
                let group = Group::new(transport, size).by(5).at(rate);
                cells.push(Cell::of(part, group));
            }
        }
    }
    cells
}

/// One that is often blocked among some that are not, and a slow mechanism beside a fast one.
fn mixed(part: &'static str) -> Vec<Cell> {
    let paced = |transport, rate| Group::new(transport, 197).by(5).at(rate);
    let pairs = [
        // A flat-out sender with a small buffer, hidden among paced ones.
        (
            Group::new(Unixsock, 197).sndbuf(1),
            paced(Unixsock, 25_000),
            None,
        ),
        (
            Group::new(Unixgram, 900).sndbuf(1),
            paced(Unixgram, 25_000),
            Some(512),
        ),
        (Group::new(Tcp, 900).sndbuf(1), paced(Tcp, 25_000), None),
        // Flat out both, with different buffers.
        (
            Group::new(Unixsock, 2000),
            Group::new(Unixsock, 2000).sndbuf(1),
            None,
        ),
        // A slow mechanism beside a fast one, whichever of the two is flat out.
        (Group::new(Fifo, 2100), paced(Unixgram, 5000), None),
        (Group::new(Unixgram, 1000), paced(Fifo, 50_000), None),
        (Group::new(Tcp, 2000), paced(Fifo, 1000), None),
        (Group::new(Udp, 1000), paced(Unixsock, 20_000), None),
        (Group::new(Unixsock, 2000), Group::new(Fifo, 2000), None),
    ];
    let cells = pairs.into_iter().map(|(first, second, qlen)| Cell {
        part,
        groups: vec![first, second],
        buffer: Buffer::Usual,
        qlen,
    });
    cells.collect()
}

/// Where a wait that is wrong about what fits was 2 to 27 times slower than none, and one that may lose.
fn ci(part: &'static str) -> Vec<Cell> {
    let one = |transport, size| Cell::of(part, Group::new(transport, size));
    vec![
        one(Unixsock, 2000),
        one(Unixsock, 2600),
        Cell::of(part, Group::new(Unixsock, 160).sndbuf(16_384)),
        one(Unixgram, 200).qlen(512),
        one(Unixgram, 4000).qlen(512),
        one(Fifo, 1400).buffer(Buffer::Bytes(65_536)),
        one(Fifo, 2100).buffer(Buffer::Bytes(65_536)),
        one(Fifo, 173).buffer(Buffer::Bytes(8192)),
        one(Udp, 8000),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_cell_has_a_name_of_its_own_and_can_be_sent() {
        let all: Vec<Cell> = PARTS.iter().flat_map(Part::cells).collect();
        let names: BTreeSet<String> = all.iter().map(Cell::to_string).collect();
        assert_eq!(names.len(), all.len());
        for cell in &all {
            assert!((1..=2).contains(&cell.groups.len()), "{cell}");
            for group in &cell.groups {
                let most = match group.transport {
                    Fifo => FIFO_MAX,
                    Udp => UDP_MAX,
                    Unixgram => UNIXGRAM_MAX,
                    Tcp | Unixsock => 65_536,
                };
                assert!((16..=most).contains(&group.size), "{cell}");
                assert!(cell.qlen.is_none() || group.transport == Unixgram, "{cell}");
            }
        }
    }

    #[test]
    fn the_parts_are_as_large_as_they_should_be() {
        let count = |name: &str| Part::from_str(name).unwrap().cells().len();
        let counts = PARTS.map(|part| count(part.name));
        assert_eq!(counts, [63, 20, 36, 12, 28, 18, 6, 50, 9, 9]);
        assert_eq!(Part::usual().len(), 9);
        assert!(Part::from_str("pigeons").unwrap_err().contains("sizes, "));
    }
}
