//! A file whose end was left in disorder by a crash, a power cut or a full disk.
//!
//! Appended to as it is, it would glue the first new record to half an old one.

use super::backwards::Backwards;
use crate::{object, record, sys};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// Longest unfinished line that is looked at as a whole, as a multiple of the longest record: a record that is
/// wrapped takes up to six bytes for one, and more than one for the exact ones in base64.
const LOOKED_AT_WHOLE: u64 = 8;

/// The same, where the longest record is short: one may have been longer in an earlier run.
const LOOKED_AT_WHOLE_MIN: u64 = 4 << 20;

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// What was done about a file's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mended {
    /// So many NULs were cut off.
    pub nuls: u64,
    /// What became of the last line.
    pub line: LastLine,
}

/// What was done about a last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastLine {
    /// It was whole, or there was none.
    Whole,
    /// A complete object has got its newline.
    Ended,
    /// Anything else has become the message of a record, with `"unterminated":true`.
    Wrapped,
    /// The beginning of one that was longer than a record may be has, with `"truncated":true`; it had so many
    /// bytes.
    Cut(u64),
}

/// Cuts off the NULs at the end of `file` and makes a line of what stands after its last newline. The file is
/// open for reading and writing, not for appending. What stands there is not touched before there is room for
/// what takes its place.
///
/// # Errors
/// `InvalidData` when the last newline is too far away; and what reading and writing give.
pub(super) fn end_of(
    file: &File,
    record_bytes_max: usize,
    unix_seconds: u64,
) -> io::Result<Mended> {
    let length = file.metadata()?.len();
    let mut search = Backwards::new(file, length);
    let end = search.end_of_text()?;
    if end < length {
        sys::set_length(file, end)?;
    }
    let start = search.start_of_line()?;
    let tail = Tail {
        file,
        start,
        text: after_nuls(file, start, end)?,
        end,
        record_bytes_max: record_bytes_max as u64,
    };
    Ok(Mended {
        nuls: length - end + (tail.text - start),
        line: tail.mend(unix_seconds)?,
    })
}

/// Where the NULs end that stand at `from`, before `end`.
fn after_nuls(file: &File, from: u64, end: u64) -> io::Result<u64> {
    let mut at = from;
    let mut buffer = vec![0; READ_BYTES];
    while at < end {
        at = sys::next_data(file, at)?.map_or(end, |data| data.min(end));
        let bytes = usize::try_from(end - at).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        file.read_exact_at(&mut buffer[..bytes], at)?;
        match buffer[..bytes].iter().position(|byte| *byte != 0) {
            Some(nuls) => return Ok(at + nuls as u64),
            None => at += bytes as u64,
        }
    }
    Ok(end)
}

/// What stands after the last newline.
struct Tail<'a> {
    file: &'a File,
    start: u64,
    /// Where its text begins, behind NULs that a power cut has left.
    text: u64,
    end: u64,
    record_bytes_max: u64,
}

