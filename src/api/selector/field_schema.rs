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
}

/// One selectable field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectableField {
    /// The label as written in a selector, such as `spec.nodeName`.
    pub label: CompactString,
    /// Where its value comes from; several sources are tried in order, the first present wins.
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
