//! One stored object: its fields, and the bytes it is served as.
//!
//! Bytes are made once, when the object is written. A built-in object begins with
//! `{"kind":"K","apiVersion":"V","metadata":` and loses kind and apiVersion inside lists; a custom
//! one has sorted keys and keeps them (semantics §6.3). Strings are escaped as Go escapes them.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, ser::Formatter};

use super::definition::{Definition, Fields};
use crate::api::object_key::ObjectKey;

/// One version of one object.
#[derive(Debug)]
pub(super) struct StoredObject {
    /// `namespace/name` or `name`.
    pub(super) key: ObjectKey,
    /// The revision that wrote it.
    pub(super) revision: u64,
    /// All of it, `kind`, `apiVersion` and `metadata.resourceVersion` included.
    pub(super) fields: Fields,
    body: Bytes,
    /// Where the part after kind and apiVersion begins; 1 for custom resources.
    core: usize,
}

// === impl StoredObject ===

impl StoredObject {
    /// Renders `fields` with the kind and apiVersion of `definition` and the resource version
    /// `revision`; 0 leaves it out.
    pub(super) fn new(definition: &Definition, revision: u64, mut fields: Fields) -> Self {
        fields.insert("kind".into(), definition.resource.kind.as_str().into());
        fields.insert("apiVersion".into(), definition.api_version().as_str().into());
        if let Value::Object(metadata) =
            fields.entry("metadata").or_insert_with(|| Value::Object(Fields::new()))
            && revision > 0
        {
            metadata.insert("resourceVersion".into(), revision.to_string().into());
        }
        let (body, core) = render(definition, &fields);
        let key =
            ObjectKey::new(metadata_text(&fields, "namespace"), metadata_text(&fields, "name"));
        Self { key, revision, fields, body: body.into(), core }
    }

    /// The object alone, without a newline.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Appends the object as an item of a list.
    pub(super) fn append_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        out.extend_from_slice(&self.body[self.core..]);
    }

    /// The same object as another version of its (custom) resource serves it.
    pub(super) fn as_version(&self, definition: &Definition) -> Self {
        let mut fields = self.fields.clone();
        if let Some(schema) = &definition.schema {
            schema.prune(&mut fields);
            schema.apply_defaults(&mut fields);
        }
        Self::new(definition, self.revision, fields)
    }

    /// The same object under a later revision, as DELETED events carry it.
    pub(super) fn at_revision(&self, definition: &Definition, revision: u64) -> Self {
        Self::new(definition, revision, self.fields.clone())
    }

    /// The fields alone.
    pub(super) fn into_fields(self) -> Fields {
        self.fields
    }

    /// Its metadata; every stored object has it.
    pub(super) fn metadata(&self) -> Option<&Fields> {
        self.fields.get("metadata").and_then(Value::as_object)
    }
}

/// A text inside `metadata`, empty when absent.
pub(super) fn metadata_text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields
        .get("metadata")
        .and_then(|metadata| metadata.get(name))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn render(definition: &Definition, fields: &Fields) -> (Vec<u8>, usize) {
    if definition.custom() {
        return (go_json(fields), 1);
    }
    let prefix = typed_prefix(&definition.resource.kind, &definition.api_version());
    (typed_json(fields), prefix.len())
}

/// An object in the order of typed ones: kind, apiVersion, metadata, spec, status, the others.
pub(super) fn typed_json(fields: &Fields) -> Vec<u8> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = typed_prefix(text("kind"), text("apiVersion"));
    let first = ["metadata", "spec", "status"];
    let leading = first.iter().filter_map(|name| fields.get(*name).map(|value| (*name, value)));
    let others = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !first.contains(name) && *name != "kind" && *name != "apiVersion");
    for (index, (name, value)) in leading.chain(others).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(&go_json(name));
        out.push(b':');
        out.extend_from_slice(&go_json(value));
    }
    out.push(b'}');
    out
}

/// `{"kind":"K","apiVersion":"V",`, with which typed JSON begins.
pub(super) fn typed_prefix(kind: &str, api_version: &str) -> Vec<u8> {
    format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",").into_bytes()
}

/// Compact JSON with Go's escapes (`<`, `>`, `&`, U+2028 and U+2029 as `\uXXXX`).
pub(super) fn go_json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, GoEscapes);
    // Writing values with text keys into memory has no way to fail.
    if value.serialize(&mut serializer).is_err() {
        out.clear();
        out.extend_from_slice(b"null");
    }
    out
}

struct GoEscapes;

impl Formatter for GoEscapes {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::embedded::built_in::BUILT_INS;

    #[test]
    fn a_built_in_object_begins_with_kind_and_its_list_item_without() {
        let row = BUILT_INS.iter().find(|row| row.plural == "configmaps").unwrap();
        let definition = Definition::built_in(row);
        let Value::Object(fields) =
            json!({"data": {"a": "<b>"}, "metadata": {"name": "x", "namespace": "n"}})
        else {
            panic!("an object")
        };
        let object = StoredObject::new(&definition, 7, fields);
        assert_eq!(
            std::str::from_utf8(object.body()).unwrap(),
            r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x","namespace":"n","resourceVersion":"7"},"data":{"a":"\u003cb\u003e"}}"#
        );
        let mut item = Vec::new();
        object.append_item(&mut item);
        assert!(item.starts_with(br#"{"metadata":{"name":"x""#));
        assert_eq!(object.key.as_str(), "n/x");
    }
}
