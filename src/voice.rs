//! Says lines to somebody who may not listen.
//!
//! What is not taken is dropped and counted, and the count is said before the next line that is taken. Knows
//! no descriptor and no clock: whether to wait for room is the caller's to say.

use std::io::{self, ErrorKind, Write};

/// One who says lines.
#[derive(Debug)]
pub struct Voice<W> {
    channel: W,
    /// Begins the line that says how many were dropped.
    program: &'static str,
    /// The end of a line that was taken in part, by a terminal or a socket. It goes first.
    rest: Vec<u8>,
    dropped: u64,
}

impl<W: Write> Voice<W> {
    /// A voice that has said nothing.
    pub fn new(channel: W, program: &'static str) -> Self {
        Self {
            channel,
            program,
            rest: Vec::new(),
            dropped: 0,
        }
    }

    /// Where it speaks.
    pub fn channel(&self) -> &W {
        &self.channel
    }

    /// Tells whether something is still to be said: the end of a line, or how many were dropped.
    pub fn is_owing(&self) -> bool {
        self.dropped > 0 || !self.rest.is_empty()
    }

    /// Says a line, newline included, after what is owed; or drops it, and counts. `wait` is asked for room,
    /// and tells whether to try again.
    pub fn say(&mut self, line: &[u8], mut wait: impl FnMut(&W) -> bool) {
        let is_settled = self.settle(&mut wait);
        if !is_settled || !self.put(line, wait) {
            self.dropped += 1;
        }
    }

    /// Says what is owed; tells whether nothing is any more.
    pub fn settle(&mut self, mut wait: impl FnMut(&W) -> bool) -> bool {
        while self.is_owing() {
            let rest = std::mem::take(&mut self.rest);
            if !rest.is_empty() {
                if !self.put(&rest, &mut wait) {
                    self.rest = rest;
                    return false;
                }
                if !self.rest.is_empty() {
                    return false;
                }
            }
            if self.dropped > 0 {
                if !self.put(self.notice().as_bytes(), &mut wait) {
                    return false;
                }
                self.dropped = 0;
            }
        }
        true
    }

    fn notice(&self) -> String {
        let Self {
            program, dropped, ..
        } = self;
        let messages = match dropped {
            1 => "message was",
            _ => "messages were",
        };
        format!(
            "{program}: warning: {dropped} {messages} dropped, since standard error did not take them\n"
        )
    }

    /// Writes a line, or what is left of one; keeps what is not taken of it. False if nothing was.
    fn put(&mut self, line: &[u8], wait: impl FnMut(&W) -> bool) -> bool {
        match hand_over(&mut self.channel, line, wait) {
            Ok(()) => true,
            Err((0, _)) => false,
            Err((taken, _)) => {
                self.rest = line[taken..].to_vec();
                true
            }
        }
    }
}

/// So many times in a row a channel may say that it has room, and have none.
const FRUITLESS_MAX: u8 = 8;

/// More interruptions than that are no signals.
const INTERRUPTIONS_MAX: u8 = 3;

/// Writes all of it, in one write if that takes it, and asks `wait` for room.
///
/// # Errors
/// The channel's, and how many bytes it has taken before.
pub fn hand_over<W: Write>(
    channel: &mut W,
    bytes: &[u8],
    mut wait: impl FnMut(&W) -> bool,
) -> Result<(), (usize, io::Error)> {
    let mut taken = 0;
    let (mut interruptions, mut fruitless) = (0, 0);
    while taken < bytes.len() {
        match channel.write(&bytes[taken..]) {
            Ok(0) => return Err((taken, ErrorKind::WriteZero.into())),
            Ok(more) => {
                taken += more;
                fruitless = 0;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted && interruptions < INTERRUPTIONS_MAX => {
                interruptions += 1;
            }
            // It may say that it has room and have none, but not for ever.
            Err(e)
                if e.kind() == ErrorKind::WouldBlock
                    && fruitless < FRUITLESS_MAX
                    && wait(channel) =>
            {
                fruitless += 1;
            }
            Err(e) => return Err((taken, e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader with room for so many bytes, which takes a line in part or not at all.
    struct Slow {
        room: usize,
        takes_parts: bool,
        heard: Vec<u8>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let fits = bytes.len().min(self.room);
            if fits == 0 || (fits < bytes.len() && !self.takes_parts) {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= fits;
            self.heard.extend_from_slice(&bytes[..fits]);
            Ok(fits)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn voice(takes_parts: bool) -> Voice<Slow> {
        let slow = Slow {
            room: 0,
            takes_parts,
            heard: Vec::new(),
        };
        Voice::new(slow, "prog")
    }

    const NOTICE_OF_2: &str =
        "prog: warning: 2 messages were dropped, since standard error did not take them\n";

    #[test]
    fn what_is_not_taken_is_counted_and_said_before_the_next_line() {
        let mut voice = voice(false);
        voice.say(b"lost\n", |_| false);
        voice.say(b"lost\n", |_| false);
        assert!(voice.is_owing());
        voice.channel.room = 1000;
        voice.say(b"heard\n", |_| false);
        assert!(!voice.is_owing());
        let want = format!("{NOTICE_OF_2}heard\n");
        assert_eq!(String::from_utf8(voice.channel.heard).unwrap(), want);
    }

    /// However little room there is at a time, each line is whole, and each is either heard or counted.
    #[test]
    fn no_line_is_torn_whatever_room_there_is() {
        for takes_parts in [false, true] {
            for step in 1..200 {
                let mut voice = voice(takes_parts);
                for number in 0..100 {
                    voice.channel.room += step;
                    voice.say(format!("line {number} of many\n").as_bytes(), |_| false);
                }
                voice.channel.room = 10_000;
                assert!(voice.settle(|_| false));
                let text = String::from_utf8(voice.channel.heard).unwrap();
                let (mut heard, mut dropped) = (0, 0);
                for line in text.lines() {
                    match line.strip_prefix("prog: warning: ") {
                        Some(rest) => {
                            dropped += rest.split(' ').next().unwrap().parse::<u32>().unwrap();
                        }
                        None => {
                            assert!(line.starts_with("line ") && line.ends_with(" of many"));
                            heard += 1;
                        }
                    }
                }
                assert_eq!(heard + dropped, 100, "{step}: {text}");
            }
        }
    }

    #[test]
    fn one_who_waits_loses_nothing_that_is_taken_in_time() {
        let mut slow = Slow {
            room: 0,
            takes_parts: true,
            heard: Vec::new(),
        };
        let mut patience = 3;
        // `wait` sees the channel, and cannot make room: so it only bounds how often it is asked.
        let failed = hand_over(&mut slow, b"line\n", |_| {
            patience -= 1;
            patience > 0
        });
        assert_eq!(failed.unwrap_err().0, 0);
        assert_eq!(patience, 0);
        slow.room = 3;
        assert_eq!(hand_over(&mut slow, b"line\n", |_| false).unwrap_err().0, 3);
        slow.room = 2;
        assert!(hand_over(&mut slow, b"e\n", |_| false).is_ok());
        assert_eq!(slow.heard, b"line\n");
    }

    #[test]
    fn a_reader_that_is_gone_is_not_asked_twice_a_line() {
        struct Gone(u32);
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                self.0 += 1;
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut voice = Voice::new(Gone(0), "prog");
        for _ in 0..10 {
            voice.say(b"line\n", |_| unreachable!("it is not full"));
        }
        assert_eq!((voice.dropped, voice.channel.0), (10, 10));
    }
}
