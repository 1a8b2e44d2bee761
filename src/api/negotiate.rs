//! Content negotiation: which form of an answer a request accepts, as kube-apiserver chooses it.
//!
//! The clause choice is upstream's own, oddities included (semantics §6.1): two layers for built-in
//! types, an inconsistent order of clauses, clauses with a transform skipped where they do not apply.
//! Served are JSON and protobuf, plain or as `PartialObjectMetadata`, JSON also indented; a request
//! for anything else (YAML, Table, `v1beta1` metadata, what upstream would refuse) is a
//! [`ForwardReason`]. Headers are the first line of their name, as there; one
//! that is no text is for the caller to forward.

mod accept;

use self::accept::{Clause, clauses};
use super::{query::Query, resource::Origin};

/// What kind of answer is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// One object.
    Object,
    /// A list.
    List,
    /// A stream of watch events.
    Watch,
}

/// The form of an answer that the gateway makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Negotiated {
    /// How it is encoded.
    pub media_type: MediaType,
    /// What the objects are turned into first.
    pub transform: Transform,
    /// Whether the clause asks for indented JSON; [`is_pretty`] may ask for it as well. Never for
    /// protobuf, which has no such form, nor for watches, which upstream never indents.
    pub indented: bool,
}

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

/// What objects are turned into before they are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transform {
    /// Nothing: full objects.
    None,
    /// `meta.k8s.io/v1` PartialObjectMetadata, or on lists PartialObjectMetadataList.
    PartialObjectMetadata,
}

/// The form of a [`super::status::Status`], negotiated apart from the answer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusForm {
    /// Compact JSON with a newline.
    Json,
    /// Indented JSON without one.
    Indented,
    /// The protobuf envelope.
    Protobuf,
}

/// Why upstream has to make the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardReason {
    /// No clause is acceptable; upstream words the 406.
    #[error("nothing in Accept is served for this request")]
    NotAcceptable,
    /// The chosen clause is YAML.
    #[error("YAML is asked for")]
    Yaml,
    /// The chosen clause asks for a Table, older metadata, or a transform of the wrong shape.
    #[error("a transform is asked for that only the API server makes")]
    Transform,
    /// A header whose reading depends on details not reproduced here.
    #[error("Accept is too unusual to be read here")]
    Unusual,
}

/// Chooses the form of an answer. `accept` is the first `Accept` line, `None` when there is none.
pub fn negotiate(
    accept: Option<&str>,
    kind: AnswerKind,
    origin: Origin,
) -> Result<Negotiated, ForwardReason> {
    let accept = accept.unwrap_or_default();
    if accept.is_empty() {
        return Ok(Negotiated {
            media_type: MediaType::Json,
            transform: Transform::None,
            indented: false,
        });
    }
    if origin == Origin::BuiltIn && !accept::passes_router(accept) {
        return Err(ForwardReason::NotAcceptable);
    }
    for clause in &clauses(accept)? {
        for supported in Supported::ALL.into_iter().filter(|one| clause.names(one.name())) {
            if let Some(target) = allowed_target(clause, supported, origin)? {
                return form(clause, supported, target, kind);
            }
        }
    }
    Err(ForwardReason::NotAcceptable)
}

/// Chooses the form of an error. `pretty` is what [`is_pretty`] says of the request. A client that
/// accepts nothing that can carry a status, such as one that takes transformed answers only, gets
/// indented JSON.
///
/// # Errors
/// The form is one that upstream has to write.
pub fn negotiate_status(accept: Option<&str>, pretty: bool) -> Result<StatusForm, ForwardReason> {
    let json = |pretty| if pretty { StatusForm::Indented } else { StatusForm::Json };
    let accept = accept.unwrap_or_default();
    if accept.is_empty() {
        return Ok(json(pretty));
    }
    for clause in &clauses(accept)? {
        for supported in Supported::ALL.into_iter().filter(|one| clause.names(one.name())) {
            let is_plain = ["as", "g", "v"].iter().all(|name| clause.parameter(name).is_none());
            let has_server_version = !clause.parameter("sv").unwrap_or_default().is_empty();
            if is_plain && !has_server_version && allows_stream(clause, supported) {
                return match supported {
                    Supported::Json => Ok(json(pretty || clause.is_pretty())),
                    Supported::Protobuf => Ok(StatusForm::Protobuf),
                    Supported::Yaml => Err(ForwardReason::Yaml),
                };
            }
        }
    }
    Ok(StatusForm::Indented)
}

