//! Opening, making and sizing files, FIFOs and pipes.

use super::cvt;
use super::links::Target;
use std::ffi::CString;
use std::fs::{File, Permissions, rename, set_permissions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Longest write to a pipe that never interleaves with another writer's (`man 7 pipe`).
pub const PIPE_BUF: usize = libc::PIPE_BUF;

/// Opens a file; closed on exec. std would repeat an open that is interrupted for as long as it is, and the event loop
/// must not.
///
/// # Errors
/// What `man 2 open` lists.
pub(super) fn open(path: &Path, flags: libc::c_int, mode: u32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call, which reads a mode if it may create.
    let fd = cvt(unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode) })?;
    // SAFETY: open has just returned this descriptor, and nobody else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// The number that a file of the kernel's holds (`man 5 proc`); read once, so that nothing is waited for.
pub fn number_in(path: &str) -> Option<usize> {
    let mut file = open(path.as_ref(), libc::O_RDONLY, 0).ok()?;
    let mut text = [0_u8; 32];
    let bytes = file.read(&mut text).ok()?;
    std::str::from_utf8(&text[..bytes])
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Waits until a file's bytes are on the disk; without the loop that std has around it.
///
/// # Errors
/// What `man 2 fsync` lists.
pub fn sync(file: &File) -> io::Result<()> {
    // SAFETY: fsync takes only a number.
    cvt(unsafe { libc::fsync(file.as_raw_fd()) }).map(drop)
}

/// Cuts a file to this length, or makes it longer by NULs; without the loop that std has around it.
///
/// # Errors
/// What `man 2 ftruncate` lists.
pub fn set_length(file: &File, bytes: u64) -> io::Result<()> {
    let bytes = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: ftruncate takes only numbers.
    cvt(unsafe { libc::ftruncate(file.as_raw_fd(), bytes) }).map(drop)
}

/// Runs `make` under the umask `mask`, so that what it creates has its permissions from the first
/// moment on. Only for a process of one thread: the umask belongs to the whole process.
pub fn with_umask<T>(mask: u32, make: impl FnOnce() -> T) -> T {
    // SAFETY: umask changes a number of the process and cannot fail (`man 2 umask`).
    let before = unsafe { libc::umask(mask) };
    let made = make();
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    made
}

/// Makes a FIFO with exactly the permissions `mode`, whatever the umask.
///
/// # Errors
/// `AlreadyExists` when the path is taken, and what `man 3 mkfifo` lists.
pub fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    with_umask(0, || cvt(unsafe { libc::mkfifo(path.as_ptr(), mode) }))?;
    Ok(())
}

/// Renames a file, unless there is one of the new name (`man 2 rename`, RENAME_NOREPLACE).
///
/// # Errors
/// `AlreadyExists` then, and what `man 2 rename` lists.
pub fn rename_without_replacing(from_path: &Path, to_path: &Path) -> io::Result<()> {
    let [from, to] = [from_path, to_path].map(|path| CString::new(path.as_os_str().as_bytes()));
    let (from, to) = (from?, to?);
    // SAFETY: both are NUL-terminated strings that outlive the call. By number, since musl has no function for it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Not every file system knows the flag.
        Some(libc::EINVAL | libc::ENOSYS) if !to_path.exists() => rename(from_path, to_path),
        _ => Err(error),
    }
}

/// Opens a FIFO's read end without waiting for a writer.
///
/// # Errors
/// What `man 2 open` lists.
pub fn open_fifo_reader(target: &Target) -> io::Result<File> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | target.flags;
    open(&target.path, flags, 0)
}

/// Opens a FIFO's write end without waiting for a reader. What is written to it does not wait
/// either; see [`allow_blocking`].
///
/// # Errors
/// ENXIO ([`is_no_reader`](super::is_no_reader)) when no process reads it, and what `man 2 open`
/// lists.
pub fn open_fifo_writer(path: &Path) -> io::Result<File> {
    open(path, libc::O_WRONLY | libc::O_NONBLOCK, 0)
}

/// Opens a write end of the FIFO that `end` is an end of, without blocking: the very pipe, whatever its path
/// names by now.
///
/// # Errors
/// ENXIO ([`is_no_reader`](super::is_no_reader)) when nobody reads it, EACCES where we may only read it, and what
/// else `man 2 open` lists.
pub fn open_write_end_of(end: BorrowedFd<'_>) -> io::Result<File> {
    open_fifo_writer(Path::new(&format!("/proc/self/fd/{}", end.as_raw_fd())))
}

