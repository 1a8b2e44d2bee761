//! One served resource in one version: its names, scope, rules and, for custom ones, its schema.
//!
//! Definitions are immutable and shared; a changed CustomResourceDefinition makes new ones. They
//! say what is served, not what is stored: versions of a custom resource share one store.

use std::sync::Arc;

use compact_str::{CompactString, format_compact};
use serde_json::{Map, Value};

use super::{
    built_in::{BuiltIn, Rules},
    scale::ScalePaths,
    schema::Schema,
};
use crate::api::resource::{GroupVersionResource, Origin, ResourceType, Scope};

/// An object as the store works on it: the top-level JSON object.
pub(super) type Fields = Map<String, Value>;

/// Which names the objects of a resource may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameRule {
    /// A DNS-1123 subdomain, most resources.
    Subdomain,
    /// A DNS-1123 label (namespaces).
    Label,
    /// A DNS-1035 label (services).
    ServiceLabel,
    /// Anything that can stand in a path (RBAC).
    PathSegment,
}

/// One served resource in one version.
#[derive(Debug)]
pub(super) struct Definition {
    /// Names, kind, scope and origin.
    pub(super) resource: ResourceType,
    /// Singular name, such as `pod`.
    pub(super) singular: CompactString,
    /// Short names, such as `po`.
    pub(super) short_names: Vec<CompactString>,
    /// Categories, such as `all`.
    pub(super) categories: Vec<CompactString>,
    /// How writes behave.
    pub(super) rules: Rules,
    /// `pods` or `deployments.apps`: names the store that all versions share.
    pub(super) store: CompactString,
    /// The schema of a custom resource.
    pub(super) schema: Option<Arc<Schema>>,
    /// Where its numbers of replicas are, when it has a `scale` sub-resource.
    pub(super) scale: Option<ScalePaths>,
}

// === impl Definition ===

impl Definition {
    /// The definition of a built-in resource.
    pub(super) fn built_in(row: &BuiltIn) -> Self {
        let gvr = GroupVersionResource::new(row.group, row.version, row.plural);
        let scope = if row.namespaced { Scope::Namespaced } else { Scope::Cluster };
        let categories = if row.rules.in_all { vec!["all".into()] } else { Vec::new() };
        Self {
            singular: row.kind.to_lowercase().into(),
            short_names: row.short_names.iter().copied().map(CompactString::from).collect(),
            categories,
            rules: row.rules,
            store: group_resource(row.plural, row.group),
            schema: None,
            scale: ScalePaths::built_in(&group_resource(row.plural, row.group)),
            resource: ResourceType {
                fields: super::selectable::built_in(&gvr),
                kind: row.kind.into(),
                list_kind: format_compact!("{}List", row.kind),
                scope,
                origin: Origin::BuiltIn,
                gvr,
            },
        }
    }

    /// Whether objects live in namespaces.
    pub(super) fn namespaced(&self) -> bool {
        self.resource.scope == Scope::Namespaced
    }

    /// Whether a CustomResourceDefinition defines it.
    pub(super) fn custom(&self) -> bool {
        self.resource.origin == Origin::Custom
    }

    /// The API group, empty for the core group.
    pub(super) fn group(&self) -> &str {
        &self.resource.gvr.group
    }

    /// The plural name.
    pub(super) fn plural(&self) -> &str {
        &self.resource.gvr.resource
    }

    /// `pods` or `deployments.apps`.
    pub(super) fn group_resource(&self) -> &str {
        &self.store
    }

    /// `v1` or `apps/v1`.
    pub(super) fn api_version(&self) -> CompactString {
        self.resource.gvr.api_version()
    }

    /// The verbs discovery names for it.
    pub(super) const fn verbs() -> [&'static str; 8] {
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    }
}

/// `pods` or `deployments.apps`, as messages and the store name a resource.
pub(super) fn group_resource(plural: &str, group: &str) -> CompactString {
    if group.is_empty() { plural.into() } else { format_compact!("{plural}.{group}") }
}
