//! What a person reads: one line a message, one write(2) a line, and nothing in it that a terminal would
//! obey.
//!
//! A daemon that says [`init`] never waits for whoever reads it: in its loop, a message that is not taken at
//! once is dropped and counted; before and after, what it tells waits for room for a second, and not beyond a
//! signal. Another program waits, as any does.

use crate::sys::{PIPE_BUF, Unwaiting};
use crate::voice::{self, Voice};
use log::{Level, LevelFilter, warn};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a line outside of the loop waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest message, newline included: a pipe takes one whole or not at all (`man 7 pipe`).
const MESSAGE_BYTES_MAX: usize = PIPE_BUF;

/// What ends a message that was too long.
const CUT: &str = "...";

static TELLER: Mutex<Option<Teller>> = Mutex::new(None);

/// Standard error owes something. Beside the teller, so that each round of the loop can look.
static IS_OWING: AtomicBool = AtomicBool::new(false);

/// What a daemon tells, and how.
struct Teller {
    errors: Voice<Unwaiting>,
    output: Unwaiting,
    /// Readable when a signal waits for us.
    bell: Option<OwnedFd>,
    /// Nothing is worth a wait any more.
    is_hurried: bool,
    /// Nothing more is said on standard error.
    is_silent: bool,
    /// Whoever reads it has let a line wait in vain, and is not waited for again.
    errors_are_unread: bool,
    output_is_unread: bool,
}

/// Starts logging to standard error, without ever waiting for it: warnings and errors, or what RUST_LOG
/// asks for. Takes two descriptors; to be called before they can run out.
pub fn init(program: &'static str) {
    *teller() = Some(Teller {
        errors: Voice::new(Unwaiting::stderr(), program),
        output: Unwaiting::stdout(),
        bell: None,
        is_hurried: false,
        is_silent: false,
        errors_are_unread: false,
        output_is_unread: false,
    });
    std::panic::set_hook(Box::new(move |panic| {
        // std's own would wait, and write in pieces. A panic in here says nothing.
        if let Ok(mut teller) = TELLER.try_lock()
            && let Some(teller) = &mut *teller
        {
            teller.say(&line(format_args!("{program}: {panic}")));
        }
    }));
    let filter = std::env::var(env_logger::DEFAULT_FILTER_ENV).unwrap_or_default();
    let mut builder = env_logger::Builder::new();
    builder.filter_level(LevelFilter::Warn);
    // env_logger would say what it does not understand in lines of its own.
    let is_understood = is_filter(&filter);
    if is_understood {
        builder.parse_filters(&filter);
    }
    builder
        .target(env_logger::Target::Pipe(Box::new(Log)))
        .format(move |out, message| {
            let level = match message.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                Level::Info => "info",
                Level::Debug => "debug",
                Level::Trace => "trace",
            };
            out.write_all(&line(format_args!(
                "{program}: {level}: {}",
                message.args()
            )))
        })
        .init();
    if !is_understood {
        warn!(
            "cannot use RUST_LOG={filter}: it is no list of LEVEL or MODULE=LEVEL; it is ignored"
        );
    }
}

/// Tells whether env_logger understands it all: `[MODULE=]LEVEL,...[/TEXT]`.
fn is_filter(text: &str) -> bool {
    let (directives, text) = text.split_once('/').unwrap_or((text, ""));
    let mut levels = directives
        .split(',')
        .filter_map(|directive| directive.split_once('='));
    !text.contains('/')
        && levels.all(|(_, level)| {
            level.trim().is_empty() || level.trim().parse::<LevelFilter>().is_ok()
        })
}

