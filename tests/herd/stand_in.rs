//! A proxy between gateway and API server that ends TLS on both sides, sorts requests about one resource by what they are for,
//! counts them, and holds or refuses a sort on demand.
//!
//! Everything else passes. The gateway's credential passes, too: it is a token, and tells its own requests from clients'.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use parking_lot::Mutex;
use tokio::sync::watch;
use watchgate_cluster::{AnswerBody, Cluster, Failure, Intermediary, Onward};

/// What a request about the resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// The gateway asks how far the store is.
    Probe,
    /// The gateway fills a shard.
    Fill,
    /// The gateway's watch that moves a quiet shard on.
    Auxiliary,
    /// The gateway's watch that keeps a shard.
    Watch,
    /// A list that the gateway asks for its clients.
    List,
    /// A client's own request.
    Forwarded,
}

/// How many requests of a sort there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) all: usize,
    /// At this moment.
    pub(crate) running: usize,
    /// At the same time, at most.
    pub(crate) at_once: usize,
}

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub(crate) struct StandIn {
    intermediary: Intermediary,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The end of the paths that are counted.
    resource: String,
    gateway: String,
    counts: Mutex<BTreeMap<Sort, Count>>,
    rules: watch::Sender<Rules>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    held: BTreeSet<Sort>,
    refused: BTreeSet<Sort>,
    delayed: BTreeMap<Sort, Duration>,
}

/// One request on its way; counted as long as it lives.
struct Running {
    shared: Arc<Shared>,
    sort: Sort,
}

/// An answer's body, which ends the request with itself.
struct Counted {
    body: Incoming,
    _running: Option<Running>,
}

impl StandIn {
    /// Stands before the cluster's API server and counts what is asked of paths that end with `/resource`; `gateway` is the
    /// gateway's user.
    pub(crate) async fn start(cluster: &Cluster, gateway: &str, resource: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            resource: format!("/{resource}"),
            gateway: format!("Bearer {}", cluster.token(gateway).expose()),
            counts: Mutex::default(),
            rules: watch::Sender::default(),
        });
        let answer = {
            let shared = Arc::clone(&shared);
            move |request, onward| answer(request, onward, Arc::clone(&shared))
        };
        let intermediary = Intermediary::start(cluster, resource, answer).await?;
        Ok(Self { intermediary, shared })
    }

    pub(crate) fn url(&self) -> &str {
        self.intermediary.url()
    }

    pub(crate) fn count(&self, sort: Sort) -> Count {
        self.shared.counts.lock().get(&sort).copied().unwrap_or_default()
    }

    /// All counts, for messages.
    pub(crate) fn counts(&self) -> BTreeMap<Sort, Count> {
        self.shared.counts.lock().clone()
    }

    /// Forgets the requests that are over.
    pub(crate) fn reset(&self) {
        for count in self.shared.counts.lock().values_mut() {
            *count = Count { all: 0, at_once: count.running, ..*count };
        }
    }

    /// Requests of this sort do not go on until they are released.
    pub(crate) fn hold(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.held.insert(sort);
        });
    }

    pub(crate) fn release(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.held.remove(&sort);
        });
    }

    /// Requests of this sort go on after this time.
    pub(crate) fn delay(&self, sort: Sort, time: Duration) {
        self.shared.rules.send_modify(|rules| {
            rules.delayed.insert(sort, time);
        });
    }

    /// Requests of this sort are answered 429.
    pub(crate) fn refuse(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.refused.insert(sort);
        });
    }
}

impl Shared {
    fn sort(&self, head: &http::request::Parts) -> Option<Sort> {
        if !head.uri.path().ends_with(&self.resource) || head.method != http::Method::GET {
            return None;
        }
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::AUTHORIZATION) != Some(&self.gateway) {
            return Some(Sort::Forwarded);
        }
        let query = head.uri.query().unwrap_or_default();
        let has = |parameter| query.split('&').any(|found| found == parameter);
        let is_metadata = text(header::ACCEPT).unwrap_or_default().contains("as=PartialObject");
        Some(if has("sendInitialEvents=true") {
            Sort::Fill
        } else if has("watch=true") && has("timeoutSeconds=3") {
            Sort::Auxiliary
        } else if has("watch=true") {
            Sort::Watch
        } else if is_metadata && matches!(query, "limit=1" | "limit=101") {
            Sort::Probe
        } else {
            Sort::List
        })
    }

    fn begin(self: &Arc<Self>, sort: Sort) -> Running {
        let mut counts = self.counts.lock();
        let count = counts.entry(sort).or_default();
        count.all += 1;
        count.running += 1;
        count.at_once = count.at_once.max(count.running);
        Running { shared: Arc::clone(self), sort }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(count) = self.shared.counts.lock().get_mut(&self.sort) {
            count.running -= 1;
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    onward: Arc<Onward>,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>> {
    let (head, body) = request.into_parts();
    let running = shared.sort(&head).map(|sort| shared.begin(sort));
    if let Some(Running { sort, .. }) = &running {
        let mut rules = shared.rules.subscribe();
        let rules = rules.wait_for(|rules| !rules.held.contains(sort)).await?.clone();
        if rules.refused.contains(sort) {
            let mut response = Response::new(AnswerBody::new(Full::default().map_err(Into::into)));
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, "1".parse()?);
            return Ok(response);
        }
        if let Some(delay) = rules.delayed.get(sort) {
            tokio::time::sleep(*delay).await;
        }
    }
    let response = onward.send(Request::from_parts(head, body)).await?;
    Ok(response.map(|body| AnswerBody::new(Counted { body, _running: running })))
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
