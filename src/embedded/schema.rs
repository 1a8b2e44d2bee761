//! The structural schema of a custom resource: pruning, defaults, validation.
//!
//! Understood: `type`, `properties`, `additionalProperties`, `items`, `required`, `nullable`,
//! `enum`, bounds of numbers, texts, lists and maps, `default`, and the `x-kubernetes-` extensions
//! for preserved fields, embedded resources and int-or-string. Not evaluated: `pattern`, `format`,
//! CEL rules (`x-kubernetes-validations`) and the logical junctors. Unknown keywords mean nothing.

use serde_json::Value;

use super::definition::Fields;

/// A schema as written in `spec.versions[].schema.openAPIV3Schema`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Schema {
    root: Value,
}

const PRESERVE: &str = "x-kubernetes-preserve-unknown-fields";
const EMBEDDED: &str = "x-kubernetes-embedded-resource";
/// What the API machinery owns in every object and every embedded object.
const OWNED: [&str; 3] = ["apiVersion", "kind", "metadata"];

// === impl Schema ===

impl Schema {
    /// Takes a schema over as it is.
    pub(super) const fn new(root: Value) -> Self {
        Self { root }
    }

    /// The schema as written, for OpenAPI.
    pub(super) const fn document(&self) -> &Value {
        &self.root
    }

    /// Drops the fields the schema does not know and returns their paths.
    pub(super) fn prune(&self, fields: &mut Fields) -> Vec<String> {
        let mut dropped = Vec::new();
        prune_fields(&self.root, fields, true, "", &mut dropped);
        dropped
    }

    /// Fills in the defaults of absent fields.
    pub(super) fn apply_defaults(&self, fields: &mut Fields) {
        default_fields(&self.root, fields);
    }
}

fn prune(schema: &Value, value: &mut Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            prune_fields(schema, fields, flag(schema, EMBEDDED), path, dropped);
        }
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for (index, item) in items.iter_mut().enumerate() {
                prune(schema, item, &format!("{path}[{index}]"), dropped);
            }
        }
        _ => {}
    }
}

fn prune_fields(
    schema: &Value,
    fields: &mut Fields,
    resource: bool,
    path: &str,
    dropped: &mut Vec<String>,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    let additional = schema.get("additionalProperties");
    let preserve = flag(schema, PRESERVE) || additional == Some(&Value::Bool(true));
    fields.retain(|name, value| {
        if resource && OWNED.contains(&name.as_str()) {
            return true;
        }
        let path = join(path, name);
        if let Some(schema) = properties.and_then(|properties| properties.get(name)) {
            prune(schema, value, &path, dropped);
            return true;
        }
        if let Some(schema @ Value::Object(_)) = additional {
            prune(schema, value, &path, dropped);
            return true;
        }
        if !preserve {
            dropped.push(path);
        }
        preserve
    });
}

fn default_value(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => default_fields(schema, fields),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return };
            for item in items {
                default_value(schema, item);
            }
        }
        _ => {}
    }
}

fn default_fields(schema: &Value, fields: &mut Fields) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (name, property) in properties {
            let wanting = match fields.get(name) {
                None => true,
                Some(value) => value.is_null() && !flag(property, "nullable"),
            };
            if let (true, Some(default)) = (wanting, property.get("default")) {
                fields.insert(name.clone(), default.clone());
            }
        }
    }
    for (name, value) in fields.iter_mut() {
        if let Some(schema) = child(schema, name) {
            default_value(schema, value);
        }
    }
}

/// The schema of a field, a listed property or any other.
pub(super) fn child<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .or_else(|| schema.get("additionalProperties").filter(|schema| schema.is_object()))
}

/// Whether a boolean keyword is set.
pub(super) fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

/// `spec.name`, or `name` at the top.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// An object literal's fields, for tests and fixtures.
#[cfg(test)]
pub(super) fn fields_of(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("not an object"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prunes_what_is_unknown_and_keeps_what_is_preserved() {
        let schema = Schema::new(json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"a": {"type": "integer"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "list": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
        }}));
        let mut fields = fields_of(json!({
            "apiVersion": "g/v1", "kind": "K", "metadata": {"name": "x"},
            "spec": {"a": 1, "z": 2}, "free": {"any": {"thing": 1}},
            "list": [{"b": 1, "c": 2}], "other": 1,
        }));
        let dropped = schema.prune(&mut fields);
        assert_eq!(dropped, ["list[0].c", "other", "spec.z"]);
        assert_eq!(fields["spec"], json!({"a": 1}));
        assert_eq!(fields["free"], json!({"any": {"thing": 1}}));
        assert_eq!(fields["metadata"], json!({"name": "x"}));
    }

    #[test]
    fn fills_in_defaults_from_the_outside_in() {
        let schema = Schema::new(json!({"properties": {"spec": {
            "default": {}, "properties": {"size": {"default": 3}, "kept": {"default": 1}},
        }}}));
        let mut fields = fields_of(json!({}));
        schema.apply_defaults(&mut fields);
        assert_eq!(fields["spec"], json!({"size": 3, "kept": 1}));
        let mut fields = fields_of(json!({"spec": {"kept": 9, "size": null}}));
        schema.apply_defaults(&mut fields);
        assert_eq!(fields["spec"], json!({"size": 3, "kept": 9}));
    }
}
