//! Deleting: one object, a collection, a namespace with its contents, a definition with its
//! objects.
//!
//! An object with finalizers stays, marked with `deletionTimestamp`, until an update removes the
//! last of them. There is no garbage collector: `propagationPolicy` is checked, but dependents
//! named by `ownerReferences` are left alone. Pods go at once, there is no kubelet to wait for.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    custom_resource::DEFINITIONS,
    definition::{Definition, Fields},
    metadata,
    refusal::Refusal,
    selectable,
    stored::{StoredObject, metadata_text},
    timestamp,
    transaction::Transaction,
    write::Target,
};
use crate::api::{object_key::ObjectKey, selector::Selection};

/// What a client demands of the object it deletes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preconditions {
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
}

/// What became of a deleted object.
#[derive(Debug)]
pub(super) enum Deleted {
    /// It is gone; this was its last version.
    Gone(Arc<StoredObject>),
    /// It stays until its finalizers are done.
    Pending(Arc<StoredObject>),
}

// === impl Preconditions ===

impl Preconditions {
    /// Reads `preconditions` of DeleteOptions.
    pub(super) fn of(options: &Fields) -> Self {
        let text =
            |name: &str| options.get("preconditions")?.get(name)?.as_str().map(str::to_owned);
        Self { uid: text("uid"), resource_version: text("resourceVersion") }
    }

    fn check(&self, definition: &Definition, object: &StoredObject) -> Result<(), Refusal> {
        let name = object.key.name();
        let demands = [
            ("UID", &self.uid, metadata_text(&object.fields, "uid")),
            (
                "ResourceVersion",
                &self.resource_version,
                metadata_text(&object.fields, "resourceVersion"),
            ),
        ];
        for (what, wanted, found) in demands {
            if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != found) {
                let why = format!(
                    "Precondition failed: {what} in precondition: {wanted}, {what} in object \
                     meta: {found}"
                );
                return Err(Refusal::conflict(definition, name, &why));
            }
        }
        Ok(())
    }
}

/// Deletes one object.
pub(super) fn delete(
    transaction: &mut Transaction<'_>,
    target: &Target,
    preconditions: &Preconditions,
) -> Result<Deleted, Refusal> {
    let definition = &target.definition;
    let key = ObjectKey::new(&target.namespace, &target.name);
    let Some(object) = transaction.object(definition, &key) else {
        return Err(Refusal::not_found(definition, &target.name));
    };
    preconditions.check(definition, &object)?;
    Ok(begin(transaction, definition, &object))
}

/// Deletes the selected objects of one namespace, or of a cluster-scoped resource.
pub(super) fn collection(
    transaction: &mut Transaction<'_>,
    target: &Target,
    selection: &Selection,
    preconditions: &Preconditions,
) -> Result<Vec<Arc<StoredObject>>, Refusal> {
    let definition = &target.definition;
    let selected = transaction.select(|store, object| {
        *store == definition.store
            && object.key.namespace() == target.namespace
            && selectable::matches(selection, definition, object)
    });
    let mut deleted = Vec::with_capacity(selected.len());
    for (_, object) in selected {
        preconditions.check(definition, &object)?;
        deleted.push(match begin(transaction, definition, &object) {
            Deleted::Gone(object) | Deleted::Pending(object) => object,
        });
    }
    Ok(deleted)
}

