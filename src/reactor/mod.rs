//! The event loop: one thread, one place that sleeps.
//!
//! One *round* is: wait, one bounded turn for each ready source, one write for all that the round
//! has completed. Nothing here knows a transport; see [`Source`].

mod half_line;
mod linger;
mod outcome;
mod outlet;
mod owed;
mod paths;
mod spell;
mod stop;
mod table;
mod trouble;
mod turn;

pub use linger::{LINGER_MAX, LingerPolicy};
pub use outcome::Outcome;
pub use outlet::OutputCounters;

use crate::counters::Counters;
use crate::error::Error;
use crate::sink::{Rotation, Sink, SyncPolicy};
use crate::sys::{self, PathWatch, Signals, probes};
use crate::transports::{BindOptions, Bound, BoundPath, Endpoint, Hints, Source};
use half_line::HalfLines;
use linger::Linger;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use outlet::Outlet;
use paths::Paths;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};
use stop::Stop;
use table::SourceTable;
use trouble::{Trouble, Waiting};

const SIGNALS: Token = Token(0);
const WATCH: Token = Token(1);
const FIRST_SOURCE: usize = 3; // 2 is `owed::OWED`

/// Events taken from the kernel in one round.
const EVENTS_MAX: usize = 1024;

/// How often the kernel's counts of dropped datagrams are looked at while nothing is read.
const LOOK_AT_DROPS: Duration = Duration::from_secs(600);

/// Room for one read.
const SCRATCH_BYTES: usize = 128 << 10;

/// What the reactor has to know beside its sources and its sink.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How endpoints are bound, and how long records may be.
    pub bind: BindOptions,
    /// Connections open at a time.
    pub connections_max: usize,
    /// Whether records get `_transport` and the two times.
    pub stamping: bool,
    /// After how long half a line on a FIFO becomes a record; `None`: never.
    pub half_line: Option<Duration>,
    /// How long a stop may take.
    pub drain_time_max: Duration,
    /// How long to wait between rounds, so that one serves many records.
    pub linger: LingerPolicy,
    /// When the output is synced.
    pub sync_policy: SyncPolicy,
    /// When the output file is full, if ever.
    pub rotation: Option<Rotation>,
}

/// One endpoint: its name, its counts, and where it is.
#[derive(Debug)]
struct Intake {
    endpoint: Endpoint,
    counters: Counters,
    trouble: Trouble,
    /// The source that new clients meet.
    token: Token,
    path: Option<BoundPath>,
    /// Its path leads elsewhere and could not be made anew so far.
    is_lost: bool,
    /// What has been said of its senders.
    hints: Hints,
}

/// The event loop with all that it owns.
#[derive(Debug)]
pub struct Reactor {
    poll: Poll,
    events: Events,
    signals: Signals,
    table: SourceTable,
    intakes: Vec<Intake>,
    paths: Paths,
    settings: Settings,
    scratch: Box<[u8]>,
    accepted: Vec<Source>,
    outlet: Outlet,
    linger: Linger,
    /// How long to wait before the next round.
    pause: Duration,
    /// When this round began (CLOCK_MONOTONIC), where it matters.
    began_ns: u64,
    /// Those whose senders may keep records back until we have acknowledged what was read.
    unreleased: Vec<Token>,
    /// Whose turn it is in this round.
    turns: Vec<Token>,
    waiting: Waiting,
    /// Standard error is watched, since it owes something.
    is_owing: bool,
    half_lines: HalfLines,
    stop: Stop,
    /// A source had to be left with something in it.
    is_undrained: bool,
}

impl Reactor {
    /// Takes over the endpoints and the output. From here on signals are ours.
    ///
    /// # Errors
    /// When the system refuses a descriptor of the event loop.
    pub fn new(
        bound: Vec<Bound>,
        sink: Sink,
        signals: Signals,
        watch: io::Result<PathWatch>,
        settings: Settings,
    ) -> Result<Self, Error> {
        let failed = |e| Error::new("set up", "the event loop", e);
        let poll = Poll::new().map_err(failed)?;
        poll.registry()
            .register(
                &mut SourceFd(&signals.as_fd().as_raw_fd()),
                SIGNALS,
                Interest::READABLE,
            )
            .map_err(failed)?;
        let mut table = SourceTable::new(FIRST_SOURCE);
        let mut intakes = Vec::new();
        for Bound {
            source,
            endpoint,
            path,
            is_inherited,
        } in bound
        {
            source
                .register(poll.registry(), table.next_token())
                .map_err(failed)?;
            let token = if is_inherited {
                table.insert_inherited(source, intakes.len())
            } else {
                table.insert(source, intakes.len())
            };
            intakes.push(Intake {
                endpoint,
                counters: Counters::default(),
                trouble: Trouble::default(),
                token,
                path,
                is_lost: false,
                hints: Hints::default(),
            });
        }
        Ok(Self {
            paths: Paths::watch(&intakes, &sink, watch, poll.registry()),
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            signals,
            table,
            outlet: Outlet::new(sink, settings.sync_policy, settings.rotation),
            intakes,
            settings,
            scratch: vec![0; SCRATCH_BYTES].into(),
            accepted: Vec::new(),
            linger: Linger::new(settings.linger),
            pause: Duration::ZERO,
            began_ns: 0,
            unreleased: Vec::new(),
            turns: Vec::new(),
            waiting: Waiting::default(),
            is_owing: false,
            half_lines: HalfLines::new(settings.half_line),
            stop: Stop::No,
            is_undrained: false,
        })
    }

