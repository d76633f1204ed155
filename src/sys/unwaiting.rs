//! Writes to standard output and standard error that never wait, though both are shared with others.

use super::{PIPE_BUF, cvt};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// A standard descriptor in a form that never waits for whoever reads it: what is not taken at once gives
/// `WouldBlock`, or is taken in part. The open file description that others share stays as it is.
///
/// Only for a program whose descriptors 0 to 2 are open, which std sees to before `main`.
#[derive(Debug)]
pub struct Unwaiting {
    given: BorrowedFd<'static>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// An open file description of our own with O_NONBLOCK: a FIFO, a pipe, a terminal.
    Own(File),
    /// A socket cannot be opened anew; each send says that it must not wait.
    Socket,
    /// Nothing to wait for: a regular file, or what is not open for writing.
    AsItIs,
    /// Another user's pipe or terminal, or there is no /proc: the kernel is asked before each write of so
    /// many bytes.
    Asked { step: usize },
}

impl Unwaiting {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::new(libc::STDOUT_FILENO)
    }

    /// Standard error.
    pub fn stderr() -> Self {
        Self::new(libc::STDERR_FILENO)
    }

    fn new(fd: RawFd) -> Self {
        // SAFETY: std has opened the three standard descriptors if they were closed, and nothing closes them.
        let given = unsafe { BorrowedFd::borrow_raw(fd) };
        Self {
            given,
            way: way_to(given),
        }
    }

    /// Waits until it may take bytes again, at most so long and not beyond the moment at which `bell` has
    /// something to read. Tells whether a write is worth a try.
    pub fn wait_for_room(&self, time: Duration, bell: Option<BorrowedFd<'_>>) -> bool {
        // Rounded up: rounded down, the last millisecond before a deadline would be a busy loop.
        let milliseconds = time.as_micros().div_ceil(1000);
        let milliseconds = libc::c_int::try_from(milliseconds).unwrap_or(libc::c_int::MAX);
        // poll passes over an entry whose descriptor is negative (`man 2 poll`).
        let bell = bell.map_or(-1, |fd| fd.as_raw_fd());
        let [room, rung] = poll(
            [
                (self.as_fd().as_raw_fd(), libc::POLLOUT),
                (bell, libc::POLLIN),
            ],
            milliseconds,
        );
        room && !rung
    }
}

/// How bytes go to what `given` is without waiting.
fn way_to(given: BorrowedFd<'_>) -> Way {
    // SAFETY: F_GETFL takes nothing.
    let flags = unsafe { libc::fcntl(given.as_raw_fd(), libc::F_GETFL) };
    // A new description would give us what we were not given: to write to our input, for example.
    if flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY {
        return Way::AsItIs;
    }
    match kind_of(given) {
        libc::S_IFSOCK => Way::Socket,
        libc::S_IFREG | libc::S_IFBLK => Way::AsItIs,
        libc::S_IFIFO | libc::S_IFCHR => match open_own(given) {
            Ok(own) => Way::Own(own),
            Err(_) => Way::Asked { step: step(given) },
        },
        _ => Way::Asked { step: step(given) },
    }
}

/// The type of the file behind a descriptor (`man 7 inode`); 0 if it has none.
fn kind_of(fd: BorrowedFd<'_>) -> libc::mode_t {
    let mut found = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `found` outlives the call and has the type that it fills.
    match cvt(unsafe { libc::fstat(fd.as_raw_fd(), found.as_mut_ptr()) }) {
        // SAFETY: fstat succeeded, so it has filled `found`.
        Ok(_) => unsafe { found.assume_init() }.st_mode & libc::S_IFMT,
        Err(_) => 0,
    }
}

/// Opens what `given` is anew, so that it does not wait.
///
/// After su, the terminal is still the first user's, and only /dev/tty leads to it, for whom it is the
/// controlling one: then and only then tcgetsid succeeds (`tiocgsid` in the kernel's drivers/tty).
fn open_own(given: BorrowedFd<'_>) -> io::Result<File> {
    let open = |path: &str| {
        OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
    };
    open(&format!("/proc/self/fd/{}", given.as_raw_fd())).or_else(|e| {
        // SAFETY: tcgetsid takes any number and fails on what is no terminal.
        match unsafe { libc::tcgetsid(given.as_raw_fd()) } {
            -1 => Err(e),
            _ => open("/dev/tty"),
        }
    })
}

/// How many bytes surely fit where poll says that there is room: a pipe has a page then (`pipe_poll` in the
/// kernel's fs/pipe.c), a terminal a byte.
fn step(fd: BorrowedFd<'_>) -> usize {
    // SAFETY: isatty takes any number.
    match unsafe { libc::isatty(fd.as_raw_fd()) } {
        1 => 1,
        _ => PIPE_BUF,
    }
}

/// Polls two descriptors for one kind of event each; tells of each whether it has come, or an error.
fn poll(entries: [(RawFd, libc::c_short); 2], milliseconds: libc::c_int) -> [bool; 2] {
    let mut entries = entries.map(|(fd, events)| libc::pollfd {
        fd,
        events,
        revents: 0,
    });
    // SAFETY: `entries` outlives the call and has two entries. An error leaves each `revents` at 0.
    unsafe { libc::poll(entries.as_mut_ptr(), 2, milliseconds) };
    entries.map(|entry| entry.revents != 0)
}

/// Turns the -1 of a write into its error.
fn written(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: `bytes` outlives the call, which reads at most its length.
    written(unsafe { libc::write(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) })
}

fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` outlives the call, which reads at most its length.
    written(unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Writes what fits, asking before each step. Another writer may be quicker between the question and the
/// write, so the kernel is asked to see to it itself, which it does for pipes since Linux 6.5.
fn write_asking(fd: BorrowedFd<'_>, bytes: &[u8], step: usize) -> io::Result<usize> {
    match write_or_fail(fd, bytes) {
        Err(e) if e.kind() != ErrorKind::WouldBlock => {} // it cannot, or will say so once more
        result => return result,
    }
    let mut taken = 0;
    for piece in bytes.chunks(step) {
        let [has_room, _] = poll([(fd.as_raw_fd(), libc::POLLOUT), (-1, 0)], 0);
        if !has_room {
            break;
        }
        match write(fd, piece) {
            Ok(bytes) => taken += bytes,
            Err(e) if taken == 0 => return Err(e),
            Err(_) => break,
        }
    }
    if taken == 0 && !bytes.is_empty() {
        return Err(ErrorKind::WouldBlock.into());
    }
    Ok(taken)
}

/// Writes what fits, or fails (RWF_NOWAIT, `man 2 pwritev2`).
fn write_or_fail(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    const WHERE_IT_IS: libc::c_long = -1;
    let vector = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: `vector` and the bytes that it points to outlive the call, which only reads them. Not every C
    // library has the call by name; the kernel takes the offset in two halves.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pwritev2,
            fd.as_raw_fd(),
            &raw const vector,
            1,
            WHERE_IT_IS,
            WHERE_IT_IS,
            libc::RWF_NOWAIT,
        )
    };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

impl Write for Unwaiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Own(file) => file.write(bytes),
            Way::Socket => send(self.given, bytes),
            Way::AsItIs => write(self.given, bytes),
            Way::Asked { step } => write_asking(self.given, bytes, *step),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Unwaiting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Own(file) => file.as_fd(),
            Way::Socket | Way::AsItIs | Way::Asked { .. } => self.given,
        }
    }
}
