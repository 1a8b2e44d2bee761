//! Texts with places for a number: `spec.nodeName=node-{i}`.
//!
//! `{i}` is the number of the watcher, client, request or object that the text is for, counted from
//! 0; `{i%N}` the same modulo N; `{run}` the name of the run. Everything else stands for itself.

use std::fmt::{self, Write as _};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Number { modulo: Option<u64> },
    Run,
    Text(String),
}

// === impl Template ===

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Names the place that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}').map(|at| open + at);
            let place = close.map_or(&rest[open..], |close| &rest[open..=close]);
            let part = match place {
                "{i}" => Some(Part::Number { modulo: None }),
                "{run}" => Some(Part::Run),
                _ => place
                    .strip_prefix("{i%")
                    .and_then(|it| it.strip_suffix('}')?.parse().ok())
                    .filter(|modulo| *modulo > 0)
                    .map(|modulo| Part::Number { modulo: Some(modulo) }),
            };
            let part = part.ok_or_else(|| {
                format!("{text:?}: {place:?} is no place; allowed are {{i}}, {{i%N}} and {{run}}")
            })?;
            parts.push(part);
            rest = &rest[open + place.len()..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { written: text.to_owned(), parts })
    }

    /// The text for one number.
    pub fn render(&self, number: u64, run: &str) -> String {
        let mut text = String::with_capacity(self.written.len() + 8);
        for part in &self.parts {
            match part {
                Part::Number { modulo } => {
                    let number = modulo.map_or(number, |modulo| number % modulo);
                    // Writing to a string cannot fail.
                    let _written = write!(text, "{number}");
                }
                Part::Run => text.push_str(run),
                Part::Text(part) => text.push_str(part),
            }
        }
        text
    }

    /// How many different texts the numbers below `numbers` give.
    pub fn distinct(&self, numbers: u64) -> u64 {
        let of = |part: &Part| match part {
            Part::Number { modulo } => modulo.map_or(numbers, |modulo| modulo.min(numbers)),
            Part::Run | Part::Text(_) => 1,
        };
        self.parts.iter().map(of).max().unwrap_or(1)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let render = |text: &str, number| Template::parse(text).unwrap().render(number, "r1");
        assert_eq!(render("spec.nodeName=node-{i}", 7), "spec.nodeName=node-7");
        assert_eq!(render("{run}-{i%3}-{i}", 7), "r1-1-7");
        assert_eq!(render("plain", 7), "plain");
        assert_eq!(Template::parse("a-{i%3}").unwrap().distinct(100), 3);
        assert_eq!(Template::parse("a").unwrap().distinct(100), 1);
    }

    #[test]
    fn other_braces_are_refused_by_name() {
        for text in ["{j}", "{i", "{i%0}", "{i%x}", "{}", "a{i%-1}"] {
            assert!(Template::parse(text).unwrap_err().contains("allowed are {i}"), "{text}");
        }
    }
}
