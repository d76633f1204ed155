//! A service manager as `man 3 sd_listen_fds` has it: opens a FIFO as the descriptor 3, and becomes the daemon.

use log_aggregator::error::Error;
use log_aggregator::sys::set_pipe_size;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::close;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first that is passed.
const FIRST: i32 = 3;

/// What is passed to whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The FIFO, which is there.
    pub fifo: PathBuf,
    /// What its pipe shall hold.
    pub pipe_bytes: usize,
    /// The daemon.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Opens, and becomes the daemon, with this process's number.
///
/// # Errors
/// When the FIFO cannot be had like this, or the daemon does not start.
pub fn run(order: &Handover) -> Result<(), Error> {
    let fifo = open(&order.fifo, order.pipe_bytes)?;
    let mut command = Command::new(&order.program);
    command.args(&order.arguments).env("LISTEN_FDS", "1");
    command.env("LISTEN_PID", std::process::id().to_string());
    let failed = command.exec();
    drop(fifo);
    Err(Error::new("run", order.program.display(), failed))
}

/// For reading and writing, as a service manager does it, so that it has a reader before there is a daemon.
fn open(path: &Path, bytes: usize) -> Result<File, Error> {
    let failed = |e: &dyn std::fmt::Display| Error::new("open", path.display(), e);
    let _ = close(FIRST); // whatever whoever started us has left open there
    let fifo = OpenOptions::new().read(true).write(true).open(path);
    let fifo = fifo.map_err(|e| failed(&e))?;
    if fifo.as_raw_fd() != FIRST {
        return Err(failed(&format_args!(
            "it became descriptor {} and not {FIRST}",
            fifo.as_raw_fd()
        )));
    }
    let got = set_pipe_size(fifo.as_fd(), bytes).map_err(|e| failed(&e))?;
    if got != bytes {
        return Err(failed(&format_args!(
            "its pipe holds {got} bytes, not {bytes}"
        )));
    }
    fcntl(&fifo, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|e| failed(&e))?;
    Ok(fifo)
}