/// Whether JSON that is no stream is to be indented, by the query or by who asks (semantics §6.3).
/// `pretty=1` in `Accept` is judged by [`negotiate`]. The parameter counts only where its name stands
/// somewhere in the query without escapes, since upstream looks for that first.
pub fn is_pretty(query: &Query<'_>, user_agent: Option<&str>) -> bool {
    match query.first_or_empty("pretty") {
        _ if !query.mentions("pretty") => {}
        "" => {}
        value => return matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
    }
    let user_agent = user_agent.unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| user_agent.starts_with(prefix))
}

/// Whether large answers may be compressed: the bare token `gzip` in the first `Accept-Encoding`
/// line. `gzip;q=1`, `GZIP` and `*` do not count (semantics §6.4).
pub fn wants_gzip(accept_encoding: Option<&str>) -> bool {
    accept_encoding.unwrap_or_default().split(',').any(|token| token.trim() == "gzip")
}

/// The media types that kube-apiserver serves, in its order of preference.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supported {
    Json,
    Yaml,
    Protobuf,
}

/// The transform that a clause asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    None,
    Metadata {
        is_list: bool,
    },
    /// One that upstream makes and the gateway does not.
    Upstream,
}

/// The transform of a clause if it is allowed for this media type; `None` skips the clause.
fn allowed_target(
    clause: &Clause<'_>,
    supported: Supported,
    origin: Origin,
) -> Result<Option<Target>, ForwardReason> {
    if !allows_stream(clause, supported) {
        return Ok(None);
    }
    if !clause.parameter("sv").unwrap_or_default().is_empty() {
        return Err(ForwardReason::Unusual);
    }
    let [kind, group, version] = ["as", "g", "v"].map(|name| clause.parameter(name));
    if kind.is_none() && group.is_none() && version.is_none() {
        let is_served = origin == Origin::BuiltIn || supported != Supported::Protobuf;
        return Ok(is_served.then_some(Target::None));
    }
    let is_v1 = match (group, version) {
        (Some("meta.k8s.io"), Some("v1")) => true,
        (Some("meta.k8s.io"), Some("v1beta1")) => false,
        _ => return Ok(None),
    };
    Ok(match kind.unwrap_or_default() {
        "Table" if supported == Supported::Protobuf => None,
        "Table" => Some(Target::Upstream),
        "PartialObjectMetadata" if is_v1 => Some(Target::Metadata { is_list: false }),
        "PartialObjectMetadataList" if is_v1 => Some(Target::Metadata { is_list: true }),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Target::Upstream),
        _ => None,
    })
}

/// `stream=watch` is allowed everywhere but in YAML; any other value skips the clause.
fn allows_stream(clause: &Clause<'_>, supported: Supported) -> bool {
    match clause.parameter("stream").unwrap_or_default() {
        "" => true,
        value => value == "watch" && supported != Supported::Yaml,
    }
}

/// The answer's form, once the clause is chosen.
fn form(
    clause: &Clause<'_>,
    supported: Supported,
    target: Target,
    kind: AnswerKind,
) -> Result<Negotiated, ForwardReason> {
    let media_type = match supported {
        Supported::Json => MediaType::Json,
        Supported::Protobuf => MediaType::Protobuf,
        Supported::Yaml => return Err(ForwardReason::Yaml),
    };
    let can_indent = media_type == MediaType::Json && kind != AnswerKind::Watch;
    let transform = match target {
        Target::None => Transform::None,
        Target::Metadata { is_list } if is_list == (kind == AnswerKind::List) => {
            Transform::PartialObjectMetadata
        }
        Target::Metadata { .. } | Target::Upstream => return Err(ForwardReason::Transform),
    };
    Ok(Negotiated { media_type, transform, indented: can_indent && clause.is_pretty() })
}

// === impl StatusForm ===

impl StatusForm {
    /// The `Content-Type` of an answer in this form.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::Indented => MediaType::Json.content_type(AnswerKind::Object),
            Self::Protobuf => MediaType::Protobuf.content_type(AnswerKind::Object),
        }
    }
}

// === impl MediaType ===

impl MediaType {
    /// The `Content-Type` of an answer; only protobuf says that it is a stream.
    pub const fn content_type(self, kind: AnswerKind) -> &'static str {
        match (self, kind) {
            (Self::Json, _) => "application/json",
            (Self::Protobuf, AnswerKind::Watch) => {
                "application/vnd.kubernetes.protobuf;stream=watch"
            }
            (Self::Protobuf, _) => "application/vnd.kubernetes.protobuf",
        }
    }
}

// === impl Supported ===

impl Supported {
    const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];

    /// Type and subtype.
    const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application", "json"),
            Self::Yaml => ("application", "yaml"),
            Self::Protobuf => ("application", "vnd.kubernetes.protobuf"),
        }
    }
}

#[cfg(test)]
mod tests;
