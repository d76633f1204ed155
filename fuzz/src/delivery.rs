//! How a fuzzer's bytes tell what is sent, and how it arrives.

use log_aggregator::framing::LineFramer;

/// A source's whole input, and how it is cut on its way.
#[derive(Debug)]
pub struct Delivery<'a> {
    pub is_datagram: bool,
    pub is_stamping: bool,
    /// Whether a stream is one sender's own.
    pub is_connection: bool,
    /// How much of what comes out the output takes: 256ths, less one.
    pub taken: usize,
    /// Longest line.
    pub max: usize,
    /// How many bytes a datagram had beyond those that were received.
    pub cut: usize,
    /// Sizes of the chunks in which a stream arrives, over and over.
    chunks: Vec<usize>,
    pub input: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// Five bytes for what is fixed, the last of which counts the chunk sizes that follow; the rest is
    /// the input.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (&[flags, taken, max, cut, count], rest) = bytes.split_first_chunk()?;
        let (chunks, input) = rest.split_at_checked(usize::from(count % 16))?;
        Some(Self {
            is_datagram: flags & 1 != 0,
            is_stamping: flags & 2 != 0,
            is_connection: flags & 4 != 0,
            taken: taken.into(),
            max: size(max),
            cut: size(cut),
            chunks: chunks.iter().copied().map(size).collect(),
            input,
        })
    }

    /// The framer of such a stream.
    pub fn framer(&self) -> LineFramer {
        if self.is_connection {
            LineFramer::of_connection(self.max)
        } else {
            LineFramer::new(self.max)
        }
    }

    /// The chunks of a stream, in order of arrival. Some may be empty.
    pub fn chunks(&self) -> Vec<&'a [u8]> {
        let mut rest = self.input;
        if self.chunks.iter().all(|&bytes| bytes == 0) {
            return vec![rest];
        }
        let mut sizes = self.chunks.iter().cycle();
        let mut chunks = Vec::new();
        while let (false, Some(bytes)) = (rest.is_empty(), sizes.next()) {
            let (chunk, after) = rest.split_at(rest.len().min(*bytes));
            chunks.push(chunk);
            rest = after;
        }
        chunks
    }
}

/// Every small size, and some large ones.
fn size(byte: u8) -> usize {
    match byte {
        0..=127 => byte.into(),
        _ => 1 << (byte % 16),
    }
}
