//! GET of one object and LIST.
//!
//! The store is one process, so every state it shows is the latest; only lists at exactly one
//! revision look back, as far as the history of their resource reaches.

use std::{borrow::Cow, ops::Bound, sync::Arc};

use super::{
    definition::Definition,
    form::{self, Form, ListMetadata},
    history::Objects,
    refusal::Refusal,
    selectable,
    store::State,
    stored::StoredObject,
};
use crate::api::{
    continue_token::ContinueToken,
    object_key::ObjectKey,
    options::{GetRequest, ListConsistency, ListRequest},
    status::Status,
    version::ResourceVersion,
};

/// One object.
pub(super) fn get<'s>(
    state: &'s State,
    definition: &Definition,
    key: &ObjectKey,
    request: GetRequest,
) -> Result<&'s StoredObject, Refusal> {
    require_revision(state, request.into())?;
    state
        .object(&definition.store, key.as_str())
        .map(Arc::as_ref)
        .ok_or_else(|| Refusal::not_found(definition, key.name()))
}

/// The body of a list of one namespace, or, when `namespace` is empty, of all.
pub(super) fn list(
    state: &State,
    definition: &Definition,
    form: Form,
    namespace: &str,
    request: &ListRequest,
) -> Result<Vec<u8>, Refusal> {
    require_revision(state, request.consistency)?;
    // A selector's namespace narrows only lists that begin, as in kube-apiserver.
    let narrows = namespace.is_empty() && definition.namespaced() && request.start.is_none();
    let namespace = match request.selection.field.required_namespace() {
        Some(selected) if narrows => selected,
        _ => namespace,
    };
    let (objects, revision) = objects_for(state, definition, request)?;
    let resume = request.start.as_ref().map(|start| {
        ContinueToken { resource_version: None, start: start.clone() }.start_key(namespace)
    });
    let mut page: Vec<&StoredObject> = Vec::new();
    let limit = request.limit.map_or(u64::MAX, std::num::NonZero::get);
    let mut metadata = ListMetadata { revision, ..ListMetadata::default() };
    let mut keys = objects_from(&objects, namespace, resume.as_deref());
    while let Some(object) = keys.next() {
        if !selectable::matches(&request.selection, definition, object) {
            continue;
        }
        page.push(object);
        if page.len() as u64 == limit {
            let remaining = keys.count() as u64;
            if remaining > 0 {
                metadata.resume = ResourceVersion::new(revision).map(|version| {
                    ContinueToken::after(version, &object.key, !namespace.is_empty()).encode()
                });
                metadata.remaining = request.selection.is_everything().then_some(remaining);
            }
            break;
        }
    }
    Ok(form::list(form, definition, &metadata, page.into_iter()))
}

/// The objects of one namespace (or all), in key order, from `start` on.
pub(super) fn objects_from<'o>(
    objects: &'o Objects,
    namespace: &str,
    start: Option<&str>,
) -> impl Iterator<Item = &'o StoredObject> + use<'o> {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let from = start.unwrap_or(&prefix).max(&prefix).to_owned();
    objects
        .range::<str, _>((Bound::Included(from.as_str()), Bound::Unbounded))
        .map(|(_, object)| Arc::as_ref(object))
        .take_while(move |object| object.key.as_str().starts_with(&prefix))
}

/// Refuses states that are still to come (semantics §3.4). The store has nothing to wait for: a
/// revision it did not give out is not on its way.
pub(super) fn require_revision(state: &State, consistency: ListConsistency) -> Result<(), Refusal> {
    match consistency {
        ListConsistency::NotOlderThan(version) | ListConsistency::Exact(version)
            if version.get() > state.revision =>
        {
            Err(Status::too_large_resource_version(version, state.revision).into())
        }
        _ => Ok(()),
    }
}

fn objects_for<'s>(
    state: &'s State,
    definition: &Definition,
    request: &ListRequest,
) -> Result<(Cow<'s, Objects>, u64), Refusal> {
    let Some(resource) = state.resource(&definition.store) else {
        let revision = exact(request).map_or(state.revision, ResourceVersion::get);
        if revision < state.opened_at() {
            return Err(expired(request));
        }
        return Ok((Cow::Owned(Objects::new()), revision));
    };
    let Some(version) = exact(request) else {
        return Ok((Cow::Borrowed(&resource.objects), state.revision));
    };
    let changed_since =
        resource.history.since(version.get()).is_none_or(|mut later| later.next().is_some());
    if !changed_since {
        return Ok((Cow::Borrowed(&resource.objects), version.get()));
    }
    resource
        .history
        .rewind(&resource.objects, version.get())
        .map(|objects| (Cow::Owned(objects), version.get()))
        .ok_or_else(|| expired(request))
}

fn exact(request: &ListRequest) -> Option<ResourceVersion> {
    match request.consistency {
        ListConsistency::Exact(version) => Some(version),
        _ => None,
    }
}

fn expired(request: &ListRequest) -> Refusal {
    match &request.start {
        None => Status::list_expired().into(),
        Some(start) => {
            let token = ContinueToken { resource_version: None, start: start.clone() };
            Status::continue_expired(token.encode()).into()
        }
    }
}
