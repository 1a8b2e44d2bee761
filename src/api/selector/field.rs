//! Field selectors: terms on an object's name, namespace and selectable fields, all to hold.
//!
//! Reading has two steps because the API server has two: [`FieldTerms`] is the grammar alone, known
//! before the type is; [`FieldSelector`] is resolved against the type's [`FieldSchema`], sorted and
//! without repeats, so that equal selections written differently are equal.
//!
//! Hot path: `matches` runs for every event and audience; it does not allocate.

use std::fmt;

use compact_str::CompactString;

use super::field_schema::{AliasMeaning, FieldSchema};
use crate::api::object_key::ObjectKey;

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// A field selector as written, in the order in which the API server looks at its terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldTerms {
    terms: Vec<RawTerm>,
}

/// Terms that must all hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldSelector {
    terms: Box<[Term]>,
}

/// What a term looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldTarget {
    /// `metadata.name`.
    Name,
    /// `metadata.namespace`; empty for cluster-scoped objects.
    Namespace,
    /// A field of the type's schema, by its position there.
    Field(usize),
    /// A label that is accepted but has no value in any object.
    AlwaysEmpty,
}

/// A text that is not a field selector, or one that the type does not support.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldSelectorError {
    /// A term without `=`, `==` or `!=`.
    #[error("field selector: {0:?} has no operator")]
    NoOperator(CompactString),
    /// A value with a bad escape, or with a bare `,` or `=`.
    #[error("field selector: {0:?} is not an escaped value")]
    Value(CompactString),
    /// A label that this type cannot be selected by.
    #[error("field selector: {0:?} is not a selectable field of this type")]
    UnknownLabel(CompactString),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct RawTerm {
    label: CompactString,
    operator: Operator,
    value: CompactString,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Term {
    target: FieldTarget,
    operator: Operator,
    value: CompactString,
    /// Only for writing the term down again.
    label: CompactString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Operator {
    Equals,
    NotEquals,
}

// === impl FieldTerms ===

impl FieldTerms {
    /// Reads the grammar of semantics §7.2: terms joined by `,` with `\` escapes in values.
    pub fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let mut written = split_terms(text);
        // The API server sorts the texts first, which decides whose name a request gets.
        written.sort_unstable();
        let mut terms = Vec::with_capacity(written.len());
        for term in written {
            if term.is_empty() {
                continue;
            }
            let term = RawTerm::parse(term)?;
            // A term without label and value says nothing and is dropped.
            if !(term.label.is_empty() && term.value.is_empty()) {
                terms.push(term);
            }
        }
        Ok(Self { terms })
    }

    /// The objects of one name.
    pub fn name(name: &str) -> Self {
        let term = RawTerm { label: NAME.into(), operator: Operator::Equals, value: name.into() };
        Self { terms: vec![term] }
    }

    /// Whether there is no term, so that every object is selected.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The name that `metadata.name` must equal; the first in sorted order when there are several.
    /// This becomes the name of the request (semantics §1, step 6).
    pub fn required_name(&self) -> Option<&str> {
        self.terms
            .iter()
            .find(|term| term.label == NAME && term.operator == Operator::Equals)
            .map(|term| term.value.as_str())
    }
}

// === impl RawTerm ===

impl RawTerm {
    fn parse(text: &str) -> Result<Self, FieldSelectorError> {
        let at = text.find("!=").unwrap_or(text.len()).min(text.find('=').unwrap_or(text.len()));
        let (label, rest) = text.split_at(at);
        let (operator, value) = if let Some(value) = rest.strip_prefix("!=") {
            (Operator::NotEquals, value)
        } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
            (Operator::Equals, value)
        } else {
            return Err(FieldSelectorError::NoOperator(text.into()));
        };
        let value = unescape(value).ok_or_else(|| FieldSelectorError::Value(value.into()))?;
        Ok(Self { label: label.into(), operator, value })
    }
}

// === impl FieldSelector ===

