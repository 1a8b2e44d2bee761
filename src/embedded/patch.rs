//! PATCH bodies: which formats are read, and what they make of an object.
//!
//! JSON Patch and merge patch work on every resource, strategic merge on built-in ones only. There
//! is no server-side apply.

use json_patch::PatchOperation;
use serde_json::Value;

use super::{
    definition::{Definition, Fields},
    nesting::{MAX_DEPTH, is_deeper},
    refusal::Refusal,
    stored::go_json,
    strategic_merge,
};
use crate::api::status::Status;

/// A parsed PATCH body.
#[derive(Clone, Debug)]
pub(super) enum Patch {
    /// `application/json-patch+json`.
    Json(json_patch::Patch),
    /// `application/merge-patch+json`.
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Fields),
}

/// A JSON Patch may not have more operations, as in kube-apiserver.
const MAX_OPERATIONS: usize = 10_000;
/// The size in bytes beyond which copying operations may not grow an object.
const MAX_DOCUMENT: usize = 3 * 1024 * 1024;

// === impl Patch ===

impl Patch {
    /// Reads a body of the given media type (without parameters).
    pub(super) fn parse(
        definition: &Definition,
        media_type: &str,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let unreadable = |error: serde_json::Error| {
            Refusal::bad_request(format!("error decoding patch: {error}"))
        };
        match media_type {
            "application/json-patch+json" => {
                let patch: json_patch::Patch = serde_json::from_slice(body).map_err(unreadable)?;
                if patch.len() > MAX_OPERATIONS {
                    let message = format!(
                        "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                        patch.len()
                    );
                    return Err(Status::failure(413, "RequestEntityTooLarge", message).into());
                }
                Ok(Self::Json(patch))
            }
            "application/merge-patch+json" => {
                serde_json::from_slice(body).map(Self::Merge).map_err(unreadable)
            }
            "application/strategic-merge-patch+json" if !definition.custom() => {
                serde_json::from_slice(body).map(Self::Strategic).map_err(unreadable)
            }
            "application/apply-patch+yaml" | "application/apply-patch+cbor" => {
                Err(Refusal::unsupported_media_type(
                    "the embedded store has no server-side apply: it does not track field \
                     managers; use client-side apply, a merge patch or a JSON patch instead",
                ))
            }
            _ => Err(Refusal::unsupported_media_type(accepted(definition))),
        }
    }

    /// The patched object. Nothing of it has been checked.
    pub(super) fn apply(
        &self,
        definition: &Definition,
        name: &str,
        before: &Fields,
    ) -> Result<Fields, Refusal> {
        let patched = match self {
            Self::Json(patch) => {
                apply_operations(definition, name, patch, Value::Object(before.clone()))?
            }
            Self::Merge(patch) => {
                let mut document = Value::Object(before.clone());
                json_patch::merge(&mut document, patch);
                document
            }
            Self::Strategic(patch) => {
                let mut fields = before.clone();
                strategic_merge::apply(&definition.resource.kind, &mut fields, patch.clone())
                    .map_err(|error| Refusal::bad_request(error.to_string()))?;
                Value::Object(fields)
            }
        };
        match patched {
            Value::Object(fields) => Ok(fields),
            _ => Err(Refusal::bad_request("the patch does not leave an object")),
        }
    }
}

/// Applies a JSON Patch. Each copy can double a document, and copies and moves can nest it ever
/// deeper: both are watched, so that neither memory nor stack grows without bound.
fn apply_operations(
    definition: &Definition,
    name: &str,
    patch: &[PatchOperation],
    mut document: Value,
) -> Result<Value, Refusal> {
    for operation in patch {
        if operation.path().count() > MAX_DEPTH {
            return Err(Refusal::bad_request("a path of the JSON patch has too many segments"));
        }
        json_patch::patch(&mut document, std::slice::from_ref(operation))
            .map_err(|error| Refusal::inapplicable(definition, name, &error.to_string()))?;
        let spreads = matches!(operation, PatchOperation::Copy(_) | PatchOperation::Move(_));
        if spreads && (is_deeper(&document, 2 * MAX_DEPTH) || is_larger(&document)) {
            return Err(Status::request_too_large(MAX_DOCUMENT as u64).into());
        }
    }
    Ok(document)
}

fn is_larger(document: &Value) -> bool {
    go_json(document).len() > MAX_DOCUMENT
}

fn accepted(definition: &Definition) -> String {
    let strategic =
        if definition.custom() { "" } else { ", application/strategic-merge-patch+json" };
    format!(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json{strategic}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::embedded::{built_in::BUILT_INS, schema::fields_of};

    #[test]
    fn copies_cannot_grow_an_object_without_bound() {
        let row = BUILT_INS.iter().find(|row| row.plural == "configmaps").unwrap();
        let definition = Definition::built_in(row);
        let refused = |operations: Vec<Value>| {
            let operations = Value::Array(operations).to_string();
            let media_type = "application/json-patch+json";
            let patch = Patch::parse(&definition, media_type, operations.as_bytes()).unwrap();
            let before = fields_of(json!({"data": {"k": "0123456789"}}));
            patch.apply(&definition, "a", &before).unwrap_err().status().code
        };
        let copy = |to: String| json!({"op": "copy", "from": "/data", "path": to});
        assert_eq!(refused((0..40).map(|index| copy(format!("/data/x{index}"))).collect()), 413);
        assert_eq!(refused(vec![copy("/data/x".into()); 400]), 413);
    }
}
