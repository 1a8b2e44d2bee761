//! PATCH bodies: which formats are read, and what they make of an object.
//!
//! JSON Patch and merge patch work on every resource, strategic merge on built-in ones only. There
//! is no server-side apply.

use serde_json::Value;

use super::{
    definition::{Definition, Fields},
    refusal::Refusal,
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
                let mut document = Value::Object(before.clone());
                json_patch::patch(&mut document, patch)
                    .map_err(|error| Refusal::inapplicable(definition, name, &error.to_string()))?;
                document
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

fn accepted(definition: &Definition) -> String {
    let strategic =
        if definition.custom() { "" } else { ", application/strategic-merge-patch+json" };
    format!(
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json{strategic}"
    )
}
