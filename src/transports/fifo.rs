//! Named pipes: make, open, reopen when the last writer has left, connect.

use super::bound_path::{BoundPath, Identity};
use super::plug::Ending;
use super::reason::Reason;
use super::source::{self, Turn, TurnContext};
use super::stream::StreamSource;
use super::{BindOptions, DEFAULT_MODE, pipe_size};
use crate::claim::{self, Claim, NoClaim};
use crate::failure::{Call, Failure};
use crate::record::Recorder;
use crate::sys::{self, Target};
use log::warn;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// A FIFO's read end, and the line that its writers have begun. They share one stream.
#[derive(Debug)]
pub struct FifoSource {
    stream: StreamSource<File>,
    /// Where it is opened anew; `None` for one that was opened for us.
    place: Option<Place>,
    /// A writer may have come and gone since the last end of input was read and before this read end
    /// was opened. The kernel does not report that hang-up (`fifo_open`, `pipe_poll` in fs/pipe.c).
    may_have_unseen_end: bool,
    /// The kernel reports only what changes here: the read end could not be replaced, and its hang-up would be
    /// reported for ever.
    reports_changes: bool,
    /// Whether we have said that it cannot be opened anew, since it last could.
    has_warned: bool,
    /// How it is left, from the stop on.
    ending: Option<Ending>,
    /// Bytes read since the stop.
    taken_since_stop: usize,
    /// What the pipe holds, in bytes.
    size: usize,
    /// What tells other daemons of one that was opened for us, if that can be had.
    _claim: Option<Claim>,
    /// The path names another FIFO; this one is read until its last writer leaves.
    is_retired: bool,
}

/// The path of a FIFO and what we read there. Should it name another FIFO by now, that is not for this
/// source to go on with.
#[derive(Debug)]
struct Place {
    target: Target,
    identity: Identity,
}

/// How often a stop tries to be quicker than the writers, in one turn.
const PLUG_TRIES: usize = 16;

/// Opens the FIFO for reading, and makes it if it is absent. It stays when we leave: with it gone, a
/// shell's `>` would make a regular file; with it there, writers wait for the next daemon.
pub(super) fn open(path: &Path, options: &BindOptions) -> Result<(FifoSource, BoundPath), Reason> {
    let target = sys::follow_own_links(path)?;
    let tries = options.lock_tries.min(claim::TRIES_AT_START);
    // First, so that of two daemons one makes the FIFO. Who else has it open is none of our business.
    let claim = Claim::take(&target, tries, || is_read(&target));
    if matches!(claim, Err(NoClaim::Taken)) {
        return Err(Reason::in_use()); // each of the two would get some of the records
    }
    let is_new = match sys::make_fifo(&target.path, options.first_mode()) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            refuse_unless_fifo(&target.path)?;
            false
        }
        Err(e) => return Err(e.into()),
    };
    let pin = sys::pin(&target.path)?;
    let identity = Identity::of(&pin.metadata()?);
    let made = is_new.then(|| target.path.clone());
    let unknowable = match &claim {
        Err(NoClaim::Unknowable(reason)) => Some(reason.clone()),
        Err(NoClaim::Taken) | Ok(_) => None,
    };
    // From here on, to drop it is to take back what was made.
    let bound = BoundPath::fifo(path, identity, claim.ok(), made);
    let reader = if options.is_rehearsal {
        rehearse(&pin, is_new, options)?
    } else {
        open_and_hand_over(&target, identity, is_new, options)?
    };
    if let Some(reason) = unknowable {
        warn!(
            "fifo={}: another daemon that reads it would not be noticed: {reason}; see to it that there is none",
            path.display()
        );
    }
    let size = pipe_size::set(&reader, options.buffer);
    let place = Place { target, identity };
    let fifo = FifoSource::new(reader, size, Some(place), options.record_bytes_max);
    Ok((fifo, bound))
}

/// Does what [`open_and_hand_over`] does without opening the FIFO: a writer that waits for a reader would go on, and what
/// it writes would be lost. A pipe of our own stands in for it.
fn rehearse(pin: &File, is_new: bool, options: &BindOptions) -> Result<File, Reason> {
    if !is_new {
        sys::check_readable(pin)?;
        let found = pin.metadata()?;
        // Changes nothing, but is refused as the real change would be.
        if options.is_handed_over() {
            sys::set_owner(pin, Some(found.uid()), Some(found.gid()))
                .map_err(|e| Reason::not_handed_over(&e))?;
        }
        if options.mode.is_some() {
            sys::set_mode(pin, found.mode() & 0o7777)?;
        }
    }
    let (reader, _) = io::pipe()?;
    let stand_in = File::from(OwnedFd::from(reader));
    hand_over(&stand_in, is_new, options)?;
    Ok(stand_in)
}

