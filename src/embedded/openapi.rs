//! OpenAPI v3 as far as kubectl needs it, made from the resource definitions.
//!
//! The operations say which query parameters a write takes (`kubectl apply` asks for
//! `fieldValidation`, `--dry-run=server` for `dryRun`). Schemas of custom resources are those of
//! their definitions; schemas of built-in types name the top-level fields only. PATCH bodies are
//! not described, so kubectl takes merge keys from its own compiled-in types. There is no v2.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{definition::Definition, registry::Registry};
use crate::api::resource::Scope;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The paths below `/openapi/v3/`, such as `api/v1` and `apis/apps/v1`.
pub(super) fn group_version_paths(registry: &Registry) -> Vec<String> {
    let versions = registry.group_versions();
    let paths = versions.iter().map(|version| {
        if version.group.is_empty() {
            format!("api/{}", version.version)
        } else {
            format!("apis/{}/{}", version.group, version.version)
        }
    });
    paths.collect()
}

/// `/openapi/v3`: where the documents are; `hash` makes a changed document a new address.
pub(super) fn index(registry: &Registry, hash: impl Fn(&Value) -> String) -> Value {
    let mut paths = Map::new();
    for path in group_version_paths(registry) {
        if let Some(document) = document(registry, &path) {
            let url = format!("/openapi/v3/{path}?hash={}", hash(&document));
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// The document of one group and version; `None` when it is not served.
pub(super) fn document(registry: &Registry, path: &str) -> Option<Value> {
    let (group, version) = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => ("", *version),
        ["apis", group, version] => (*group, *version),
        _ => return None,
    };
    let served = registry
        .group_versions()
        .into_iter()
        .find(|served| served.group == group && served.version == version)?;
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert(OBJECT_META.into(), object_meta());
    for definition in served.definitions {
        add_paths(definition, &mut paths);
        schemas.insert(schema_name(definition), schema(definition));
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "watchgate embedded store", "version": "v1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

fn schema_name(definition: &Definition) -> String {
    let gvr = &definition.resource.gvr;
    let group = if gvr.group.is_empty() { "core" } else { gvr.group.as_str() };
    format!("{group}.{}.{}", gvr.version, definition.resource.kind)
}

fn group_version_kind(definition: &Definition) -> Value {
    let gvr = &definition.resource.gvr;
    json!({
        "group": gvr.group.as_str(),
        "version": gvr.version.as_str(),
        "kind": definition.resource.kind.as_str(),
    })
}

fn add_paths(definition: &Arc<Definition>, paths: &mut Map<String, Value>) {
    let gvr = &definition.resource.gvr;
    let root = if gvr.group.is_empty() {
        format!("/api/{}", gvr.version)
    } else {
        format!("/apis/{}/{}", gvr.group, gvr.version)
    };
    let collection = match definition.resource.scope {
        Scope::Namespaced => format!("{root}/namespaces/{{namespace}}/{}", gvr.resource),
        Scope::Cluster => format!("{root}/{}", gvr.resource),
    };
    let item = format!("{collection}/{{name}}");
    let operation = |action: &str, parameters: &[&str]| operation(definition, action, parameters);
    let write: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];
    let list: &[&str] = &["labelSelector", "fieldSelector", "limit", "continue", "watch"];
    paths.insert(
        collection,
        json!({
            "get": operation("list", list),
            "post": operation("post", write),
            "delete": operation("deletecollection", &["dryRun", "labelSelector", "fieldSelector"]),
        }),
    );
    let changes = |path: String, paths: &mut Map<String, Value>| {
        paths.insert(
            path,
            json!({
                "get": operation("get", &[]),
                "put": operation("put", write),
                "patch": operation("patch", write),
            }),
        );
    };
    changes(item.clone(), paths);
    if let Some(operations) = paths.get_mut(&item) {
        operations["delete"] = operation("delete", &["dryRun", "propagationPolicy"]);
    }
    if definition.rules.status {
        changes(format!("{item}/status"), paths);
    }
}

fn operation(definition: &Definition, action: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| {
            json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}})
        })
        .collect();
    let reference = format!("#/components/schemas/{}", schema_name(definition));
    json!({
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(definition),
        "parameters": parameters,
        "responses": {"200": {
            "description": "OK",
            "content": {"application/json": {"schema": {"$ref": reference}}},
        }},
    })
}

fn schema(definition: &Definition) -> Value {
    let kind = &definition.resource.kind;
    let mut schema = definition.schema.as_ref().map_or_else(
        || {
            let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            json!({
                "description": format!(
                    "{kind}, stored as it is sent: the embedded store describes no fields of \
                     built-in types"
                ),
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "properties": {"spec": open, "status": open},
            })
        },
        |schema| schema.document().clone(),
    );
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let text = |description: &str| json!({"type": "string", "description": description});
    let properties = &mut schema["properties"];
    properties["apiVersion"] = text("Version of the schema of this object.");
    properties["kind"] = text("Type of this object.");
    properties["metadata"] = json!({
        "description": "Standard metadata of the object.",
        "allOf": [{"$ref": format!("#/components/schemas/{OBJECT_META}")}],
    });
    schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(definition)]);
    schema
}

fn object_meta() -> Value {
    let text = json!({"type": "string"});
    let map = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "description": "What every object has: its names, labels and history.",
        "properties": {
            "annotations": map,
            "creationTimestamp": {"type": "string", "format": "date-time"},
            "deletionGracePeriodSeconds": {"type": "integer", "format": "int64"},
            "deletionTimestamp": {"type": "string", "format": "date-time"},
            "finalizers": {"type": "array", "items": text},
            "generateName": text,
            "generation": {"type": "integer", "format": "int64"},
            "labels": map,
            "name": text,
            "namespace": text,
            "ownerReferences": {"type": "array", "items": {"type": "object"}},
            "resourceVersion": text,
            "uid": text,
        },
    })
}
