//! What the metrics say of a request: verb, resource, who answered, and why memory did not.
//!
//! An [`Account`] goes along with a request and learns what the way to its answer finds out anyway;
//! nothing is read twice for it. It names only resources of types that upstream is known to serve, so
//! that no client can make names up.

use std::{sync::Arc, time::Instant};

use http::{Method, Request, Response, header};
use http_body::Body as _;

use crate::{
    api::{
        query::Query,
        request::{RequestInfo, Verb},
        resource::{GroupVersionResource, ResourceType},
    },
    telemetry::metrics::{
        Metrics,
        requests::{Answered, Source},
        resource::{NONE, OTHER, Resource},
        watches::ForwardedWatch,
    },
    upstream::discovery::Types,
};

use super::{
    body::ResponseBody,
    read::{Read, What},
    reason::{CACHE_STATUS, COLLAPSED, ForwardReason, HIT},
};

/// What is known of one request.
#[derive(Debug)]
pub(super) struct Account {
    arrived: Instant,
    verb: &'static str,
    subject: Subject,
    reason: Option<ForwardReason>,
}

#[derive(Debug)]
enum Subject {
    /// No resource.
    Path,
    /// A resource that nobody knows, or a path that is not read here.
    Other,
    /// A type that upstream serves.
    Served(Arc<ResourceType>),
    /// One of [`NEVER_CACHED`].
    NeverCached(Resource<'static>),
}

/// Resources of Kubernetes that have names in metrics although memory never answers for them.
const NEVER_CACHED: [(&str, &str); 9] = [
    ("", "events"),
    ("", "bindings"),
    ("events.k8s.io", "events"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authorization.k8s.io", "localsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
];

// === impl Account ===

impl Account {
    /// Of a request that has just arrived.
    pub(super) fn open(method: &Method) -> Self {
        let (verb, subject) = (word(method), Subject::Path);
        Self { arrived: Instant::now(), verb, subject, reason: None }
    }

    /// When it arrived.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// It is a read that memory could answer.
    pub(super) fn note_read(&mut self, read: &Read) {
        self.verb = match read.what {
            What::Get(_) => "get",
            What::List(..) => "list",
            What::Watch(..) => "watch",
        };
        self.subject = Subject::Served(Arc::clone(&read.served.resource));
    }

    /// It is forwarded for this reason. Returns whether it is a watch, of whatever resource and form:
    /// the answer to one may end at any time.
    pub(super) fn note_forward<B>(
        &mut self,
        request: &Request<B>,
        types: &Types,
        reason: ForwardReason,
    ) -> bool {
        self.reason = Some(reason);
        if !matches!(self.subject, Subject::Served(_)) {
            self.look_at(request, types);
        }
        self.verb == Verb::Watch.as_str()
    }

    /// It was answered by the gateway itself after all.
    pub(super) fn note_own(&mut self) {
        self.reason = None;
    }

    fn look_at<B>(&mut self, request: &Request<B>, types: &Types) {
        let info = Query::parse(request.uri().query()).ok().and_then(|query| {
            RequestInfo::parse(request.method(), request.uri().path(), &query).ok()
        });
        self.subject = match info {
            None => Subject::Other,
            Some(RequestInfo::NonResource) => Subject::Path,
            Some(RequestInfo::Resource(resource)) => {
                self.verb = match resource.verb.as_str() {
                    "" => "other",
                    verb => verb,
                };
                Subject::of(&resource.resource, types)
            }
        };
    }

    /// Counts a forwarded watch as long as the value lives.
    pub(super) fn forwarded_watch(&self, metrics: &Metrics) -> ForwardedWatch {
        metrics.watches.of(self.subject.resource()).forwarded()
    }

    /// Counts the request, now that the head of its answer is there.
    pub(super) fn close(&self, metrics: &Metrics, core: usize, response: &Response<ResponseBody>) {
        let source = self.source(response);
        let (mut length, mut gzip) = (None, false);
        if source == Source::Memory {
            length = response.body().size_hint().exact();
            gzip = response.headers().contains_key(header::CONTENT_ENCODING);
        }
        metrics.requests.count(
            core,
            &Answered {
                verb: self.verb,
                resource: self.subject.resource(),
                status: response.status(),
                source,
                reason: self.reason.map(ForwardReason::detail),
                took: self.arrived.elapsed(),
                length,
                gzip,
            },
        );
    }

    fn source<B>(&self, response: &Response<B>) -> Source {
        match response.headers().get(CACHE_STATUS) {
            _ if self.reason.is_some() => Source::Upstream,
            Some(status) if *status == HIT => Source::Memory,
            Some(status) if *status == COLLAPSED => Source::Collapsed,
            _ => Source::Own,
        }
    }
}

// === impl Subject ===

impl Subject {
    fn of(gvr: &GroupVersionResource, types: &Types) -> Self {
        if let Some(served) = types.glance().get(gvr) {
            return Self::Served(Arc::clone(&served.resource));
        }
        let known = NEVER_CACHED
            .iter()
            .find(|(group, resource)| *group == gvr.group && *resource == gvr.resource);
        known.map_or(Self::Other, |(group, resource)| {
            Self::NeverCached(Resource { group, resource })
        })
    }

    fn resource(&self) -> Resource<'_> {
        match self {
            Self::Path => NONE,
            Self::Other => OTHER,
            Self::Served(resource) => {
                Resource { group: &resource.gvr.group, resource: &resource.gvr.resource }
            }
            Self::NeverCached(resource) => *resource,
        }
    }
}

/// The verb of a request for no resource: its method, as authorization has it.
fn word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        cache::fixture::pods,
        upstream::discovery::{ServedType, TypeTable},
    };

    fn types() -> Types {
        let types = Types::default();
        types.replace(TypeTable::new([ServedType {
            resource: pods(),
            warning: None,
            fingerprint: 1,
        }]));
        types
    }

    /// Verb, group and resource of a forwarded request, and whether it is a watch.
    fn forwarded(method: &str, target: &str) -> (&'static str, String, String, bool) {
        let request = Request::builder().method(method).uri(target).body(()).unwrap();
        let mut account = Account::open(request.method());
        let watch = account.note_forward(&request, &types(), ForwardReason::Method);
        let Resource { group, resource } = account.subject.resource();
        (account.verb, group.to_owned(), resource.to_owned(), watch)
    }

    #[test]
    fn what_is_known_has_a_name() {
        let named = |method, target| {
            let (verb, group, resource, watch) = forwarded(method, target);
            format!("{verb} {group}/{resource} {watch}")
        };
        assert_eq!(named("POST", "/api/v1/namespaces/a/pods"), "create /pods false");
        assert_eq!(named("GET", "/api/v1/pods?watch=1"), "watch /pods true");
        assert_eq!(named("GET", "/api/v1/namespaces/a/pods/b/log"), "get /pods false");
        assert_eq!(named("POST", "/api/v1/namespaces/a/events"), "create /events false");
        assert_eq!(named("GET", "/version"), "get / false");
        assert_eq!(named("BREW", "/api/v1/pods"), "other /pods false");
        assert_eq!(named("GET", "/apis/example.com/v1/things?watch=1"), "watch /other true");
    }

    /// Thousands of different requests have the labels of a few.
    #[test]
    fn clients_cannot_grow_the_labels() {
        let mut seen = BTreeSet::new();
        for number in 0..2000 {
            for target in [
                format!("/api/v1/namespaces/n{number}/pods/p{number}"),
                format!("/api/v1/r{number}?x{number}=1"),
                format!("/apis/g{number}/v1/pods"),
                format!("/apis/apps/v{number}/namespaces/a/deployments/x/s{number}"),
                format!("/random{number}/path"),
                format!("/%{number:02x}//..{number}"),
                format!("/api/v1/watch/w{number}"),
                format!("/watchgate{number}"),
            ] {
                let method = ["GET", "POST", "PURGE", "X"][number % 4];
                let (verb, group, resource, _) = forwarded(method, &target);
                seen.insert((verb, group, resource));
            }
        }
        assert!(seen.len() < 30, "{} label sets: {seen:?}", seen.len());
    }
}
