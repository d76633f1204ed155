//! What standard error did not take at once is said as soon as it takes something again.

use super::Reactor;
use crate::diagnostics;
use mio::unix::SourceFd;
use mio::{Interest, Token};

/// Tells of standard error.
pub(super) const OWED: Token = Token(2);

impl Reactor {
    /// Has standard error watched while it owes something, and only then: idle is idle.
    pub(super) fn see_to_what_is_owed(&mut self) {
        if !self.is_owing && !diagnostics::is_owing() {
            return;
        }
        if self.events.iter().any(|event| event.token() == OWED) {
            diagnostics::settle();
        }
        if self.is_owing == diagnostics::is_owing() {
            return;
        }
        self.is_owing = !self.is_owing;
        let Some(fd) = diagnostics::descriptor() else {
            return;
        };
        // A regular file cannot be watched: what is owed is said with the next message, or at the end.
        let registry = self.poll.registry();
        let _ = if self.is_owing {
            registry.register(&mut SourceFd(&fd), OWED, Interest::WRITABLE)
        } else {
            registry.deregister(&mut SourceFd(&fd))
        };
    }
}
