//! Where one fault is measured on one daemon over one transport: folders, addresses, and the steps that
//! most faults share.

use crate::adapter::Adapter;
use crate::daemon::{Daemon, Start, Trouble};
use crate::load::{Load, Plan, RETRY, Report, Target};
use crate::patience::{Patience, interrupted};
use crate::record::Marker;
use crate::tally::{Outputs, Tally};
use crate::transport::{Address, Transport};
use crate::verdict::{Finding, grouped};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Longest time for one fault on one daemon over one transport.
const LIMIT: Duration = Duration::from_secs(90);

/// An output that has not grown for so long is as long as it gets.
const SETTLED: Duration = Duration::from_millis(1500);

/// An output that is several times longer than all that any fault sends.
const TOO_LONG: u64 = 1 << 30;

/// How many senders the steady load has, and how many records a second each of them sends.
pub const SENDERS: u16 = 4;
const RATE: f64 = 2500.0;

#[derive(Debug)]
pub struct Bench<'a> {
    pub adapter: &'a Adapter,
    pub target: Target,
    /// Records for one fault.
    pub records: u32,
    /// How long an idle daemon is watched.
    pub watch: Duration,
    pub patience: Patience,
    pub outputs: Outputs,
    folder: TempDir,
}

impl<'a> Bench<'a> {
    pub fn new(
        adapter: &'a Adapter,
        transport: Transport,
        records: u32,
        watch: Duration,
    ) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new().prefix("faults-").tempdir();
        let folder = folder.map_err(|e| Trouble::Machine(format!("make a folder: {e}")))?;
        let output = folder.path().join("output");
        std::fs::create_dir(&output)
            .map_err(|e| Trouble::Machine(format!("make a folder: {e}")))?;
        Ok(Self {
            adapter,
            target: Target {
                transport,
                address: Address::fresh(transport, folder.path()),
                marker: Marker::fresh(),
            },
            records,
            watch,
            patience: Patience::new(LIMIT),
            outputs: Outputs {
                path: output.join("records"),
            },
            folder,
        })
    }

    pub fn transport(&self) -> Transport {
        self.target.transport
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn work(&self) -> PathBuf {
        self.folder().join("work")
    }

    /// Starts the daemon as it comes, and returns when it is ready.
    pub fn start(&self) -> Result<Daemon, Trouble> {
        self.start_with(None, None)
    }

    pub fn start_with(
        &self,
        descriptors: Option<u32>,
        connections: Option<u32>,
    ) -> Result<Daemon, Trouble> {
        let work = self.work();
        let start = Start {
            adapter: self.adapter,
            transport: self.transport(),
            address: &self.target.address,
            output: &self.outputs.path,
            work: &work,
            descriptors,
            connections,
        };
        start.ready(&self.patience)
    }

    /// Senders at a pace that any daemon can follow.
    pub fn steady(&self) -> Load {
        self.paced(RATE)
    }

    pub fn paced(&self, rate: f64) -> Load {
        let plan = Plan {
            records: self.records / u32::from(SENDERS),
            rate: Some(rate),
            ..self.plan(SENDERS)
        };
        self.load(plan)
    }

    /// One record from each of so many senders, flat out.
    pub fn plan(&self, senders: u16) -> Plan {
        Plan {
            first: 0,
            senders,
            records: 1,
            rate: None,
            retry: RETRY,
            hold: false,
        }
    }

    pub fn load(&self, plan: Plan) -> Load {
        Load::start(&self.target, plan, &self.patience)
    }

    pub fn tally(&self) -> Tally {
        self.outputs
            .tally(&self.target.marker, &self.adapter.daemon.marks, None)
    }

    /// Waits until all that was sent is in the output, or until that does not grow any more.
    pub fn settle(&self, report: &Report, quiet_for: Duration) -> Result<(), Trouble> {
        let mut length = u64::MAX;
        let mut quiet = self.patience.at_most(quiet_for);
        loop {
            let now = self.outputs.len();
            if now > TOO_LONG {
                let megabytes = grouped(now >> 20);
                return Err(Trouble::Floods(format!(
                    "{megabytes} MiB of output, and no end"
                )));
            }
            if now != length {
                length = now;
                quiet = self.patience.at_most(quiet_for);
                if self.tally().lost(&report.sent) == 0 {
                    return Ok(());
                }
            }
            if quiet.is_over() {
                return Ok(());
            }
            self.patience.sleep(Duration::from_millis(20));
        }
    }

    /// Lets the daemon write what it has, stops it, and counts.
    pub fn conclude(&self, mut daemon: Daemon, report: &Report) -> Result<Finding, Trouble> {
        self.settle(report, SETTLED)?;
        self.end(&mut daemon)?;
        Ok(self.judge(report))
    }

    /// Stops the daemon.
    pub fn end(&self, daemon: &mut Daemon) -> Result<(), Trouble> {
        // Not of the fault's time: what a stop may take is its own limit.
        let patience = Patience::new(LIMIT);
        daemon.end_by(Signal::SIGTERM, &patience).map(drop)
    }

    /// Counts what is in the output once the daemon has ended.
    pub fn judge(&self, report: &Report) -> Finding {
        let mut finding = Finding::of(report, &self.tally());
        self.ask_for_drops(&mut finding);
        finding
    }

    pub fn ask_for_drops(&self, finding: &mut Finding) {
        if self.transport() == Transport::Udp && self.adapter.daemon.reports_drops {
            match self.adapter.drops(&self.work()) {
                Ok(drops) => finding.reported = Some(drops),
                Err(e) => finding.note(e),
            }
        }
    }

    /// What to say when the suite itself is stopped.
    pub fn check(&self) -> Result<(), Trouble> {
        if interrupted() {
            return Err(Trouble::Interrupted);
        }
        Ok(())
    }
}
