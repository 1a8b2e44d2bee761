//! Creating and updating: what becomes of an object that a client sends.
//!
//! Guarantees: one write changes one object by one revision, and only if its resource version and
//! uid are those the client saw; an update that changes nothing writes nothing. There is no
//! admission, and built-in types are neither defaulted nor validated beyond their metadata.

use std::sync::Arc;

use serde_json::Value;

use super::{
    custom_resource::{self, DEFINITIONS},
    definition::{Definition, Fields},
    delete, initial_state, metadata,
    nesting::{MAX_DEPTH, is_deeper},
    refusal::Refusal,
    schema_validation,
    stored::{StoredObject, metadata_text},
    timestamp,
    transaction::Transaction,
};
use crate::api::object_key::ObjectKey;

/// Which object of which resource a request is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) definition: Arc<Definition>,
    /// Empty for cluster-scoped resources.
    pub(super) namespace: String,
    /// Empty for a collection.
    pub(super) name: String,
    pub(super) part: Part,
}

/// The part of an object that a write may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All but `status`, when the resource has a status sub-resource.
    Main,
    /// `status` alone.
    Status,
    /// The number of replicas alone, shown as a Scale.
    Scale,
}

/// How fields that a schema does not know are met (`fieldValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldValidation {
    /// Dropped without a word.
    Ignore,
    /// Dropped with a warning.
    Warn,
    /// Refused.
    Strict,
}

/// The outcome of a write.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) object: Arc<StoredObject>,
    /// Whether the object is new.
    pub(super) created: bool,
    /// Texts for `Warning` headers.
    pub(super) warnings: Vec<String>,
}

/// Makes a new object out of a body.
pub(super) fn create(
    transaction: &mut Transaction<'_>,
    target: &Target,
    validation: FieldValidation,
    mut fields: Fields,
) -> Result<Written, Refusal> {
    let definition = &*target.definition;
    metadata::check_type(definition, &fields)?;
    metadata::settle_namespace(definition, &mut fields, &target.namespace)?;
    let given = metadata_text(&fields, "name");
    if !target.name.is_empty() && given != target.name {
        return Err(name_mismatch(given, &target.name));
    }
    if !metadata_text(&fields, "resourceVersion").is_empty() {
        return Err(Refusal::bad_request(
            "resourceVersion should not be set on objects to be created",
        ));
    }
    metadata::begin(&mut fields)?;
    require_namespace(transaction, target, metadata_text(&fields, "name"))?;
    if definition.rules.status {
        fields.remove("status");
    }
    if definition.rules.generation {
        metadata::of(&mut fields)?.insert("generation".into(), 1.into());
    }
    initial_state::complete(definition, &mut fields);
    let warnings = settle(transaction, definition, validation, &mut fields)?;
    let key = key_of(&fields);
    if transaction.object(definition, &key).is_some() {
        return Err(Refusal::already_exists(definition, key.name()));
    }
    let object = transaction.put(definition, fields);
    Ok(Written { object, created: true, warnings })
}

/// Replaces an object by what `change` makes of it.
pub(super) fn update(
    transaction: &mut Transaction<'_>,
    target: &Target,
    validation: FieldValidation,
    change: impl FnOnce(&Fields) -> Result<Fields, Refusal>,
) -> Result<Written, Refusal> {
    let definition = &*target.definition;
    let key = ObjectKey::new(&target.namespace, &target.name);
    let Some(stored) = transaction.object(definition, &key) else {
        return Err(Refusal::not_found(definition, &target.name));
    };
    let before = served_fields(definition, &stored);
    let mut fields = change(&before)?;
    metadata::check_type(definition, &fields)?;
    check_identity(target, &before, &mut fields)?;
    metadata::carry_over(&mut fields, &before)?;
    keep_other_part(target, &before, &mut fields);
    if definition.store == DEFINITIONS {
        let causes = custom_resource::validate_update(&before, &fields);
        if !causes.is_empty() {
            return Err(Refusal::invalid(definition, &target.name, causes));
        }
    }
    let warnings = settle(transaction, definition, validation, &mut fields)?;
    if definition.rules.generation && desired_state_differs(definition, &before, &fields) {
        let generation = stored.metadata().and_then(|metadata| metadata.get("generation"));
        let next = generation.and_then(Value::as_u64).unwrap_or(0) + 1;
        metadata::of(&mut fields)?.insert("generation".into(), next.into());
    }
    fields.insert("kind".into(), definition.resource.kind.as_str().into());
    metadata::of(&mut fields)?
        .insert("resourceVersion".into(), metadata_text(&before, "resourceVersion").into());
    if fields == before {
        return Ok(Written { object: stored, created: false, warnings });
    }
    if metadata::deleting(&fields) && metadata::free_of_finalizers(&fields) {
        let object = Arc::new(StoredObject::new(definition, stored.revision, fields));
        delete::remove(transaction, definition, &key);
        return Ok(Written { object, created: false, warnings });
    }
    let object = transaction.put(definition, fields);
    Ok(Written { object, created: false, warnings })
}

/// PUT: the body takes the place of the object, or becomes one where the resource allows it.
pub(super) fn replace(
    transaction: &mut Transaction<'_>,
    target: &Target,
    validation: FieldValidation,
    fields: Fields,
) -> Result<Written, Refusal> {
    let definition = &*target.definition;
    let missing = || {
        let key = ObjectKey::new(&target.namespace, &target.name);
        transaction.object(definition, &key).is_none()
    };
    if definition.rules.create_on_update && target.part == Part::Main && missing() {
        return create(transaction, target, validation, fields);
    }
    update(transaction, target, validation, |before| {
        let unconditional = metadata_text(&fields, "resourceVersion").is_empty();
        if definition.custom() && unconditional {
            let name = metadata_text(before, "name");
            let cause = super::refusal::Cause::invalid(
                "metadata.resourceVersion",
                "0",
                "must be specified for an update",
            );
            return Err(Refusal::invalid(definition, name, vec![cause]));
        }
        Ok(fields)
    })
}

