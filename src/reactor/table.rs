//! Which token stands for which source, and which sources are to have a turn.

use crate::transports::Source;
use mio::Token;
use std::collections::HashMap;

/// A source and what the event loop knows of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// Index of the intake that its records count for.
    pub(super) intake: usize,
    /// It is not ours: a stop leaves it, and what is queued there, as they are.
    pub(super) is_inherited: bool,
    /// The other end has been hung up, so that the end of the input is still to be read.
    pub(super) hung_up: bool,
    /// It stands in `ready`.
    is_ready: bool,
}

/// The sources. Tokens grow and are never reused, so that an event for a source that was closed
/// earlier in the same round meets nobody.
#[derive(Debug)]
pub(super) struct SourceTable {
    entries: HashMap<Token, Entry>,
    next: usize,
    /// Sources that are to have a turn: an event named them, or their last turn was not finished.
    ready: Vec<Token>,
    /// Listeners with connections that could not be accepted.
    parked: Vec<Token>,
    connections: usize,
}

impl SourceTable {
    /// An empty table; tokens below `first` are somebody else's.
    pub(super) fn new(first: usize) -> Self {
        Self {
            entries: HashMap::new(),
            next: first,
            ready: Vec::new(),
            parked: Vec::new(),
            connections: 0,
        }
    }

    pub(super) fn next_token(&self) -> Token {
        Token(self.next)
    }

    /// Adds a source under the next token.
    pub(super) fn insert(&mut self, source: Source, intake: usize) -> Token {
        self.insert_entry(source, intake, false)
    }

    /// Adds a source that is not ours.
    pub(super) fn insert_inherited(&mut self, source: Source, intake: usize) -> Token {
        self.insert_entry(source, intake, true)
    }

    fn insert_entry(&mut self, source: Source, intake: usize, is_inherited: bool) -> Token {
        let token = self.next_token();
        self.next += 1;
        self.connections += usize::from(source.is_connection());
        self.entries.insert(
            token,
            Entry {
                source,
                intake,
                is_inherited,
                hung_up: false,
                is_ready: false,
            },
        );
        token
    }

    /// Removes a source. Its descriptor is free then, so parked listeners may try again.
    pub(super) fn remove(&mut self, token: Token) -> Option<Source> {
        let source = self.entries.remove(&token)?.source;
        self.connections -= usize::from(source.is_connection());
        self.unpark();
        Some(source)
    }

    /// Has a source make way for another; what it still holds is read at once.
    pub(super) fn retire(&mut self, token: Token) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.source.retire();
            self.wake(token, true);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Notes that a source is to have a turn, once.
    pub(super) fn wake(&mut self, token: Token, hung_up: bool) {
        if let Some(entry) = self.entries.get_mut(&token) {
            entry.hung_up |= hung_up;
            if !std::mem::replace(&mut entry.is_ready, true) {
                self.ready.push(token);
            }
        }
    }

    /// Notes that every source is to have a turn, the oldest first: of a client that has connected
    /// anew, what it sent before comes before what it sent after.
    pub(super) fn wake_all(&mut self) {
        self.parked.clear();
        for entry in self.entries.values_mut() {
            entry.is_ready = true;
        }
        self.ready = self.entries.keys().copied().collect();
        self.ready.sort_unstable();
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the list of those that are to have a turn now; each begins its turn with
    /// [`begin_turn`](Self::begin_turn). Leaves `emptied` in its place, so that no round allocates.
    pub(super) fn take_ready(&mut self, mut emptied: Vec<Token>) -> Vec<Token> {
        emptied.clear();
        std::mem::replace(&mut self.ready, emptied)
    }

    /// The source that is there, if it is the only one.
    pub(super) fn only_one(&self) -> Option<Token> {
        let mut tokens = self.entries.keys();
        tokens.next().copied().filter(|_| tokens.next().is_none())
    }

    /// Puts back those of a taken list that had no turn.
    pub(super) fn put_back(&mut self, rest: &[Token]) {
        self.ready.extend_from_slice(rest);
    }

    /// The source whose turn it is; `None` if it has been closed in this round.
    pub(super) fn begin_turn(&mut self, token: Token) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&token)?;
        entry.is_ready = false;
        Some(entry)
    }

    /// Keeps a listener from turns until one of our descriptors is closed.
    pub(super) fn park(&mut self, token: Token) {
        // It may be parked already: each client that comes meanwhile wakes it for another try.
        if !self.parked.contains(&token) {
            self.parked.push(token);
        }
    }

    /// Lets parked listeners try again.
    pub(super) fn unpark(&mut self) {
        for token in std::mem::take(&mut self.parked) {
            self.wake(token, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_is_parked_again_and_again_stands_in_the_list_once() {
        let mut table = SourceTable::new(1);
        for _ in 0..3 {
            table.park(Token(1));
            table.park(Token(2));
        }
        assert_eq!(table.parked.len(), 2);
    }
}
