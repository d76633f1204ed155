//! What a person reads on standard error: one line a message, and nothing in it that a terminal
//! would obey.

use log::{Level, LevelFilter};
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Starts logging to standard error: warnings and errors, or what RUST_LOG asks for.
pub fn init(program: &'static str) {
    env_logger::Builder::new()
        .filter_level(LevelFilter::Warn)
        .parse_default_env()
        .format(move |out, message| {
            let level = match message.level() {
                Level::Error => "error",
                Level::Warn => "warning",
                Level::Info => "info",
                Level::Debug => "debug",
                Level::Trace => "trace",
            };
            writeln!(out, "{program}: {level}: {}", Printable(message.args()))
        })
        .init();
}

/// Set for good when nothing more is to be said.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Says nothing more: standard error is where records go, and a line would stand among them.
pub fn silence() {
    IS_SILENT.store(true, Ordering::Relaxed);
    log::set_max_level(LevelFilter::Off);
}

/// Writes a line to standard error, as far as that takes it.
pub fn tell(line: impl fmt::Display) {
    if IS_SILENT.load(Ordering::Relaxed) {
        return;
    }
    // Nobody is left to be told that standard error is gone.
    let _ = writeln!(std::io::stderr(), "{}", Printable(line));
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
}
