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

#[cfg(test)]
mod tests {
    use super::{field_schema::FieldSchema, *};

    fn selection(label: &str, field: &str) -> Selection {
        Selection {
            label: LabelSelector::parse(label).unwrap(),
            field: FieldSelector::parse(field, &FieldSchema::metadata_only(true)).unwrap(),
        }
    }

    #[test]
    fn both_selectors_must_hold() {
        let key = ObjectKey::new("ns", "x");
        let labels = [("a".into(), "1".into())];
        for (label, field, expected) in [
            ("", "", true),
            ("a=1", "metadata.name=x", true),
            ("a=2", "metadata.name=x", false),
            ("a=1", "metadata.name=y", false),
        ] {
            let selection = selection(label, field);
            assert_eq!(selection.matches(&key, &labels, &[]), expected, "{label} {field}");
            assert_eq!(selection.is_everything(), label.is_empty(), "{label} {field}");
        }
    }

    #[test]
    fn equal_selections_are_equal_however_written() {
        let one = selection("b in (x),a==1", "metadata.namespace=n,metadata.name==x");
        assert_eq!(one, selection("a=1, b=x,b=x", "metadata.name=x,,metadata.namespace=n"));
        assert_ne!(one, selection("a=1", "metadata.name=x"));
    }
}
