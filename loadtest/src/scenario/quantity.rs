//! Numbers of a scenario file: read with their units, and refused outside of their bounds where
//! they stand, so that the error names the line.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Longest time taken, in milliseconds.
const LONGEST: u64 = 24 * 3_600_000;

/// A length of time, as `500ms`, `30s`, `5m` or `1h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

/// A number of bytes, as `1500`, `5KiB` or `1MiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

// === impl Period ===

impl Period {
    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Reads a number with its unit.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed =
            || format!("{text:?}: allowed is a whole number and ms, s, m or h, as in 30s");
        let digits = text.find(|it: char| !it.is_ascii_digit()).ok_or_else(allowed)?;
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(allowed()),
        };
        let number: u64 = number.parse().map_err(|_| allowed())?;
        let total = number.checked_mul(milliseconds).filter(|it| *it <= LONGEST);
        let total = total.ok_or_else(|| format!("{text:?}: allowed is at most 24h"))?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        for (unit, name) in [(3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
            if milliseconds > 0 && milliseconds.is_multiple_of(unit) {
                return write!(f, "{}{name}", milliseconds / unit);
            }
        }
        write!(f, "{milliseconds}ms")
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Size ===

impl Size {
    /// Reads a number with or without its unit.
    ///
    /// # Errors
    /// Says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!("{text:?}: allowed is a whole number of bytes, or with KiB or MiB, as in 5KiB")
        };
        let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let bytes = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => return Err(allowed()),
        };
        let number: usize = number.parse().map_err(|_| allowed())?;
        number.checked_mul(bytes).map(Self).ok_or_else(allowed)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 as u64)
    }
}

/// For `deserialize_with`: a whole number from `MIN` to `MAX`.
pub(super) fn count<'de, D: Deserializer<'de>, const MIN: u32, const MAX: u32>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().ok().filter(|number| (MIN..=MAX).contains(number)).ok_or_else(|| {
        D::Error::custom(format!("{text}: allowed is a whole number from {MIN} to {MAX}"))
    })
}

/// The same, of a field that may be absent.
pub(super) fn optional_count<'de, D: Deserializer<'de>, const MIN: u32, const MAX: u32>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    count::<D, MIN, MAX>(deserializer).map(Some)
}

/// For `deserialize_with`: a rate per second.
pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, 0.01, 100_000.0)
}

/// The same, of a field that may be absent.
pub(super) fn optional_rate<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    rate(deserializer).map(Some)
}

/// For `deserialize_with`: a share above 0, up to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    number(deserializer, 0.0001, 1.0)
}

fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: f64,
    most: f64,
) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
        D::Error::custom(format!("{text}: allowed is a number from {least} to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("90s", 90_000), ("2m", 120_000)] {
            let period = Period::parse(text).unwrap();
            assert_eq!(period.0.as_millis(), milliseconds);
            assert_eq!(Period::parse(&period.to_string()), Ok(period));
        }
        assert_eq!(Period::parse("60s").unwrap().to_string(), "1m");
        for text in ["", "s", "30", "1d", "-1s", "1.5m", "99999999999999999999h", "25h"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_may_have_a_unit() {
        assert_eq!(Size::parse("1500"), Ok(Size(1500)));
        assert_eq!(Size::parse("5KiB"), Ok(Size(5120)));
        for text in ["", "KiB", "5KB", "-5", "1.5MiB", "99999999999999999999MiB"] {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
