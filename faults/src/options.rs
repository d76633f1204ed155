//! The command line.

use crate::cases::Fault;
use crate::transport::Transport;
use argh::FromArgs;
use std::path::PathBuf;

/// Do to log daemons what the world does to them, and count what they kept. Black box: an adapter
/// (docs/faults.md) starts the daemon. Exit status: 0 done, 1 wrong usage, 2 a failure or worse than
/// expected.
#[derive(Debug, FromArgs)]
pub struct Options {
    /// the daemon: the name of an adapter beside the suite's own, or a path to one; may be repeated
    /// (default: aggregator, rsyslog and syslog-ng, as far as they are here)
    #[argh(option, arg_name = "name|path")]
    pub daemon: Vec<String>,

    /// only this fault; may be repeated
    #[argh(option, arg_name = "name")]
    pub fault: Vec<Fault>,

    /// only this transport; may be repeated
    #[argh(option, arg_name = "kind")]
    pub transport: Vec<Transport>,

    /// records that cross each restart, rotation and disk fault, at least 10000 (default: 20000)
    #[argh(option, default = "20_000", arg_name = "n")]
    pub records: u32,

    /// how long an idle daemon is watched (default: 3)
    #[argh(option, default = "3", arg_name = "seconds")]
    pub watch: u32,

    /// measurements side by side; more than one disturb each other, and save time (default: 1)
    #[argh(option, default = "1", arg_name = "n")]
    pub jobs: usize,

    /// write faults.md and faults.json into this folder
    #[argh(option, arg_name = "folder")]
    pub out: Option<PathBuf>,

    /// put the tables into this document, between its markers
    #[argh(option, arg_name = "document")]
    pub update: Option<PathBuf>,

    /// end with status 2 if a daemon does worse than this file allows
    #[argh(option, arg_name = "file")]
    pub expect: Option<PathBuf>,

    /// where the adapters are that are given by name (default: beside the suite's sources)
    #[argh(option, arg_name = "folder")]
    pub adapters: Option<PathBuf>,

    /// list the faults and the transports that each concerns
    #[argh(switch)]
    pub list: bool,
}

impl Options {
    pub fn check(&self) -> Result<(), String> {
        if self.records < 10_000 {
            return Err(format!(
                "--records {}: too few to cross a fault; give at least 10000",
                self.records
            ));
        }
        if self.jobs == 0 {
            return Err("--jobs 0: nothing would be done; give at least 1".to_owned());
        }
        Ok(())
    }

    pub fn faults(&self) -> Vec<Fault> {
        let all = Fault::ALL.into_iter();
        all.filter(|it| self.fault.is_empty() || self.fault.contains(it))
            .collect()
    }

    pub fn transports(&self) -> Vec<Transport> {
        let all = Transport::ALL.into_iter();
        all.filter(|it| self.transport.is_empty() || self.transport.contains(it))
            .collect()
    }
}
