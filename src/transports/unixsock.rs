//! Unix stream sockets: listen.

use super::Transport;
use super::bound_path::BoundPath;
use super::listener::Listener;
use super::reason::Reason;
use super::unix_path::{self, UnixAddress};
use super::{BACKLOG, BindOptions};
use socket2::Type;

pub(super) fn listen(
    address: &UnixAddress,
    options: &BindOptions,
) -> Result<(Listener, Option<BoundPath>), Reason> {
    let (socket, path) = unix_path::bind(Type::STREAM, address, options, |socket| {
        socket.listen(BACKLOG)
    })?;
    Ok((Listener::new(socket.into(), Transport::Unixsock), path))
}
