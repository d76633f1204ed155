//! The records of a sender: JSON objects of one exact size, no two alike.

/// The shortest: `{"a":"0000000"}` and its newline.
pub const BYTES_MIN: usize = 16;

/// Where its group stands in a record: the one letter of its key.
pub const GROUP_AT: usize = 2;

/// The group letters, in their order.
pub const GROUPS: [u8; 2] = *b"ab";

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Where the number begins, and its digits: 10 bits for the sender, 32 for the counter.
const NUMBER_AT: usize = 6;
const NUMBER_DIGITS: usize = 7;
const COUNTER_BITS: u32 = 32;

/// One record after the other, in one place.
#[derive(Debug)]
pub struct Records {
    bytes: Vec<u8>,
    number: u64,
}

impl Records {
    /// Those of a sender of a group, each of so many bytes (at least [`BYTES_MIN`]) with its newline.
    pub fn new(group: u8, sender: u32, size: usize) -> Self {
        let mut bytes = b"{\"?\":\"0000000".to_vec();
        bytes[GROUP_AT] = group;
        let filler = (b'A'..=b'Z').cycle();
        bytes.extend(filler.take(size.saturating_sub(BYTES_MIN)));
        bytes.extend(b"\"}\n");
        Self {
            bytes,
            number: u64::from(sender) << COUNTER_BITS,
        }
    }

    /// The next one.
    pub fn next(&mut self) -> &[u8] {
        let mut rest = self.number;
        for digit in self.bytes[NUMBER_AT..NUMBER_AT + NUMBER_DIGITS]
            .iter_mut()
            .rev()
        {
            *digit = DIGITS[(rest & 63) as usize];
            rest >>= 6;
        }
        self.number += 1;
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn records_are_objects_of_the_size_and_never_the_same() {
        let mut seen = BTreeSet::new();
        for size in [16, 17, 197, 65_536] {
            for (group, sender) in [(b'a', 0), (b'a', 99), (b'b', 99)] {
                let mut records = Records::new(group, sender, size);
                for _ in 0..100 {
                    let record = records.next();
                    assert_eq!((record.len(), record[GROUP_AT]), (size, group));
                    assert!(record.ends_with(b"}\n"));
                    serde_json::from_slice::<serde_json::Value>(record).unwrap();
                    assert!(seen.insert(record.to_vec()));
                }
            }
        }
    }
}
