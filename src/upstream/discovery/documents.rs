//! Upstream's aggregated discovery documents, as far as the type table needs them.
//!
//! Unknown fields are ignored; missing ones make the document invalid.

use compact_str::CompactString;
use serde::Deserialize;

use crate::api::{
    resource::{GroupVersionResource, Origin, ResourceType, Scope},
    selector::built_in::field_schema_for,
};

/// What to ask for on `/api` and `/apis`.
pub const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `APIGroupDiscoveryList` of `apidiscovery.k8s.io/v2`.
#[derive(Debug, Deserialize)]
pub struct GroupList {
    #[serde(default)]
    items: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMetadata,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupMetadata {
    /// Absent for the core group.
    #[serde(default)]
    name: CompactString,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: CompactString,
    #[serde(default)]
    resources: Vec<Resource>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource: CompactString,
    #[serde(default)]
    response_kind: Option<ResponseKind>,
    scope: DocumentScope,
    #[serde(default)]
    verbs: Vec<CompactString>,
}

#[derive(Debug, Deserialize)]
struct ResponseKind {
    kind: CompactString,
}

#[derive(Clone, Copy, Debug, Deserialize)]
enum DocumentScope {
    Cluster,
    Namespaced,
}

// === impl GroupList ===

impl GroupList {
    /// The types of the document that can be listed and watched, as built-in types. Events are left
    /// out: the API server itself has no cache for them (semantics §8). So are versions that are not
    /// stable: when they count as deprecated, and with which words, differs from release to release.
    pub fn types(&self) -> impl Iterator<Item = ResourceType> {
        self.items.iter().flat_map(|group| {
            let stable = group.versions.iter().filter(|version| is_stable(&version.version));
            stable.flat_map(move |version| {
                version
                    .resources
                    .iter()
                    .filter(|resource| resource.is_watchable() && resource.resource != "events")
                    .filter(|_| is_built_in(&group.metadata.name))
                    .filter_map(move |resource| resource.to_type(group, version))
            })
        })
    }
}

impl Resource {
    fn is_watchable(&self) -> bool {
        ["get", "list", "watch"]
            .iter()
            .all(|wanted| self.verbs.iter().any(|verb| verb.as_str() == *wanted))
    }

    fn to_type(&self, group: &Group, version: &Version) -> Option<ResourceType> {
        let gvr = GroupVersionResource::new(&group.metadata.name, &version.version, &self.resource);
        let kind = self.response_kind.as_ref()?.kind.clone();
        let list_kind = compact_str::format_compact!("{kind}List");
        let scope = match self.scope {
            DocumentScope::Cluster => Scope::Cluster,
            DocumentScope::Namespaced => Scope::Namespaced,
        };
        let fields = field_schema_for(&gvr);
        Some(ResourceType { gvr, kind, list_kind, scope, origin: Origin::BuiltIn, fields })
    }
}

/// `v1`, `v2`, but not `v1beta1`.
fn is_stable(version: &str) -> bool {
    !version.contains("alpha") && !version.contains("beta")
}

/// Whether a group can be one of the API server's own. Custom groups under `k8s.io` pass too; their
/// types are taken from their definitions, and the codec refuses their bytes as built-in ones.
fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io")
}
