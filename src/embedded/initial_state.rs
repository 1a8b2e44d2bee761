//! What kube-apiserver itself writes into new objects of some kinds, and conversions it always
//! makes. Only what clients would miss at once: the store does not default built-in types.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    definition::{Definition, Fields},
    refusal::{Cause, Refusal},
    stored::metadata_text,
};

/// Completes a new object, before validation.
pub(super) fn complete(definition: &Definition, fields: &mut Fields) {
    match definition.group_resource() {
        "namespaces" => {
            let name = metadata_text(fields, "name").to_owned();
            fields.insert("spec".into(), json!({"finalizers": ["kubernetes"]}));
            fields.insert("status".into(), json!({"phase": "Active"}));
            label(fields, "kubernetes.io/metadata.name", &name);
        }
        "pods" | "persistentvolumeclaims" | "persistentvolumes" => {
            fields.insert("status".into(), json!({"phase": "Pending"}));
        }
        "secrets" => {
            fields.entry("type").or_insert_with(|| "Opaque".into());
        }
        _ => {}
    }
}

fn label(fields: &mut Fields, key: &str, value: &str) {
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    if !metadata["labels"].is_object() {
        metadata["labels"] = json!({});
    }
    metadata["labels"][key] = value.into();
}

/// Moves a Secret's `stringData` into `data`, which happens on every write.
pub(super) fn normalize(definition: &Definition, fields: &mut Fields) -> Result<(), Refusal> {
    if definition.group_resource() != "secrets" {
        return Ok(());
    }
    let Some(text) = fields.remove("stringData") else { return Ok(()) };
    let Value::Object(text) = text else { return Ok(()) };
    let name = metadata_text(fields, "name").to_owned();
    let invalid = |field: String, why: &str| {
        // The value may be a secret: it is not repeated in the message.
        Refusal::invalid(definition, &name, vec![Cause::invalid(field, "\"\"", why)])
    };
    let data = fields.entry("data").or_insert(Value::Null);
    if data.is_null() {
        *data = json!({});
    }
    let Value::Object(data) = data else {
        return Err(invalid("data".into(), "must be a map"));
    };
    for (key, value) in text {
        let Some(value) = value.as_str() else {
            return Err(invalid(format!("stringData[{key}]"), "must be a string"));
        };
        data.insert(key, STANDARD.encode(value).into());
    }
    Ok(())
}
