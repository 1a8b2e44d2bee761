//! Which field labels a type accepts in selectors, and where their values are in an object.
//!
//! Only what selectors need: a schema does not describe the type (semantics §7.1).

use compact_str::CompactString;

/// The selectable fields of one type, besides `metadata.name` and `metadata.namespace`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSchema {
    /// One entry per accepted label; an object's values stand in the same order.
    pub fields: Vec<SelectableField>,
    /// Whether `metadata.namespace` is accepted (Node, Namespace and others reject it).
    pub accepts_namespace: bool,
    /// Labels that are accepted without a value of their own; objects hold nothing for them.
    pub aliases: Vec<FieldAlias>,
}

/// A label that selectors may use although it is no field of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldAlias {
    /// The label as written in a selector, such as `spec.host`.
    pub label: CompactString,
    /// What it stands for.
    pub meaning: AliasMeaning,
}

/// What a [`FieldAlias`] stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AliasMeaning {
    /// The field with this label.
    Field(CompactString),
    /// The empty value, whatever the object holds (a Pod's `status.podIPs`).
    AlwaysEmpty,
}

/// One selectable field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectableField {
    /// The label as written in a selector, such as `spec.nodeName`.
    pub label: CompactString,
    /// Where its value comes from; several sources are tried in order, the first that is there and
    /// not empty wins (protobuf writes empty strings where JSON leaves the key out).
    pub sources: Vec<FieldSource>,
    /// The value of an object that has none of the sources.
    pub default: CompactString,
}

/// One place a value can stand in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSource {
    /// Keys from the object's top level; a list on the way is entered at its first element.
    pub json: Vec<CompactString>,
    /// Field numbers from the top of the protobuf message; empty for custom resources.
    pub protobuf: Vec<u32>,
    /// How a protobuf scalar is to be read (JSON says it itself).
    pub scalar: Scalar,
}

/// The scalar kinds that selectable fields have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool,
    /// A decimal integer.
    Integer,
    /// Text.
    String,
}

// === impl FieldSchema ===

impl FieldSchema {
    /// The schema of a type without selectable fields of its own.
    pub fn metadata_only(accepts_namespace: bool) -> Self {
        Self { accepts_namespace, ..Self::default() }
    }

    /// Where the values of a label stand among an object's values.
    pub fn position(&self, label: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.label == label)
    }

    /// What an alias stands for; `None` when `label` is not an alias.
    pub fn alias(&self, label: &str) -> Option<&AliasMeaning> {
        self.aliases.iter().find(|alias| alias.label == label).map(|alias| &alias.meaning)
    }
}
