//! The faults.

mod binary;
mod churn;
mod crowd;
mod disk;
mod flooder;
mod half_line;
mod idle;
mod long_line;
mod paths;
mod restart;
mod rotation;
mod udp_balance;

use crate::adapter::Description;
use crate::bench::Bench;
use crate::daemon::Trouble;
use crate::transport::Transport;
use crate::verdict::Finding;
use std::str::FromStr;

/// What is done to a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    FullDisk,
    Sigterm,
    Kill,
    Churn,
    HalfLine,
    Emfile,
    ConnectionLimit,
    StalePath,
    LivePath,
    LongLine,
    Binary,
    UdpBalance,
    Rotation,
    Idle,
    Flooder,
}

impl Fault {
    pub const ALL: [Self; 15] = [
        Self::FullDisk,
        Self::Sigterm,
        Self::Kill,
        Self::Churn,
        Self::HalfLine,
        Self::Emfile,
        Self::ConnectionLimit,
        Self::StalePath,
        Self::LivePath,
        Self::LongLine,
        Self::Binary,
        Self::UdpBalance,
        Self::Rotation,
        Self::Idle,
        Self::Flooder,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::FullDisk => "full-disk",
            Self::Sigterm => "sigterm",
            Self::Kill => "kill-9",
            Self::Churn => "writer-churn",
            Self::HalfLine => "half-line",
            Self::Emfile => "emfile",
            Self::ConnectionLimit => "connection-limit",
            Self::StalePath => "stale-path",
            Self::LivePath => "live-path",
            Self::LongLine => "long-line",
            Self::Binary => "binary-input",
            Self::UdpBalance => "udp-balance",
            Self::Rotation => "rotation",
            Self::Idle => "idle",
            Self::Flooder => "flooder",
        }
    }

    /// What happens, in a line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::FullDisk => "the output's disk is full for a while, under load",
            Self::Sigterm => "SIGTERM and a new start, 5 times under load",
            Self::Kill => "kill -9 and a new start, 5 times under load",
            Self::Churn => "1,000 writers that connect, send one record and leave",
            Self::HalfLine => "writers that leave without a newline",
            Self::Emfile => "200 connections to a daemon that may have 64 descriptors",
            Self::ConnectionLimit => "32 connections to a daemon that is told to have 8",
            Self::StalePath => "the path that a killed daemon left behind is in the way",
            Self::LivePath => "a second daemon is started on the address of the first",
            Self::LongLine => "a line above every limit, between good records",
            Self::Binary => "NUL, invalid UTF-8 and escape sequences, between good records",
            Self::UdpBalance => "more datagrams than the receive buffer holds",
            Self::Rotation => "the output is renamed and reopened, many times under load",
            Self::Idle => "connections are open, and nobody sends",
            Self::Flooder => "one sender flat out, beside 7 slow ones",
        }
    }

    /// Whether it means anything for this transport.
    pub fn concerns(self, transport: Transport) -> bool {
        match self {
            Self::Emfile | Self::ConnectionLimit => transport.has_connections(),
            Self::StalePath => transport.has_path(),
            Self::HalfLine => !transport.is_datagram(),
            Self::UdpBalance => transport == Transport::Udp,
            _ => true,
        }
    }

    /// Whether it can be asked of this daemon.
    pub fn can_be_asked_of(self, daemon: &Description) -> bool {
        self != Self::ConnectionLimit || daemon.limits_connections
    }

    pub fn measure(self, bench: &Bench<'_>) -> Result<Finding, Trouble> {
        match self {
            Self::FullDisk => disk::measure(bench),
            Self::Sigterm => restart::sigterm(bench),
            Self::Kill => restart::kill(bench),
            Self::Churn => churn::measure(bench),
            Self::HalfLine => half_line::measure(bench),
            Self::Emfile => crowd::emfile(bench),
            Self::ConnectionLimit => crowd::connection_limit(bench),
            Self::StalePath => paths::stale(bench),
            Self::LivePath => paths::live(bench),
            Self::LongLine => long_line::measure(bench),
            Self::Binary => binary::measure(bench),
            Self::UdpBalance => udp_balance::measure(bench),
            Self::Rotation => rotation::measure(bench),
            Self::Idle => idle::measure(bench),
            Self::Flooder => flooder::measure(bench),
        }
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|fault| fault.name() == name);
        found.ok_or_else(|| format!("'{name}' is no fault: see --list"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
            assert!(!fault.summary().is_empty());
        }
    }

    #[test]
    fn every_fault_concerns_some_transport() {
        for fault in Fault::ALL {
            assert!(Transport::ALL.iter().any(|&it| fault.concerns(it)));
        }
        assert!(!Fault::UdpBalance.concerns(Transport::Tcp));
        assert!(!Fault::Emfile.concerns(Transport::Fifo));
    }
}
