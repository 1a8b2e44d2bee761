//! The parts of a writing request besides its object: query options, body formats, DeleteOptions.

use http::{HeaderMap, header};
use serde_json::Value;

use super::{
    definition::Fields, protobuf_body, refusal::Refusal, store::Commit, write::FieldValidation,
};
use crate::api::{
    query::Query,
    status::{GroupResource, Status, StatusCause},
};

/// The media type of the body without parameters; JSON when the client does not say.
pub(super) fn media_type(headers: &HeaderMap) -> Result<&str, Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok("application/json") };
    let text = value.to_str().map_err(|_| unreadable())?;
    let media_type = text.split(';').next().unwrap_or_default().trim();
    Ok(if media_type.is_empty() { "application/json" } else { media_type })
}

fn unreadable() -> Refusal {
    Status::unsupported_media_type(&["application/json", "application/yaml"]).into()
}

/// The object in a body.
pub(super) fn object(headers: &HeaderMap, body: &[u8]) -> Result<Fields, Refusal> {
    match media_type(headers)? {
        "application/json" => serde_json::from_slice(body).map_err(|error| {
            Refusal::bad_request(format!("the object in the body is not valid JSON: {error}"))
        }),
        "application/yaml" | "application/x-yaml" => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Refusal::bad_request("the object in the body is not UTF-8"))?;
            serde_saphyr::from_str(text).map_err(|error| {
                Refusal::bad_request(format!("the object in the body is not valid YAML: {error}"))
            })
        }
        "application/vnd.kubernetes.protobuf" => protobuf_body::read(body)
            .map_err(|error| Refusal::unsupported_media_type(error.to_string())),
        _ => Err(unreadable()),
    }
}

/// Whether the write is kept (`dryRun`), by the query or by the options in the body.
pub(super) fn commit(query: &Query<'_>, options: Option<&Fields>) -> Result<Commit, Refusal> {
    let in_body = options
        .and_then(|options| options.get("dryRun"))
        .and_then(Value::as_array)
        .and_then(|values| values.first());
    let wanted = match (query.first("dryRun"), in_body) {
        (Some(value), _) => value.to_owned(),
        (None, Some(value)) => value.as_str().unwrap_or_default().to_owned(),
        (None, None) => return Ok(Commit::Keep),
    };
    match wanted.as_str() {
        "All" => Ok(Commit::DryRun),
        _ => Err(unsupported("dryRun", &wanted, &["All"])),
    }
}

/// `fieldValidation`.
pub(super) fn field_validation(query: &Query<'_>) -> Result<FieldValidation, Refusal> {
    match query.first_or_empty("fieldValidation") {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        other => Err(unsupported("fieldValidation", other, &["Ignore", "Strict", "Warn"])),
    }
}

/// The DeleteOptions of a body, checked; empty when there is none.
pub(super) fn delete_options(
    headers: &HeaderMap,
    query: &Query<'_>,
    body: &[u8],
) -> Result<Fields, Refusal> {
    let options = if body.is_empty() { Fields::new() } else { object(headers, body)? };
    let policy = options
        .get("propagationPolicy")
        .and_then(Value::as_str)
        .or_else(|| query.first("propagationPolicy"));
    match policy {
        None | Some("" | "Background" | "Foreground" | "Orphan") => Ok(options),
        Some(other) => {
            let allowed = ["Background", "Foreground", "Orphan"];
            Err(unsupported("propagationPolicy", other, &allowed))
        }
    }
}

fn unsupported(field: &str, found: &str, allowed: &[&str]) -> Refusal {
    let allowed: Vec<String> = allowed.iter().map(|word| format!("{word:?}")).collect();
    let message = format!("Unsupported value: {found:?}: supported values: {}", allowed.join(", "));
    let cause = StatusCause::field(field, "FieldValueNotSupported", message);
    Status::invalid(GroupResource::new("meta.k8s.io", "Options"), "", vec![cause]).into()
}
