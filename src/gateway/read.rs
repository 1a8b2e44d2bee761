//! A request that memory could answer, read once: what is asked, of which type, in which form.
//!
//! [`Read::parse`] is the first half of the serve-or-forward decision: it needs the request, the
//! type table and the policies. What it gives back is typed; later code cannot see the raw query.

use std::{sync::Arc, time::Duration};

use compact_str::CompactString;
use http::{HeaderMap, HeaderName, Method, Request, Version, header, request::Parts};

use crate::{
    api::{
        negotiate::{AnswerKind, MediaType, is_pretty, negotiate, wants_gzip},
        object_key::ObjectKey,
        options::{GetRequest, ListOptions, ListRequest, WatchRequest},
        query::Query,
        release::ReadRules,
        request::{RequestInfo, ResourceRequest, Verb},
        resource::{GroupVersionResource, ResourceType, Scope},
        selector::Selection,
    },
    cache::audience::AudienceKey,
    codec::watch_event::Form,
    config::policy::{ResourcePolicies, ResourcePolicy},
    identity::review::Attributes,
    upstream::discovery::{ServedType, Types},
};

use super::{
    decide::{self, Requirement, Source},
    encoding::Encoding,
    reason::ForwardReason,
};

/// A read that memory may answer if the asker is allowed and the shard is good enough.
#[derive(Debug)]
pub struct Read {
    /// What is read.
    pub what: What,
    /// The type, and its warning.
    pub served: ServedType,
    /// Which shards can answer.
    pub source: Source,
    /// How new the answer must be.
    pub requirement: Requirement,
    /// How the body of an answer that is no watch is written.
    pub encoding: Encoding,
    /// The time the client allows, counted from the request's arrival; watches have none.
    pub timeout: Option<Duration>,
    /// What the asker must be allowed to do.
    pub attributes: Arc<Attributes>,
}

/// The three reads.
#[derive(Debug)]
pub enum What {
    /// One object.
    Get(ObjectKey),
    /// A list.
    List(ListRequest, AudienceKey),
    /// A watch.
    Watch(WatchRequest, AudienceKey),
}

// === impl Read ===

impl Read {
    /// Reads a request's head.
    ///
    /// # Errors
    /// Why the request is upstream's.
    pub fn parse(
        parts: &Parts,
        types: &Types,
        policies: &ResourcePolicies,
    ) -> Result<Self, ForwardReason> {
        if parts.method != Method::GET {
            return Err(ForwardReason::Method);
        }
        if parts.headers.contains_key(header::UPGRADE) {
            return Err(ForwardReason::Upgrade);
        }
        if parts.headers.contains_key(header::ORIGIN) {
            return Err(ForwardReason::CrossOrigin);
        }
        // HTTP/1 in absolute form speaks to a proxy; HTTP/2 always names the authority.
        if parts.version <= Version::HTTP_11 && parts.uri.authority().is_some() {
            return Err(ForwardReason::Path);
        }
        let query = Query::parse(parts.uri.query()).map_err(|_| ForwardReason::Options)?;
        let info = RequestInfo::parse(&parts.method, parts.uri.path(), &query)
            .map_err(|_| ForwardReason::Path)?;
        let RequestInfo::Resource(request) = info else { return Err(ForwardReason::Path) };
        if !request.subresource.is_empty() || request.verb == Verb::Proxy {
            return Err(ForwardReason::Resource);
        }
        let policy = policies.policy(&request.resource.group, &request.resource.resource);
        if policy == ResourcePolicy::Off {
            return Err(ForwardReason::Policy);
        }
        let table = types.glance();
        if table.is_of_unknown_release() {
            return Err(ForwardReason::Release);
        }
        let served = table.get(&request.resource).cloned().ok_or(ForwardReason::Resource)?;
        let namespace = scope(&request, &served.resource)?;
        let attributes = Arc::new(attributes(&request)?);
        let rules = table.rules();
        let asked = Asked { parts, query, request: *request, served, rules, attributes };
        match asked.request.verb {
            Verb::Get => asked.get(namespace.as_deref()),
            Verb::List => asked.list(namespace),
            Verb::Watch => asked.watch(namespace),
            _ => Err(ForwardReason::Method),
        }
    }
}

