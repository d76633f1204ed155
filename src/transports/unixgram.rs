//! Unix datagram sockets: bind.

use super::Transport;
use super::datagram::DatagramSource;
use super::reason::Reason;
use super::unix_path::{self, OwnedPath, UnixAddress};
use socket2::Type;

/// SO_RCVBUF is not set: it has no effect on a Unix socket (`man 7 unix`). How many datagrams wait
/// is `net.unix.max_dgram_qlen`, and whoever sends one more waits itself.
pub(super) fn bind(
    address: &UnixAddress,
    mode: u32,
) -> Result<(DatagramSource, Option<OwnedPath>), Reason> {
    let (socket, path) = unix_path::bind(Type::DGRAM, address, mode, |_| Ok(()))?;
    Ok((DatagramSource::new(socket, Transport::Unixgram), path))
}
