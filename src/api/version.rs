//! Resource versions: the store's revisions as Kubernetes hands them out.
//!
//! A [`ResourceVersion`] is never zero and never invented by the gateway: it was reported by the
//! authoritative store. The request forms `""` and `"0"` are not versions; they are expressed by
//! [`crate::api::options`].

use std::{fmt, num::NonZeroU64, str::FromStr};

/// A revision of the authoritative store, greater than zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceVersion(NonZeroU64);

/// How a list's `resourceVersion` is to be read (semantics §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResourceVersionMatch {
    /// The state at exactly that version.
    Exact,
    /// Any state at least as new as that version.
    NotOlderThan,
}

/// A text that is not a resource version of one object or event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resourceVersion is not a decimal number between 1 and 2^64-1")]
pub struct InvalidResourceVersion;

// === impl ResourceVersion ===

impl ResourceVersion {
    /// The version with this number; `None` for zero, which is not a version.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// Reads the one spelling that the API server writes; [`str::parse`] also takes leading zeros, as
    /// it does in requests.
    pub fn from_canonical(text: &str) -> Option<Self> {
        text.parse().ok().filter(|_| !text.starts_with('0'))
    }

    /// The number, greater than zero.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl FromStr for ResourceVersion {
    type Err = InvalidResourceVersion;

    /// Reads the decimal form that the API server writes (digits only, no sign).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidResourceVersion);
        }
        text.parse().ok().and_then(Self::new).ok_or(InvalidResourceVersion)
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rv{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_only_positive_decimal_numbers() {
        assert_eq!("812".parse::<ResourceVersion>().unwrap().get(), 812);
        for text in ["", "0", "00", "-1", "+5", " 1", "1 ", "0x1", "18446744073709551616", "a"] {
            assert_eq!(text.parse::<ResourceVersion>(), Err(InvalidResourceVersion), "{text:?}");
        }
        assert_eq!("0812".parse::<ResourceVersion>().unwrap().get(), 812);
        assert_eq!(ResourceVersion::from_canonical("0812"), None);
        assert_eq!(ResourceVersion::from_canonical("812"), ResourceVersion::new(812));
    }
}
