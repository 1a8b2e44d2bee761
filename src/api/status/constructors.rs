//! The failures that Kubernetes has words for.
//!
//! Texts are those of kube-apiserver 1.36 (semantics §3.4, §12.3, §15), because clients match on
//! them. Where a text has a free part, the caller gives it.

use std::borrow::Cow;

use super::{ListMetadata, Outcome, Status, StatusCause, StatusDetails};
use crate::api::version::ResourceVersion;

/// A resource as messages name it: `pods`, `deployments.apps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupResource<'a> {
    /// API group, empty for the core group.
    pub group: &'a str,
    /// Plural resource name, or a kind where the message is about a kind.
    pub resource: &'a str,
}

// === impl Status ===

impl Status {
    /// A failure without details.
    pub fn failure(
        code: u16,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            outcome: Outcome::Failure,
            message: message.into(),
            reason: reason.into(),
            code,
            ..Self::default()
        }
    }

    /// The answer to a delete that removed its object; no code is written.
    pub fn success(details: StatusDetails) -> Self {
        Self { outcome: Outcome::Success, details: Some(details), ..Self::default() }
    }

    /// The same with details. Empty details are written as `{}`.
    #[must_use]
    pub fn with_details(mut self, details: StatusDetails) -> Self {
        self.details = Some(details);
        self
    }

    /// 400: the request itself is wrong.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }

    /// 401: no valid credential.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }

    /// 403: `<resource> "<name>" is forbidden: <why>`; an empty name is left out.
    pub fn forbidden(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let mut message = resource.qualified();
        if !name.is_empty() {
            message.push(' ');
            message.push_str(&quoted(name));
        }
        message.push_str(" is forbidden: ");
        message.push_str(why);
        Self::failure(403, "Forbidden", message).with_details(resource.details(name))
    }

    /// 403 for a path that is no resource: `forbidden: <why>`.
    pub fn forbidden_path(why: &str) -> Self {
        Self::failure(403, "Forbidden", format!("forbidden: {why}"))
            .with_details(StatusDetails::default())
    }

    /// 404: `<resource> "<name>" not found`.
    pub fn not_found(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{} {} not found", resource.qualified(), quoted(name));
        Self::failure(404, "NotFound", message).with_details(resource.details(name))
    }

    /// 404: the path names nothing that is served.
    pub fn unknown_resource() -> Self {
        Self::failure(404, "NotFound", "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 405: the path is served, but not for this method.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::failure(405, "MethodNotAllowed", message).with_details(StatusDetails::default())
    }

    /// 406: none of the accepted media types is served.
    pub fn not_acceptable(served: &[&str]) -> Self {
        let served = served.join(", ");
        let message = format!("only the following media types are accepted: {served}");
        Self::failure(406, "NotAcceptable", message)
    }

    /// 409: `<resource> "<name>" already exists`.
    pub fn already_exists(resource: GroupResource<'_>, name: &str) -> Self {
        let message = format!("{} {} already exists", resource.qualified(), quoted(name));
        Self::failure(409, "AlreadyExists", message).with_details(resource.details(name))
    }

    /// 409: `Operation cannot be fulfilled on <resource> "<name>": <why>`.
    pub fn conflict(resource: GroupResource<'_>, name: &str, why: &str) -> Self {
        let (qualified, name_quoted) = (resource.qualified(), quoted(name));
        let message = format!("Operation cannot be fulfilled on {qualified} {name_quoted}: {why}");
        Self::failure(409, "Conflict", message).with_details(resource.details(name))
    }

    /// 410 inside a watch: the events after `requested` are gone; those after `oldest` are kept.
    pub fn watch_expired(requested: ResourceVersion, oldest: ResourceVersion) -> Self {
        let message = format!("too old resource version: {requested} ({oldest})");
        Self::failure(410, "Expired", message)
    }

    /// 410: the state of a list is gone.
    pub fn list_expired() -> Self {
        let message = "The resourceVersion for the provided list is too old.";
        Self::failure(410, "Expired", message)
    }

    /// 410: the state of a continued list is gone; `token` goes on from the latest state.
    pub fn continue_expired(token: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list \
                       result. You can start a new list without the continue parameter, or use the \
                       continue token in this response to retrieve the remainder of the results. \
                       Continuing with the provided token results in an inconsistent list - objects \
                       that were created, modified, or deleted between the time the first chunk was \
                       returned and now may show up in the list.";
        let metadata = ListMetadata { continue_token: token, ..ListMetadata::default() };
        Self { metadata, ..Self::failure(410, "Expired", message) }
    }

    /// 413: the body is larger than is read.
    pub fn request_too_large(limit_bytes: u64) -> Self {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Self::failure(413, "RequestEntityTooLarge", message)
    }

    /// 415: the body is in a form that is not read here.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::failure(415, "UnsupportedMediaType", message)
    }

    /// 422: `<Kind.group> "<name>" is invalid: <field>: <message>`, for each cause.
    pub fn invalid(kind: GroupResource<'_>, name: &str, causes: Vec<StatusCause>) -> Self {
        let errors: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let errors = match errors.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            several => format!(": [{}]", several.join(", ")),
        };
        let message = format!("{} {} is invalid{errors}", kind.qualified(), quoted(name));
        Self::failure(422, "Invalid", message)
            .with_details(StatusDetails { causes, ..kind.details(name) })
    }

    /// 429: try again later.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, "TooManyRequests", message)
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// 429: the cache of a resource is not filled yet.
    pub fn storage_initializing(retry_after_seconds: u32) -> Self {
        Self::too_many_requests("storage is (re)initializing", retry_after_seconds)
    }

    /// 500: `Internal error occurred: <what>`.
    pub fn internal_error(what: impl Into<String>) -> Self {
        let what = what.into();
        let message = format!("Internal error occurred: {what}");
        let causes = vec![StatusCause { message: what, ..StatusCause::default() }];
        Self::failure(500, "InternalError", message)
            .with_details(StatusDetails { causes, ..StatusDetails::default() })
    }

    /// 503: nobody can answer now.
    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }

    /// 504: `Timeout: <what>`.
    pub fn timeout(what: &str, retry_after_seconds: u32) -> Self {
        Self::failure(504, "Timeout", format!("Timeout: {what}"))
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// 504: a version that the cache has not reached after waiting for it.
    pub fn too_large_resource_version(requested: ResourceVersion, current: u64) -> Self {
        let what = format!("Too large resource version: {requested}, current: {current}");
        let cause = StatusCause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        };
        let mut status = Self::timeout(&what, 1);
        if let Some(details) = &mut status.details {
            details.causes.push(cause);
        }
        status
    }
}