    /// Makes the output ready for the first record, and lets everything stay that the start has made; until then it goes
    /// when this is dropped.
    ///
    /// # Errors
    /// When the output is to be emptied, and cannot be.
    pub fn begin(&mut self, truncate: bool) -> Result<(), Error> {
        self.outlet.begin(truncate)?;
        for path in self
            .intakes
            .iter_mut()
            .filter_map(|intake| intake.path.as_mut())
        {
            path.keep();
        }
        Ok(())
    }

    /// The endpoints with their real addresses.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.intakes.iter().map(|intake| &intake.endpoint)
    }

    /// Collects records until a signal says stop and everything is drained, or the output fails.
    pub fn run(mut self) -> Outcome {
        let result = self.rounds();
        self.end(result)
    }

    fn rounds(&mut self) -> Result<(), Error> {
        self.follow_output();
        while !self.is_done() {
            self.wait();
            probes::round_start(self.events.iter().count());
            self.dispatch()?;
            self.flush()?;
            self.see_to_linger();
            self.see_to_what_is_owed();
        }
        Ok(())
    }

    /// Sleeps until there is something to do. The only place that does.
    fn wait(&mut self) {
        let mut timeout = self.timeout();
        if !self.outlet.is_open() {
            self.events.clear();
            let inputs: Vec<_> = [Some(self.signals.as_fd()), self.paths.fd()]
                .into_iter()
                .flatten()
                .collect();
            let readiness = self.outlet.readiness();
            match sys::wait_for_inputs_or_output(&inputs, readiness, timeout) {
                Ok(()) => self.waiting.succeed(),
                Err(e) => self.wait_blindly(&e, timeout),
            }
            return;
        }
        let pause = std::mem::take(&mut self.pause);
        if !pause.is_zero() {
            // Beside the poll: that knows only milliseconds, and would end at the next record.
            sys::pause(timeout.map_or(pause, |timeout| timeout.min(pause)));
            timeout = self.timeout();
        }
        // After the pause, so that it brings what came meanwhile.
        for token in self.unreleased.drain(..) {
            if let Some(entry) = self.table.get_mut(token) {
                entry.source.release();
            }
        }
        self.wait_out_a_flood(timeout);
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => self.waiting.succeed(),
            Err(e) => self.wait_blindly(&e, timeout),
        }
        if self.linger.is_auto() {
            self.began_ns = sys::monotonic_ns();
        }
    }

    /// Settles how long to wait before the next round. Where a round has left something to read, the next goes on with it.
    fn see_to_linger(&mut self) {
        if self.outlet.is_open() && self.stop == Stop::No && !self.table.has_ready() {
            self.pause = self.linger.after(self.began_ns);
        }
    }

    /// How long the next sleep may be; `None` when nothing is due.
    fn timeout(&self) -> Option<Duration> {
        if self.table.has_ready() && self.outlet.is_open() {
            return Some(Duration::ZERO);
        }
        let dues = [
            // What nobody reads meanwhile is dropped, and the kernel's count of that goes round.
            (!self.outlet.is_open()).then(|| Instant::now() + LOOK_AT_DROPS),
            self.stop.deadline(),
            self.table.retry_due().filter(|_| self.outlet.is_open()),
            self.paths.deadline(),
            self.outlet.deadline(),
            self.half_line_deadline(),
        ];
        let due = dues.into_iter().flatten().min()?;
        Some(due.saturating_duration_since(Instant::now()))
    }

    /// Gives each ready source its turn.
    fn dispatch(&mut self) -> Result<(), Error> {
        for event in &self.events {
            if event.token().0 >= FIRST_SOURCE {
                // An error is read like an end: the read tells which it is.
                let hung_up = event.is_read_closed() || event.is_error();
                if self.table.is_paused(event.token()) {
                    self.waiting.is_flooded = true;
                } else {
                    self.table.wake(event.token(), hung_up);
                }
            }
        }
        self.see_to_signals()?;
        self.see_to_paths()?;
        self.see_to_deadlines();
        if !self.outlet.is_open() || matches!(self.stop, Stop::Undrained | Stop::Now) {
            self.table
                .iter_mut()
                .for_each(|entry| entry.source.look_at_drops());
            return Ok(());
        }
        let ready = self.table.take_ready(std::mem::take(&mut self.turns));
        for (index, &token) in ready.iter().enumerate() {
            self.turn(token);
            if self.outlet.is_due() {
                self.flush()?;
                if !self.outlet.is_open() {
                    self.table.put_back(&ready[index + 1..]);
                    break;
                }
            }
        }
        self.turns = ready;
        Ok(())
    }

    /// Acts on the deadlines that have passed. Reads the clock only if there is any.
    fn see_to_deadlines(&mut self) {
        if self.table.retry_due().is_some() {
            self.table.wake_due(Instant::now());
        }
        self.see_to_half_lines();
        self.outlet.see_to_deadlines();
        self.see_to_the_stops_deadline();
    }

    /// Writes what has been completed.
    fn flush(&mut self) -> Result<(), Error> {
        let intakes = &mut self.intakes;
        self.outlet
            .flush(|intake, tally| intakes[intake].counters.written += tally)?;
        self.follow_output();
        Ok(())
    }

    /// Watches the output's file if it is another one than before: it may lose its name as well.
    fn follow_output(&mut self) {
        if let Some(file) = self.outlet.take_new_file() {
            self.paths.watch_output(file);
            // It may have gone before it was watched.
            if self.stop == Stop::No && self.outlet.has_lost_its_name() {
                self.paths.look_again();
            }
        }
    }

    /// Writes what has been completed, even if the output has just refused it.
    fn flush_now(&mut self) -> Result<(), Error> {
        let intakes = &mut self.intakes;
        self.outlet
            .flush_now(|intake, tally| intakes[intake].counters.written += tally)
    }
}
