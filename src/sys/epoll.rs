//! Level-triggered registration, which mio does not offer.

use super::cvt;
use mio::{Registry, Token};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Has the event loop report a descriptor for as long as there is something to read, or the other end has hung up.
///
/// mio registers edge-triggered (EPOLLET): what a read leaves in the kernel is never reported again. The kernel ends
/// reads early for reasons that no reader sees (credentials, passed descriptors, urgent data, packets of a pipe), so
/// that a reader who trusts a short read waits for ever, and one who does not pays for a second read. With
/// level-triggered epoll the next wait itself looks (`ep_send_events` in the kernel's fs/eventpoll.c): it costs no call.
///
/// # Errors
/// What `man 2 epoll_ctl` lists: ENOSPC above `fs.epoll.max_user_watches`, ENOMEM, EPERM.
pub fn watch_level(registry: &Registry, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: (libc::EPOLLIN | libc::EPOLLRDHUP).cast_unsigned(),
        u64: token.0 as u64,
    };
    let mut control = |operation| {
        // SAFETY: both descriptors are open; `event` outlives the call, which only reads it. mio takes the number in it
        // for the token (`sys/unix/selector/epoll.rs` of mio).
        cvt(unsafe {
            libc::epoll_ctl(
                registry.as_raw_fd(),
                operation,
                fd.as_raw_fd(),
                &raw mut event,
            )
        })
        .map(drop)
    };
    match control(libc::EPOLL_CTL_ADD) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => control(libc::EPOLL_CTL_MOD),
        result => result,
    }
}
