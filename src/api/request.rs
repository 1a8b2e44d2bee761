//! What a request is about, from its method, path and query alone: the API server's `RequestInfo`.
//!
//! The algorithm is semantics §1, which also fixes what authorization is asked: verb, group, version,
//! resource, subresource, namespace, name, selectors. Only canonical paths are read: one that needs
//! cleaning or decoding is refused, and the caller forwards it byte for byte. Whether the resource
//! exists is not known here.

use compact_str::CompactString;
use http::Method;

use super::{
    options::{ListOptions, OptionsError},
    query::Query,
    resource::GroupVersionResource,
};

/// A request, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestInfo {
    /// A path such as `/healthz` or `/apis/apps/v1`.
    NonResource,
    /// A path that names a resource.
    Resource(Box<ResourceRequest>),
}

/// A request for a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceRequest {
    /// What is to be done.
    pub verb: Verb,
    /// Whether the verb stands in the path (`/api/v1/watch/pods`), which is deprecated.
    pub verb_from_path: bool,
    /// The resource, served or not.
    pub resource: GroupVersionResource,
    /// The subresource, or empty. Anything in the path after it is not kept.
    pub subresource: CompactString,
    /// The namespace, empty when there is none in the path. A request for the Namespace `x` has
    /// `x` here and as its name, although Namespaces are cluster-scoped.
    pub namespace: CompactString,
    /// The name, or empty. Lists and watches have the one that `fieldSelector` requires, if any.
    pub name: CompactString,
    /// `labelSelector` as written, for authorization; empty unless the verb selects.
    pub label_selector: CompactString,
    /// `fieldSelector` as written, for authorization; empty unless the verb selects.
    pub field_selector: CompactString,
    /// The options of a list or watch.
    pub list_options: Option<Result<ListOptions, OptionsError>>,
}

/// What is to be done with a resource, as authorization names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection, or one object by a deprecated path.
    Watch,
    /// Make an object.
    Create,
    /// Replace an object.
    Update,
    /// Change an object.
    Patch,
    /// Delete an object.
    Delete,
    /// Delete a collection.
    DeleteCollection,
    /// The deprecated `/proxy/` path, no longer served.
    Proxy,
    /// Any other method; authorization gets an empty verb.
    Other,
}

/// A request that is to be forwarded without being understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotServeable {
    /// The path is not in the one form that is read here.
    #[error("the path is not canonical")]
    NonCanonicalPath,
    /// Namespaces inside of a namespace, which no server has. Read as other resources are, it would
    /// ask for a permission in the namespace and mean the Namespaces of the whole cluster.
    #[error("namespaces are not in a namespace")]
    NestedNamespaces,
    /// A verb stands in the path and nothing follows.
    #[error("the path ends after its verb")]
    NothingAfterVerb,
}

// === impl RequestInfo ===

impl RequestInfo {
    /// Reads a request; `path` as it is on the wire, without the query.
    pub fn parse(method: &Method, path: &str, query: &Query<'_>) -> Result<Self, NotServeable> {
        if !is_canonical(path) {
            return Err(NotServeable::NonCanonicalPath);
        }
        let mut parts = path[1..].split('/');
        let group = match parts.next() {
            Some("api") => "",
            Some("apis") => parts.next().unwrap_or_default(),
            _ => return Ok(Self::NonResource),
        };
        let (Some(version), Some(next)) = (parts.next(), parts.next()) else {
            return Ok(Self::NonResource);
        };
        let path_verb = match next {
            "watch" => Some(Verb::Watch),
            "proxy" => Some(Verb::Proxy),
            _ => None,
        };
        let first = match path_verb {
            Some(_) => parts.next().ok_or(NotServeable::NothingAfterVerb)?,
            None => next,
        };
        let target = Target::parse(first, parts)?;
        let mut request = ResourceRequest {
            verb: path_verb.unwrap_or_else(|| Verb::of_method(method)),
            verb_from_path: path_verb.is_some(),
            resource: GroupVersionResource::new(group, version, target.resource),
            subresource: target.subresource.into(),
            namespace: target.namespace.into(),
            name: target.name.into(),
            label_selector: CompactString::default(),
            field_selector: CompactString::default(),
            list_options: None,
        };
        if request.verb == Verb::Proxy {
            request.subresource.clear();
        }
        request.read_collection_query(query);
        Ok(Self::Resource(Box::new(request)))
    }
}

