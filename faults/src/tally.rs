//! What of the records that were sent stands in the output.

use crate::record::{Id, Marker};
use memchr::memmem;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The counts for one measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often each record is there, for each sender.
    seen: Vec<Vec<u32>>,
    /// Lines with parts of records, but not just one whole record.
    pub corrupt: u64,
    /// Lines that the daemon itself marks as incomplete.
    pub marked: u64,
}

/// What a line of output holds.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    /// Nothing of ours.
    Foreign,
    One(Id),
    /// Torn, or glued to another; with the records in it that are whole.
    Corrupt(Vec<Id>),
}

/// Looks at a line. A fragment too short to hold a marker is not seen, but its record is missing then.
/// Text of ours that belongs to no record is recognised by `alien`, if given.
fn look_at(line: &[u8], marker: &Marker, alien: Option<&[u8]>) -> Line {
    let mut whole = Vec::new();
    let mut torn = 0;
    let mut at = 0;
    while let Some(found) = memmem::find(&line[at..], marker.bytes()) {
        at += found;
        if let Some((id, len)) = marker.recognise(&line[at..]) {
            whole.push(id);
            at += len;
        } else {
            torn += 1;
            at += marker.bytes().len();
        }
    }
    let has_alien = alien.is_some_and(|alien| memmem::find(line, alien).is_some());
    match (whole.as_slice(), torn) {
        ([], 0) => Line::Foreign,
        ([id], 0) if !has_alien => Line::One(*id),
        _ => Line::Corrupt(whole),
    }
}

impl Tally {
    /// Counts the lines of an output. A last line without a newline counts as a line.
    pub fn count(&mut self, output: &[u8], marker: &Marker, marks: &Marks, alien: Option<&[u8]>) {
        let mut rest = output;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let (line, after) = rest.split_at(end);
            rest = after.get(1..).unwrap_or_default();
            match look_at(line, marker, alien) {
                Line::Foreign => {}
                Line::One(id) => self.note(id),
                // A fragment on a line of its own that says what it is misleads nobody.
                Line::Corrupt(ids) if ids.is_empty() && marks.are_in(line) => self.marked += 1,
                Line::Corrupt(ids) => {
                    self.corrupt += 1;
                    ids.into_iter().for_each(|id| self.note(id));
                }
            }
        }
    }

    fn note(&mut self, id: Id) {
        let sender = usize::from(id.sender);
        if self.seen.len() <= sender {
            self.seen.resize(sender + 1, Vec::new());
        }
        let seen = &mut self.seen[sender];
        let sequence = id.sequence as usize;
        if seen.len() <= sequence {
            seen.resize(sequence + 1, 0);
        }
        seen[sequence] += 1;
    }

    /// Records of which there is at least one copy.
    pub fn records(&self) -> u64 {
        let all = self.seen.iter().flatten();
        all.filter(|&&copies| copies > 0).count() as u64
    }

    pub fn duplicates(&self) -> u64 {
        let all = self.seen.iter().flatten();
        all.map(|&copies| u64::from(copies.saturating_sub(1))).sum()
    }

    /// How many of the records from 0 up to `sent[sender]` are not there.
    pub fn lost(&self, sent: &[u64]) -> u64 {
        let of_sender = |(sender, &sent): (usize, &u64)| {
            let sent = usize::try_from(sent).expect("a count of records in memory");
            let seen = self.seen.get(sender).map_or(&[][..], Vec::as_slice);
            let there = seen.iter().take(sent).filter(|&&copies| copies > 0).count();
            (sent - there) as u64
        };
        sent.iter().enumerate().map(of_sender).sum()
    }
}

/// Texts with which a daemon marks a line that it knows to be incomplete.
#[derive(Debug, Clone, Default)]
pub struct Marks(pub Vec<String>);

impl Marks {
    fn are_in(&self, line: &[u8]) -> bool {
        let mut marks = self.0.iter();
        marks.any(|mark| memmem::find(line, mark.as_bytes()).is_some())
    }
}

/// Where the records of one measurement end up.
#[derive(Debug)]
pub struct Outputs {
    /// The file that the daemon writes; those it was moved to stand beside it, with the same beginning
    /// of their names.
    pub path: PathBuf,
}

