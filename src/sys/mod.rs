//! The only door to libc, and the only `unsafe`: what neither std, mio nor socket2 offers.
//!
//! Every function returns owned descriptors, plain numbers or [`io::Error`]; no raw descriptor and
//! no pointer leaves this module. Each `unsafe` block states the fact that it relies on.

mod accept;
pub mod block;
mod clock;
mod datagrams;
mod epoll;
pub mod errno;
mod files;
mod inherited;
mod inotify;
mod links;
mod locks;
mod output;
pub mod probes;
mod process;
mod signals;
mod sockets;
mod unwaiting;
mod wait;

pub use accept::{accept, accept_plainly, is_lacking};
pub use clock::{Stamp, monotonic_ns, pause, sleep_until, unix_seconds};
pub use datagrams::{DATAGRAM_BYTES_MAX, DatagramRing};
pub use epoll::watch_level;
pub use files::{
    NonBlocking, PIPE_BUF, allow_blocking, check_folder_of, check_readable, check_writable,
    folder_of, make_fifo, number_in, open_fifo_reader, open_fifo_writer, open_read_end_of,
    open_write_end_of, pin, pipe_size, rename_without_replacing, set_length, set_mode,
    set_pipe_size, sync, with_umask,
};
pub use inherited::{is_readable, take_inherited};
pub use inotify::PathWatch;
pub use links::{Target, follow_own_links, set_owner};
pub use locks::{effective_user, is_locked, is_still, make_lock_file, open_lock_file};
pub use output::{
    check_changeable, check_renamable, create_output_like, is_closed_standard, is_for_people,
    make_output, next_data, open_again, open_output, open_to_look_at, pin_followed, reopen_given,
    reserve, write_position,
};
pub use process::{
    Arguments, ignore_sigpipe, raise_descriptor_limit, raw_stderr, raw_stdin, raw_stdout,
    set_least_timer_slack,
};
pub use signals::{Request, Signals};
pub use sockets::{
    ReceiveQueue, force_receive_buffer, receive_queue, send_without_waiting, unacknowledged_bytes,
};
pub use unwaiting::Unwaiting;
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

/// Tells whether a file that is open is no longer known to its file system: a FUSE mount that has ended, a stale NFS
/// handle.
pub fn is_file_gone(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOTCONN | libc::ESTALE | libc::ENODEV)
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
