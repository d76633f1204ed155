//! Socket options that socket2 does not have.

use super::cvt;
use socket2::Socket;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// What a socket's receive queue holds, and what it has not held (SO_MEMINFO; `sk_get_meminfo` in the kernel's
/// net/core/sock.c, `SK_MEMINFO_*` in include/uapi/linux/sock_diag.h).
#[derive(Clone, Copy, Debug)]
pub struct ReceiveQueue {
    /// Memory in use, in bytes, with what the kernel needs for each datagram.
    used: u32,
    /// Memory that may be used: twice what was asked for as SO_RCVBUF (`man 7 socket`).
    limit: u32,
    /// How many datagrams were dropped since the socket was made because there was no room. It wraps.
    pub drops: u32,
}

impl ReceiveQueue {
    /// How full it is, from 0 to 1.
    pub fn fill(self) -> f64 {
        f64::from(self.used) / f64::from(self.limit.max(1))
    }
}

/// Asks for the state of a socket's receive queue.
///
/// # Errors
/// ENOPROTOOPT before Linux 4.12.
pub fn receive_queue(socket: BorrowedFd<'_>) -> io::Result<ReceiveQueue> {
    let mut info = [0_u32; 9];
    let mut length = length_of(&info);
    // SAFETY: `info` and `length` outlive the call; the kernel writes at most `length` bytes of u32
    // (`sk_getsockopt` in net/core/sock.c).
    cvt(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    })?;
    let [used, limit, _, _, _, _, _, _, drops] = info;
    Ok(ReceiveQueue { used, limit, drops })
}

/// Sets a socket's receive buffer above `net.core.rmem_max` (SO_RCVBUFFORCE, `man 7 socket`).
///
/// # Errors
/// EPERM without CAP_NET_ADMIN.
pub fn force_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: `bytes` outlives the call, which reads one int from it.
    cvt(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const bytes).cast(),
            length_of(&bytes),
        )
    })?;
    Ok(())
}

/// How many bytes that were written to a TCP socket its peer has not acknowledged (SIOCOUTQ, `man 7 tcp`).
/// It can be asked after a reset, too: only the bytes are gone by then, not the numbers (`tcp_reset` and
/// `tcp_ioctl` in the kernel's net/ipv4).
///
/// # Errors
/// EINVAL when it is no TCP connection.
pub fn unacknowledged_bytes(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: `bytes` outlives the call, which writes one int to it. SIOCOUTQ is the same number as
    // TIOCOUTQ (include/uapi/linux/sockios.h).
    cvt(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

/// Sends what fits and fails with `WouldBlock` when nothing does, whatever the descriptor's own
/// mode; a peer that is gone gives EPIPE and no signal.
///
/// # Errors
/// What `man 2 send` lists.
pub fn send_without_waiting(socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    socket.send_with_flags(bytes, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
}

#[allow(clippy::cast_possible_truncation)] // an option has a few bytes
fn length_of<T>(option: &T) -> libc::socklen_t {
    size_of_val(option) as libc::socklen_t
}
