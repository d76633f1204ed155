//! The output's file: opening it, making it like the one before, and looking at where it ends.

use super::cvt;
use super::files::{check_folder_of, folder_of, open};
use super::links::{Target, set_owner};
use super::locks::effective_user;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// Permissions of an output file that we create; a stricter umask narrows them.
const OUTPUT_MODE: u32 = 0o640;

/// The rights that a file made like another one may have: no set-id bits, no sticky one.
const RIGHTS: u32 = 0o777;

/// How a file is opened that is only added to.
///
/// O_NONBLOCK, so that a FIFO, a terminal or a device given as output never blocks us; for a
/// regular file it has no effect (`man 2 open`).
const APPENDING: libc::c_int = libc::O_WRONLY | libc::O_APPEND | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Opens the output file that is there for appending.
///
/// # Errors
/// What `man 2 open` lists.
pub fn open_output(target: &Target) -> io::Result<File> {
    open(&target.path, APPENDING | target.flags, 0)
}

/// Makes the output file, for appending.
///
/// # Errors
/// `AlreadyExists` when there is one, and what `man 2 open` lists.
pub fn make_output(target: &Target) -> io::Result<File> {
    let flags = APPENDING | target.flags | libc::O_CREAT | libc::O_EXCL;
    open(&target.path, flags, OUTPUT_MODE)
}

/// Creates an output file with the owner, the group and the permissions of `old`, as far as we may give them:
/// a group that we may not give has its rights narrowed to those of all others, since the members of ours were
/// such. Tells whether it became like the old one.
///
/// # Errors
/// `AlreadyExists` when there is one, and what `man 2 open` lists.
pub fn create_output_like(target: &Target, old: &File) -> io::Result<(File, bool)> {
    let flags = APPENDING | target.flags | libc::O_CREAT | libc::O_EXCL;
    let create = |mode| open(&target.path, flags, mode);
    // One whose file system has gone cannot be asked any more.
    let Ok(was) = old.metadata() else {
        return create(OUTPUT_MODE).map(|file| (file, true));
    };
    let mut mode = was.mode() & RIGHTS;
    // Nobody else gets in before it has its group.
    let file = create(mode & 0o600)?;
    let is = file.metadata()?;
    let has_group = is.gid() == was.gid() || set_owner(&file, None, Some(was.gid())).is_ok();
    let has_list = has_group && copy_access_list(old, &file).is_ok();
    if !has_list {
        mode &= !0o070 | (mode & 0o007) << 3;
    }
    let has_mode = file.set_permissions(Permissions::from_mode(mode)).is_ok();
    // Last: what is another user's is no longer ours to change.
    let has_owner = is.uid() == was.uid() || set_owner(&file, Some(was.uid()), None).is_ok();
    Ok((file, has_list && has_mode && has_owner))
}

/// Tells whether a file could be renamed: we may change its folder, the folder is not one where only owners may
/// (`man 2 rename`, EPERM), and neither may only be added to.
///
/// # Errors
/// EACCES, EPERM, and what `man 2 statx` lists.
pub fn check_renamable(file: &File, path: &Path) -> io::Result<()> {
    check_folder_of(path)?;
    let folder = open(folder_of(path), libc::O_PATH | libc::O_DIRECTORY, 0)?;
    let (within, found) = (folder.metadata()?, file.metadata()?);
    let us = effective_user();
    let is_owners = within.mode() & libc::S_ISVTX != 0 && us != 0;
    if is_owners && within.uid() != us && found.uid() != us {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    check_changeable(file).and_then(|()| check_changeable(&folder))
}

/// Tells whether a file may be changed otherwise than by adding to it (`man 1 chattr`, a and i), as far as that can be
/// asked.
///
/// # Errors
/// EPERM.
pub fn check_changeable(file: &File) -> io::Result<()> {
    const FIXED: u64 = (libc::STATX_ATTR_APPEND | libc::STATX_ATTR_IMMUTABLE) as u64;
    let mut found = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: the empty path is NUL-terminated and stands for the descriptor's own file; `found` outlives the call,
    // which fills it if it succeeds.
    let asked = cvt(unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_BASIC_STATS,
            found.as_mut_ptr(),
        )
    });
    // SAFETY: it has been filled.
    if asked.is_ok() && unsafe { found.assume_init() }.stx_attributes & FIXED != 0 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    Ok(())
}

/// Copies a file's list of further users and groups, if it has one (`man 5 acl`).
fn copy_access_list(from: &File, to: &File) -> io::Result<()> {
    const NAME: &std::ffi::CStr = c"system.posix_acl_access";
    let mut list = vec![0_u8; 64 << 10]; // XATTR_SIZE_MAX
    // SAFETY: `NAME` is NUL-terminated; `list` outlives the call, which writes at most its length.
    let length = unsafe {
        libc::fgetxattr(
            from.as_raw_fd(),
            NAME.as_ptr(),
            list.as_mut_ptr().cast(),
            list.len(),
        )
    };
    let Ok(length) = usize::try_from(length) else {
        return match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(()),
            e => Err(e),
        };
    };
    // SAFETY: `NAME` is NUL-terminated; `list` outlives the call and holds `length` bytes to be read.
    cvt(unsafe {
        libc::fsetxattr(
            to.as_raw_fd(),
            NAME.as_ptr(),
            list.as_ptr().cast(),
            length,
            0,
        )
    })?;
    Ok(())
}

