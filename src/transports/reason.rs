//! Why an endpoint cannot be had, before it is known what we wanted with it.

use crate::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// The reason and the advice of an [`Error`].
#[derive(Debug)]
pub(super) struct Reason {
    reason: String,
    advice: &'static str,
}

impl Reason {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            advice: "choose another address",
        }
    }

    pub(super) fn advise(self, advice: &'static str) -> Self {
        Self { advice, ..self }
    }

    pub(super) fn in_use() -> Self {
        Self::new("in use by a running process").advise("stop that or choose another address")
    }

    pub(super) fn not_handed_over(error: &io::Error) -> Self {
        Self::new(format!("its owner or group cannot be set: {error}"))
            .advise("start as root, or choose a group that you are in")
    }

    /// The error that names what we wanted to do, and with what.
    pub(super) fn of(self, verb: &'static str, object: impl fmt::Display) -> Error {
        Error::new(verb, object, self.reason).advise(self.advice)
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::AddrInUse => Self::in_use(),
            ErrorKind::NotFound => Self::new(error.to_string()).advise("make its folder first"),
            _ => Self::new(error.to_string()),
        }
    }
}
