//! The only door to libc, and the only `unsafe`: what neither std, mio nor socket2 offers.
//!
//! Every function returns owned descriptors, plain numbers or [`io::Error`]; no raw descriptor and
//! no pointer leaves this module. Each `unsafe` block states the fact that it relies on.

pub mod block;
mod clock;
mod datagrams;
mod files;
mod inherited;
mod inotify;
mod links;
mod locks;
pub mod probes;
mod process;
mod signals;
mod sockets;
mod wait;

pub use clock::{Stamp, monotonic_ns, sleep_until, unix_seconds};
pub use datagrams::{DATAGRAM_BYTES_MAX, DatagramRing};
pub use files::{
    NonBlocking, PIPE_BUF, allow_blocking, check_folder_of, folder_of, make_fifo, open_again,
    open_fifo_reader, open_fifo_writer, open_output, open_read_end_of, open_write_end_of, pin,
    pipe_size, reopen_stdout, set_mode, set_pipe_size, with_umask,
};
pub use inherited::{is_readable, take_inherited};
pub use inotify::PathWatch;
pub use links::{Target, follow_own_links, set_owner};
pub use locks::{effective_user, is_locked, is_still, make_lock_file, open_lock_file};
pub use process::{
    ignore_sigpipe, ignore_sigxfsz, raise_descriptor_limit, raw_stdin, raw_stdout,
    set_least_timer_slack,
};
pub use signals::{Request, Signals};
pub use sockets::{
    dropped_datagrams, force_receive_buffer, send_without_waiting, tcp_segments_received,
    unacknowledged_bytes,
};
pub use wait::wait_for_inputs_or_output;

use std::io;

/// Turns the -1 of a libc call into the error that it left in `errno`.
fn cvt(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Tells whether an accept failed because this process has no descriptor left. The connection is
/// still in the backlog (`man 2 accept`).
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMFILE)
}

/// Tells whether an accept failed because the machine has no descriptor or memory left. The
/// connection is still in the backlog (`man 2 accept`).
pub fn is_out_of_system_resources(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

/// Tells whether a write to a regular file failed for a reason that may pass: a full disk or quota, a
/// file that has reached its size limit, a device's error, a file system that has become read-only.
pub fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG | libc::EIO | libc::EROFS)
    )
}

/// Tells whether opening a FIFO for writing failed because no process reads it (`man 7 fifo`).
pub fn is_no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENXIO)
}

/// Tells whether a send failed because the record is longer than the socket can carry whole.
pub fn is_message_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}

/// Tells whether connecting failed because the path belongs to a live socket of another type.
pub fn is_other_socket_type(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EPROTOTYPE)
}