impl FieldSelector {
    /// Resolves labels to positions; a label that the type does not know is an error.
    pub fn resolve(terms: &FieldTerms, schema: &FieldSchema) -> Result<Self, FieldSelectorError> {
        let resolve = |term: &RawTerm| {
            let (target, label) = target(&term.label, schema)
                .ok_or_else(|| FieldSelectorError::UnknownLabel(term.label.clone()))?;
            Ok(Term { target, operator: term.operator, value: term.value.clone(), label })
        };
        let mut terms = terms.terms.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        terms.sort_unstable();
        terms.dedup();
        Ok(Self { terms: terms.into() })
    }

    /// Reads and resolves in one step.
    pub fn parse(text: &str, schema: &FieldSchema) -> Result<Self, FieldSelectorError> {
        Self::resolve(&FieldTerms::parse(text)?, schema)
    }

    /// Whether there is no term, so that every object is selected.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether an object is selected; `fields` are its values in the order of the schema, and a
    /// missing one counts as empty.
    pub fn matches(&self, key: &ObjectKey, fields: &[CompactString]) -> bool {
        self.terms.iter().all(|term| {
            let value = match term.target {
                FieldTarget::Name => key.name(),
                FieldTarget::Namespace => key.namespace(),
                FieldTarget::Field(index) => fields.get(index).map_or("", CompactString::as_str),
                FieldTarget::AlwaysEmpty => "",
            };
            (value == term.value) == (term.operator == Operator::Equals)
        })
    }

    /// Whether any term looks at a field other than name and namespace.
    pub fn looks_at_fields(&self) -> bool {
        self.terms
            .iter()
            .any(|term| !matches!(term.target, FieldTarget::Name | FieldTarget::Namespace))
    }

    /// The one name that every selected object has.
    pub fn required_name(&self) -> Option<&str> {
        self.required(FieldTarget::Name)
    }

    /// The one namespace that every selected object is in; it may be empty.
    pub fn required_namespace(&self) -> Option<&str> {
        self.required(FieldTarget::Namespace)
    }

    /// The values that every selected object has in known places, for indexes.
    pub fn equality_terms(&self) -> impl Iterator<Item = (FieldTarget, &str)> {
        self.terms
            .iter()
            .filter(|term| {
                term.operator == Operator::Equals && term.target != FieldTarget::AlwaysEmpty
            })
            .map(|term| (term.target, term.value.as_str()))
    }

    fn required(&self, wanted: FieldTarget) -> Option<&str> {
        self.equality_terms().find(|(target, _)| *target == wanted).map(|(_, value)| value)
    }
}

impl fmt::Display for FieldSelector {
    /// The canonical text; parsing it with the same schema gives an equal selector.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)?;
        f.write_str(match self.operator {
            Operator::Equals => "=",
            Operator::NotEquals => "!=",
        })?;
        for character in self.value.chars() {
            if matches!(character, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

/// What a label means for a type, and its canonical spelling.
fn target(label: &str, schema: &FieldSchema) -> Option<(FieldTarget, CompactString)> {
    let of_field = |label: &CompactString| {
        schema.position(label).map(|index| (FieldTarget::Field(index), label.clone()))
    };
    let label = CompactString::from(label);
    match label.as_str() {
        NAME => Some((FieldTarget::Name, label)),
        NAMESPACE => schema.accepts_namespace.then_some((FieldTarget::Namespace, label)),
        _ => match schema.alias(&label) {
            Some(AliasMeaning::Field(field)) => of_field(field),
            Some(AliasMeaning::AlwaysEmpty) => Some((FieldTarget::AlwaysEmpty, label)),
            None => of_field(&label),
        },
    }
}

/// Splits at commas that no backslash protects.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let mut start = 0;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Removes the backslashes of an escaped value.
fn unescape(value: &str) -> Option<CompactString> {
    let mut plain = CompactString::default();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                _ => return None,
            },
            ',' | '=' => return None,
            other => plain.push(other),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