/// As [`open_write_end_of`], but a read end.
///
/// # Errors
/// What `man 2 open` lists.
pub fn open_read_end_of(end: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", end.as_raw_fd());
    open(path.as_ref(), libc::O_RDONLY | libc::O_NONBLOCK, 0)
}

/// Makes reads and writes on a FIFO's end that we opened wait again.
///
/// # Errors
/// What `man 2 fcntl` lists.
pub fn allow_blocking(fifo: &File) -> io::Result<()> {
    // SAFETY: F_SETFL takes an int. We opened the descriptor with no other flag that F_SETFL can
    // change, so 0 clears O_NONBLOCK and nothing else.
    cvt(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_SETFL, 0) })?;
    Ok(())
}

/// Sets the capacity of the pipe behind `fifo` and returns what it became, in bytes.
///
/// # Errors
/// EPERM above `/proc/sys/fs/pipe-max-size` or the user's limit, EBUSY when it holds more already.
pub fn set_pipe_size(fifo: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: F_SETPIPE_SZ takes an int (`man 2 fcntl`).
    let size = cvt(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// The capacity of the pipe behind `fifo`, in bytes.
///
/// # Errors
/// What `man 2 fcntl` lists.
pub fn pipe_size(fifo: BorrowedFd<'_>) -> io::Result<usize> {
    // SAFETY: F_GETPIPE_SZ takes no argument (`man 2 fcntl`).
    let size = cvt(unsafe { libc::fcntl(fifo.as_raw_fd(), libc::F_GETPIPE_SZ) })?;
    Ok(usize::try_from(size).unwrap_or(0))
}

/// The folder that a path's last component is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Holds on to the file that a path names, whatever it is, without opening it for anything
/// (`man 2 open`, O_PATH). As long as it is held, its inode number is not given to another file.
///
/// # Errors
/// What `man 2 open` lists.
pub fn pin(path: &Path) -> io::Result<File> {
    open(path, libc::O_PATH | libc::O_NOFOLLOW, 0)
}

/// Sets the permissions of the file that [`pin`] holds, whatever its path names by now.
///
/// # Errors
/// What `man 2 chmod` lists; `NotFound` without /proc.
pub fn set_mode(pin: &File, mode: u32) -> io::Result<()> {
    // fchmod refuses a descriptor that was opened with O_PATH.
    let path = format!("/proc/self/fd/{}", pin.as_raw_fd());
    set_permissions(path, Permissions::from_mode(mode))
}

/// Tells whether names may be made and removed in the folder of `path`.
///
/// # Errors
/// What `man 2 access` lists.
pub fn check_folder_of(path: &Path) -> io::Result<()> {
    check_access(folder_of(path), libc::W_OK | libc::X_OK)
}

/// Tells whether we may read what [`pin`] holds, without opening it.
///
/// # Errors
/// What `man 2 access` lists; `NotFound` without /proc.
pub fn check_readable(pin: &File) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", pin.as_raw_fd());
    check_access(path.as_ref(), libc::R_OK)
}

/// As [`check_readable`], for writing.
///
/// # Errors
/// As there.
pub fn check_writable(pin: &File) -> io::Result<()> {
    let path = format!("/proc/self/fd/{}", pin.as_raw_fd());
    check_access(path.as_ref(), libc::W_OK)
}

/// As the user that we act as.
fn check_access(path: &Path, mode: libc::c_int) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: `path` is a NUL-terminated string that outlives the call.
    cvt(unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), mode, libc::AT_EACCESS) })?;
    Ok(())
}

/// Keeps a file that we share with others from blocking, until dropped: the last resort where it cannot
/// be opened anew, since it keeps the others from blocking as well.
#[derive(Debug)]
pub struct NonBlocking {
    file: File,
    flags_before: libc::c_int,
}

impl NonBlocking {
    /// Sets O_NONBLOCK on the open file description of `file`.
    ///
    /// # Errors
    /// What `man 2 fcntl` lists.
    pub fn set(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        // SAFETY: F_GETFL takes no argument.
        let flags_before = cvt(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
        let guard = Self { file, flags_before };
        guard.set_flags(flags_before | libc::O_NONBLOCK)?;
        Ok(guard)
    }

    fn set_flags(&self, flags: libc::c_int) -> io::Result<()> {
        // SAFETY: F_SETFL takes an int.
        cvt(unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETFL, flags) }).map(drop)
    }
}

impl Drop for NonBlocking {
    fn drop(&mut self) {
        // It has just been possible.
        let _ = self.set_flags(self.flags_before);
    }
}
