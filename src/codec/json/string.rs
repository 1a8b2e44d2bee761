//! A JSON string where it stands, unescaped only when its meaning is asked for.

use std::{borrow::Cow, ops::Range};

use crate::codec::decode_error::DecodeError;

/// One string of a JSON text.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonString<'a> {
    /// With both quotes.
    quoted: &'a str,
    escaped: bool,
    /// Offset of the opening quote in the text.
    at: usize,
}

// === impl JsonString ===

impl<'a> JsonString<'a> {
    pub(super) fn new(quoted: &'a str, escaped: bool, at: usize) -> Self {
        Self { quoted, escaped, at }
    }

    /// Offset of the opening quote.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Where the string stands without its quotes.
    pub(super) fn inner_span(&self) -> Range<usize> {
        self.at + 1..self.at + self.quoted.len() - 1
    }

    /// The string as written, without its quotes.
    fn inner(&self) -> &'a str {
        &self.quoted[1..self.quoted.len() - 1]
    }

    /// What the string means. Fails on half a surrogate pair.
    pub(super) fn text(&self) -> Result<Cow<'a, str>, DecodeError> {
        if !self.escaped {
            return Ok(Cow::Borrowed(self.inner()));
        }
        serde_json::from_str(self.quoted)
            .map(Cow::Owned)
            .map_err(|_| DecodeError::Expected { expected: "a string of characters", at: self.at })
    }

    /// The text of a string that may not use escapes, such as a number in quotes.
    pub(super) fn plain(&self) -> Option<&'a str> {
        (!self.escaped).then(|| self.inner())
    }

    /// Whether the string means `text`.
    pub(super) fn is(&self, text: &str) -> bool {
        if self.escaped { self.text().is_ok_and(|own| own == text) } else { self.inner() == text }
    }
}
