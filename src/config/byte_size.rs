//! A number of bytes as Kubernetes writes quantities: `512Mi`, `2Gi`, `500M`, `1048576`.

use std::{fmt, str::FromStr};

/// The suffixes allowed, the longer first where one ends another.
const UNITS: [(&str, u64); 8] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

/// The smallest budget that is of use.
const SMALLEST: u64 = 16 << 20;

/// A memory budget in bytes, at least 16Mi.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// The text is no memory budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a memory size: allowed is a whole number of bytes, optionally with one of Ki, Mi, Gi, Ti, \
     k, M, G, T, and at least 16Mi"
)]
pub struct BadByteSize;

// === impl ByteSize ===

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadByteSize;

    fn from_str(text: &str) -> Result<Self, BadByteSize> {
        let (digits, unit) = UNITS
            .iter()
            .find_map(|&(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))
            .unwrap_or((text, 1));
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadByteSize);
        }
        let number: u64 = digits.parse().map_err(|_| BadByteSize)?;
        let bytes = number.checked_mul(unit).ok_or(BadByteSize)?;
        if bytes < SMALLEST { Err(BadByteSize) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for ByteSize {
    /// With the largest binary suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fitting = UNITS[..4].iter().rev().find(|(_, unit)| self.0.is_multiple_of(*unit));
        match fitting {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(ByteSize::bytes);
        assert_eq!(bytes("512Mi"), Ok(512 << 20));
        assert_eq!(bytes("2Gi"), Ok(2 << 30));
        assert_eq!(bytes("500M"), Ok(500_000_000));
        assert_eq!(bytes("20000k"), Ok(20_000_000));
        assert_eq!(bytes("16777216"), Ok(SMALLEST));
        for bad in ["", "Mi", "-1Gi", "+1Gi", "1.5Gi", "1 Gi", "1GB", "15Mi", "99999999999Ti"] {
            assert_eq!(bytes(bad), Err(BadByteSize), "{bad}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_can_be_written() {
        for text in ["512Mi", "4Gi", "16777217"] {
            assert_eq!(text.parse::<ByteSize>().map(|size| size.to_string()), Ok(text.to_owned()));
        }
    }
}