// === impl ResourceRequest ===

impl ResourceRequest {
    /// A path without a name is about a collection: the query says more about it. To one with its
    /// verb in it the query adds neither verb nor name.
    fn read_collection_query(&mut self, query: &Query<'_>) {
        match self.verb {
            Verb::Get if self.name.is_empty() => {
                let options = ListOptions::decode(query);
                // Options that cannot be read count as absent here, except for `watch`.
                let is_watch = query.boolean("watch").unwrap_or(false);
                self.verb = if is_watch { Verb::Watch } else { Verb::List };
                let name = options.as_ref().ok().and_then(|it| it.field_selector.required_name());
                if let Some(name) = name.filter(|name| is_path_segment(name)) {
                    self.name = name.into();
                }
                self.list_options = Some(options);
            }
            Verb::Watch => {
                let options = ListOptions::decode(query);
                self.list_options = Some(if self.name.is_empty() {
                    options
                } else {
                    options.and_then(|options| options.named(&self.name))
                });
            }
            Verb::Delete if self.name.is_empty() => self.verb = Verb::DeleteCollection,
            _ => {}
        }
        let selects = matches!(self.verb, Verb::List | Verb::Watch | Verb::DeleteCollection);
        if selects && !self.verb_from_path {
            self.label_selector = query.first_or_empty("labelSelector").into();
            self.field_selector = query.first_or_empty("fieldSelector").into();
        }
    }
}

// === impl Verb ===

impl Verb {
    /// The word that authorization and audit use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Proxy => "proxy",
            Self::Other => "",
        }
    }

    fn of_method(method: &Method) -> Self {
        match *method {
            Method::GET | Method::HEAD => Self::Get,
            Method::POST => Self::Create,
            Method::PUT => Self::Update,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            _ => Self::Other,
        }
    }
}

/// What the path names after group, version and verb.
struct Target<'p> {
    namespace: &'p str,
    resource: &'p str,
    name: &'p str,
    subresource: &'p str,
}

// === impl Target ===

impl<'p> Target<'p> {
    fn parse(
        first: &'p str,
        mut rest: impl Iterator<Item = &'p str>,
    ) -> Result<Self, NotServeable> {
        let second = rest.next().unwrap_or_default();
        let third = rest.next();
        if first != "namespaces" {
            let subresource = third.unwrap_or_default();
            return Ok(Self { namespace: "", resource: first, name: second, subresource });
        }
        Ok(match third {
            Some("namespaces") => return Err(NotServeable::NestedNamespaces),
            Some(resource) if !matches!(resource, "status" | "finalize") => Self {
                namespace: second,
                resource,
                name: rest.next().unwrap_or_default(),
                subresource: rest.next().unwrap_or_default(),
            },
            _ => Self {
                namespace: second,
                resource: first,
                name: second,
                subresource: third.unwrap_or_default(),
            },
        })
    }
}

/// Whether a path is `/` or segments that mean themselves: none empty, no dots, no escapes.
fn is_canonical(path: &str) -> bool {
    path == "/"
        || (!path.contains('%')
            && path.strip_prefix('/').is_some_and(|path| {
                path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
            }))
}

/// Whether a name could stand in a path.
fn is_path_segment(name: &str) -> bool {
    !matches!(name, "." | "..") && !name.contains(['/', '%'])
}

#[cfg(test)]
mod tests;
