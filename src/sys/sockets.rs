//! Socket options that socket2 does not have.

use super::cvt;
use socket2::Socket;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Index of the drop counter in what SO_MEMINFO returns (`SK_MEMINFO_DROPS` in the kernel's
/// include/uapi/linux/sock_diag.h).
const MEMINFO_DROPS: usize = 8;

/// How many datagrams the kernel has dropped because this socket's receive buffer was full, since
/// the socket was made. A counter of 32 bits, which wraps.
///
/// # Errors
/// ENOPROTOOPT before Linux 4.12.
pub fn dropped_datagrams(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0_u32; MEMINFO_DROPS + 1];
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
    Ok(info[MEMINFO_DROPS])
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

/// How many segments with data a TCP connection has received: packets, before the kernel puts them together. A counter
/// of 32 bits, which wraps (`tcpi_data_segs_in` of TCP_INFO, since Linux 4.6; include/uapi/linux/tcp.h).
///
/// # Errors
/// When it is no TCP socket.
pub fn tcp_segments_received(socket: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: tcp_info is a C struct of integers, valid as zeros; an older kernel leaves what it does not know.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = length_of(&info);
    // SAFETY: `info` and `length` outlive the call; the kernel writes at most `length` bytes (`do_tcp_getsockopt` in
    // net/ipv4/tcp.c).
    cvt(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    })?;
    Ok(info.tcpi_data_segs_in)
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
