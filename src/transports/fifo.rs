//! Named pipes: make, open, reopen when the last writer has left, connect.

use super::bound_path::{self, BoundPath, Identity};
use super::fullness::Capacity;
use super::plug::Plug;
use super::reason::Reason;
use super::source::{self, Turn, TurnContext};
use super::stream::StreamSource;
use super::{BindOptions, BufferSize, DEFAULT_MODE};
use crate::failure::{Call, Failure};
use crate::record::Recorder;
use crate::sys::{self, Target};
use log::{info, warn};
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

/// Where the kernel says how large a pipe may be made.
const PIPE_MAX_SIZE: &str = "/proc/sys/fs/pipe-max-size";

/// What the kernel gives a new pipe (`man 7 pipe`).
const PIPE_USUAL_SIZE: usize = 64 << 10;

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
    /// Keeps writers out, from the stop on.
    plug: Option<Plug>,
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
    if options.is_rehearsal {
        check(path)?;
        return Err(Reason::new("rehearsal"));
    }
    let target = sys::follow_own_links(path)?;
    // Until we read it, another daemon that starts would find it free.
    let _lock = bound_path::lock_folder_of(&target.path, options.lock_tries);
    let is_new = match sys::make_fifo(&target.path, options.first_mode()) {
        Ok(()) => true,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            refuse_unless_free(&target.path)?;
            false
        }
        Err(e) => return Err(e.into()),
    };
    let opened = open_and_hand_over(&target, is_new, options);
    if opened.is_err() && is_new {
        // It is ours: we have just made it. The next start would take its permissions for somebody's wish.
        let _ = fs::remove_file(&target.path);
    }
    let (reader, metadata) = opened?;
    let size = set_pipe_size(&reader, options.buffer).unwrap_or(PIPE_USUAL_SIZE);
    let bound = BoundPath::fifo(path, &reader)?;
    let fifo = FifoSource {
        stream: StreamSource::of_fifo(reader, options.record_bytes_max, Capacity::of_pipe(size)),
        place: Some(Place {
            target,
            identity: Identity::of(&metadata),
        }),
        may_have_unseen_end: true, // a daemon before us may have left something
        reports_changes: false,
        has_warned: false,
        is_retired: false,
        plug: None,
    };
    Ok((fifo, bound))
}

fn open_and_hand_over(
    target: &Target,
    is_new: bool,
    options: &BindOptions,
) -> Result<(File, Metadata), Reason> {
    let reader = sys::open_fifo_reader(target)?;
    // Looked at again: what we opened decides, not what stood there a moment ago.
    let metadata = reader.metadata()?;
    if !metadata.file_type().is_fifo() {
        return Err(not_a_fifo());
    }
    hand_over(&reader, is_new, options)?;
    Ok((reader, metadata))
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

/// Tells whether [`open`] would succeed.
pub(super) fn check(path: &Path) -> Result<(), Reason> {
    let path = sys::follow_own_links(path)?.path;
    match path.symlink_metadata() {
        Ok(_) => refuse_unless_free(&path),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(sys::check_folder_of(&path)?),
        Err(e) => Err(e.into()),
    }
}

/// Refuses a path that is not a FIFO, and a FIFO that another process reads: the two would each get
/// some of the records.
fn refuse_unless_free(path: &Path) -> Result<(), Reason> {
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
    match sys::open_fifo_writer(path) {
        Ok(_) => Err(Reason::in_use()),
        Err(e) if sys::is_no_reader(&e) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

fn not_a_fifo() -> Reason {
    Reason::new("the path exists and is not a FIFO").advise("remove it or choose another path")
}

fn is_fifo(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.file_type().is_fifo())
}

/// Sets the pipe's capacity and returns it; what cannot be had is said and done without.
fn set_pipe_size(reader: &File, buffer: BufferSize) -> Option<usize> {
    let bytes = match buffer {
        BufferSize::Default => return undo_plug(reader),
        BufferSize::Bytes(bytes) => bytes,
        BufferSize::Max => sys::number_in(PIPE_MAX_SIZE)?,
    };
    match sys::set_pipe_size(reader.as_fd(), bytes) {
        Ok(got) => {
            info!("fifo: pipe of {got} bytes (asked for {bytes})");
            Some(got)
        }
        Err(e) => {
            warn!(
                "fifo: the pipe keeps its size, {bytes} bytes cannot be had: {e}; \
                 choose a smaller --buffer or raise fs.pipe-max-size"
            );
            None
        }
    }
}

/// Gives a pipe its usual size that a writer has kept since the stop of a daemon before us, and returns what
/// it has then.
fn undo_plug(reader: &File) -> Option<usize> {
    let bytes = sys::pipe_size(reader.as_fd()).ok()?;
    if bytes < PIPE_USUAL_SIZE {
        // It works as well without: a user who has too many pipes gets only small ones.
        return sys::set_pipe_size(reader.as_fd(), PIPE_USUAL_SIZE).ok();
    }
    Some(bytes)
}

impl FifoSource {
    /// A FIFO that was opened for us. Its owner keeps it open for writing as well, as a rule, so that it
    /// has no end; if it has one, it is read on.
    pub(super) fn inherited(reader: File, record_bytes_max: usize) -> Self {
        Self {
            stream: StreamSource::of_fifo(
                reader,
                record_bytes_max,
                Capacity::of_pipe(PIPE_USUAL_SIZE),
            ),
            place: None,
            may_have_unseen_end: true,
            reports_changes: false,
            has_warned: false,
            is_retired: false,
            plug: None,
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

    /// Reads the rest, and ends with a pipe that takes nothing more.
    fn last_turn(&mut self, cx: &mut TurnContext<'_>) -> Turn {
        if self.plug.is_none() {
            match Plug::new(self.as_fd()) {
                Ok(plug) => self.plug = Some(plug),
                Err(e) => info!(
                    "a FIFO cannot be opened for writing: {e}; what is written to it in the moment before \
                     it is closed is lost"
                ),
            }
        }
        for _ in 0..PLUG_TRIES {
            match (self.stream.turn(cx, true), &self.plug) {
                (Turn::Drained, Some(plug)) if !plug.put(self.stream.reader()) => {}
                (turn, _) => return turn,
            }
        }
        Turn::Unfinished
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
            Some(Err(e)) => Some(e),
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

    /// Notes that epoll has forgotten it.
    pub(super) fn forget_registration(&mut self) {
        self.reports_changes = false;
    }

    /// Reads on until the last writer leaves, and then no more: the path names another FIFO.
    pub(super) fn retire(&mut self) {
        self.is_retired = true;
    }

    pub(super) fn finish(&mut self, recorder: &mut Recorder<'_>) {
        if self.place.is_none() {
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
    fn reopen(&self, cx: &TurnContext<'_>) -> io::Result<File> {
        let reader = sys::open_fifo_reader(&self.target)?;
        if Identity::of(&reader.metadata()?) != self.identity {
            return Err(io::Error::other("the path names another file by now"));
        }
        source::register(cx.registry, reader.as_fd(), cx.token)?;
        Ok(reader)
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