impl Tail<'_> {
    fn mend(&self, unix_seconds: u64) -> io::Result<LastLine> {
        let bytes = self.end - self.text;
        if bytes == 0 {
            return Ok(LastLine::Whole);
        }
        if let Some(object) = self.object()? {
            self.end_object(&object)?;
            return Ok(LastLine::Ended);
        }
        let head = self.read(bytes.min(self.record_bytes_max))?;
        let mut wrapped = Vec::new();
        let is_cut = bytes > self.record_bytes_max;
        if is_cut {
            let head = record::without_cut_character(&head);
            record::wrap_open(&mut wrapped, "aggregator", unix_seconds, head);
            let length = format!(",\"truncated\":true,\"original_bytes\":{bytes}");
            wrapped.extend_from_slice(length.as_bytes());
        } else {
            record::wrap_open(&mut wrapped, "aggregator", unix_seconds, &head);
        }
        wrapped.extend_from_slice(b",\"unterminated\":true}\n");
        self.replace(&wrapped)?;
        Ok(if is_cut {
            LastLine::Cut(bytes)
        } else {
            LastLine::Wrapped
        })
    }

    /// The object that it is, which lacks nothing but its newline. One that is too long to be looked at as a whole is
    /// none.
    fn object(&self) -> io::Result<Option<Vec<u8>>> {
        let bytes = self.end - self.text;
        let bytes_max = (LOOKED_AT_WHOLE * self.record_bytes_max).max(LOOKED_AT_WHOLE_MIN);
        // Most that are none do not even end like one.
        let mut last = [0];
        self.file.read_exact_at(&mut last, self.end - 1)?;
        if bytes > bytes_max || !matches!(last, [b'}' | b' ' | b'\t' | b'\r']) {
            return Ok(None);
        }
        let text = self.read(bytes)?;
        Ok(object::parse(&text).is_some().then_some(text))
    }

    /// Gives an object its newline, and the form in which it would be written.
    fn end_object(&self, text: &[u8]) -> io::Result<()> {
        let mut line = Vec::new();
        object::write_plain(&mut line, text)?;
        if self.text == self.start && line == text {
            return self.file.write_all_at(b"\n", self.end);
        }
        line.push(b'\n');
        self.replace(&line)
    }

    /// Its first bytes.
    fn read(&self, bytes: u64) -> io::Result<Vec<u8>> {
        let mut read = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut read, self.text)?;
        Ok(read)
    }

    /// Writes a line in its place.
    fn replace(&self, line: &[u8]) -> io::Result<()> {
        let new_end = self.start + line.len() as u64;
        // Room first, without a newline: until the line is written over, it stays an unfinished one.
        let room = match sys::reserve(self.file, self.start, line.len()) {
            Err(e) if e.kind() == ErrorKind::Unsupported => {
                let more = vec![0; usize::try_from(new_end.saturating_sub(self.end)).unwrap_or(0)];
                self.file.write_all_at(&more, self.end)
            }
            result => result,
        };
        if let Err(e) = room {
            sys::set_length(self.file, self.end)?;
            return Err(e);
        }
        self.file.write_all_at(line, self.start)?;
        if new_end < self.end {
            sys::set_length(self.file, new_end)?;
        }
        Ok(())
    }
}

