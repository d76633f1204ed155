//! One trial: a daemon of its own, its producers, and what became of them.

use crate::interrupt::Interrupt;
use crate::load::Load;
use crate::namespace;
use crate::proc::{self, Look, Machine};
use crate::programs::{Daemon, Programs};
use crate::tally::{LineCount, Tally};
use crate::trace::Tracer;
use crate::trial::{Delivery, Setting, Tracing, Trial, Usage};
use log_aggregator::error::Error;
use log_aggregator::sys::{monotonic_ns, unix_seconds};
use log_aggregator::transports::Transport;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often we look at what the daemon has written, once the producers have ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the file may stay as it is before what is missing counts as lost. The daemon writes within a millisecond.
const QUIET: Duration = Duration::from_secs(1);

/// How long the daemon may take to close the connections of producers that have ended.
const SETTLING: Duration = Duration::from_secs(2);

/// What is the same for all trials of a run.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The programs that are measured.
    pub programs: &'a Programs,
    /// Whether to stop.
    pub interrupt: &'a Interrupt,
}

/// What a trial found while it ran; the rest is read from the daemon's file.
struct Observed {
    pids: Vec<u32>,
    daemon: Usage,
    producers: Usage,
    machine_cpu_ns: u64,
    kernel_drops: u64,
}

impl Bench<'_> {
    /// Makes a trial; nothing if it was interrupted. Index, repetition and `producers_base` are the caller's.
    ///
    /// # Errors
    /// When a program does not start, fails, or says what cannot be understood.
    pub fn trial(&self, setting: &Setting) -> Result<Option<Trial>, Error> {
        if let Some(qlen) = setting.qlen {
            namespace::set_qlen(qlen)?;
        }
        let folder =
            tempfile::tempdir().map_err(|e| Error::new("create", "a temporary folder", e))?;
        let stamping = setting.rate > 0 && setting.tracing == Tracing::Off;
        let started = unix_seconds();
        let daemon = self
            .programs
            .start_daemon(setting, stamping, folder.path())?;
        let mut tracer = Tracer::start(setting.tracing, daemon.pid(), folder.path())?;
        let Some(observed) = self.observe(setting, &daemon, tracer.as_mut())? else {
            return Ok(None);
        };
        let counts = tracer.map(Tracer::stop).transpose()?;
        let output = daemon.output.clone();
        let summary = daemon.stop()?;
        let tally = Tally::of(&output, setting.records)?;
        Ok(Some(Trial {
            index: 0,
            repetition: 0,
            setting: setting.clone(),
            started,
            seconds: seconds(&tally, &output)?,
            delivery: delivery(setting, &tally, &observed, &summary),
            daemon: observed.daemon,
            producers: observed.producers,
            producers_base: None,
            machine_cpu_ns: observed.machine_cpu_ns,
            latencies: stamping.then_some(tally.latencies),
            counts,
        }))
    }

    /// Lets the load run, and looks at everything before and after.
    fn observe(
        &self,
        setting: &Setting,
        daemon: &Daemon,
        tracer: Option<&mut Tracer>,
    ) -> Result<Option<Observed>, Error> {
        let pid = daemon.pid();
        let idle = settled(pid, None);
        let (before, drops) = (proc::usage(pid)?, proc::rcvbuf_errors());
        let machine = Machine::now()?;
        let load = Load::start(self.programs, setting, &daemon.endpoint, tracer)?;
        let pids = load.pids();
        let Some(producers) = load.finish(self.interrupt)? else {
            return Ok(None);
        };
        self.wait_until_written(setting, daemon)?;
        settled(pid, Some(&idle));
        Ok((!self.interrupt.is_set()).then_some(Observed {
            pids,
            machine_cpu_ns: Machine::now()?.used_since(&machine),
            daemon: proc::difference(&before, &proc::usage(pid)?),
            kernel_drops: proc::rcvbuf_errors().saturating_sub(drops),
            producers,
        }))
    }

    /// Waits until every record is in the file or, on UDP, dropped; or until nothing comes any more.
    fn wait_until_written(&self, setting: &Setting, daemon: &Daemon) -> Result<(), Error> {
        let sent = setting.sent();
        let port = daemon
            .endpoint
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        let mut count = LineCount::of(&daemon.output)?;
        let mut last_news = Instant::now();
        loop {
            if count.update()? {
                last_news = Instant::now();
            }
            let dropped = match (setting.transport, port) {
                (Transport::Udp, Some(port)) if count.lines < sent => proc::udp_socket_drops(port),
                _ => 0,
            };
            let is_over = count.lines + dropped >= sent || last_news.elapsed() > QUIET;
            if is_over || self.interrupt.is_set() {
                return Ok(());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Returns when a process sleeps, has done nothing for a while, and has as many descriptors as it had `before`.
fn settled(pid: u32, before: Option<&Look>) -> Look {
    let deadline = Instant::now() + SETTLING;
    let mut last = Look::at(pid);
    loop {
        std::thread::sleep(LOOK_EVERY);
        let look = Look::at(pid);
        let is_as_before = before.is_none_or(|before| before.descriptors() == look.descriptors());
        if (look.is_asleep() && look == last && is_as_before) || Instant::now() > deadline {
            return look;
        }
        last = look;
    }
}

fn delivery(setting: &Setting, tally: &Tally, observed: &Observed, summary: &Value) -> Delivery {
    Delivery {
        sent: setting.sent(),
        written: tally.written,
        bytes: tally.bytes,
        missing: tally.missing(&observed.pids, setting.records),
        socket_drops: summary["kernel_drops"].as_u64().unwrap_or(0),
        kernel_drops: observed.kernel_drops,
        duplicates: tally.duplicates,
        reordered: tally.reordered,
    }
}

/// From the first record's being sent to the last one's being in the file: that file's own time of change, which the
/// kernel keeps to one of its ticks (4 ms or less).
fn seconds(tally: &Tally, output: &Path) -> Result<f64, Error> {
    let changed = output.metadata().and_then(|metadata| metadata.modified());
    let changed = changed.map_err(|e| Error::new("read", output.display(), e))?;
    let since_change = SystemTime::now()
        .duration_since(changed)
        .unwrap_or_default();
    let now = Duration::from_nanos(monotonic_ns());
    let first = tally.first_sent_ns.map_or(now, Duration::from_nanos);
    let took = now.saturating_sub(since_change).saturating_sub(first);
    Ok(took.as_secs_f64())
}