/// Where log messages go: at once or not at all.
struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(teller) = &mut *teller()
            && !teller.is_silent
        {
            teller.errors.say(line, |_| false);
            teller.note();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on nothing that is told waits beyond the moment at which `signals` has something to read.
///
/// # Errors
/// EMFILE.
pub fn heed(signals: BorrowedFd<'_>) -> io::Result<()> {
    let bell = signals.try_clone_to_owned()?;
    if let Some(teller) = &mut *teller() {
        teller.bell = Some(bell);
    }
    Ok(())
}

/// From now on nothing that is told waits at all.
pub fn hurry() {
    if let Some(teller) = &mut *teller() {
        teller.is_hurried = true;
    }
}

/// Says nothing more on standard error: it is where records go, and a line would stand among them.
pub fn silence() {
    if let Some(teller) = &mut *teller() {
        teller.is_silent = true;
    }
    log::set_max_level(LevelFilter::Off);
}

/// Tells a person something on standard error, in one line.
pub fn tell(message: impl fmt::Display) {
    say(&line(message));
}

/// Prints a line for whoever started us on standard error, whatever its length.
pub fn print_on_stderr(text: &str) {
    say(format!("{text}\n").as_bytes());
}

fn say(line: &[u8]) {
    match &mut *teller() {
        Some(teller) => teller.say(line),
        // Nobody is left to be told that standard error is gone.
        None => drop(io::stderr().write_all(line)),
    }
}

/// Prints a line, or a text of several, for whoever started us on standard output.
///
/// # Errors
/// When standard output does not take it.
pub fn print(text: &str) -> io::Result<()> {
    let text = format!("{text}\n");
    match &mut *teller() {
        Some(teller) => teller.print(text.as_bytes()),
        None => io::stdout().write_all(text.as_bytes()),
    }
}

/// Tells whether standard error has not taken all that was said.
pub fn is_owing() -> bool {
    IS_OWING.load(Ordering::Relaxed)
}

/// Says what is owed, as far as standard error takes it at once.
pub fn settle() {
    if let Some(teller) = &mut *teller() {
        teller.errors.settle(|_| false);
        teller.note();
    }
}

/// Says what is owed before the program ends, if it can be said.
pub fn finish() {
    if let Some(teller) = &mut *teller() {
        teller.say(b"");
    }
}

/// The descriptor that tells when [`settle`] is worth a try: a number, to be shown to epoll.
pub fn descriptor() -> Option<RawFd> {
    let teller = teller();
    teller
        .as_ref()
        .map(|teller| teller.errors.channel().as_fd().as_raw_fd())
}

fn teller() -> MutexGuard<'static, Option<Teller>> {
    // A panic leaves at worst a line unsaid.
    TELLER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Teller {
    /// Says a line on standard error, and waits for room.
    fn say(&mut self, line: &[u8]) {
        if self.is_silent {
            return;
        }
        let mut patience = Patience::new(self.is_hurried || self.errors_are_unread);
        let bell = self.bell.as_ref().map(AsFd::as_fd);
        self.errors
            .say(line, |channel| patience.wait_for(channel, bell));
        self.errors_are_unread |= patience.is_over;
        self.note();
    }

    /// Prints on standard output, and waits for room.
    fn print(&mut self, text: &[u8]) -> io::Result<()> {
        let mut patience = Patience::new(self.is_hurried || self.output_is_unread);
        let bell = self.bell.as_ref().map(AsFd::as_fd);
        let printed = voice::hand_over(&mut self.output, text, |channel| {
            patience.wait_for(channel, bell)
        });
        self.output_is_unread |= patience.is_over;
        printed.map_err(|(_, e)| match e.kind() {
            ErrorKind::WouldBlock => {
                io::Error::other("standard output is full, and nobody reads it")
            }
            _ => e,
        })
    }

    fn note(&self) {
        IS_OWING.store(self.errors.is_owing(), Ordering::Relaxed);
    }
}

/// How long one line may wait.
struct Patience {
    until: Option<Instant>,
    /// It has waited in vain.
    is_over: bool,
}

impl Patience {
    fn new(is_spent: bool) -> Self {
        Self {
            until: (!is_spent).then(|| Instant::now() + PATIENCE),
            is_over: false,
        }
    }

    /// Waits for room; tells whether there may be some.
    fn wait_for(&mut self, channel: &Unwaiting, bell: Option<BorrowedFd<'_>>) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let left = until.saturating_duration_since(Instant::now());
        let has_room = !left.is_zero() && channel.wait_for_room(left, bell);
        self.is_over = !has_room && Instant::now() >= until;
        has_room
    }
}

/// Makes one line of a message, newline included, and cuts it where it is too long.
fn line(message: impl fmt::Display) -> Vec<u8> {
    let mut line = Printable(message).to_string();
    if line.len() >= MESSAGE_BYTES_MAX {
        let fits = (0..MESSAGE_BYTES_MAX - CUT.len()).rev();
        let end = fits.into_iter().find(|end| line.is_char_boundary(*end));
        line.truncate(end.unwrap_or(0));
        line.push_str(CUT);
    }
    line.push('\n');
    line.into_bytes()
}

/// Shows a text in one line, control characters (C0, DEL and C1) in Rust's escapes.
struct Printable<T>(T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let text = "a\u{1b}[31m\n\u{9b}\u{7f}ä \\";
        assert_eq!(
            Printable(text).to_string(),
            "a\\u{1b}[31m\\n\\u{9b}\\u{7f}ä \\"
        );
    }

    #[test]
    fn a_message_is_one_line_that_a_pipe_takes_whole() {
        for length in 4000..4200 {
            for character in ["x", "ä", "\u{1f600}", "\n"] {
                let text = character.repeat(length / character.len());
                let line = String::from_utf8(line(&text)).unwrap();
                assert!(line.len() <= PIPE_BUF, "{length}");
                assert_eq!(line.matches('\n').count(), 1);
                assert!(line.ends_with("...\n") || line.trim_end().len() == text.len());
            }
        }
    }

    #[test]
    fn a_filter_is_understood_as_env_logger_does() {
        for text in [
            "",
            "debug",
            "mio=trace,info",
            "a::b=",
            "warn/text",
            "a, b=off",
        ] {
            assert!(is_filter(text), "{text}");
        }
        for text in ["a=b", "a=b=c", "warn/a/b", "info,x=loud"] {
            assert!(!is_filter(text), "{text}");
        }
    }
}
