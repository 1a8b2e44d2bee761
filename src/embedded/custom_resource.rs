//! CustomResourceDefinitions: what they must say, the status they get, the resources they make.
//!
//! Served without conversion: all versions show the same object, so the only strategy is `None`.
//! A definition is served once it is Established, which happens in the write that stores it.

use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use serde_json::{Value, json};

use super::{
    built_in::Rules,
    definition::{Definition, Fields, NameRule, group_resource},
    refusal::Cause,
    registry::Registry,
    scale::ScalePaths,
    schema::Schema,
    selectable,
    stored::metadata_text,
};
use crate::api::resource::{GroupVersionResource, Origin, ResourceType, Scope};

/// The store of CustomResourceDefinitions.
pub(super) const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// The resources an established definition serves, one per served version, storage version first.
pub(super) fn definitions(crd: &Fields) -> Vec<Definition> {
    if !has_condition(crd, "Established", "True") {
        return Vec::new();
    }
    let mut versions: Vec<&Value> = versions(crd).collect();
    versions.retain(|version| version["served"] == true);
    versions.sort_by_key(|version| version["storage"] != true);
    versions.into_iter().map(|version| definition(crd, version)).collect()
}

fn definition(crd: &Fields, version: &Value) -> Definition {
    let spec = spec_of(crd);
    let names = &spec["names"];
    let text = |value: &Value| CompactString::from(value.as_str().unwrap_or_default());
    let list = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let gvr = GroupVersionResource {
        group: text(&spec["group"]),
        version: text(&version["name"]),
        resource: text(&names["plural"]),
    };
    let scope = if spec["scope"] == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
    Definition {
        singular: text(&names["singular"]),
        short_names: list(&names["shortNames"]),
        categories: list(&names["categories"]),
        rules: Rules {
            status: version.pointer("/subresources/status").is_some_and(Value::is_object),
            generation: true,
            names: NameRule::Subdomain,
            returns_deleted: false,
            create_on_update: false,
            in_all: false,
        },
        store: group_resource(&gvr.resource, &gvr.group),
        scale: ScalePaths::custom(version),
        schema: version
            .pointer("/schema/openAPIV3Schema")
            .map(|schema| Arc::new(Schema::new(schema.clone()))),
        resource: ResourceType {
            kind: text(&names["kind"]),
            list_kind: text(&names["listKind"]),
            scope,
            origin: Origin::Custom,
            fields: selectable::custom(scope, version),
            gvr,
        },
    }
}

fn spec_of(crd: &Fields) -> &Value {
    crd.get("spec").unwrap_or(&Value::Null)
}

fn versions(crd: &Fields) -> impl Iterator<Item = &Value> {
    spec_of(crd)["versions"].as_array().into_iter().flatten()
}

fn has_condition(crd: &Fields, kind: &str, status: &str) -> bool {
    let conditions = crd.get("status").and_then(|status| status.get("conditions"));
    let conditions = conditions.and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == status)
}

/// Fills in the names that follow from the kind, and the conversion strategy.
pub(super) fn apply_defaults(crd: &mut Fields) {
    let Some(Value::Object(spec)) = crd.get_mut("spec") else { return };
    spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    let Some(Value::Object(names)) = spec.get_mut("names") else { return };
    let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned) else { return };
    names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
    names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
}

/// Everything that keeps a definition from being stored.
pub(super) fn validate(crd: &Fields) -> Vec<Cause> {
    let mut causes = Vec::new();
    let spec = spec_of(crd);
    for path in ["/group", "/scope", "/names/plural", "/names/kind"] {
        if spec.pointer(path).and_then(Value::as_str).is_none_or(str::is_empty) {
            causes.push(Cause::required(format!("spec{}", path.replace('/', ".")), ""));
        }
    }
    if !causes.is_empty() {
        return causes;
    }
    let (group, plural) = (&spec["group"], &spec["names"]["plural"]);
    let expected =
        format!("{}.{}", plural.as_str().unwrap_or_default(), group.as_str().unwrap_or_default());
    let name = metadata_text(crd, "name");
    if name != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::invalid("metadata.name", &format!("{name:?}"), why));
    }
    if !group.as_str().is_some_and(|group| group.contains('.')) {
        let why = "should be a domain with at least one dot";
        causes.push(Cause::invalid("spec.group", &group.to_string(), why));
    }
    if !["Cluster", "Namespaced"].iter().any(|scope| spec["scope"] == *scope) {
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {}: supported values: \"Cluster\", \"Namespaced\"",
                spec["scope"]
            ),
            field: "spec.scope".into(),
        });
    }
    if spec["conversion"]["strategy"] != "None" {
        let why = "the embedded store serves no conversion webhooks, only strategy None";
        let found = spec["conversion"]["strategy"].to_string();
        causes.push(Cause::invalid("spec.conversion.strategy", &found, why));
    }
    validate_versions(crd, &mut causes);
    causes
}