/// Tells whether some process has the FIFO open for reading. Nothing but a FIFO is opened for that.
fn is_read(target: &Target) -> bool {
    let pin = sys::pin(&target.path).ok();
    pin.filter(|pin| is_fifo(pin).unwrap_or(false))
        .is_some_and(|pin| sys::open_write_end_of(pin.as_fd()).is_ok())
}

fn open_and_hand_over(
    target: &Target,
    identity: Identity,
    is_new: bool,
    options: &BindOptions,
) -> Result<File, Reason> {
    let reader = sys::open_fifo_reader(target)?;
    // Looked at again: what we opened decides, not what stood there a moment ago.
    if Identity::of(&reader.metadata()?) != identity {
        return Err(Reason::new("the path was replaced meanwhile").advise("start again"));
    }
    hand_over(&reader, is_new, options)?;
    Ok(reader)
}

/// Gives the FIFO the owner, the group and the permissions that were asked for; what was not is left as
/// it is, where the FIFO was there before.
fn hand_over(reader: &File, is_new: bool, options: &BindOptions) -> Result<(), Reason> {
    if options.is_handed_over() {
        sys::set_owner(reader, options.owner, options.group)
            .map_err(|e| Reason::not_handed_over(&e))?;
    }
    let mode = match options.mode {
        None if is_new && options.is_handed_over() => Some(DEFAULT_MODE),
        mode => mode,
    };
    if let Some(mode) = mode {
        reader.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(())
}

fn refuse_unless_fifo(path: &Path) -> Result<(), Reason> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Err(Reason::new(
            "the path is a regular file (a shell's '>' makes one when no FIFO is there)",
        )
        .advise("remove it and start again"));
    }
    if !kind.is_fifo() {
        return Err(not_a_fifo());
    }
    Ok(())
}

fn not_a_fifo() -> Reason {
    Reason::new("the path exists and is not a FIFO").advise("remove it or choose another path")
}

fn is_fifo(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_fifo())
}

impl FifoSource {
    /// A FIFO that was opened for us. Its owner keeps it open for writing as well, as a rule, so that it
    /// has no end; if it has one, it is read on.
    pub(super) fn inherited(reader: File, claim: Option<Claim>, record_bytes_max: usize) -> Self {
        let size = pipe_size::of(&reader);
        Self {
            _claim: claim,
            ..Self::new(reader, size, None, record_bytes_max)
        }
    }

    fn new(reader: File, size: usize, place: Option<Place>, record_bytes_max: usize) -> Self {
        Self {
            stream: StreamSource::of_fifo(reader, record_bytes_max),
            place,
            may_have_unseen_end: true, // somebody before us may have left something
            reports_changes: false,
            has_warned: false,
            is_retired: false,
            ending: None,
            taken_since_stop: 0,
            size,
            _claim: None,
        }
    }

