//! Label and field selectors: which objects of a resource a request is about.
//!
//! [`Selection`] is what an audience shares: two requests with equal selections see the same objects
//! and the same events, so they are filtered once. It does not carry the request's namespace or
//! raw selector text; authorization needs those and takes them from the request.

pub mod built_in;
pub mod field;
pub mod field_schema;
pub mod label;

use compact_str::CompactString;

use self::{field::FieldSelector, label::LabelSelector};
use super::object_key::ObjectKey;

/// Both selectors of a request, canonical and resolved against the type's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selection {
    /// The requirements on labels.
    pub label: LabelSelector,
    /// The terms on fields.
    pub field: FieldSelector,
}

// === impl Selection ===

impl Selection {
    /// Whether neither selector asks for anything; only then do lists carry `remainingItemCount`.
    pub fn is_everything(&self) -> bool {
        self.label.is_everything() && self.field.is_everything()
    }

    /// Whether an object is selected. `labels` must be sorted by key; `fields` are the values of
    /// the type's schema, in its order.
    pub fn matches(
        &self,
        key: &ObjectKey,
        labels: &[(CompactString, CompactString)],
        fields: &[CompactString],
    ) -> bool {
        self.field.matches(key, fields) && self.label.matches(labels)
    }
}
