//! Discovery: which groups, versions and resources are served, in the legacy and the aggregated
//! form (semantics §11).

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    built_in::REVIEWS,
    definition::Definition,
    registry::{GroupVersion, Registry},
};

/// `/api` without aggregation.
pub(super) fn api_versions() -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    })
}

/// `/apis` without aggregation.
pub(super) fn group_list(registry: &Registry) -> Value {
    let groups: Vec<Value> =
        group_names(registry).iter().map(|name| group(registry, name)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/<group>`; `None` when it is not served.
pub(super) fn api_group(registry: &Registry, name: &str) -> Option<Value> {
    let names = group_names(registry);
    if !names.iter().any(|candidate| candidate == name) {
        return None;
    }
    let mut group = group(registry, name);
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn group_names(registry: &Registry) -> Vec<String> {
    let mut names: Vec<String> =
        registry.group_versions().iter().map(|version| version.group.to_owned()).collect();
    names.dedup();
    names.retain(|name| !name.is_empty());
    names
}

fn group(registry: &Registry, name: &str) -> Value {
    let versions: Vec<Value> = registry
        .group_versions()
        .iter()
        .filter(|version| version.group == name)
        .map(|version| {
            let group_version = format!("{name}/{}", version.version);
            json!({"groupVersion": group_version, "version": version.version})
        })
        .collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions.first()})
}

/// `/api/v1` and `/apis/<group>/<version>`; `None` when it is not served.
pub(super) fn resource_list(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let served = registry
        .group_versions()
        .into_iter()
        .find(|served| served.group == group && served.version == version)?;
    let mut resources = Vec::new();
    for definition in &served.definitions {
        resources.push(legacy_resource(definition));
        if definition.scale.is_some() {
            resources.push(json!({
                "name": format!("{}/scale", definition.plural()),
                "singularName": "",
                "namespaced": definition.namespaced(),
                "group": "autoscaling",
                "version": "v1",
                "kind": "Scale",
                "verbs": ["get", "patch", "update"],
            }));
        }
        if definition.rules.status {
            resources.push(json!({
                "name": format!("{}/status", definition.plural()),
                "singularName": "",
                "namespaced": definition.namespaced(),
                "kind": definition.resource.kind.as_str(),
                "verbs": ["get", "patch", "update"],
            }));
        }
    }
    for (_, plural, kind, namespaced) in reviews_of(&served) {
        resources.push(json!({
            "name": plural, "singularName": kind.to_lowercase(), "namespaced": namespaced,
            "kind": kind, "verbs": ["create"],
        }));
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({
        "kind": "APIResourceList", "groupVersion": group_version, "resources": resources,
    });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    Some(list)
}

fn reviews_of(
    version: &GroupVersion<'_>,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str, bool)> {
    let group = version.group.to_owned();
    REVIEWS.iter().filter(move |(review, ..)| *review == group)
}

fn legacy_resource(definition: &Arc<Definition>) -> Value {
    let mut resource = json!({
        "name": definition.plural(),
        "singularName": definition.singular.as_str(),
        "namespaced": definition.namespaced(),
        "kind": definition.resource.kind.as_str(),
        "verbs": Definition::verbs(),
    });
    if !definition.short_names.is_empty() {
        resource["shortNames"] = texts(&definition.short_names);
    }
    if !definition.categories.is_empty() {
        resource["categories"] = texts(&definition.categories);
    }
    resource
}

/// The aggregated form; `core` chooses between `/api` and `/apis`.
pub(super) fn aggregated(registry: &Registry, core: bool) -> Value {
    let versions = registry.group_versions();
    let mut names: Vec<&str> = versions.iter().map(|version| version.group).collect();
    names.dedup();
    let items: Vec<Value> = names
        .into_iter()
        .filter(|name| name.is_empty() == core)
        .map(|name| {
            let versions: Vec<Value> = versions
                .iter()
                .filter(|version| version.group == name)
                .map(aggregated_version)
                .collect();
            let metadata = if core { json!({}) } else { json!({"name": name}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated_version(version: &GroupVersion<'_>) -> Value {
    let stored = version.definitions.iter().map(|definition| aggregated_resource(definition));
    let reviews = reviews_of(version).map(|(group, plural, kind, namespaced)| {
        json!({
            "resource": plural,
            "responseKind": {"group": group, "version": "v1", "kind": kind},
            "scope": scope(*namespaced),
            "singularResource": kind.to_lowercase(),
            "verbs": ["create"],
        })
    });
    let resources: Vec<Value> = stored.chain(reviews).collect();
    json!({"version": version.version, "resources": resources, "freshness": "Current"})
}

fn aggregated_resource(definition: &Arc<Definition>) -> Value {
    let gvr = &definition.resource.gvr;
    let kind = json!({
        "group": gvr.group.as_str(),
        "version": gvr.version.as_str(),
        "kind": definition.resource.kind.as_str(),
    });
    let mut resource = json!({
        "resource": definition.plural(),
        "responseKind": kind,
        "scope": scope(definition.namespaced()),
        "singularResource": definition.singular.as_str(),
        "verbs": Definition::verbs(),
    });
    if !definition.short_names.is_empty() {
        resource["shortNames"] = texts(&definition.short_names);
    }
    if !definition.categories.is_empty() {
        resource["categories"] = texts(&definition.categories);
    }
    let verbs = ["get", "patch", "update"];
    let mut subresources = Vec::new();
    if definition.scale.is_some() {
        let scale = json!({"group": "autoscaling", "version": "v1", "kind": "Scale"});
        subresources.push(json!({"subresource": "scale", "responseKind": scale, "verbs": verbs}));
    }
    if definition.rules.status {
        subresources.push(json!({"subresource": "status", "responseKind": kind, "verbs": verbs}));
    }
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}

const fn scope(namespaced: bool) -> &'static str {
    if namespaced { "Namespaced" } else { "Cluster" }
}

fn texts(list: &[compact_str::CompactString]) -> Value {
    list.iter().map(|text| Value::from(text.as_str())).collect()
}

/// `/`: every path that is served, sorted.
pub(super) fn paths(registry: &Registry) -> Value {
    let mut paths: Vec<String> =
        ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]
            .map(str::to_owned)
            .to_vec();
    for version in registry.group_versions() {
        if version.group.is_empty() {
            paths.push(format!("/api/{}", version.version));
        } else {
            paths.push(format!("/apis/{}", version.group));
            paths.push(format!("/apis/{}/{}", version.group, version.version));
        }
    }
    paths.sort();
    paths.dedup();
    json!({"paths": paths})
}
