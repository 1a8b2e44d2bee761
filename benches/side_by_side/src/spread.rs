//! A few samples of one figure, and ratios of figures of the same round.
//!
//! The machine's speed changes while a run goes on, so only figures of one round are divided by each other.

use std::fmt;

use serde::Serialize;

/// Least, middle and greatest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { min, median, max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}–{})", Short(self.median), Short(self.min), Short(self.max))
    }
}

/// What `of` costs in terms of `to`, round by round. A round in which `to` cost nothing that could be measured is left out.
pub(crate) fn ratios(of: &[f64], to: &[f64]) -> Vec<f64> {
    of.iter().zip(to).filter(|(_, to)| **to > 0.0).map(|(of, to)| of / to).collect()
}

/// A number with three significant digits and separators of thousands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let digits = match size {
            _ if size == 0.0 || size >= 100.0 => 0,
            _ if size >= 10.0 => 1,
            _ if size >= 1.0 => 2,
            _ if size >= 0.1 => 3,
            _ => 4,
        };
        let text = format!("{size:.digits$}");
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        if self.0 < 0.0 {
            f.write_str("−")?;
        }
        for (position, digit) in whole.chars().enumerate() {
            if position > 0 && (whole.len() - position) % 3 == 0 {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        if fraction.is_empty() { Ok(()) } else { write!(f, ".{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_odd_and_even_numbers_of_samples() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[3.0, 1.0, 2.0]), Some(Spread { min: 1.0, median: 2.0, max: 3.0 }));
        assert_eq!(Spread::of(&[4.0, 1.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        assert_eq!(ratios(&[10.0, 40.0], &[1.0, 2.0]), [10.0, 20.0]);
        assert_eq!(ratios(&[10.0, 40.0], &[0.0, 2.0]), [20.0]);
    }

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [1_234_567.8, 123.4, 12.34, 1.234, 0.1234, 0.01234, 0.0, -1500.0]
            .map(|number| Short(number).to_string())
            .into();
        assert_eq!(shown, ["1,234,568", "123", "12.3", "1.23", "0.123", "0.0123", "0", "−1,500"]);
    }
}
