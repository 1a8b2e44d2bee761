//! A request's query as Go's `net/url` reads it, since that decides what the API server sees.
//!
//! `+` is a space, percent escapes are decoded, a pair with a bad escape or a semicolon is dropped
//! without a word, and of a repeated parameter the first value counts (semantics §1, §2). A query
//! that a Rust string cannot hold, or an absurdly long one, is refused instead of approximated.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

/// The most pairs that are looked at. Go's own limit is 10000; clients send about ten.
pub const MAX_PAIRS: usize = 256;

/// The decoded pairs of one query, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query<'q> {
    raw: &'q str,
    pairs: SmallVec<[(Cow<'q, str>, Cow<'q, str>); 8]>,
}

/// A query that the gateway does not read; the request is to be forwarded as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableQuery {
    /// A name or value that is not UTF-8 after decoding.
    #[error("the query has a parameter that is not UTF-8")]
    NotUtf8,
    /// More than [`MAX_PAIRS`] pairs.
    #[error("the query has more than {MAX_PAIRS} parameters")]
    TooManyPairs,
}

// === impl Query ===

impl<'q> Query<'q> {
    /// Reads what follows `?` in the request target.
    pub fn parse(raw: Option<&'q str>) -> Result<Self, UnreadableQuery> {
        let raw = raw.unwrap_or_default();
        let mut query = Self { raw, ..Self::default() };
        for pair in raw.split('&') {
            if pair.is_empty() || pair.contains(';') {
                continue;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !has_valid_escapes(name) || !has_valid_escapes(value) {
                continue;
            }
            if query.pairs.len() == MAX_PAIRS {
                return Err(UnreadableQuery::TooManyPairs);
            }
            query.pairs.push((decode(name)?, decode(value)?));
        }
        Ok(query)
    }

    /// Whether the query, as it is written, contains a text.
    pub fn mentions(&self, text: &str) -> bool {
        self.raw.contains(text)
    }

    /// The first value of a parameter; empty when it is written without one, `None` when absent.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_ref())
    }

    /// As [`Self::first`], with absent and empty the same.
    pub fn first_or_empty(&self, name: &str) -> &str {
        self.first(name).unwrap_or_default()
    }

    /// A boolean parameter as Kubernetes reads it: everything is true except `0` and `false` in
    /// any case, so `?watch` and `?watch=` are true. `None` when absent.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.first(name).map(|value| value != "0" && !value.eq_ignore_ascii_case("false"))
    }
}

/// Whether every `%` is followed by two hexadecimal digits.
fn has_valid_escapes(text: &str) -> bool {
    let mut parts = text.split('%');
    parts.next();
    parts.all(|part| {
        let digits = part.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

fn decode(text: &str) -> Result<Cow<'_, str>, UnreadableQuery> {
    if !text.contains('+') {
        return percent_decode_str(text).decode_utf8().map_err(|_| UnreadableQuery::NotUtf8);
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(|text| Cow::Owned(text.into_owned())).map_err(|_| UnreadableQuery::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_pairs_as_go_does() {
        for (raw, expected) in [
            ("a=1", Some("1")),
            ("b=2&a=1&a=3", Some("1")),
            ("a", Some("")),
            ("a=", Some("")),
            ("&&a=x=y&", Some("x=y")),
            ("a=one+two%2Bthree%3d", Some("one two+three=")),
            ("%61=1", Some("1")),
            ("A=1", None),
            ("a=%zz", None),
            ("a=%2", None),
            ("a=%", None),
            ("a=%zz&a=2", Some("2")),
            ("a=1;b=2", None),
            ("a=1;b=2&a=3", Some("3")),
            ("", None),
        ] {
            assert_eq!(Query::parse(Some(raw)).unwrap().first("a"), expected, "{raw}");
        }
        assert_eq!(Query::parse(None).unwrap(), Query::default());
    }

    #[test]
    fn reads_booleans_as_kubernetes_does() {
        for (raw, expected) in [
            ("w", Some(true)),
            ("w=", Some(true)),
            ("w=1", Some(true)),
            ("w=no", Some(true)),
            ("w=0", Some(false)),
            ("w=FaLse", Some(false)),
            ("w=00", Some(true)),
            ("x=1", None),
        ] {
            assert_eq!(Query::parse(Some(raw)).unwrap().boolean("w"), expected, "{raw}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_hold() {
        assert_eq!(Query::parse(Some("a=%ff")), Err(UnreadableQuery::NotUtf8));
        assert_eq!(Query::parse(Some("a=+%ff")), Err(UnreadableQuery::NotUtf8));
        let long = "a&".repeat(MAX_PAIRS);
        assert!(Query::parse(Some(&long)).is_ok());
        assert_eq!(Query::parse(Some(&(long + "a"))), Err(UnreadableQuery::TooManyPairs));
    }
}