// === impl StatusCause ===

impl StatusCause {
    /// A cause about one field; `reason` is one of the API's words, such as `FieldValueInvalid`.
    pub fn field(
        field: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { reason: reason.into(), message: message.into(), field: field.into() }
    }
}

// === impl GroupResource ===

impl<'a> GroupResource<'a> {
    /// Names a resource or kind.
    pub const fn new(group: &'a str, resource: &'a str) -> Self {
        Self { group, resource }
    }

    fn qualified(self) -> String {
        if self.group.is_empty() {
            self.resource.into()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    fn details(self, name: &str) -> StatusDetails {
        StatusDetails {
            name: name.into(),
            group: self.group.into(),
            kind: self.resource.into(),
            ..StatusDetails::default()
        }
    }
}

/// A text in double quotes as Go's `%q` writes it, for printable text.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\x07' => out.push_str(r"\a"),
            '\x08' => out.push_str(r"\b"),
            '\x0c' => out.push_str(r"\f"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\x0b' => out.push_str(r"\v"),
            '\0'..' ' | '\x7f' => {
                out.push_str(&format!(r"\x{:02x}", u32::from(character)));
            }
            _ if character.is_control() => {
                out.push_str(&format!(r"\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_as_go_does() {
        for (text, expected) in [
            ("web-1", r#""web-1""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\x01\n\x7f\u{85}ü", r#""\x01\n\x7f\u0085ü""#),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }
}
