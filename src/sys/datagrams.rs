//! Many datagrams with one `recvmmsg(2)`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Most datagrams that one call brings.
const DATAGRAMS_MAX: libc::c_uint = 64;

/// Room for one datagram: the largest UDP datagram is 65,507 bytes, the largest IP packet 65,535.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Distance between two datagrams' buffers: whole pages, so that a short datagram touches one.
const SLOT_BYTES: usize = 65_536;

/// The buffers that `recvmmsg(2)` fills.
///
/// 4 MiB of address space, of which the kernel provides only the pages that datagrams have touched:
/// 256 KiB as long as none is longer than a page.
pub struct DatagramRing {
    /// What the kernel fills: one header for each datagram. Each points to the `iovec` of the same
    /// index, and that to the slot of the same index. None of the three is ever resized or lent out
    /// mutably, so the pointers hold for as long as the ring lives. They are `Vec`s because a `Box`
    /// promises the compiler that nothing else points into it.
    headers: Vec<libc::mmsghdr>,
    /// Only read by the kernel, through `headers`.
    _vectors: Vec<libc::iovec>,
    slots: Vec<u8>,
}

impl std::fmt::Debug for DatagramRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatagramRing").finish_non_exhaustive()
    }
}

impl Default for DatagramRing {
    fn default() -> Self {
        Self::new()
    }
}

impl DatagramRing {
    /// Most datagrams that one [`receive`](Self::receive) brings.
    pub const CAPACITY: usize = DATAGRAMS_MAX as usize;

    /// Never wait, and tell a datagram's true length (`man 2 recv`).
    const FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_TRUNC;

    /// Makes the buffers.
    pub fn new() -> Self {
        let mut slots = vec![0_u8; Self::CAPACITY * SLOT_BYTES];
        let first_slot = slots.as_mut_ptr();
        let mut vectors: Vec<libc::iovec> = (0..Self::CAPACITY)
            .map(|index| libc::iovec {
                iov_base: first_slot.wrapping_add(index * SLOT_BYTES).cast(),
                iov_len: DATAGRAM_BYTES_MAX,
            })
            .collect();
        let first_vector = vectors.as_mut_ptr();
        let headers = (0..Self::CAPACITY)
            .map(|index| {
                // SAFETY: mmsghdr is a C struct of integers and pointers, all valid as zeros; a null
                // name and control buffer of length 0 mean that neither is asked for
                // (`man 2 recvmsg`).
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_iov = first_vector.wrapping_add(index);
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        Self {
            headers,
            _vectors: vectors,
            slots,
        }
    }

    /// Receives what is queued on `socket`, at most [`Self::CAPACITY`] datagrams; never blocks.
    ///
    /// Fewer than that means that the queue is empty, or that an error waits: the call goes on until it would block
    /// (`do_recvmmsg` in the kernel's net/socket.c).
    ///
    /// # Errors
    /// `WouldBlock` when nothing is queued, `Interrupted`, or the socket's pending error.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: the headers, the vectors and the slots they point to live as long as `self`, which
        // is borrowed for the whole call; the kernel writes msg_len and msg_flags of each header and
        // at most DATAGRAM_BYTES_MAX bytes into each slot. The timeout may be null.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                DATAGRAMS_MAX,
                Self::FLAGS as _, // musl has them unsigned
                std::ptr::null_mut(),
            )
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    }

    /// The same with a `recvmsg(2)` for each datagram and one that finds nothing.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_one_by_one(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        for (index, header) in self.headers.iter_mut().enumerate() {
            // SAFETY: as above, for one header.
            let received =
                unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header.msg_hdr, Self::FLAGS) };
            match libc::c_uint::try_from(received) {
                Ok(bytes) => header.msg_len = bytes,
                Err(_) if index > 0 => return Ok(index),
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(Self::CAPACITY)
    }

    /// The `index`th datagram of the last [`receive`](Self::receive), and how many more bytes it had
    /// than there was room for: MSG_TRUNC makes the kernel tell the true length (`man 2 recv`).
    pub fn datagram(&self, index: usize) -> (&[u8], usize) {
        let sent = self.headers[index].msg_len as usize;
        let kept = sent.min(DATAGRAM_BYTES_MAX);
        (&self.slots[index * SLOT_BYTES..][..kept], sent - kept)
    }
}
