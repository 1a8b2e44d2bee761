//! `metadata` as the API server owns it: names, uid, times, generation, and what clients may not
//! change.

use serde_json::Value;

use super::{
    definition::{Definition, Fields},
    names,
    refusal::{Cause, Refusal},
    stored::metadata_text,
    timestamp,
};

/// What only the store writes.
const OWNED: [&str; 7] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "selfLink",
    "managedFields",
];

/// The `metadata` of an object, made when it is missing.
pub(super) fn of(fields: &mut Fields) -> Result<&mut Fields, Refusal> {
    let metadata = fields.entry("metadata").or_insert_with(|| Value::Object(Fields::new()));
    metadata.as_object_mut().ok_or_else(|| Refusal::bad_request("metadata must be an object"))
}

/// Checks that a body is an object of the right kind and version.
pub(super) fn check_type(definition: &Definition, fields: &Fields) -> Result<(), Refusal> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let (kind, api_version) = (text("kind"), text("apiVersion"));
    if kind.is_empty() {
        return Err(Refusal::bad_request("Object 'Kind' is missing in the body of the request"));
    }
    if api_version.is_empty() {
        return Err(Refusal::bad_request(
            "Object 'apiVersion' is missing in the body of the request",
        ));
    }
    let wanted = definition.api_version();
    if kind != definition.resource.kind {
        return Err(Refusal::bad_request(format!(
            "{kind} in version {:?} cannot be handled as a {}",
            definition.resource.gvr.version, definition.resource.kind
        )));
    }
    if api_version != wanted {
        return Err(Refusal::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version \
             ({wanted})"
        )));
    }
    Ok(())
}

/// Puts the namespace of the URL into the object, or refuses another one.
pub(super) fn settle_namespace(
    definition: &Definition,
    fields: &mut Fields,
    namespace: &str,
) -> Result<(), Refusal> {
    let metadata = of(fields)?;
    let found = metadata.get("namespace").and_then(Value::as_str).unwrap_or_default();
    if !definition.namespaced() {
        metadata.remove("namespace");
        return Ok(());
    }
    if !found.is_empty() && found != namespace {
        return Err(Refusal::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    metadata.insert("namespace".into(), namespace.into());
    Ok(())
}

/// Makes the metadata of a new object: its own name, uid and time.
pub(super) fn begin(fields: &mut Fields) -> Result<(), Refusal> {
    let metadata = of(fields)?;
    for name in OWNED {
        metadata.remove(name);
    }
    metadata.remove("resourceVersion");
    let text =
        |name: &str| metadata.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, prefix) = (text("name"), text("generateName"));
    if name.is_empty() && !prefix.is_empty() {
        metadata.insert("name".into(), format!("{prefix}{}", suffix()).into());
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), timestamp::now().into());
    Ok(())
}

/// Carries over what an update may not touch.
pub(super) fn carry_over(fields: &mut Fields, before: &Fields) -> Result<(), Refusal> {
    let metadata = of(fields)?;
    let old = before.get("metadata").and_then(Value::as_object);
    let owned = OWNED.iter().chain(["name", "namespace", "generateName"].iter());
    for name in owned.copied() {
        match old.and_then(|old| old.get(name)) {
            Some(value) => metadata.insert(name.into(), value.clone()),
            None => metadata.remove(name),
        };
    }
    Ok(())
}

/// Checks names, labels, annotations and finalizers.
pub(super) fn validate(definition: &Definition, fields: &Fields) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = metadata_text(fields, "name");
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
    } else {
        for problem in names::problems(definition.rules.names, name) {
            causes.push(Cause::invalid("metadata.name", &format!("{name:?}"), &problem));
        }
    }
    let metadata = fields.get("metadata").and_then(Value::as_object);
    let member = |name: &str| metadata.and_then(|metadata| metadata.get(name));
    for (field, values_are_labels) in [("labels", true), ("annotations", false)] {
        check_type_of(member(field), field, Value::is_object, &mut causes);
        let map = member(field).and_then(Value::as_object);
        for (key, value) in map.into_iter().flatten() {
            check_pair(field, key, value, values_are_labels, &mut causes);
        }
    }
    check_type_of(member("finalizers"), "finalizers", Value::is_array, &mut causes);
    let finalizers = member("finalizers").and_then(Value::as_array);
    for finalizer in finalizers.into_iter().flatten() {
        if !finalizer.as_str().is_some_and(names::is_label_key) {
            let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
                       must start and end with an alphanumeric character";
            causes.push(Cause::invalid("metadata.finalizers", &finalizer.to_string(), why));
        }
    }
    causes
}

fn check_type_of(
    value: Option<&Value>,
    field: &str,
    fits: fn(&Value) -> bool,
    causes: &mut Vec<Cause>,
) {
    if let Some(value) = value.filter(|value| !value.is_null() && !fits(value)) {
        let path = format!("metadata.{field}");
        causes.push(Cause::invalid(path, &value.to_string(), "has the wrong type"));
    }
}

fn check_pair(field: &str, key: &str, value: &Value, label: bool, causes: &mut Vec<Cause>) {
    let path = format!("metadata.{field}");
    if !names::is_label_key(key) {
        let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must \
                   start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
                   or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        causes.push(Cause::invalid(&path, &format!("{key:?}"), why));
    }
    let valid = value.as_str().is_some_and(|text| !label || names::is_label_value(text));
    if !valid {
        let why = if label {
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
             or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        } else {
            "must be a string"
        };
        causes.push(Cause::invalid(path, &value.to_string(), why));
    }
}

/// Whether nothing holds the object back from being removed.
pub(super) fn free_of_finalizers(fields: &Fields) -> bool {
    let finalizers = fields.get("metadata").and_then(|metadata| metadata.get("finalizers"));
    finalizers.and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// Whether its deletion has begun.
pub(super) fn deleting(fields: &Fields) -> bool {
    !metadata_text(fields, "deletionTimestamp").is_empty()
}

/// Five characters that spell no word, as kube-apiserver appends them to `generateName`.
fn suffix() -> String {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    let bytes = random.as_bytes().iter().take(5);
    bytes.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}