/// Whether a request is a watch, of whatever resource and form. Its answer may end at any time.
pub(super) fn is_watch<B>(request: &Request<B>) -> bool {
    // Only what says so can be one; what is encoded may.
    let says = |text: &str| text.contains("watch") || text.contains('%');
    if !says(request.uri().path()) && !request.uri().query().is_some_and(says) {
        return false;
    }
    let Ok(query) = Query::parse(request.uri().query()) else { return false };
    let info = RequestInfo::parse(request.method(), request.uri().path(), &query);
    matches!(info, Ok(RequestInfo::Resource(resource)) if resource.verb == Verb::Watch)
}

/// A request whose type is known.
struct Asked<'a> {
    parts: &'a Parts,
    query: Query<'a>,
    request: ResourceRequest,
    served: ServedType,
    rules: ReadRules,
    attributes: Arc<Attributes>,
}

// === impl Asked ===

impl Asked<'_> {
    fn get(self, namespace: Option<&str>) -> Result<Read, ForwardReason> {
        // Go quotes what is not printable by tables of its own, and a refusal quotes the name.
        if !self.request.name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ForwardReason::Path);
        }
        let request = GetRequest::parse(&self.query).map_err(|_| ForwardReason::Options)?;
        let requirement = decide::for_get(request)?;
        let timeout = GetRequest::timeout(&self.query).map_err(|_| ForwardReason::Options)?;
        let key = ObjectKey::new(namespace.unwrap_or_default(), &self.request.name);
        let (source, indented) = self.source(AnswerKind::Object, &Selection::default())?;
        let read = self.read(What::Get(key), source, requirement, indented)?;
        Ok(Read { timeout, ..read })
    }

    fn list(self, namespace: Option<CompactString>) -> Result<Read, ForwardReason> {
        let schema = &self.served.resource.fields;
        let request = ListRequest::resolve(self.options()?, schema);
        let request = request.map_err(|_| ForwardReason::Options)?;
        let requirement = decide::for_list(&request, schema)?;
        let selection = request.selection.clone();
        let timeout = request.timeout;
        let (source, indented) = self.source(AnswerKind::List, &selection)?;
        let audience = match request.start {
            None => self.audience(namespace, &selection, source.form),
            // A selector's namespace narrows only lists that begin: upstream takes the place in a
            // token for one within the request's path.
            Some(_) => AudienceKey { namespace, selection, form: source.form },
        };
        let read = self.read(What::List(request, audience), source, requirement, indented)?;
        Ok(Read { timeout, ..read })
    }

    fn watch(self, namespace: Option<CompactString>) -> Result<Read, ForwardReason> {
        let schema = &self.served.resource.fields;
        let request = self.rules.watch(self.options()?, schema);
        let request = request.map_err(|_| ForwardReason::Options)?;
        let requirement = decide::for_watch(&request)?;
        let selection = request.selection.clone();
        let (source, indented) = self.source(AnswerKind::Watch, &selection)?;
        let audience = self.audience(namespace, &selection, source.form);
        self.read(What::Watch(request, audience), source, requirement, indented)
    }

    fn options(&self) -> Result<&ListOptions, ForwardReason> {
        if !self.rules.reads_label_selector(self.query.first_or_empty("labelSelector")) {
            return Err(ForwardReason::Options);
        }
        match &self.request.list_options {
            Some(Ok(options)) => Ok(options),
            _ => Err(ForwardReason::Options),
        }
    }

    /// Where the answer comes from, and whether it is to be indented.
    fn source(
        &self,
        kind: AnswerKind,
        selection: &Selection,
    ) -> Result<(Source, bool), ForwardReason> {
        let resource = &self.served.resource;
        let accept = first_line(&self.parts.headers, header::ACCEPT)?;
        let negotiated =
            negotiate(accept, kind, resource.origin).map_err(|_| ForwardReason::Accept)?;
        let can_indent = negotiated.media_type == MediaType::Json && kind != AnswerKind::Watch;
        let indented = negotiated.indented || can_indent && self.is_pretty()?;
        let source = decide::source(resource, negotiated, selection)?;
        Ok((source, indented))
    }

    fn is_pretty(&self) -> Result<bool, ForwardReason> {
        let user_agent = first_line(&self.parts.headers, header::USER_AGENT)?;
        Ok(is_pretty(&self.query, user_agent))
    }

    /// Watchers and lists of one namespace are about it, whether path or selector says so.
    fn audience(
        &self,
        namespace: Option<CompactString>,
        selection: &Selection,
        form: Form,
    ) -> AudienceKey {
        let selected = selection.field.required_namespace().filter(|name| !name.is_empty());
        let namespace = namespace.or_else(|| match self.served.resource.scope {
            Scope::Namespaced => selected.map(CompactString::from),
            // Cluster-scoped objects have no namespace that could be narrowed to.
            Scope::Cluster => None,
        });
        AudienceKey { namespace, selection: selection.clone(), form }
    }

    fn read(
        self,
        what: What,
        source: Source,
        requirement: Requirement,
        indented: bool,
    ) -> Result<Read, ForwardReason> {
        let gzip = wants_gzip(first_line(&self.parts.headers, header::ACCEPT_ENCODING)?);
        let Self { served, attributes, .. } = self;
        let encoding = Encoding { indented, gzip };
        let timeout = None;
        Ok(Read { what, served, source, requirement, encoding, timeout, attributes })
    }
}

