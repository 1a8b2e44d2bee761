//! What a server answered.

/// How a body came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The server ended it in order.
    Complete,
    /// Nothing came for a while and the tester left.
    Left,
    /// The connection broke off.
    Broken,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// 0 if there was none at all.
    pub(crate) status: u16,
    /// Names in lower case, in order of name.
    pub(crate) headers: Vec<(String, String)>,
    /// Decompressed.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

// === impl Answer ===

impl Answer {
    /// The connection ended in place of an answer.
    pub(crate) fn none() -> Self {
        Self { status: 0, headers: Vec::new(), body: Vec::new(), end: End::Broken }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}
