//! [`Column`]: one thing that every object has a value of, or none; [`Term`]: a value it must have.
//!
//! Terms are what the map can look objects up by. They say nothing of the rest of a selector, and
//! finding by one is no proof: whoever looks compares the value itself.

use std::hash::{BuildHasher, Hash};

use compact_str::CompactString;
use foldhash::quality::FixedState;

use crate::codec::object::ObjectAttributes;

/// Something to look objects up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Column {
    /// The object's name.
    Name,
    /// Its namespace; empty for cluster-scoped objects.
    Namespace,
    /// A selectable field, by its place in the type's `FieldSchema`.
    Field(usize),
    /// The label with this key.
    Label(CompactString),
}

/// An equality: the column has this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is compared.
    pub column: Column,
    /// What it has to be.
    pub value: CompactString,
}

/// The bits that are left of a value's hash when a place stands beside it.
const HASH_BITS: u32 = 48;

// === impl Column ===

impl Column {
    /// The value in an object with these attributes, `None` if it has none.
    pub(super) fn value<'a>(&self, attributes: &'a ObjectAttributes) -> Option<&'a str> {
        match self {
            Self::Name => Some(attributes.key.name()),
            Self::Namespace => Some(attributes.key.namespace()),
            // One that is missing counts as empty, as it does in selectors.
            Self::Field(place) => {
                Some(attributes.fields.get(*place).map_or("", CompactString::as_str))
            }
            Self::Label(key) => attributes.label(key),
        }
    }
}

// === impl Term ===

impl Term {
    /// Whether an object with these attributes has the value.
    pub(super) fn holds(&self, attributes: &ObjectAttributes) -> bool {
        self.column.value(attributes) == Some(self.value.as_str())
    }
}

/// 48 bits of a value's hash. Equal values have equal ones; different values nearly never do, even
/// those that somebody chose, and then cost a look at an object.
pub(super) fn hash(value: &str) -> u64 {
    let mut state = FixedState::default().build_hasher();
    value.hash(&mut state);
    std::hash::Hasher::finish(&state) >> (u64::BITS - HASH_BITS)
}
