//! What the two kinds of Unix socket share: addresses, binding in place of a stale socket, connecting.

use super::BindOptions;
use super::bound_path::{Aside, BoundPath, lock_folder_of};
use super::reason::Reason;
use crate::sys;
use log::info;
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest path or abstract name: `sun_path` has 108 bytes, one of which is the NUL after a path or
/// before a name (`man 7 unix`).
const ADDRESS_BYTES_MAX: usize = 107;

/// Where a Unix socket is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnixAddress {
    /// A path in the file system.
    Path(PathBuf),
    /// A name in the abstract namespace of Linux, which has no permissions and leaves no file.
    Abstract(String),
}

impl UnixAddress {
    /// The address in the form that the kernel takes.
    pub(super) fn to_sock_addr(&self) -> io::Result<SockAddr> {
        match self {
            Self::Path(path) => SockAddr::unix(path),
            // Linux takes a leading NUL for the mark of an abstract name.
            Self::Abstract(name) => SockAddr::unix(format!("\0{name}")),
        }
    }
}

impl FromStr for UnixAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.strip_prefix('@');
        let bytes = name.unwrap_or(text).len();
        if bytes > ADDRESS_BYTES_MAX {
            return Err(format!(
                "'{text}' has {bytes} bytes, and a Unix socket's address at most {ADDRESS_BYTES_MAX}; use a shorter path"
            ));
        }
        match name {
            Some("") => Err("'@' names no address".to_owned()),
            Some(name) => Ok(Self::Abstract(name.to_owned())),
            None => Ok(Self::Path(text.into())),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

/// Binds a new socket of this type, in place of a stale one if need be, and calls `complete`, before
/// which it must not be taken for stale.
///
/// # Errors
/// When the path is something else than a socket, or a live one, and what `man 2 bind`, `man 2 rename` and
/// `man 2 chown` list.
pub(super) fn bind(
    kind: Type,
    address: &UnixAddress,
    options: &BindOptions,
    complete: impl FnOnce(&Socket) -> io::Result<()>,
) -> Result<(Socket, Option<BoundPath>), Reason> {
    let socket = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
    if options.is_rehearsal && kind == Type::DGRAM {
        // What is sent there from the bind on would be taken, and lost.
        socket.shutdown(Shutdown::Read)?;
    }
    let complete = |socket: &Socket| {
        if options.is_rehearsal {
            Ok(())
        } else {
            complete(socket)
        }
    };
    let sock_addr = address.to_sock_addr()?;
    let UnixAddress::Path(path) = address else {
        socket.bind(&sock_addr)?;
        complete(&socket)?;
        return Ok((socket, None));
    };
    let _lock = lock_folder_of(path, options.lock_tries);
    // A socket's path gets 0777 less the umask (`unix_bind_bsd` in the kernel's net/unix), so that
    // this umask gives it its permissions from the first moment on.
    let mask = 0o777 & !options.first_mode();
    let bind = || sys::with_umask(mask, || socket.bind(&sock_addr));
    let mut aside = None;
    match bind() {
        Err(e) if e.kind() == ErrorKind::AddrInUse => {
            aside = Some(move_stale_aside(kind, path)?);
            bind()?;
        }
        result => result?,
    }
    // From here on, to drop it is to take back what was made.
    let bound = BoundPath::socket(path, aside)?;
    bound.hand_over(options)?;
    complete(&socket)?;
    Ok((socket, Some(bound)))
}

/// Makes way at the path of a socket that nobody has open.
fn move_stale_aside(kind: Type, path: &Path) -> Result<Aside, Reason> {
    let stale = stale(kind, path)?;
    let aside = Aside::new(path, &stale)?;
    info!(
        "replacing {}: no process listens there any more",
        path.display()
    );
    Ok(aside)
}

/// Makes sure that `path` is a socket which nobody has open, and pins it.
fn stale(kind: Type, path: &Path) -> Result<File, Reason> {
    let pin = sys::pin(path)?;
    if !pin.metadata()?.file_type().is_socket() {
        return Err(Reason::new("the path exists and is not a socket")
            .advise("remove it or choose another path"));
    }
    let probe = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
    match probe.connect(&SockAddr::unix(path)?) {
        Err(e) if e.kind() == ErrorKind::ConnectionRefused => Ok(pin),
        // A full backlog or a socket of the other type is alive as well.
        Ok(()) => Err(Reason::in_use()),
        Err(e) if e.kind() == ErrorKind::WouldBlock || sys::is_other_socket_type(&e) => {
            Err(Reason::in_use())
        }
        Err(e) => Err(e.into()),
    }
}

/// Connects a producer.
pub(super) fn connect(kind: Type, address: &UnixAddress) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.connect(&address.to_sock_addr()?).map_err(|e| {
        let is_no_socket = matches!(address, UnixAddress::Path(path)
            if path.metadata().is_ok_and(|found| !found.file_type().is_socket()));
        if is_no_socket {
            io::Error::other("the path is not a socket")
        } else {
            e
        }
    })?;
    Ok(socket.into())
}
