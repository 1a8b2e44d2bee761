//! What the store says when it does not do what was asked, in Kubernetes' words.
//!
//! A refusal becomes one `Status` answer; it is never logged and never carries a credential.

use http::StatusCode;
use serde::Serialize;

use super::{definition::{Definition, group_resource}, storage::StorageError};

/// A request that is answered with a failure.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: StatusCode,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Option<Details>,
    /// `metadata.continue`, with which an expired list can be resumed.
    pub(super) resume: Option<String>,
}

/// The `details` of a Status.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) group: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) kind: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) causes: Vec<Cause>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) retry_after_seconds: u32,
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) field: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta<'a>,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
    #[serde(skip_serializing_if = "is_zero_code")]
    code: u16,
}

#[derive(Serialize)]
struct ListMeta<'a> {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    resume: Option<&'a str>,
}

// serde hands these predicates a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero_code(number: &u16) -> bool {
    *number == 0
}

// === impl Refusal ===

impl Refusal {
    /// A failure without details.
    pub(super) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, resume: None }
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 415, for bodies and patches the store does not read.
    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 401: no or another credential.
    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 404 for a path below a known group.
    pub(super) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self {
            details: Some(Details::default()),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    /// 405.
    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self {
            details: Some(Details::default()),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
        }
    }

    /// 404 for an object.
    pub(super) fn not_found(definition: &Definition, name: &str) -> Self {
        Self::about(
            definition,
            name,
            StatusCode::NOT_FOUND,
            "NotFound",
            format!("{} {name:?} not found", definition.group_resource()),
        )
    }

    /// 404 for a namespace that an object was to be created in.
    pub(super) fn namespace_not_found(name: &str) -> Self {
        Self {
            details: Some(Details {
                name: name.into(),
                kind: "namespaces".into(),
                ..Details::default()
            }),
            ..Self::new(
                StatusCode::NOT_FOUND,
                "NotFound",
                format!("namespaces {name:?} not found"),
            )
        }
    }

    /// 409: the name is taken.
    pub(super) fn already_exists(definition: &Definition, name: &str) -> Self {
        Self::about(
            definition,
            name,
            StatusCode::CONFLICT,
            "AlreadyExists",
            format!("{} {name:?} already exists", definition.group_resource()),
        )
    }

    /// 409: a precondition or the resource version does not hold.
    pub(super) fn conflict(definition: &Definition, name: &str, why: &str) -> Self {
        Self::about(
            definition,
            name,
            StatusCode::CONFLICT,
            "Conflict",
            format!(
                "Operation cannot be fulfilled on {} {name:?}: {why}",
                definition.group_resource()
            ),
        )
    }

    /// 409: somebody else wrote the object in between.
    pub(super) fn modified(definition: &Definition, name: &str) -> Self {
        Self::conflict(
            definition,
            name,
            "the object has been modified; please apply your changes to the latest version and \
             try again",
        )
    }

    /// 403 with a reason of the store's own.
    pub(super) fn forbidden(definition: &Definition, name: &str, why: &str) -> Self {
        Self::about(
            definition,
            name,
            StatusCode::FORBIDDEN,
            "Forbidden",
            format!("{} {name:?} is forbidden: {why}", definition.group_resource()),
        )
    }

    /// 422 with every cause.
    pub(super) fn invalid(definition: &Definition, name: &str, causes: Vec<Cause>) -> Self {
        let texts: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let kind = definition.resource.kind.to_string();
        let qualified = group_resource(&kind, definition.group());
        Self {
            details: Some(Details {
                name: name.into(),
                group: definition.group().into(),
                kind,
                causes,
                ..Details::default()
            }),
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "Invalid",
                format!("{qualified} {name:?} is invalid: {list}"),
            )
        }
    }

    /// 422 for a patch that cannot be applied to the object.
    pub(super) fn invalid_request(definition: &Definition, name: &str, why: &str) -> Self {
        Self::about(
            definition,
            name,
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            format!("the server rejected our request due to an error in our request: {why}"),
        )
    }

    /// 410 for a list at a forgotten revision.
    pub(super) fn expired_list() -> Self {
        Self::new(
            StatusCode::GONE,
            "Expired",
            "The resourceVersion for the provided list is too old.",
        )
    }

    fn about(
        definition: &Definition,
        name: &str,
        code: StatusCode,
        reason: &'static str,
        message: String,
    ) -> Self {
        Self {
            details: Some(Details {
                name: name.into(),
                group: definition.group().into(),
                kind: definition.plural().into(),
                ..Details::default()
            }),
            ..Self::new(code, reason, message)
        }
    }

    /// The Status document, with a final newline.
    pub(super) fn document(&self) -> Vec<u8> {
        let mut out = super::stored::go_json(&Document {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta { resume: self.resume.as_deref() },
            status: "Failure",
            message: &self.message,
            reason: self.reason,
            details: self.details.as_ref(),
            code: self.code.as_u16(),
        });
        out.push(b'\n');
        out
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", error.to_string())
    }
}

/// The Status that answers a completed deletion.
pub(super) fn success(details: &Details) -> Vec<u8> {
    let mut out = super::stored::go_json(&Document {
        kind: "Status",
        api_version: "v1",
        metadata: ListMeta { resume: None },
        status: "Success",
        message: "",
        reason: "",
        details: Some(details),
        code: 0,
    });
    out.push(b'\n');
    out
}

// === impl Cause ===

impl Cause {
    /// `Required value: …`.
    pub(super) fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self { reason: "FieldValueRequired", message, field: field.into() }
    }

    /// `Invalid value: …`; `value` is the JSON spelling of what was found.
    pub(super) fn invalid(field: impl Into<String>, value: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {why}"),
            field: field.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::built_in::BUILT_INS;

    #[test]
    fn says_not_found_as_kube_apiserver_does() {
        let row = BUILT_INS.iter().find(|row| row.plural == "deployments").unwrap();
        let document = Refusal::not_found(&Definition::built_in(row), "x").document();
        assert_eq!(
            std::str::from_utf8(&document).unwrap(),
            "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\
             \"message\":\"deployments.apps \\\"x\\\" not found\",\"reason\":\"NotFound\",\
             \"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\"},\
             \"code\":404}\n"
        );
    }
}
