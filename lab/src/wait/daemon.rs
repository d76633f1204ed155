//! The daemon of a cell, in a folder of its own.

use super::cell::{Buffer, Cell};
use super::manager::Handover;
use super::role;
use crate::programs::{Daemon, Programs};
use log_aggregator::error::Error;
use log_aggregator::sys::{self, make_fifo};
use log_aggregator::transports::Transport;
use nix::unistd::geteuid;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether the daemon waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// As the load suggests: the default.
    Auto,
    /// Never.
    Zero,
}

impl Wait {
    /// The argument of `--linger`.
    fn argument(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Zero => "0",
        }
    }
}

const PIPE_MAX_SIZE: &str = "/proc/sys/fs/pipe-max-size";

/// The user and the group that the daemon gets where root would be refused nothing: nobody.
pub const NOBODY: u32 = 65_534;

/// The largest pipe that a user without privileges gets.
pub fn pipe_bytes_max() -> usize {
    sys::number_in(PIPE_MAX_SIZE).unwrap_or(1 << 20)
}

/// Starts it in an empty folder, and returns when it is ready.
///
/// # Errors
/// When it does not start; it has said why.
pub fn start(programs: &Programs, cell: &Cell, wait: Wait, folder: &Path) -> Result<Daemon, Error> {
    let output = folder.join("records.jsonl");
    let mut arguments = vec!["--linger".to_owned(), wait.argument().to_owned()];
    arguments.extend(["--output".to_owned(), output.display().to_string()]);
    if let Some(bytes) = buffer(cell.buffer) {
        arguments.extend(["--buffer".to_owned(), bytes.to_string()]);
    }
    for transport in cell.transports() {
        let is_inherited = matches!(cell.buffer, Buffer::Inherited(_));
        if !(is_inherited && transport == Transport::Fifo) {
            let address = address(transport, folder);
            arguments.extend(["--ipc".to_owned(), format!("{transport}={address}")]);
        }
    }
    let command = match cell.buffer {
        Buffer::Inherited(bytes) => inheriting(programs, bytes, arguments, folder)?,
        Buffer::Refused => refused(programs, &arguments, folder)?,
        Buffer::Usual | Buffer::Bytes(_) => {
            let mut command = programs.command("aggregator");
            command.args(arguments);
            command
        }
    };
    Daemon::start(command, output)
}

fn buffer(buffer: Buffer) -> Option<usize> {
    match buffer {
        Buffer::Usual | Buffer::Inherited(_) => None,
        Buffer::Bytes(bytes) => usize::try_from(bytes).ok(),
        Buffer::Refused => Some(2 * pipe_bytes_max()),
    }
}

fn address(transport: Transport, folder: &Path) -> String {
    match transport {
        Transport::Tcp | Transport::Udp => "127.0.0.1:0".to_owned(),
        _ => folder.join(transport.name()).display().to_string(),
    }
}

/// One that a service manager gives a FIFO to.
fn inheriting(
    programs: &Programs,
    bytes: u32,
    arguments: Vec<String>,
    folder: &Path,
) -> Result<Command, Error> {
    let fifo = folder.join(Transport::Fifo.name());
    make_fifo(&fifo, 0o600).map_err(|e| Error::new("create", fifo.display(), e))?;
    let mut command = role::manager(&Handover {
        fifo,
        pipe_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        program: programs.path("aggregator"),
        arguments,
    })?;
    command.env_remove("LD_LIBRARY_PATH"); // as all daemons
    Ok(command)
}

/// One that asks for more than it gets. It says so each time, which is no news here.
fn refused(programs: &Programs, arguments: &[String], folder: &Path) -> Result<Command, Error> {
    let mut command = programs.command("aggregator");
    command.args(arguments).stderr(Stdio::null());
    if geteuid().is_root() {
        chown(folder, Some(NOBODY), Some(NOBODY))
            .map_err(|e| Error::new("hand over", folder.display(), e))?;
        command.uid(NOBODY).gid(NOBODY);
    }
    Ok(command)
}
