//! A file whose last line was left unfinished, by a crash or a full disk.
//!
//! Appended to as it is, it would glue the first new record to half an old one.

use crate::{object, record};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Longest unfinished line that can be one of ours: the longest record, each of its bytes escaped in
/// six, and the exact bytes in base64.
const LINE_BYTES_MAX: u64 = 128 << 20;

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// There was nothing to do.
    Nothing,
    /// A complete object has got its newline.
    Ended,
    /// Anything else has become the message of a record, with `"unterminated":true`.
    Wrapped,
}

/// Makes a line of what stands after the last newline of `file`, which is open for reading and writing,
/// not for appending. What stands there is not touched before there is room for what takes its place.
///
/// # Errors
/// `InvalidData` when that is too long to be ours; and what reading and writing give.
pub(super) fn last_line(file: &File, unix_seconds: u64) -> io::Result<Mended> {
    let length = file.metadata()?.len();
    let start = after_last_newline(file, length)?;
    if start == length {
        return Ok(Mended::Nothing);
    }
    let bytes = usize::try_from(length - start).map_err(io::Error::other)?;
    let mut line = vec![0; bytes];
    file.read_exact_at(&mut line, start)?;
    if object::parse(&line).is_some() {
        file.write_all_at(b"\n", length)?;
        return Ok(Mended::Ended);
    }
    let mut wrapped = Vec::new();
    record::wrap_open(&mut wrapped, "aggregator", unix_seconds, &line);
    wrapped.extend_from_slice(b",\"unterminated\":true}\n");
    // Room first, without a newline: until the line is written over, it stays an unfinished one.
    let more = vec![0; wrapped.len() - bytes];
    if let Err(e) = file.write_all_at(&more, length) {
        file.set_len(length)?;
        return Err(e);
    }
    file.write_all_at(&wrapped, start)?;
    Ok(Mended::Wrapped)
}

/// Where the last line begins; the file's length if it ends in a newline.
fn after_last_newline(file: &File, length: u64) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut end = length;
    while end > 0 {
        if length - end > LINE_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its last line is too long to be a record",
            ));
        }
        let bytes = usize::try_from(end).map_or(READ_BYTES, |end| end.min(READ_BYTES));
        end -= bytes as u64;
        file.read_exact_at(&mut buffer[..bytes], end)?;
        if let Some(at) = memchr::memrchr(b'\n', &buffer[..bytes]) {
            return Ok(end + at as u64 + 1);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(before: &[u8], want: Mended, after: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, before).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(last_line(&file, 7).unwrap(), want);
        assert_eq!(fs::read_to_string(&path).unwrap(), after);
        // Once is enough.
        let again = last_line(&file, 7).unwrap();
        assert_eq!(again, Mended::Nothing);
    }

    #[test]
    fn a_file_of_whole_lines_is_left_alone() {
        check(b"", Mended::Nothing, "");
        check(b"{}\n", Mended::Nothing, "{}\n");
    }

    #[test]
    fn a_complete_object_gets_its_newline() {
        check(b"{\"a\":1}", Mended::Ended, "{\"a\":1}\n");
        check(b"{}\n{\"a\":1}", Mended::Ended, "{}\n{\"a\":1}\n");
    }

    #[test]
    fn half_an_object_becomes_a_message() {
        let wrapped = "{\"source\":\"aggregator\",\"timestamp\":7,\"level\":\"INFO\",\
            \"message\":\"{\\\"a\\\":\",\"unterminated\":true}\n";
        check(b"{\"a\":", Mended::Wrapped, wrapped);
        check(b"{}\n{\"a\":", Mended::Wrapped, &format!("{{}}\n{wrapped}"));
    }

    #[test]
    fn a_long_half_is_found_and_kept_whole() {
        let half = format!("{{\"a\":\"{}", "x".repeat(3 * READ_BYTES));
        let wrapped = format!(
            "{{\"source\":\"aggregator\",\"timestamp\":7,\"level\":\"INFO\",\"message\":{},\"unterminated\":true}}\n",
            serde_json::Value::from(half.as_str())
        );
        check(
            format!("{{}}\n{half}").as_bytes(),
            Mended::Wrapped,
            &format!("{{}}\n{wrapped}"),
        );
    }

    #[test]
    fn what_cannot_be_ours_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        file.set_len(LINE_BYTES_MAX + (1 << 20)).unwrap(); // NULs that take no room
        let refused = last_line(&file, 7).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
    }
}
