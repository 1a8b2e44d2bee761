//! [`KeyRange`]: an owned range of keys, for readers that outlive the request's text.

use std::ops::{Bound, RangeBounds};

use compact_str::{CompactString, format_compact};

use crate::api::object_key::ObjectKey;

/// The character after the `/` that ends a namespace.
const AFTER_SLASH: char = '0';

/// A range of keys in their byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    start: Bound<CompactString>,
    end: Bound<CompactString>,
}

// === impl KeyRange ===

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// The range between two bounds.
    pub const fn new(start: Bound<CompactString>, end: Bound<CompactString>) -> Self {
        Self { start, end }
    }

    /// The keys `namespace/…`. An empty namespace means all of them, as in a request.
    pub fn namespace(namespace: &str) -> Self {
        if namespace.is_empty() {
            return Self::ALL;
        }
        Self {
            start: Bound::Included(format_compact!("{namespace}/")),
            end: Bound::Excluded(format_compact!("{namespace}{AFTER_SLASH}")),
        }
    }

    /// One key.
    pub fn only(key: &ObjectKey) -> Self {
        let key = CompactString::from(key.as_str());
        Self { start: Bound::Included(key.clone()), end: Bound::Included(key) }
    }

    /// The part of this range after `key`: where a page of a list that ended with `key` goes on.
    /// Never more than this range, whatever the key: it may come from a client's continue token.
    #[must_use]
    pub fn after(self, key: &str) -> Self {
        match &self.start {
            Bound::Included(start) | Bound::Excluded(start) if key < start.as_str() => self,
            _ => Self { start: Bound::Excluded(key.into()), ..self },
        }
    }

    /// The part of this range from `key` on, with the same care as [`Self::after`].
    #[must_use]
    pub fn starting_at(self, key: &str) -> Self {
        match &self.start {
            Bound::Included(start) | Bound::Excluded(start) if key <= start.as_str() => self,
            _ => Self { start: Bound::Included(key.into()), ..self },
        }
    }
}

impl RangeBounds<str> for KeyRange {
    fn start_bound(&self) -> Bound<&str> {
        self.start.as_ref().map(CompactString::as_str)
    }

    fn end_bound(&self) -> Bound<&str> {
        self.end.as_ref().map(CompactString::as_str)
    }
}

impl RangeBounds<str> for &KeyRange {
    fn start_bound(&self) -> Bound<&str> {
        (*self).start_bound()
    }

    fn end_bound(&self) -> Bound<&str> {
        (*self).end_bound()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Bound::{Excluded, Unbounded};

    use super::*;

    #[test]
    fn a_namespace_holds_its_keys_and_no_neighbours() {
        let range = KeyRange::namespace("a");
        assert!(range.contains("a/") && range.contains("a/x") && range.contains("a/\u{10ffff}"));
        for key in ["a", "a-b/x", "a0", "b/x", "a.b/x"] {
            assert!(!range.contains(key), "{key}");
        }
        assert_eq!(KeyRange::namespace(""), KeyRange::ALL);
    }

    #[test]
    fn one_key_is_alone() {
        let only = KeyRange::only(&ObjectKey::new("a", "x"));
        assert!(only.contains("a/x"));
        assert!(!only.contains("a/x-1") && !only.contains("a/w") && !only.contains("a/x/"));
        assert!(!only.after("a/x").contains("a/x"));
    }

    #[test]
    fn after_a_key_excludes_it() {
        let range = KeyRange::namespace("a").after("a/m");
        assert!(!range.contains("a/m") && range.contains("a/m0") && !range.contains("b/x"));
        assert_eq!(KeyRange::ALL.after("m"), KeyRange::new(Excluded("m".into()), Unbounded));
    }

    #[test]
    fn after_a_key_before_the_range_is_the_range() {
        let range = KeyRange::namespace("b").after("a/secret");
        assert_eq!(range, KeyRange::namespace("b"));
        assert!(!KeyRange::namespace("b").after("c/x").contains("c/y"));
    }
}
