//! The values that label and field selectors look at, taken from stored objects.
//!
//! Which fields a built-in type offers stands in [`crate::api::selector::built_in`], except those
//! of Events, which the gateway never caches but `kubectl describe` selects by.

use compact_str::{CompactString, ToCompactString};
use serde_json::Value;

use super::{
    definition::{Definition, Fields},
    stored::StoredObject,
};
use crate::api::{
    resource::{GroupVersionResource, Scope},
    selector::{
        Selection,
        built_in::{custom_field_schema, field_schema_for},
        field_schema::{FieldSchema, FieldSource, Scalar, SelectableField},
    },
};

/// The selectable fields of a built-in type.
pub(super) fn built_in(resource: &GroupVersionResource) -> FieldSchema {
    let mut schema = field_schema_for(resource);
    if resource.group.is_empty() && resource.resource == "events" {
        schema.fields.extend(event_fields());
    }
    schema
}

fn event_fields() -> impl Iterator<Item = SelectableField> {
    let involved =
        ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"]
            .map(|name| format!("involvedObject.{name}"));
    let others = ["reason", "reportingComponent", "type"].map(str::to_owned);
    let plain = involved.into_iter().chain(others).map(|label| field(&label, &[&label]));
    plain.chain([field("source", &["source.component", "reportingComponent"])])
}

fn field(label: &str, paths: &[&str]) -> SelectableField {
    let source = |path: &&str| FieldSource {
        json: path.split('.').map(CompactString::from).collect(),
        protobuf: Vec::new(),
        scalar: Scalar::String,
    };
    SelectableField {
        label: label.into(),
        sources: paths.iter().map(source).collect(),
        default: CompactString::default(),
    }
}

/// The selectable fields of a version of a CustomResourceDefinition.
pub(super) fn custom(scope: Scope, version: &Value) -> FieldSchema {
    let paths = version["selectableFields"].as_array().into_iter().flatten();
    let paths: Vec<(&str, &str)> = paths
        .filter_map(|field| {
            let path = field["jsonPath"].as_str()?;
            let mut schema = version.pointer("/schema/openAPIV3Schema")?;
            for name in path.trim_start_matches('.').split('.') {
                schema = schema.get("properties")?.get(name)?;
            }
            Some((path, schema["type"].as_str()?))
        })
        .collect();
    custom_field_schema(scope, &paths)
}

/// Whether a selection takes an object.
pub(super) fn matches(
    selection: &Selection,
    definition: &Definition,
    object: &StoredObject,
) -> bool {
    if selection.is_everything() {
        return true;
    }
    let fields: Vec<CompactString> = definition
        .resource
        .fields
        .fields
        .iter()
        .map(|field| {
            let mut found = field.sources.iter().filter_map(|source| value(&object.fields, source));
            found.find(|text| !text.is_empty()).unwrap_or_else(|| field.default.clone())
        })
        .collect();
    selection.matches(&object.key, &labels(object), &fields)
}

/// An object's labels, sorted by key (the map is).
fn labels(object: &StoredObject) -> Vec<(CompactString, CompactString)> {
    let labels = object.metadata().and_then(|metadata| metadata.get("labels"));
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    labels
        .filter_map(|(key, value)| Some((key.to_compact_string(), value.as_str()?.into())))
        .collect()
}

fn value(fields: &Fields, source: &FieldSource) -> Option<CompactString> {
    let (first, rest) = source.json.split_first()?;
    let mut value = fields.get(first.as_str())?;
    for name in rest {
        if let Value::Array(items) = value {
            value = items.first()?;
        }
        value = value.get(name.as_str())?;
    }
    match value {
        Value::String(text) => Some(text.into()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string().into()),
        _ => None,
    }
}
