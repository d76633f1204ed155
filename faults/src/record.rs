//! Records that are recognised wherever a daemon puts them in a line.
//!
//! The text is one JSON object, for daemons that want one. What tells the record lies within its string
//! and needs no escape in JSON, so a daemon that wraps or escapes the whole line does not hide it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

/// Makes each record 110 bytes or so.
const FILLING: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// A word that stands at both ends of each record of one measurement, and nowhere else.
#[derive(Debug, Clone)]
pub struct Marker(String);

/// Which record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id {
    pub sender: u16,
    pub sequence: u32,
}

impl Marker {
    /// One that no other measurement has.
    pub fn fresh() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let nanoseconds = time.unwrap_or_default().subsec_nanos();
        Self(format!("F{nanoseconds:08x}{count:04x}"))
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// From one marker to the other.
    fn core(&self, id: Id) -> String {
        let Self(marker) = self;
        format!(
            "{marker} {:03} {:08} {FILLING} {marker}",
            id.sender, id.sequence
        )
    }

    /// The record as it is sent, without a newline.
    pub fn record(&self, id: Id) -> Vec<u8> {
        format!("{{\"fault\":\"{}\"}}", self.core(id)).into_bytes()
    }

    /// The record of which `text` begins with the first marker, if all of it is there.
    pub fn recognise(&self, text: &[u8]) -> Option<(Id, usize)> {
        let number = |from: usize, len: usize| -> Option<u32> {
            let digits = std::str::from_utf8(text.get(from..from + len)?).ok()?;
            digits.parse().ok()
        };
        let after = self.0.len() + 1;
        let id = Id {
            sender: u16::try_from(number(after, 3)?).ok()?,
            sequence: number(after + 4, 8)?,
        };
        let core = self.core(id);
        text.starts_with(core.as_bytes())
            .then_some((id, core.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = Id {
        sender: 7,
        sequence: 1234,
    };

    #[test]
    fn a_record_is_one_json_object_and_is_recognised() {
        let marker = Marker::fresh();
        let record = marker.record(ID);
        serde_json::from_slice::<serde_json::Map<_, _>>(&record).unwrap();
        let start = memchr::memmem::find(&record, marker.bytes()).unwrap();
        let (id, len) = marker.recognise(&record[start..]).unwrap();
        assert_eq!(id, ID);
        assert!(record[start..][..len].ends_with(marker.bytes()));
    }

    #[test]
    fn a_record_of_which_a_byte_is_missing_or_changed_is_none() {
        let marker = Marker::fresh();
        let record = marker.record(ID);
        let start = memchr::memmem::find(&record, marker.bytes()).unwrap();
        let end = record.len() - 2;
        for cut in start..end {
            assert_eq!(marker.recognise(&record[start..cut]), None, "{cut}");
            let mut changed = record[start..end].to_vec();
            changed[cut - start] = b'~';
            assert_eq!(marker.recognise(&changed), None, "{cut}");
        }
        assert!(marker.recognise(&record[start..end]).is_some());
    }

    #[test]
    fn markers_differ() {
        assert_ne!(Marker::fresh().0, Marker::fresh().0);
    }
}