/// Begins the deletion of an object, and finishes it where nothing holds it back.
pub(super) fn begin(
    transaction: &mut Transaction<'_>,
    definition: &Definition,
    object: &Arc<StoredObject>,
) -> Deleted {
    let contents: Vec<_> = match definition.group_resource() {
        "namespaces" => transaction.select(|_, inner| inner.key.namespace() == object.key.name()),
        DEFINITIONS => transaction.select(|store, _| store == object.key.name()),
        _ => Vec::new(),
    };
    let container = matches!(definition.group_resource(), "namespaces" | DEFINITIONS);
    if !container && metadata::free_of_finalizers(&object.fields) {
        transaction.remove(definition, &object.key);
        release_container(transaction, definition, &object.key);
        return Deleted::Gone(Arc::clone(object));
    }
    let marked = mark(transaction, definition, object);
    for (inner_definition, inner) in &contents {
        if metadata::free_of_finalizers(&inner.fields) {
            transaction.remove(inner_definition, &inner.key);
        } else {
            mark(transaction, inner_definition, inner);
        }
    }
    // The contents may have been the last that another container waited for.
    for alike in contents.chunk_by(|(a, _), (b, _)| a.store == b.store) {
        if let [(inner_definition, inner), ..] = alike {
            release_container(transaction, inner_definition, &inner.key);
        }
    }
    if container {
        finish_if_empty(transaction, definition, &object.key);
    }
    Deleted::Pending(marked)
}

/// Removes an object whose deletion has begun and whose last finalizer is gone.
pub(super) fn remove(transaction: &mut Transaction<'_>, definition: &Definition, key: &ObjectKey) {
    match definition.group_resource() {
        "namespaces" | DEFINITIONS => finish_if_empty(transaction, definition, key),
        _ => {
            transaction.remove(definition, key);
            release_container(transaction, definition, key);
        }
    }
}

fn mark(
    transaction: &mut Transaction<'_>,
    definition: &Definition,
    object: &Arc<StoredObject>,
) -> Arc<StoredObject> {
    if metadata::deleting(&object.fields) {
        return Arc::clone(object);
    }
    let mut fields = object.fields.clone();
    let generation = definition.rules.generation;
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.insert("deletionTimestamp".into(), timestamp::now().into());
        metadata.insert("deletionGracePeriodSeconds".into(), 0.into());
        if let (true, Some(number)) =
            (generation, metadata.get("generation").and_then(Value::as_u64))
        {
            metadata.insert("generation".into(), (number + 1).into());
        }
    }
    match definition.group_resource() {
        "namespaces" => {
            fields.insert("status".into(), json!({"phase": "Terminating"}));
        }
        DEFINITIONS => add_terminating_condition(&mut fields),
        _ => {}
    }
    transaction.put(definition, fields)
}

fn add_terminating_condition(fields: &mut Fields) {
    let conditions = fields.get_mut("status").and_then(|status| status.get_mut("conditions"));
    if let Some(Value::Array(conditions)) = conditions {
        conditions.push(json!({
            "type": "Terminating", "status": "True", "lastTransitionTime": timestamp::now(),
            "reason": "InstanceDeletionInProgress",
            "message": "CustomResource deletion is in progress",
        }));
    }
}

/// After an object went: its namespace or definition may have waited for that.
fn release_container(transaction: &mut Transaction<'_>, definition: &Definition, key: &ObjectKey) {
    let registry = &transaction.committed().registry;
    let containers = [
        (registry.of_store("namespaces").cloned(), key.namespace().to_owned()),
        (registry.of_store(DEFINITIONS).cloned(), definition.group_resource().to_owned()),
    ];
    for (container, name) in containers {
        let Some(container) = container.filter(|_| !name.is_empty()) else { continue };
        finish_if_empty(transaction, &container, &ObjectKey::new("", &name));
    }
}

/// Removes a namespace or definition that is being deleted once nothing is left inside.
fn finish_if_empty(transaction: &mut Transaction<'_>, definition: &Definition, key: &ObjectKey) {
    let Some(container) = transaction.object(definition, key) else { return };
    if !metadata::deleting(&container.fields) || !metadata::free_of_finalizers(&container.fields) {
        return;
    }
    let inside = if definition.store == DEFINITIONS {
        transaction.any(|store, _| store == key.name())
    } else {
        transaction.any(|_, object| object.key.namespace() == key.name())
    };
    if !inside {
        transaction.remove(definition, key);
    }
}
