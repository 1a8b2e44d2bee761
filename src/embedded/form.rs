//! The forms in which an object is answered: whole, or its metadata alone.
//!
//! JSON only. The forms of lists, single objects and bookmarks differ between built-in and custom
//! resources as semantics §6.3 says.

use serde_json::{Value, json};

use super::{
    definition::{Definition, Fields},
    stored::{StoredObject, go_json, typed_prefix},
};

/// What of an object is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// All of it.
    Object,
    /// `PartialObjectMetadata`.
    Metadata,
}

const META_VERSION: &str = "meta.k8s.io/v1";

/// The object alone, without a newline.
pub(super) fn append_single(
    form: Form,
    definition: &Definition,
    object: &StoredObject,
    out: &mut Vec<u8>,
) {
    match form {
        Form::Object if is_version(definition, object) => out.extend_from_slice(object.body()),
        Form::Object => out.extend_from_slice(object.as_version(definition).body()),
        Form::Metadata => {
            out.extend_from_slice(&typed_prefix("PartialObjectMetadata", META_VERSION));
            out.extend_from_slice(b"\"metadata\":");
            out.extend_from_slice(&go_json(&object.metadata()));
            out.push(b'}');
        }
    }
}

/// Whether the stored bytes are those of the definition's version.
fn is_version(definition: &Definition, object: &StoredObject) -> bool {
    !definition.custom()
        || object.fields.get("apiVersion").and_then(Value::as_str)
            == Some(definition.api_version().as_str())
}

/// The metadata of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct ListMetadata {
    pub(super) revision: u64,
    /// Where the next page begins; `None` on the last page.
    pub(super) resume: Option<String>,
    /// How many objects follow; only told for lists without selectors.
    pub(super) remaining: Option<u64>,
}

/// A whole list body, with its newline.
pub(super) fn list<'o>(
    form: Form,
    definition: &Definition,
    metadata: &ListMetadata,
    objects: impl ExactSizeIterator<Item = &'o StoredObject>,
) -> Vec<u8> {
    let sorted = definition.custom() && form == Form::Object;
    let empty = objects.len() == 0;
    let mut items = Vec::new();
    for (index, object) in objects.enumerate() {
        if index > 0 {
            items.push(b',');
        }
        if form == Form::Object && is_version(definition, object) {
            object.append_item(&mut items);
        } else {
            append_single(form, definition, object, &mut items);
        }
    }
    let (kind, api_version) = match form {
        Form::Object => (definition.resource.list_kind.as_str(), definition.api_version()),
        Form::Metadata => ("PartialObjectMetadataList", META_VERSION.into()),
    };
    let mut out = Vec::with_capacity(items.len() + 256);
    if sorted {
        out.extend_from_slice(format!("{{\"apiVersion\":\"{api_version}\",\"items\":[").as_bytes());
        out.append(&mut items);
        out.extend_from_slice(format!("],\"kind\":\"{kind}\",\"metadata\":").as_bytes());
        out.extend_from_slice(&custom_list_metadata(metadata));
    } else {
        out.extend_from_slice(&typed_prefix(kind, &api_version));
        out.extend_from_slice(b"\"metadata\":");
        out.extend_from_slice(&typed_list_metadata(metadata));
        out.extend_from_slice(b",\"items\":");
        if empty && form == Form::Metadata {
            out.extend_from_slice(b"null");
        } else {
            out.push(b'[');
            out.append(&mut items);
            out.push(b']');
        }
    }
    out.extend_from_slice(b"}\n");
    out
}

fn typed_list_metadata(metadata: &ListMetadata) -> Vec<u8> {
    let mut out = format!("{{\"resourceVersion\":\"{}\"", metadata.revision).into_bytes();
    if let Some(resume) = &metadata.resume {
        out.extend_from_slice(b",\"continue\":");
        out.extend_from_slice(&go_json(resume));
    }
    if let Some(remaining) = metadata.remaining {
        out.extend_from_slice(format!(",\"remainingItemCount\":{remaining}").as_bytes());
    }
    out.push(b'}');
    out
}

fn custom_list_metadata(metadata: &ListMetadata) -> Vec<u8> {
    let mut fields = Fields::new();
    fields.insert("continue".into(), metadata.resume.clone().unwrap_or_default().into());
    if let Some(remaining) = metadata.remaining {
        fields.insert("remainingItemCount".into(), remaining.into());
    }
    fields.insert("resourceVersion".into(), metadata.revision.to_string().into());
    go_json(&fields)
}

/// One watch event, with its newline.
pub(super) fn append_event(
    kind: &str,
    form: Form,
    definition: &Definition,
    object: &StoredObject,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(format!("{{\"type\":\"{kind}\",\"object\":").as_bytes());
    append_single(form, definition, object, out);
    out.extend_from_slice(b"}\n");
}

/// A bookmark at `revision`; `marks_end` says that the initial state ends here.
pub(super) fn append_bookmark(
    form: Form,
    definition: &Definition,
    revision: u64,
    marks_end: bool,
    out: &mut Vec<u8>,
) {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if marks_end {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let (kind, api_version) = match form {
        Form::Object => (definition.resource.kind.as_str(), definition.api_version()),
        Form::Metadata => ("PartialObjectMetadata", META_VERSION.into()),
    };
    out.extend_from_slice(b"{\"type\":\"BOOKMARK\",\"object\":");
    if definition.custom() && form == Form::Object {
        let object =
            json!({"kind": kind, "apiVersion": api_version.as_str(), "metadata": metadata});
        out.extend_from_slice(&go_json(&object));
    } else {
        out.extend_from_slice(&typed_prefix(kind, &api_version));
        out.extend_from_slice(b"\"metadata\":");
        out.extend_from_slice(&go_json(&metadata));
        out.push(b'}');
    }
    out.extend_from_slice(b"}\n");
}
