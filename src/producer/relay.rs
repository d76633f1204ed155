//! Standard input's lines as records.

use super::sender::{Failure, Sender};
use crate::error::{Error, Exit};
use crate::framing::{Frame, LineFramer};
use crate::{diagnostics, object, record, sys};
use std::io::{ErrorKind, Read};

/// Longest line; an aggregator's `--max-record` goes no higher.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Room for one read of standard input.
const READ_BYTES: usize = 64 << 10;

/// Sends each line until the input ends. A line that the transport cannot carry whole is counted,
/// said once, and left out.
///
/// # Errors
/// When standard input cannot be read, or the daemon is gone.
pub(super) fn send(sender: &mut Sender) -> Result<Exit, Error> {
    let failed = |e| Error::new("read", "standard input", e);
    let mut input = sys::raw_stdin().map_err(failed)?;
    let mut framer = LineFramer::new(LINE_BYTES_MAX);
    let mut relay = Relay {
        sender,
        record: Vec::new(),
        result: Ok(Exit::Success),
    };
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(bytes) => framer.feed(&buffer[..bytes], |frame| relay.frame(frame)),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
        if relay.result.is_err() {
            return relay.result;
        }
    }
    framer.finish(|frame| relay.frame(frame));
    relay.result
}

struct Relay<'a> {
    sender: &'a mut Sender,
    /// The record being made; its memory is used again.
    record: Vec<u8>,
    /// `Failure` as soon as a line was left out.
    result: Result<Exit, Error>,
}

impl Relay<'_> {
    fn frame(&mut self, frame: Frame<'_>) {
        if self.result.is_err() {
            return;
        }
        let sent = match frame {
            Frame::Line(line) | Frame::Unterminated(line) => {
                make_record(&mut self.record, line, sys::unix_seconds());
                self.sender.send(&self.record)
            }
            Frame::Oversize { original_bytes, .. } => {
                Err(self.sender.refuse(original_bytes, Some(LINE_BYTES_MAX)))
            }
        };
        match sent {
            Ok(()) => {}
            Err(failure @ Failure::TooLong { .. }) => {
                if self.result == Ok(Exit::Success) {
                    diagnostics::tell(format_args!(
                        "{}: {}; this line and others like it are left out and counted",
                        super::PROGRAM,
                        self.sender.error(&failure)
                    ));
                }
                self.result = Ok(Exit::Failure);
            }
            Err(failure) => self.result = Err(self.sender.error(&failure)),
        }
    }
}

/// Makes the record of a line: a JSON object as it is, anything else as a message.
fn make_record(record: &mut Vec<u8>, line: &[u8], unix_seconds: u64) {
    record.clear();
    if object::parse(line).is_some() {
        record.extend_from_slice(line);
        record.push(b'\n');
    } else {
        record::wrap_open(record, "producer", unix_seconds, line);
        record.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_goes_as_it_is_and_anything_else_as_a_message() {
        let mut record = Vec::new();
        for (line, want) in [
            (&b" {\"a\": 1} "[..], " {\"a\": 1} \n"),
            (
                b"  text",
                "{\"source\":\"producer\",\"timestamp\":7,\"level\":\"INFO\",\"message\":\"  text\"}\n",
            ),
            (
                b"",
                "{\"source\":\"producer\",\"timestamp\":7,\"level\":\"INFO\",\"message\":\"\"}\n",
            ),
            (
                b"\xff",
                "{\"source\":\"producer\",\"timestamp\":7,\"level\":\"INFO\",\"message\":\"\u{fffd}\",\
                 \"raw_base64\":\"/w==\"}\n",
            ),
        ] {
            make_record(&mut record, line, 7);
            assert_eq!(String::from_utf8_lossy(&record), want);
        }
    }
}
