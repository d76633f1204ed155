//! How much a pipe holds: what was asked for, and what it has.

use super::BufferSize;
use crate::sys;
use log::{info, warn};
use std::fs::{self, File};
use std::os::fd::AsFd;

/// Where the kernel says how large a pipe may be made.
const PIPE_MAX_SIZE: &str = "/proc/sys/fs/pipe-max-size";

/// What the kernel gives a new pipe (`man 7 pipe`).
const PIPE_USUAL_SIZE: usize = 64 << 10;

/// Sets a pipe's capacity as asked for, and returns what it has then, in bytes. What cannot be had is said and done
/// without.
pub(super) fn set(reader: &File, buffer: BufferSize) -> usize {
    let bytes = match buffer {
        BufferSize::Default => None,
        BufferSize::Bytes(bytes) => Some(bytes),
        BufferSize::Max => fs::read_to_string(PIPE_MAX_SIZE)
            .ok()
            .and_then(|text| text.trim().parse().ok()),
    };
    match bytes.map(|bytes| (bytes, sys::set_pipe_size(reader.as_fd(), bytes))) {
        None => undo_plug(reader),
        Some((bytes, Ok(got))) => {
            info!("fifo: pipe of {got} bytes (asked for {bytes})");
            got
        }
        Some((bytes, Err(e))) => {
            let got = undo_plug(reader);
            warn!(
                "fifo: the pipe keeps a size of {got} bytes, {bytes} cannot be had: {e}; \
                 choose a smaller --buffer or raise fs.pipe-max-size"
            );
            got
        }
    }
}

/// What a pipe holds that is not ours to change, in bytes.
pub(super) fn of(reader: &File) -> usize {
    sys::pipe_size(reader.as_fd()).unwrap_or(PIPE_USUAL_SIZE)
}

/// Gives a pipe its usual size that a writer has kept since the stop of a daemon before us, and returns what
/// it has then.
fn undo_plug(reader: &File) -> usize {
    let bytes = of(reader);
    if bytes < PIPE_USUAL_SIZE {
        // It works as well without: a user who has too many pipes gets only small ones.
        return sys::set_pipe_size(reader.as_fd(), PIPE_USUAL_SIZE).unwrap_or(bytes);
    }
    bytes
}