/// Opens what a descriptor given to us stands for anew, without blocking.
///
/// A new open file description: setting O_NONBLOCK on the one we were given would change it for
/// every process that shares it, a shell on its terminal for example.
///
/// # Errors
/// ENXIO when it is a socket, EACCES when the terminal or pipe belongs to another user; for that case
/// there is [`NonBlocking`](super::NonBlocking).
pub fn reopen_given(given: &File) -> io::Result<File> {
    open(path_of(given).as_ref(), APPENDING, 0)
}

/// Opens a file that we have open a second time, for reading and, if `write` says so, for writing where it is
/// and not at its end.
///
/// # Errors
/// What `man 2 open` lists: EACCES where we may only write, EPERM where we may only append; `NotFound`
/// without /proc.
pub fn open_again(file: &File, write: bool) -> io::Result<File> {
    let access = if write { libc::O_RDWR } else { libc::O_RDONLY };
    open(path_of(file).as_ref(), access, 0)
}

/// Opens what stands at a path as [`open_again`] does. Does not wait, whatever it is.
///
/// # Errors
/// What `man 2 open` lists.
pub fn open_to_look_at(target: &Target, write: bool) -> io::Result<File> {
    let access = if write { libc::O_RDWR } else { libc::O_RDONLY };
    let flags = access | libc::O_NONBLOCK | libc::O_NOCTTY | target.flags;
    open(&target.path, flags, 0)
}

/// A path that leads to the file that is open, whatever other names it has.
pub(super) fn path_of(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What a link that only the kernel makes leads to, held without opening it for anything: works for a socket
/// as well.
///
/// # Errors
/// What `man 2 open` lists.
pub fn pin_followed(target: &Target) -> io::Result<File> {
    open(&target.path, libc::O_PATH, 0)
}

/// Where the next write to a file goes, in bytes from its beginning: its end if it is open for appending.
///
/// # Errors
/// What `man 2 fcntl` and `man 2 lseek` list.
pub fn write_position(file: &File) -> io::Result<u64> {
    // SAFETY: F_GETFL takes no argument.
    let flags = cvt(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    if flags & libc::O_APPEND != 0 {
        return Ok(file.metadata()?.len());
    }
    seek(file, 0, libc::SEEK_CUR)
}

/// Where a file's first data at or after `from` begin, holes left out; `None` if none follow. Where the file
/// system knows of no holes, all is data.
///
/// # Errors
/// What `man 2 lseek` lists under SEEK_DATA.
pub fn next_data(file: &File, from: u64) -> io::Result<Option<u64>> {
    let offset = libc::off_t::try_from(from).map_err(io::Error::other)?;
    match seek(file, offset, libc::SEEK_DATA) {
        Ok(at) => Ok(Some(at)),
        Err(e) if e.raw_os_error() == Some(libc::ENXIO) => Ok(None),
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(Some(from)),
        Err(e) => Err(e),
    }
}

fn seek(file: &File, offset: libc::off_t, whence: libc::c_int) -> io::Result<u64> {
    // SAFETY: lseek takes only numbers, and reports what it refuses.
    let at = unsafe { libc::lseek(file.as_raw_fd(), offset, whence) };
    u64::try_from(at).map_err(|_| io::Error::last_os_error())
}

/// Sees to it that a write of so many bytes at `from` finds room. The file becomes longer, if need be, by NULs.
///
/// # Errors
/// ENOSPC, EDQUOT and EFBIG; `Unsupported` where the file system cannot tell beforehand (`man 2 fallocate`).
pub fn reserve(file: &File, from: u64, bytes: usize) -> io::Result<()> {
    let from = libc::off_t::try_from(from).map_err(io::Error::other)?;
    let bytes = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: fallocate takes only numbers; mode 0 changes no byte that is there.
    cvt(unsafe { libc::fallocate(file.as_raw_fd(), 0, from, bytes) })?;
    Ok(())
}

/// Tells whether a standard descriptor was closed when the program began: std puts /dev/null there, open for both
/// (`std::rt`), where a shell's redirection opens it for writing only.
///
/// # Errors
/// None on an open descriptor.
pub fn is_closed_standard(file: &File, metadata: &Metadata) -> io::Result<bool> {
    // SAFETY: F_GETFL takes no argument.
    let flags = cvt(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) })?;
    Ok(is_null(metadata) && flags & libc::O_ACCMODE == libc::O_RDWR)
}

/// As Documentation/admin-guide/devices.txt of the kernel has it.
fn is_null(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == libc::makedev(1, 3)
}

/// Tells whether lines for a person may stand among records here: a terminal, or /dev/null.
pub fn is_for_people(file: &File, metadata: &Metadata) -> bool {
    use std::io::IsTerminal;
    is_null(metadata) || (metadata.file_type().is_char_device() && file.is_terminal())
}
