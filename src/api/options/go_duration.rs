//! Durations as Go's `time.ParseDuration` reads them: `30s`, `1m30s`, `1.5h`.
//!
//! Only what requests need: the length in whole nanoseconds, rounded down, without a sign. Lengths
//! that Go cannot hold are refused as there.

use std::time::Duration;

/// The length of a duration text without sign; `None` when Go would refuse it or it has a sign.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanoseconds = 0_u128;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| c != '.' && !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        nanoseconds = nanoseconds.checked_add(amount(number, nanoseconds_per(unit)?)?)?;
        rest = after;
    }
    if text.is_empty() || nanoseconds > i64::MAX as u128 {
        return None;
    }
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// `number` times `unit`, where the number may have a fraction.
fn amount(number: &str, unit: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // Go multiplies fractions as floats; with up to twelve digits that gives the same nanosecond.
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || fraction.len() > 12 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let unit = u128::from(unit);
    Some(u128::from(digits(whole)?) * unit + u128::from(digits(fraction)?) * unit / scale)
}

fn nanoseconds_per(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("30s", 30_000_000_000),
            ("8m7s", 487_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("2µs3ns", 2_003),
            ("1h1h", 7_200_000_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        for text in
            ["", "abc", "1", "1x", "s", ".s", "1..5s", "-1s", "+1s", "1 s", "1s ", "2562048h"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