    pub(super) fn turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        if cx.stopping {
            return self.last_turn(cx);
        }
        let to_the_end = cx.to_the_end || self.may_have_unseen_end || self.reports_changes;
        match self.stream.turn(cx, to_the_end) {
            // Read to the end, and it is not there: a writer has it open, whose end will be reported.
            Turn::Drained if to_the_end => {
                self.may_have_unseen_end = false;
                Turn::Drained
            }
            Turn::Closed if !self.is_retired => {
                self.may_have_unseen_end = true;
                // Not read again in this turn: without a writer, a read returns 0 at once.
                self.reopen(cx)
            }
            turn => turn,
        }
    }

    /// Reads the rest, and ends with a pipe that takes nothing more, or that somebody else keeps.
    fn last_turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let ending = (self.ending).get_or_insert_with(|| Ending::of(&mut self.stream));
        let plug = match ending {
            Ending::Plugged(plug) => plug,
            Ending::Unplugged => return self.stream.turn(cx, true),
            Ending::Kept => return self.turn_before_leaving(cx),
        };
        for _ in 0..PLUG_TRIES {
            match self.stream.turn(cx, true) {
                Turn::Drained if !plug.put(self.stream.reader()) => {}
                Turn::Drained => {
                    // Somebody may have come meanwhile who keeps the pipe, and whom the plug would shut out.
                    if matches!(Ending::of(&mut self.stream), Ending::Kept) {
                        plug.pull(self.stream.reader(), self.size);
                        self.ending = Some(Ending::Kept);
                    }
                    return Turn::Drained;
                }
                turn => return turn,
            }
        }
        Turn::Unfinished
    }

    /// Reads what was in the pipe when the stop came, and leaves what has come since to the next daemon: who writes
    /// without a pause shall not hold us up.
    fn turn_before_leaving(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let turn = self.stream.turn(cx, true);
        self.taken_since_stop += self.stream.taken();
        match turn {
            Turn::Unfinished if self.taken_since_stop >= self.size => Turn::Drained,
            turn => turn,
        }
    }

    /// Replaces the read end, whose last writer has left, by a new one that waits for the next.
    ///
    /// If it cannot, the old one serves as well: the next writer's data is a change like any other. Only its
    /// hang-up, which is over, must not be reported again and again. The next end is another try.
    fn reopen(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        let refusal = match self.place.as_ref().map(|place| place.reopen(cx)) {
            Some(Ok(reader)) => {
                self.stream.replace_reader(reader);
                (self.reports_changes, self.has_warned) = (false, false);
                return Turn::Drained;
            }
            Some(Err((Call::Register, e))) => {
                return Turn::Failing(Failure::new(Call::Register, &e));
            }
            Some(Err((_, e))) => Some(e),
            None => None,
        };
        if !self.reports_changes {
            match source::watch_changes(cx.registry, self.as_fd(), cx.token) {
                Ok(()) => self.reports_changes = true,
                Err(e) => return Turn::Failing(Failure::new(Call::Register, &e)),
            }
        }
        if let (Some(e), Some(place)) = (refusal, &self.place)
            // It has just gone, and whoever watches it makes it anew and says so.
            && e.kind() != ErrorKind::NotFound
        {
            cx.errors += 1;
            if !std::mem::replace(&mut self.has_warned, true) {
                let path = place.target.path.display();
                let verb = Call::ReopenFifo.verb();
                warn!("fifo={path}: cannot {verb}: {e}; the end that is open serves on");
            }
        }
        Turn::Drained
    }

    /// Tells whether it is to be reported only when something changes.
    pub(super) fn reports_changes(&self) -> bool {
        self.reports_changes
    }

    /// Notes that epoll has forgotten it.
    pub(super) fn forget_registration(&mut self) {
        self.reports_changes = false;
    }

    /// Reads on until the last writer leaves, and then no more: the path names another FIFO.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Tells whether its writers have begun a line that they have not ended.
    pub(super) fn is_within_line(&self) -> bool {
        self.stream.is_within_line()
    }

    /// Makes a record of the line that they have begun, if they wrote nothing more in the last turn. Tells whether it
    /// did.
    pub(super) fn end_half_line(&mut self, recorder: &mut Recorder<'_>) -> bool {
        let is_left = self.stream.taken() == 0;
        if is_left {
            self.stream.finish(recorder);
        }
        is_left
    }

    /// Ends the input: what is left of the last line becomes a record.
    pub(super) fn finish(&mut self, recorder: &mut Recorder<'_>) {
        if matches!(self.ending, None | Some(Ending::Kept | Ending::Unplugged)) {
            // The rest of it would be half a record for our successor.
            self.stream.read_to_newline(recorder);
        }
        self.stream.finish(recorder);
    }
}

impl Place {
    /// Opens and registers a new read end, before the old one is closed. So there is no moment without a
    /// reader: no writer meets ENXIO, EPIPE or a wait in `open`, and what is written meanwhile stays in
    /// the pipe, which the kernel empties when its last end is closed.
    ///
    /// # Errors
    /// With the call that failed.
    fn reopen(&self, cx: &TurnContext<'_>) -> Result<File, (Call, io::Error)> {
        let failed = |e| (Call::ReopenFifo, e);
        let reader = sys::open_fifo_reader(&self.target).map_err(failed)?;
        if Identity::of(&reader.metadata().map_err(failed)?) != self.identity {
            return Err(failed(io::Error::other(
                "the path names another file by now",
            )));
        }
        match source::register(cx.registry, reader.as_fd(), cx.token) {
            Ok(()) => Ok(reader),
            Err(e) => Err((Call::Register, e)),
        }
    }
}

impl AsFd for FifoSource {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Opens the FIFO for writing, if a daemon reads it, and waits from then on when it is full.
pub(super) fn connect(path: &Path) -> io::Result<OwnedFd> {
    let writer = sys::open_fifo_writer(path)?;
    if !is_fifo(&writer)? {
        return Err(io::Error::other("the path is not a FIFO"));
    }
    sys::allow_blocking(&writer)?;
    Ok(writer.into())
}