/// The namespace that the keys of the answer are in; `None` for all, and for cluster-scoped types.
fn scope(
    request: &ResourceRequest,
    resource: &ResourceType,
) -> Result<Option<CompactString>, ForwardReason> {
    let namespace = &request.namespace;
    // One object, named in the path.
    let is_single =
        !request.name.is_empty() && (request.verb == Verb::Get || request.verb_from_path);
    match resource.scope {
        Scope::Namespaced if !namespace.is_empty() => Ok(Some(namespace.clone())),
        Scope::Namespaced if is_single => Err(ForwardReason::Resource),
        Scope::Namespaced => Ok(None),
        Scope::Cluster if namespace.is_empty() => Ok(None),
        // The one cluster-scoped resource whose requests carry a namespace: its own name. Anything
        // wider would ask for a permission in a namespace and show the whole cluster.
        Scope::Cluster
            if request.resource == GroupVersionResource::new("", "v1", "namespaces")
                && is_single
                && request.name == *namespace =>
        {
            Ok(None)
        }
        Scope::Cluster => Err(ForwardReason::Resource),
    }
}

fn attributes(request: &ResourceRequest) -> Result<Attributes, ForwardReason> {
    let verb = match request.verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Watch => "watch",
        _ => return Err(ForwardReason::Method),
    };
    Ok(Attributes {
        verb,
        group: request.resource.group.clone(),
        version: request.resource.version.clone(),
        resource: request.resource.resource.clone(),
        subresource: request.subresource.clone(),
        namespace: request.namespace.clone(),
        name: request.name.clone(),
        field_selector: request.field_selector.clone(),
        label_selector: request.label_selector.clone(),
        path: CompactString::default(),
    })
}

/// The first line of a header as text; bytes that are none are upstream's to read.
pub(super) fn first_line(
    headers: &HeaderMap,
    name: HeaderName,
) -> Result<Option<&str>, ForwardReason> {
    let line = headers.get(name).map(http::HeaderValue::to_str).transpose();
    line.map_err(|_| ForwardReason::Accept)
}

#[cfg(test)]
mod tests;
