//! Label selectors: requirements on an object's labels, all of which must hold.
//!
//! A selector is kept in a canonical form: requirements sorted and without repeats, `=`, `==` and a
//! set of one the same. So two clients that write the same selection differently share an audience.
//! The grammar is in `parse`; nothing here knows where labels come from.
//!
//! Hot path: `matches` runs for every event of a resource and every audience; it does not allocate.

mod parse;

use std::fmt;

use compact_str::CompactString;

pub use self::parse::LabelSelectorError;

/// Requirements that must all hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSelector {
    requirements: Box<[Requirement]>,
}

/// One condition on the label of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Requirement {
    key: CompactString,
    condition: Condition,
}

/// What is asked of a label. Value sets are sorted, without repeats and never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The label is there.
    Exists,
    /// The label is not there.
    Absent,
    /// The label is there with one of these values.
    In(Box<[CompactString]>),
    /// The label is not there, or has none of these values.
    NotIn(Box<[CompactString]>),
    /// The label is an integer greater than this.
    GreaterThan(i64),
    /// The label is an integer less than this.
    LessThan(i64),
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Reads a selector as the API server does (semantics §7.3); empty text selects everything.
    pub fn parse(text: &str) -> Result<Self, LabelSelectorError> {
        parse::requirements(text).map(Self::from_requirements)
    }

    fn from_requirements(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_unstable();
        requirements.dedup();
        Self { requirements: requirements.into() }
    }

    /// Whether there is no requirement, so that every object is selected.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected; `labels` must be sorted by key.
    pub fn matches(&self, labels: &[(CompactString, CompactString)]) -> bool {
        self.requirements.iter().all(|requirement| requirement.holds(labels))
    }

    /// The requirements, sorted.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The labels that every selected object has with one known value, for indexes.
    pub fn equality_terms(&self) -> impl Iterator<Item = (&str, &str)> {
        self.requirements.iter().filter_map(|requirement| match &requirement.condition {
            Condition::In(values) if values.len() == 1 => {
                Some((requirement.key.as_str(), values[0].as_str()))
            }
            _ => None,
        })
    }
}

impl fmt::Display for LabelSelector {
    /// The canonical text; parsing it gives an equal selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

// === impl Requirement ===

impl Requirement {
    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What is asked of it.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    fn holds(&self, labels: &[(CompactString, CompactString)]) -> bool {
        let value = labels
            .binary_search_by(|(key, _)| key.as_str().cmp(self.key.as_str()))
            .ok()
            .map(|index| &labels[index].1);
        match &self.condition {
            Condition::Exists => value.is_some(),
            Condition::Absent => value.is_none(),
            Condition::In(values) => value.is_some_and(|value| values.binary_search(value).is_ok()),
            Condition::NotIn(values) => {
                value.is_none_or(|value| values.binary_search(value).is_err())
            }
            Condition::GreaterThan(bound) => integer(value).is_some_and(|number| number > *bound),
            Condition::LessThan(bound) => integer(value).is_some_and(|number| number < *bound),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, condition } = self;
        match condition {
            Condition::Exists => write!(f, "{key}"),
            Condition::Absent => write!(f, "!{key}"),
            Condition::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Condition::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Condition::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Condition::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Condition::GreaterThan(bound) => write!(f, "{key}>{bound}"),
            Condition::LessThan(bound) => write!(f, "{key}<{bound}"),
        }
    }
}

fn integer(value: Option<&CompactString>) -> Option<i64> {
    value?.parse().ok()
}

#[cfg(test)]
mod tests;
