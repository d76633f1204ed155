//! Why a cell cannot be run here.

use super::cell::{Buffer, Cell};
use super::daemon::{NOBODY, pipe_bytes_max};
use crate::namespace;
use crate::programs::Programs;
use log_aggregator::sys::number_in;
use log_aggregator::transports::Transport;
use nix::unistd::geteuid;
use socket2::{Domain, Socket, Type};
use std::os::unix::process::CommandExt;
use std::process::Stdio;

const RMEM_MAX: &str = "/proc/sys/net/core/rmem_max";

/// What is in the way, in one line; nothing if it can be run.
pub fn of(cell: &Cell, programs: &Programs) -> Option<String> {
    let congestion = cell.groups.iter().filter_map(|group| group.congestion);
    congestion
        .filter_map(without_congestion)
        .next()
        .or_else(|| cell.qlen.and_then(|_| without_namespace()))
        .or_else(|| without_buffer(cell, programs))
}

fn without_namespace() -> Option<String> {
    let tried = std::thread::spawn(namespace::enter).join();
    let error = tried.ok()?.err()?;
    Some(format!("{error}"))
}

fn without_congestion(name: &str) -> Option<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
    let set = socket.and_then(|socket| socket.set_tcp_congestion(name.as_bytes()));
    let error = set.err()?;
    Some(format!(
        "cannot use TCP congestion control {name}: {error}; load its module (modprobe tcp_{name}), \
         or run it as root"
    ))
}

fn without_buffer(cell: &Cell, programs: &Programs) -> Option<String> {
    let is_root = geteuid().is_root();
    let is_fifo = cell.transports().contains(&Transport::Fifo);
    let beyond = |bytes: u32, most: usize| usize::try_from(bytes).is_ok_and(|it| it > most);
    match cell.buffer {
        Buffer::Refused if is_root => without_nobody(programs),
        Buffer::Bytes(bytes) | Buffer::Inherited(bytes) if !is_root => {
            let (name, most) = if is_fifo {
                ("fs.pipe-max-size", pipe_bytes_max())
            } else {
                let most = number_in(RMEM_MAX).unwrap_or(usize::MAX);
                ("net.core.rmem_max", most)
            };
            beyond(bytes, most).then(|| {
                format!(
                    "cannot have a buffer of {bytes} bytes: {name} is {most}; run it as root, or raise it"
                )
            })
        }
        _ => None,
    }
}

/// Root is refused nothing, so another user has to be able to run the daemon.
fn without_nobody(programs: &Programs) -> Option<String> {
    let mut command = programs.command("aggregator");
    command.arg("--version").uid(NOBODY).gid(NOBODY);
    let status = command.stdout(Stdio::null()).status();
    let reason = match status {
        Ok(status) if status.success() => return None,
        Ok(status) => status.to_string(),
        Err(e) => e.to_string(),
    };
    Some(format!(
        "cannot run the daemon as user {NOBODY}: {reason}; put the programs where every user may run them"
    ))
}
