//! `metav1.Status`: the one way in which a request fails, in Kubernetes' words.
//!
//! A value that can be built (`Status::not_found(..)` and the like, in `constructors`), read from
//! upstream's JSON, and written byte for byte as kube-apiserver writes it, as JSON or protobuf. It
//! does not choose between the forms: content negotiation does.

mod constructors;
mod json;
mod protobuf;

use std::borrow::Cow;

use serde::Deserialize;

pub use self::constructors::GroupResource;

/// The result of a request that has no other body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Only set by lists that expired while being continued.
    pub metadata: ListMetadata,
    /// Success or failure; absent in a few answers of the API server.
    #[serde(rename = "status")]
    pub outcome: Outcome,
    /// For people.
    pub message: String,
    /// For programs: one word, such as `NotFound`; empty when there is none.
    pub reason: Cow<'static, str>,
    /// What it is about.
    pub details: Option<StatusDetails>,
    /// The HTTP status code; 0 when none is written.
    pub code: u16,
}

/// Whether the request did what it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Outcome {
    /// Neither is said.
    #[default]
    #[serde(rename = "")]
    Unknown,
    /// It did.
    Success,
    /// It did not.
    Failure,
}

/// The list metadata of a status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ListMetadata {
    /// Almost always empty.
    #[serde(rename = "resourceVersion")]
    pub resource_version: String,
    /// A token to go on with, from the latest state.
    #[serde(rename = "continue")]
    pub continue_token: String,
}

/// What a status is about. Every part is optional; empty means absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusDetails {
    /// Name of the object.
    pub name: String,
    /// API group.
    pub group: String,
    /// Kind, or plural resource name, depending on the reason.
    pub kind: String,
    /// UID of the object.
    pub uid: String,
    /// The single errors.
    pub causes: Vec<StatusCause>,
    /// When to try again, in seconds; goes with the `Retry-After` header.
    #[serde(rename = "retryAfterSeconds")]
    pub retry_after_seconds: u32,
}

/// One of several errors. Every part is optional; empty means absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct StatusCause {
    /// For programs, such as `FieldValueInvalid`.
    pub reason: Cow<'static, str>,
    /// For people.
    pub message: String,
    /// The field at fault, such as `spec.replicas`.
    pub field: String,
}

/// Bytes that are not a status.
#[derive(Debug, thiserror::Error)]
pub enum NotAStatus {
    /// Not the JSON of one.
    #[error("not a Status object")]
    Json(#[from] serde_json::Error),
    /// An object of another kind.
    #[error("an object of kind {0:?} instead of a Status")]
    Kind(String),
}

// === impl Status ===

impl Status {
    /// Reads a status that the API server wrote.
    pub fn from_json(json: &[u8]) -> Result<Self, NotAStatus> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            kind: String,
        }
        let Kind { kind } = serde_json::from_slice(json)?;
        if kind != "Status" {
            return Err(NotAStatus::Kind(kind));
        }
        Ok(serde_json::from_slice(json)?)
    }

    /// The JSON body: compact, with the newline that ends every compact body.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        json::write(&mut out, self);
        out.push(b'\n');
        out
    }

    /// The JSON body for readers: indented by two spaces, without a newline at the end. Also what a
    /// client gets that accepts no form a status can take (semantics §6.1).
    pub fn to_indented_json(&self) -> Vec<u8> {
        let mut compact = Vec::with_capacity(256);
        json::write(&mut compact, self);
        super::go_json::indent(&compact)
    }

    /// Appends the compact JSON object alone, as it stands inside an ERROR watch event.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        json::write(out, self);
    }

    /// The protobuf body, also the raw object of an ERROR watch event: envelope and message.
    pub fn to_protobuf(&self) -> Vec<u8> {
        protobuf::to_bytes(self)
    }

    /// The seconds for a `Retry-After` header, which goes with every status that names them.
    pub fn retry_after(&self) -> Option<u32> {
        let seconds = self.details.as_ref()?.retry_after_seconds;
        (seconds > 0).then_some(seconds)
    }
}

// === impl Outcome ===

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::Success => "Success",
            Self::Failure => "Failure",
        }
    }
}

#[cfg(test)]
mod tests;
