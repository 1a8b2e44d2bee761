//! Resources as the API names them, and what the gateway knows of each served type.
//!
//! Plain data, made by discovery and shared behind `Arc`; nothing here talks to a server.

use std::fmt;

use compact_str::{CompactString, format_compact};

use super::selector::field_schema::FieldSchema;

/// Group, version and plural name of a resource; the core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupVersionResource {
    /// API group, `""` for the core group.
    pub group: CompactString,
    /// API version, such as `v1`.
    pub version: CompactString,
    /// Plural resource name, such as `pods`.
    pub resource: CompactString,
}

/// Whether objects of a resource live in namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One set of objects for the whole cluster.
    Cluster,
    /// Objects belong to a namespace.
    Namespaced,
}

/// Who serves a resource, which decides how its bytes are shaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Compiled into the API server: typed JSON (kind first), protobuf served.
    BuiltIn,
    /// Defined by a CustomResourceDefinition: JSON with sorted keys, protobuf only for metadata.
    Custom,
}

/// One served resource type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceType {
    /// Its name in the API.
    pub gvr: GroupVersionResource,
    /// Kind of one object, such as `Pod`.
    pub kind: CompactString,
    /// Kind of a list of them, such as `PodList`.
    pub list_kind: CompactString,
    /// Namespaced or not.
    pub scope: Scope,
    /// Built in or custom.
    pub origin: Origin,
    /// The field labels that selectors on this type may use, and where their values are.
    pub fields: FieldSchema,
}

// === impl GroupVersionResource ===

impl GroupVersionResource {
    /// Names a resource; the core group is `""`.
    pub fn new(group: &str, version: &str, resource: &str) -> Self {
        Self { group: group.into(), version: version.into(), resource: resource.into() }
    }

    /// `v1` or `apps/v1`, as written in `apiVersion`.
    pub fn api_version(&self) -> CompactString {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format_compact!("{}/{}", self.group, self.version)
        }
    }

    /// The path below which the resource is served: `/api/v1/pods`, `/apis/apps/v1/deployments`.
    pub fn path(&self) -> String {
        if self.group.is_empty() {
            format!("/api/{}/{}", self.version, self.resource)
        } else {
            format!("/apis/{}/{}/{}", self.group, self.version, self.resource)
        }
    }
}

impl fmt::Display for GroupVersionResource {
    /// `pods.v1` or `deployments.v1.apps`, as kubectl writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.resource, self.version)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        Ok(())
    }
}