/// The fields of a stored object as `definition` serves them.
pub(super) fn served_fields(definition: &Definition, stored: &StoredObject) -> Fields {
    if stored.fields.get("apiVersion").and_then(Value::as_str) == Some(&definition.api_version()) {
        return stored.fields.clone();
    }
    stored.as_version(definition).into_fields()
}

fn check_identity(target: &Target, before: &Fields, fields: &mut Fields) -> Result<(), Refusal> {
    let definition = &*target.definition;
    let given = metadata_text(fields, "name");
    if given != target.name {
        return Err(name_mismatch(given, &target.name));
    }
    metadata::settle_namespace(definition, fields, &target.namespace)?;
    let version = metadata_text(fields, "resourceVersion");
    if !version.is_empty() && version != metadata_text(before, "resourceVersion") {
        return Err(Refusal::modified(definition, &target.name));
    }
    let (uid, present) = (metadata_text(fields, "uid"), metadata_text(before, "uid"));
    if !uid.is_empty() && uid != present {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {present}"
        );
        return Err(Refusal::conflict(definition, &target.name, &why));
    }
    Ok(())
}

fn name_mismatch(given: &str, expected: &str) -> Refusal {
    Refusal::bad_request(format!(
        "the name of the object ({given}) does not match the name on the URL ({expected})"
    ))
}

/// A write of the object leaves its status alone, a write of its status leaves all else alone.
fn keep_other_part(target: &Target, before: &Fields, fields: &mut Fields) {
    match target.part {
        Part::Main | Part::Scale if target.definition.rules.status => {
            match before.get("status") {
                Some(status) => fields.insert("status".into(), status.clone()),
                None => fields.remove("status"),
            };
        }
        Part::Main | Part::Scale => {}
        Part::Status => {
            let status = fields.remove("status");
            fields.clone_from(before);
            match status {
                Some(status) => fields.insert("status".into(), status),
                None => fields.remove("status"),
            };
        }
    }
}

/// Normalizes and validates an object that is about to be stored.
fn settle(
    transaction: &Transaction<'_>,
    definition: &Definition,
    validation: FieldValidation,
    fields: &mut Fields,
) -> Result<Vec<String>, Refusal> {
    // One level less than allowed: the object itself is one.
    if fields.values().any(|field| is_deeper(field, MAX_DEPTH - 1)) {
        return Err(Refusal::bad_request("the object is nested too deeply"));
    }
    initial_state::normalize(definition, fields)?;
    let name = metadata_text(fields, "name").to_owned();
    let mut causes = metadata::validate(definition, fields);
    let mut warnings = Vec::new();
    if let Some(schema) = &definition.schema {
        let dropped = schema.prune(fields);
        warnings = unknown_fields(definition, validation, &dropped)?;
        schema.apply_defaults(fields);
        causes.extend(schema_validation::validate(schema, fields));
    }
    if definition.store == DEFINITIONS {
        custom_resource::apply_defaults(fields);
        causes.extend(custom_resource::validate(fields));
    }
    if !causes.is_empty() {
        return Err(Refusal::invalid(definition, &name, causes));
    }
    if definition.store == DEFINITIONS {
        custom_resource::accept(fields, &transaction.committed().registry, &timestamp::now());
    }
    Ok(warnings)
}

fn unknown_fields(
    definition: &Definition,
    validation: FieldValidation,
    dropped: &[String],
) -> Result<Vec<String>, Refusal> {
    let texts = dropped.iter().map(|path| format!("unknown field {path:?}"));
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(texts.collect()),
        FieldValidation::Strict if dropped.is_empty() => Ok(Vec::new()),
        FieldValidation::Strict => Err(Refusal::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {kind}: strict decoding error: {}",
            definition.resource.gvr.version,
            texts.collect::<Vec<_>>().join(", "),
            kind = definition.resource.kind,
        ))),
    }
}

/// Objects are created only in namespaces that exist and are not being deleted.
fn require_namespace(
    transaction: &Transaction<'_>,
    target: &Target,
    name: &str,
) -> Result<(), Refusal> {
    if !target.definition.namespaced() {
        return Ok(());
    }
    let key = ObjectKey::new("", &target.namespace);
    let Some(namespace) = transaction.object_in(&"namespaces".into(), &key) else {
        return Err(Refusal::namespace_not_found(&target.namespace));
    };
    if metadata::deleting(&namespace.fields) {
        let why = format!(
            "unable to create new content in namespace {} because it is being terminated",
            target.namespace
        );
        return Err(Refusal::forbidden(&target.definition, name, &why));
    }
    Ok(())
}

fn key_of(fields: &Fields) -> ObjectKey {
    ObjectKey::new(metadata_text(fields, "namespace"), metadata_text(fields, "name"))
}

/// Whether anything but metadata and status changed. Without a status sub-resource the status of a
/// custom resource is desired state like all else.
fn desired_state_differs(definition: &Definition, before: &Fields, after: &Fields) -> bool {
    let counted = |fields: &Fields| {
        let mut fields = fields.clone();
        fields.remove("metadata");
        if definition.rules.status {
            fields.remove("status");
        }
        fields
    };
    counted(before) != counted(after)
}
