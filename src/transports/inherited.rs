//! Sockets and FIFOs that a service manager opened: what they are, and where.

use super::datagram::DatagramSource;
use super::fifo::FifoSource;
use super::listener::Listener;
use super::reason::Reason;
use super::{Bound, Endpoint, Transport, UnixAddress};
use crate::claim::{self, Claim, NoClaim};
use crate::error::Error;
use crate::sys;
use log::{debug, warn};
use socket2::{SockAddr, SockRef, Socket, Type};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Makes an endpoint of a descriptor that was opened for us.
///
/// It stays its owner's: we set nothing on it but that it does not block, and when we stop, we leave it and
/// what is queued there as they are, for our successor.
///
/// # Errors
/// When it is none of the five mechanisms, or has no name.
pub fn adopt(fd: OwnedFd, record_bytes_max: usize) -> Result<Bound, Error> {
    let number = fd.as_raw_fd();
    let bound = match fs::metadata(own_path(&fd)).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_fifo() => fifo(fd, record_bytes_max),
        Ok(kind) if kind.is_socket() => socket(fd),
        Ok(_) => Err(none_of_ours()),
        Err(e) => Err(e.into()),
    };
    bound.map_err(|reason| reason.of("serve", format_args!("the inherited descriptor {number}")))
}

fn none_of_ours() -> Reason {
    Reason::new("it is none of unixsock, tcp, unixgram, udp, fifo").advise("pass another one")
}

/// Where the kernel shows it, with the path by which it was opened (`man 5 proc`, /proc/pid/fd).
fn own_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn fifo(fd: OwnedFd, record_bytes_max: usize) -> Result<Bound, Reason> {
    let path = fs::read_link(own_path(&fd))?;
    if !sys::is_readable(fd.as_fd())? {
        return Err(Reason::new("it is not open for reading").advise("pass its read end"));
    }
    let reader = File::from(fd);
    let claim = claim(&reader, &path);
    let source = FifoSource::inherited(reader, claim, record_bytes_max);
    Ok(bound(source, Endpoint::Fifo(path)))
}

/// Claims a FIFO, so that a daemon is told which would open it by its path. Whoever passed it to us has the say: it is
/// served in any case.
fn claim(reader: &File, path: &Path) -> Option<Claim> {
    let target = sys::follow_own_links(path).ok()?;
    // Not one that is gone from there, nor one without a name.
    if !sys::is_still(&target.path, reader) {
        return None;
    }
    match Claim::take(&target, claim::TRIES_AT_START, || false) {
        Ok(claim) => return Some(claim),
        Err(NoClaim::Taken) => warn!(
            "fifo={}: another daemon reads it as well, and each gets some of the records; stop one of them",
            path.display()
        ),
        Err(NoClaim::Unknowable(reason)) => debug!("fifo={}: {reason}", path.display()),
    }
    None
}

fn socket(fd: OwnedFd) -> Result<Bound, Reason> {
    let socket = SockRef::from(&fd);
    let (kind, address) = (socket.r#type()?, socket.local_addr()?);
    let is_listening = socket.is_listener()?;
    let is_unix = address.is_unix();
    match (is_unix, kind, is_listening) {
        (true, Type::STREAM, true) => {
            let endpoint = Endpoint::Unixsock(unix_address(&address)?);
            Ok(bound(Listener::new(fd, Transport::Unixsock), endpoint))
        }
        (false, Type::STREAM, true) => {
            let endpoint = address.as_socket().map(Endpoint::Tcp);
            let has_keepalive = socket.keepalive()?;
            let mut listener = Listener::new(fd, Transport::Tcp);
            listener.set_keepalive(!has_keepalive);
            Ok(bound(listener, endpoint.ok_or_else(no_name)?))
        }
        (true, Type::DGRAM, _) => {
            let endpoint = Endpoint::Unixgram(unix_address(&address)?);
            Ok(bound(
                DatagramSource::new(Socket::from(fd), Transport::Unixgram),
                endpoint,
            ))
        }
        (false, Type::DGRAM, _) => {
            let endpoint = address.as_socket().map(Endpoint::Udp);
            let mut source = DatagramSource::new(Socket::from(fd), Transport::Udp);
            source.forget_drops();
            Ok(bound(source, endpoint.ok_or_else(no_name)?))
        }
        (_, Type::STREAM, false) => Err(Reason::new("it is a stream socket that does not listen")
            .advise("have the service manager pass the listening one (Accept=no)")),
        _ => Err(none_of_ours()),
    }
}

fn unix_address(address: &SockAddr) -> Result<UnixAddress, Reason> {
    if let Some(path) = address.as_pathname() {
        return Ok(UnixAddress::Path(path.to_owned()));
    }
    let name = address.as_abstract_namespace().ok_or_else(no_name)?;
    Ok(UnixAddress::Abstract(
        String::from_utf8_lossy(name).into_owned(),
    ))
}

fn no_name() -> Reason {
    Reason::new("it has no address").advise("have it bound before it is passed")
}

fn bound(source: impl Into<super::Source>, endpoint: Endpoint) -> Bound {
    Bound {
        source: source.into(),
        endpoint,
        path: None,
        is_inherited: true,
    }
}
