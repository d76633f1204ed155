//! What goes wrong outside of a record: one line with verb, object, reason, and what to do next.

use std::fmt;

/// The process's exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Success = 0,
    /// The command line asks for something that cannot be.
    Usage = 1,
    /// The system refused something.
    Failure = 2,
    /// Stopped before everything was drained.
    Undrained = 3,
}

impl From<Exit> for u8 {
    fn from(exit: Exit) -> Self {
        exit as Self
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(u8::from(exit))
    }
}

/// Something that we could not do, and what the user can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    verb: &'static str,
    object: String,
    reason: String,
    advice: Option<String>,
    exit: Exit,
}

impl Error {
    /// A failure (exit status 2): could not `verb` the `object` for this `reason`.
    pub fn new(verb: &'static str, object: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self {
            verb,
            object: object.to_string(),
            reason: reason.to_string(),
            advice: None,
            exit: Exit::Failure,
        }
    }

    /// Wrong usage (exit status 1) of the option or argument `object`.
    pub fn usage(object: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::new("use", object, reason)
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The exit status that belongs to it.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// The reason alone, for a place that names the object itself.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.verb, self.object, self.reason)?;
        match &self.advice {
            Some(advice) => write!(f, "; {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_verb_object_reason_and_advice() {
        let error = Error::new("bind", "tcp=127.0.0.1:9000", "Address already in use")
            .advise("choose another port");
        assert_eq!(
            error.to_string(),
            "cannot bind tcp=127.0.0.1:9000: Address already in use; choose another port"
        );
        assert_eq!(u8::from(error.exit()), 2);
        assert_eq!(u8::from(Error::usage("--rate", "negative").exit()), 1);
    }
}
