//! Unix datagram sockets: bind.

use super::bound_path::BoundPath;
use super::datagram::DatagramSource;
use super::reason::Reason;
use super::unix_path::{self, UnixAddress};
use super::{BindOptions, Transport};
use socket2::Type;

/// SO_RCVBUF is not set: it has no effect on a Unix socket (`man 7 unix`). How many datagrams wait
/// is `net.unix.max_dgram_qlen`, and whoever sends one more waits itself.
pub(super) fn bind(
    address: &UnixAddress,
    options: &BindOptions,
) -> Result<(DatagramSource, Option<BoundPath>), Reason> {
    let (socket, path) = unix_path::bind(Type::DGRAM, address, options, |_| Ok(()))?;
    Ok((DatagramSource::new(socket, Transport::Unixgram), path))
}
