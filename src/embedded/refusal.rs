//! What the store says when it does not do what was asked.
//!
//! A refusal is a [`Status`] about one of the store's definitions. It is never logged and never
//! carries a credential.

use super::{definition::Definition, storage::StorageError};
use crate::api::{
    options::{InvalidCombination, OptionsError},
    status::{GroupResource, Status, StatusCause, StatusDetails},
};

/// A request that is answered with a failure.
#[derive(Clone, Debug)]
pub(super) struct Refusal(Box<Status>);

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) field: String,
}

// === impl Refusal ===

impl Refusal {
    /// The Status to answer.
    pub(super) const fn status(&self) -> &Status {
        &self.0
    }

    /// 400.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Status::bad_request(message).into()
    }

    /// 415, for bodies and patches the store does not read.
    pub(super) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Status::failure(415, "UnsupportedMediaType", message).into()
    }

    /// 404 for an object.
    pub(super) fn not_found(definition: &Definition, name: &str) -> Self {
        Status::not_found(resource(definition), name).into()
    }

    /// 404 for a namespace that an object was to be created in.
    pub(super) fn namespace_not_found(name: &str) -> Self {
        Status::not_found(GroupResource::new("", "namespaces"), name).into()
    }

    /// 409: the name is taken.
    pub(super) fn already_exists(definition: &Definition, name: &str) -> Self {
        Status::already_exists(resource(definition), name).into()
    }

    /// 409: a precondition or the resource version does not hold.
    pub(super) fn conflict(definition: &Definition, name: &str, why: &str) -> Self {
        Status::conflict(resource(definition), name, why).into()
    }

    /// 409: somebody else wrote the object in between.
    pub(super) fn modified(definition: &Definition, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(definition, name, why)
    }

    /// 403 with a reason of the store's own.
    pub(super) fn forbidden(definition: &Definition, name: &str, why: &str) -> Self {
        Status::forbidden(resource(definition), name, why).into()
    }

    /// 422 with every cause.
    pub(super) fn invalid(definition: &Definition, name: &str, causes: Vec<Cause>) -> Self {
        let causes = causes
            .into_iter()
            .map(|cause| StatusCause::field(cause.field, cause.reason, cause.message))
            .collect();
        let kind = GroupResource::new(definition.group(), &definition.resource.kind);
        Status::invalid(kind, name, causes).into()
    }

    /// 422 for a patch that cannot be applied to the object.
    pub(super) fn inapplicable(definition: &Definition, name: &str, why: &str) -> Self {
        let message =
            format!("the server rejected our request due to an error in our request: {why}");
        let details = StatusDetails {
            name: name.into(),
            group: definition.group().into(),
            kind: definition.plural().into(),
            ..StatusDetails::default()
        };
        Status::failure(422, "Invalid", message).with_details(details).into()
    }

    /// List, watch or get options that are not valid. An unreadable resource version of a GET or
    /// WATCH is an error without reason, as in kube-apiserver (semantics §2).
    pub(super) fn options(error: &OptionsError, list: bool) -> Self {
        match error {
            OptionsError::Combination(combination) => {
                let kind = GroupResource::new("meta.k8s.io", "ListOptions");
                Status::invalid(kind, "", vec![combination_cause(*combination, list)]).into()
            }
            OptionsError::ResourceVersion if !list => {
                Status::failure(500, "", error.to_string()).into()
            }
            other => Self::bad_request(other.to_string()),
        }
    }
}

/// The cause of a combination of options that is not allowed (semantics §2).
fn combination_cause(combination: InvalidCombination, list: bool) -> StatusCause {
    use InvalidCombination as Invalid;
    let (field, why) = match combination {
        Invalid::UnsupportedMatch => {
            let supported =
                if list { r#""Exact", "NotOlderThan", """# } else { r#""NotOlderThan""# };
            let message = format!("Unsupported value: supported values: {supported}");
            return StatusCause::field("resourceVersionMatch", "FieldValueNotSupported", message);
        }
        Invalid::MatchWithoutVersion => (
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        Invalid::MatchWithContinue => {
            ("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
        }
        Invalid::ExactZero => (
            "resourceVersionMatch",
            r#"resourceVersionMatch "exact" is forbidden for resourceVersion "0""#,
        ),
        Invalid::InitialEventsOnList => {
            ("sendInitialEvents", "sendInitialEvents is forbidden for list")
        }
        Invalid::InitialEventsWithoutMatch => (
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        Invalid::InitialEventsWithoutGate => (
            "sendInitialEvents",
            "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
        ),
        Invalid::MatchOnPlainWatch => (
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    };
    StatusCause::field(field, "FieldValueForbidden", format!("Forbidden: {why}"))
}

fn resource(definition: &Definition) -> GroupResource<'_> {
    GroupResource::new(definition.group(), definition.plural())
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Status::internal_error(error.to_string()).into()
    }
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