/// What an update of a definition may not do: its objects are stored by their scope.
pub(super) fn validate_update(before: &Fields, after: &Fields) -> Vec<Cause> {
    let scope = &spec_of(after)["scope"];
    if spec_of(before)["scope"] == *scope {
        return Vec::new();
    }
    let found = scope.to_string();
    vec![Cause::invalid("spec.scope", &found, "field is immutable")]
}

fn validate_versions(crd: &Fields, causes: &mut Vec<Cause>) {
    if versions(crd).filter(|version| version["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", "[]", why));
    }
    if !versions(crd).any(|version| version["served"] == true) {
        let why = "the embedded store needs at least one served version";
        causes.push(Cause::invalid("spec.versions", "[]", why));
    }
    for (index, version) in versions(crd).enumerate() {
        let at = format!("spec.versions[{index}]");
        if !version["name"].as_str().is_some_and(super::names::is_label) {
            let why = "must be a DNS-1035 label";
            causes.push(Cause::invalid(format!("{at}.name"), &version["name"].to_string(), why));
        }
        if !version.pointer("/schema/openAPIV3Schema").is_some_and(Value::is_object) {
            let field = format!("{at}.schema.openAPIV3Schema");
            causes.push(Cause::required(field, "schemas are required"));
        }
    }
}

/// Writes the status that follows from the definition and what else is served at `now`.
pub(super) fn accept(crd: &mut Fields, registry: &Registry, now: &str) {
    let name = metadata_text(crd, "name").to_owned();
    let conflict = name_conflict(crd, registry, &name);
    let names = spec_of(crd)["names"].clone();
    let mut stored: Vec<Value> = crd
        .get("status")
        .and_then(|status| status["storedVersions"].as_array().cloned())
        .unwrap_or_default();
    for version in versions(crd).filter(|version| version["storage"] == true) {
        if !stored.contains(&version["name"]) {
            stored.push(version["name"].clone());
        }
    }
    let accepted = match &conflict {
        None => condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
        Some(why) => condition("NamesAccepted", "False", "NameConflict", why),
    };
    let established = if conflict.is_none() {
        let message = "the initial names have been accepted";
        condition("Established", "True", "InitialNamesAccepted", message)
    } else {
        condition("Established", "False", "NotAccepted", "not all names are accepted")
    };
    let before = crd.get("status").map(|status| status["conditions"].clone()).unwrap_or_default();
    let conditions = [accepted, established].map(|condition| dated(condition, &before, now));
    let accepted_names = if conflict.is_none() { names } else { json!({"plural": "", "kind": ""}) };
    let status = json!({
        "acceptedNames": accepted_names, "conditions": conditions, "storedVersions": stored,
    });
    crd.insert("status".into(), status);
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": message})
}

/// Keeps the time of a condition whose status did not change.
fn dated(mut condition: Value, before: &Value, now: &str) -> Value {
    let same = before
        .as_array()
        .into_iter()
        .flatten()
        .find(|old| old["type"] == condition["type"] && old["status"] == condition["status"]);
    condition["lastTransitionTime"] =
        same.map_or_else(|| now.into(), |old| old["lastTransitionTime"].clone());
    condition
}

fn name_conflict(crd: &Fields, registry: &Registry, own: &str) -> Option<String> {
    let spec = spec_of(crd);
    let group = spec["group"].as_str().unwrap_or_default();
    let plural = spec["names"]["plural"].as_str().unwrap_or_default();
    let kind = spec["names"]["kind"].as_str().unwrap_or_default();
    let taken = |other: &Arc<Definition>| {
        other.group() == group
            && other.group_resource() != own
            && (other.plural() == plural || other.resource.kind == kind)
    };
    let other = registry
        .all()
        .find(|other| taken(other) || (!other.custom() && other.group_resource() == own))?;
    Some(format_compact!("{:?} is already in use", other.group_resource()).into_string())
}
