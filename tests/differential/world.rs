//! What is known of the cluster between two writes, for the generator to ask about.

use crate::kinds::KINDS;

/// Versions and tokens that mean something.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// Before this version the gateway had not seen every type in every form.
    pub(crate) start: u64,
    /// The newest version that a write got.
    pub(crate) written: u64,
    /// Versions that lists of each kind had, and writes of it, oldest first.
    pub(crate) versions: Vec<Vec<u64>>,
    /// Continue tokens of either server.
    pub(crate) tokens: Vec<Token>,
}

/// A continue token and where it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// A place in [`KINDS`].
    pub(crate) kind: usize,
    pub(crate) namespace: Option<&'static str>,
    pub(crate) text: String,
}

/// Tokens beyond this are forgotten, oldest first.
const TOKENS: usize = 1000;

impl World {
    pub(crate) fn new() -> Self {
        Self { versions: vec![Vec::new(); KINDS.len()], ..Self::default() }
    }

    pub(crate) fn saw(&mut self, kind: usize, version: u64) {
        let versions = &mut self.versions[kind];
        if let Err(place) = versions.binary_search(&version) {
            versions.insert(place, version);
        }
    }

    pub(crate) fn wrote(&mut self, kind: usize, version: u64) {
        self.written = self.written.max(version);
        self.saw(kind, version);
    }

    pub(crate) fn keep(&mut self, token: Token) {
        self.tokens.push(token);
        let excess = self.tokens.len().saturating_sub(TOKENS);
        self.tokens.drain(..excess);
    }
}
