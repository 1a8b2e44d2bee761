//! Serve or forward: the decision table, pure (semantics §16).
//!
//! When in doubt, forward. What is decided here needs only the request and its type; whether the
//! asker may, and whether the shard is warm and fresh enough, comes later and can only turn "serve"
//! into "forward".

use crate::{
    api::{
        negotiate::{MediaType, Negotiated, Transform},
        options::{
            EventsAfter, GetRequest, ListConsistency, ListRequest, WatchRequest, WatchStart,
        },
        resource::{Origin, ResourceType},
        selector::{Selection, field::FieldTarget, field_schema::FieldSchema},
        version::ResourceVersion,
    },
    codec::{ResourceCodec, object::Representation, watch_event::Form},
};

use super::reason::ForwardReason;

/// Which shards can answer, best first, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The representation to open when none is.
    pub representation: Representation,
    /// A fuller representation that answers as well if it is open already.
    pub fuller: Option<Representation>,
    /// The form to make of the objects of `representation` and `fuller`.
    pub form: Form,
}

/// How new the state must be that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Any state.
    Any,
    /// At least this version.
    AtLeast(ResourceVersion),
    /// Every write finished before the request: takes a proof.
    Latest,
    /// The state at exactly this version.
    Exact(ResourceVersion),
}

/// The shards that hold what a request wants.
///
/// # Errors
/// The form is not kept in any representation.
pub fn source(
    resource: &ResourceType,
    negotiated: Negotiated,
    selection: &Selection,
) -> Result<Source, ForwardReason> {
    let source = kept_in(resource, negotiated, selection)?;
    // Some types' metadata can't be cut out of their objects with upstream's very bytes.
    if ResourceCodec::can_offer(resource, source.representation, source.form) {
        Ok(source)
    } else {
        Err(ForwardReason::Accept)
    }
}

fn kept_in(
    resource: &ResourceType,
    negotiated: Negotiated,
    selection: &Selection,
) -> Result<Source, ForwardReason> {
    let only = |representation, form| Source { representation, fuller: None, form };
    match (negotiated.media_type, negotiated.transform, resource.origin) {
        (MediaType::Json, Transform::None, _) => Ok(only(Representation::Json, Form::Full)),
        (MediaType::Protobuf, Transform::None, Origin::BuiltIn) => {
            Ok(only(Representation::Protobuf, Form::Full))
        }
        // Custom objects have no protobuf form; upstream words that.
        (MediaType::Protobuf, Transform::None, Origin::Custom) => Err(ForwardReason::Accept),
        (MediaType::Json, Transform::PartialObjectMetadata, _) => {
            // Cut out of full objects where that gives upstream's very bytes.
            if ResourceCodec::can_offer(resource, Representation::Json, Form::Metadata) {
                Ok(only(Representation::Json, Form::Metadata))
            } else if selects_beyond_metadata(selection) {
                Err(ForwardReason::Accept)
            } else {
                Ok(only(Representation::JsonMetadata, Form::Metadata))
            }
        }
        (MediaType::Protobuf, Transform::PartialObjectMetadata, origin) => {
            match (origin, selects_beyond_metadata(selection)) {
                (Origin::BuiltIn, true) => Ok(only(Representation::Protobuf, Form::Metadata)),
                (Origin::BuiltIn, false) => Ok(Source {
                    representation: Representation::ProtobufMetadata,
                    fuller: Some(Representation::Protobuf),
                    form: Form::Metadata,
                }),
                (Origin::Custom, false) => {
                    Ok(only(Representation::ProtobufMetadata, Form::Metadata))
                }
                (Origin::Custom, true) => Err(ForwardReason::Accept),
            }
        }
    }
}

/// Metadata shards hold no value of a field selector but name and namespace.
fn selects_beyond_metadata(selection: &Selection) -> bool {
    selection.field.looks_at_fields()
}

/// What a GET needs.
///
/// # Errors
/// Without a resourceVersion it is a quorum read; upstream answers it.
pub fn for_get(request: GetRequest) -> Result<Requirement, ForwardReason> {
    match request {
        GetRequest::Any => Ok(Requirement::Any),
        GetRequest::NotOlderThan(version) => Ok(Requirement::AtLeast(version)),
        GetRequest::Latest => Err(ForwardReason::Quorum),
    }
}

/// What a LIST needs.
///
/// # Errors
/// A page by node, which upstream cuts from an index of its own (semantics §3.2), or one name at one
/// past version, which it reads from its store by other rules (§3.1). Neither holds for a list that
/// goes on: it is always walked.
pub fn for_list(request: &ListRequest, schema: &FieldSchema) -> Result<Requirement, ForwardReason> {
    let field = &request.selection.field;
    let by_node = || {
        let node = schema.position("spec.nodeName").map(FieldTarget::Field);
        field.equality_terms().any(|(target, _)| Some(target) == node)
    };
    let begins = request.start.is_none();
    match request.consistency {
        ListConsistency::Exact(_) if begins && field.required_name().is_some() => {
            Err(ForwardReason::ExactName)
        }
        ListConsistency::Exact(version) => Ok(Requirement::Exact(version)),
        _ if begins && request.limit.is_some() && by_node() => Err(ForwardReason::Options),
        ListConsistency::Any => Ok(Requirement::Any),
        ListConsistency::NotOlderThan(version) => Ok(Requirement::AtLeast(version)),
        ListConsistency::Latest => Ok(Requirement::Latest),
    }
}

/// What a WATCH needs before it begins.
///
/// # Errors
/// One past state is asked for, which no watch does.
pub fn for_watch(request: &WatchRequest) -> Result<Requirement, ForwardReason> {
    match request.start {
        WatchStart::State { consistency: ListConsistency::Any, .. }
        | WatchStart::Events(EventsAfter::Any | EventsAfter::Version(_)) => Ok(Requirement::Any),
        WatchStart::State { consistency: ListConsistency::NotOlderThan(version), .. } => {
            Ok(Requirement::AtLeast(version))
        }
        WatchStart::State { consistency: ListConsistency::Latest, .. }
        | WatchStart::Events(EventsAfter::Latest) => Ok(Requirement::Latest),
        WatchStart::State { consistency: ListConsistency::Exact(_), .. } => {
            Err(ForwardReason::Options)
        }
    }
}