/// Cuts off what the file ends in, if that is `half`, the beginning of a line that is to be written again as a
/// whole. Tells whether it was.
///
/// # Errors
/// What reading and `man 2 ftruncate` give.
pub(super) fn cut_half_line(file: &File, half: &[u8]) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(start) = length.checked_sub(half.len() as u64) else {
        return Ok(false);
    };
    let before = start.saturating_sub(1);
    let mut end = vec![0; half.len() + usize::from(start > 0)];
    file.read_exact_at(&mut end, before)?;
    let is_half = match end.strip_suffix(half) {
        Some([] | [b'\n']) => true,
        Some(_) | None => false,
    };
    if is_half {
        sys::set_length(file, start)?;
    }
    Ok(is_half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fs;

    const MAX: usize = 1024;

    /// Mends a file of these bytes and returns what was done, and what it holds then.
    fn mend(before: &[u8]) -> (Mended, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, before).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mended = end_of(&file, MAX, 7).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        // Once is enough.
        let again = Mended {
            nuls: 0,
            line: LastLine::Whole,
        };
        assert_eq!(end_of(&file, MAX, 7).unwrap(), again);
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        (mended, after)
    }

    #[track_caller]
    fn check(before: &[u8], line: LastLine, after: &str) {
        // Whatever it ends in, NULs after it change nothing.
        for nuls in [0, 1, 4096, 100_000] {
            let mut with_nuls = before.to_vec();
            with_nuls.resize(before.len() + nuls, 0);
            let mended = Mended {
                nuls: nuls as u64,
                line,
            };
            assert_eq!(mend(&with_nuls), (mended, after.to_owned()), "{nuls}");
        }
    }

    /// The line that is made of an unfinished one.
    fn wrapped(message: &str, more: &str) -> String {
        let message = Value::from(message);
        format!(
            "{{\"source\":\"aggregator\",\"timestamp\":7,\"level\":\"INFO\",\
             \"message\":{message}{more},\"unterminated\":true}}\n"
        )
    }

    #[test]
    fn a_file_of_whole_lines_is_left_alone() {
        check(b"", LastLine::Whole, "");
        check(b"{}\n", LastLine::Whole, "{}\n");
    }

    #[test]
    fn a_complete_object_gets_its_newline() {
        check(b"{\"a\":1}", LastLine::Ended, "{\"a\":1}\n");
        check(b"{}\n{\"a\":1} ", LastLine::Ended, "{}\n{\"a\":1} \n");
        // Longer than a record may be now: it was written when it might.
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
        check(long.as_bytes(), LastLine::Ended, &format!("{long}\n"));
    }

    #[test]
    fn anything_else_becomes_a_message() {
        for half in ["{\"a\":", "}", " ", "[1]", "x\0y", "{\"a\":1}}"] {
            let want = wrapped(half, "");
            check(half.as_bytes(), LastLine::Wrapped, &want);
            let with_a_line = format!("{{}}\n{half}");
            let want = format!("{{}}\n{want}");
            check(with_a_line.as_bytes(), LastLine::Wrapped, &want);
        }
    }

    #[test]
    fn nuls_before_the_text_are_not_kept_and_the_text_is() {
        for nuls in [1, 4096, 70_000] {
            for (text, line) in [
                ("{\"a\":2}", "{\"a\":2}\n".to_owned()),
                ("x", wrapped("x", "")),
            ] {
                let before = [b"{}\n", &vec![0; nuls][..], text.as_bytes()].concat();
                let (mended, after) = mend(&before);
                assert_eq!(mended.nuls, nuls as u64);
                assert_eq!(after, format!("{{}}\n{line}"));
            }
        }
    }

    #[test]
    fn an_object_gets_the_form_that_every_reader_takes_for_one_line() {
        for (before, after) in [
            ("{\"a\":1,\r\"b\":2}", "{\"a\":1, \"b\":2}\n"),
            ("{\"a\":\"\u{2028}\u{85}\"}", "{\"a\":\"\\u2028\\u0085\"}\n"),
        ] {
            check(before.as_bytes(), LastLine::Ended, after);
        }
    }

    #[test]
    fn of_a_line_longer_than_a_record_the_beginning_is_kept() {
        for extra in [1, 1000, 10 << 20] {
            let bytes = MAX + extra;
            let half = format!("{{\"a\":\"{}", "x".repeat(bytes - 6));
            let more = format!(",\"truncated\":true,\"original_bytes\":{bytes}");
            check(
                format!("{{}}\n{half}").as_bytes(),
                LastLine::Cut(bytes as u64),
                &format!("{{}}\n{}", wrapped(&half[..MAX], &more)),
            );
        }
        // Not within a character.
        let half = "ä".repeat(MAX);
        let (_, after) = mend(format!("x{half}").as_bytes());
        let record: Value = serde_json::from_str(&after).unwrap();
        assert_eq!(record["message"], format!("x{}", "ä".repeat(MAX / 2 - 1)));
        assert_eq!(record["raw_base64"], json!(null));
    }

    #[test]
    fn half_a_line_that_is_written_again_is_cut_off_and_nothing_else() {
        for (before, half, after) in [
            ("{}\n{\"a\":", "{\"a\":", Some("{}\n")),
            ("{\"a\":", "{\"a\":", Some("")),
            ("{}\nx{\"a\":", "{\"a\":", None),
            ("{}\n{\"b\":", "{\"a\":", None),
            ("{", "{\"a\":", None),
            ("", "{\"a\":", None),
        ] {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(before.as_bytes(), 0).unwrap();
            assert_eq!(
                cut_half_line(&file, half.as_bytes()).unwrap(),
                after.is_some(),
                "{before}"
            );
            let length = after.unwrap_or(before).len() as u64;
            assert_eq!(file.metadata().unwrap().len(), length, "{before}");
        }
    }
}
