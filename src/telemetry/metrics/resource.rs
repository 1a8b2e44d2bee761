//! A resource in labels: group and plural name, of types that upstream is known to serve.

/// What `group` and `resource` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resource<'a> {
    /// The API group, empty for the core group.
    pub group: &'a str,
    /// The plural name, empty for what is no resource.
    pub resource: &'a str,
}

/// A resource that is not known. No type of a cluster is called so: those without a group are
/// Kubernetes' own.
pub const OTHER: Resource<'static> = Resource { group: "", resource: "other" };

/// A path that names no resource.
pub const NONE: Resource<'static> = Resource { group: "", resource: "" };