impl Outputs {
    /// All files, in no order that matters.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let folder = self.path.parent().expect("an output stands in a folder");
        let name = self.path.file_name().expect("an output has a name");
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let found = entry.file_name();
            if found
                .as_encoded_bytes()
                .starts_with(name.as_encoded_bytes())
            {
                files.push(entry.path());
            }
        }
        Ok(files)
    }

    /// The length of all files together.
    pub fn len(&self) -> u64 {
        let files = self.files().unwrap_or_default();
        let lengths = files.iter().filter_map(|path| fs::metadata(path).ok());
        lengths.map(|metadata| metadata.len()).sum()
    }

    pub fn tally(&self, marker: &Marker, marks: &Marks, alien: Option<&[u8]>) -> Tally {
        let mut tally = Tally::default();
        for path in self.files().unwrap_or_default() {
            // One that has just been moved is found under its new name the next time.
            if let Ok(bytes) = fs::read(&path) {
                tally.count(&bytes, marker, marks, alien);
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sender: u16, sequence: u32) -> Id {
        Id { sender, sequence }
    }

    fn count(output: &[u8], marker: &Marker) -> Tally {
        let mut tally = Tally::default();
        let marks = Marks(vec!["\"cut\":true".to_owned()]);
        tally.count(output, marker, &marks, Some(b"xxxxxxxx"));
        tally
    }

    fn lines(marker: &Marker, ids: &[Id]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for id in ids {
            bytes.extend(marker.record(*id));
            bytes.push(b'\n');
        }
        bytes
    }

    #[test]
    fn gaps_are_lost_and_copies_are_duplicates() {
        let marker = Marker::fresh();
        let ids = [id(0, 0), id(0, 2), id(0, 2), id(1, 1), id(1, 5)];
        let tally = count(&lines(&marker, &ids), &marker);
        assert_eq!(tally.records(), 4);
        assert_eq!(tally.duplicates(), 1);
        // Of 0: 1; of 1: 0; of 2: both. What was sent by 1 after its second is not asked about.
        assert_eq!(tally.lost(&[3, 2, 2]), 1 + 1 + 2);
        assert_eq!(tally.corrupt, 0);
    }

    #[test]
    fn a_record_counts_wherever_it_stands_in_its_line() {
        let marker = Marker::fresh();
        let record = String::from_utf8(marker.record(id(3, 4))).unwrap();
        let wrapped = serde_json::json!({ "time": 1, "message": record }).to_string();
        let tally = count(
            format!("<13>host: {record}\n{wrapped}\n").as_bytes(),
            &marker,
        );
        assert_eq!(
            (tally.records(), tally.duplicates(), tally.corrupt),
            (1, 1, 0)
        );
    }

    #[test]
    fn torn_and_glued_lines_are_corrupt_and_what_is_whole_in_them_counts() {
        let marker = Marker::fresh();
        let first = marker.record(id(0, 0));
        let second = marker.record(id(0, 1));
        let glued = [&first[..], &second, b"\n"].concat();
        let tally = count(&glued, &marker);
        assert_eq!((tally.corrupt, tally.records()), (1, 2));
        let marked = 10 + marker.bytes().len();
        for cut in marked..first.len() - marked {
            let torn = [&first[..cut], &second, b"\n"].concat();
            let tally = count(&torn, &marker);
            assert_eq!((tally.corrupt, tally.records()), (1, 1), "{cut}");
            let tail = [&first[cut..], b"\n", &second, b"\n"].concat();
            let tally = count(&tail, &marker);
            assert_eq!((tally.corrupt, tally.records()), (1, 1), "{cut}");
        }
        let alien = [&first[..], b"xxxxxxxx\n"].concat();
        assert_eq!(count(&alien, &marker).corrupt, 1);
    }

    #[test]
    fn a_fragment_that_says_so_is_not_corrupt_but_a_glued_one_is() {
        let marker = Marker::fresh();
        let record = marker.record(id(0, 0));
        let fragment = [&record[..40], b"\",\"cut\":true\n"].concat();
        let tally = count(&fragment, &marker);
        assert_eq!((tally.marked, tally.corrupt, tally.records()), (1, 0, 0));
        let glued = [&record[..40], &record[..], b"\"cut\":true\n"].concat();
        let tally = count(&glued, &marker);
        assert_eq!((tally.marked, tally.corrupt, tally.records()), (0, 1, 1));
    }

    #[test]
    fn a_last_line_without_newline_counts() {
        let marker = Marker::fresh();
        let mut bytes = lines(&marker, &[id(0, 0), id(0, 1)]);
        bytes.pop();
        assert_eq!(count(&bytes, &marker).records(), 2);
    }

    #[test]
    fn moved_outputs_are_counted_with_the_new_one() {
        let marker = Marker::fresh();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, lines(&marker, &[id(0, 1)])).unwrap();
        fs::write(folder.path().join("out.1"), lines(&marker, &[id(0, 0)])).unwrap();
        fs::write(folder.path().join("log"), lines(&marker, &[id(0, 2)])).unwrap();
        let outputs = Outputs { path };
        let tally = outputs.tally(&marker, &Marks::default(), None);
        assert_eq!(tally.records(), 2);
        assert_eq!(tally.lost(&[3]), 1);
    }
}
