//! A proxy before the API server that counts the gateway's fills: how many there were of each resource, and how many ran at
//! the same time. A fill ends with the bookmark that ends the initial events, or with its answer.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::Result;
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION},
};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use memchr::memmem;
use parking_lot::Mutex;
use watchgate_cluster::{AnswerBody, Cluster, Failure, Intermediary, Onward};

use crate::ground::GATEWAY;

/// The annotation of the bookmark that ends the initial events.
const END: &[u8] = b"k8s.io/initial-events-end";

/// The running proxy; dropping it stops it.
pub(crate) struct Fills {
    intermediary: Intermediary,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    running: usize,
    /// The most that ran at the same time.
    pub(crate) at_once: usize,
    /// Watches of clients that passed the gateway.
    pub(crate) forwarded_watches: usize,
    /// How often each path and form was filled from.
    pub(crate) by_path: BTreeMap<String, usize>,
}

/// A fill under way; dropping it ends it.
struct Running(Arc<Mutex<Counts>>);

struct Counted {
    body: Incoming,
    running: Option<Running>,
    /// The end of what came, where the mark may have begun.
    tail: Vec<u8>,
}

impl Fills {
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let counts = Arc::<Mutex<Counts>>::default();
        let gateway: Arc<str> = format!("Bearer {}", cluster.token(GATEWAY).expose()).into();
        let answer = {
            let counts = Arc::clone(&counts);
            move |request, onward| {
                answer(request, onward, Arc::clone(&counts), Arc::clone(&gateway))
            }
        };
        let intermediary = Intermediary::start(cluster, "fills", answer).await?;
        Ok(Self { intermediary, counts })
    }

    pub(crate) fn url(&self) -> &str {
        self.intermediary.url()
    }

    /// Looks at the counts.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&Counts) -> T) -> T {
        look(&self.counts.lock())
    }
}

async fn answer(
    request: Request<Incoming>,
    onward: Arc<Onward>,
    counts: Arc<Mutex<Counts>>,
    gateway: Arc<str>,
) -> Result<Response<AnswerBody>> {
    let query = request.uri().query().unwrap_or_default();
    let token = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let is_ours = token == Some(gateway.as_bytes());
    if !is_ours && query.contains("watch=") {
        counts.lock().forwarded_watches += 1;
    }
    let running = (is_ours && query.contains("sendInitialEvents=true")).then(|| {
        let mut state = counts.lock();
        state.running += 1;
        state.at_once = state.at_once.max(state.running);
        Running(Arc::clone(&counts))
    });
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let path = format!("{} {}", request.uri().path(), accept.unwrap_or_default());
    let response = onward.send(request).await?;
    // The API server refuses the first requests for a custom type, while it makes room for it.
    if running.is_some() && response.status() == StatusCode::OK {
        *counts.lock().by_path.entry(path).or_default() += 1;
    }
    Ok(response.map(|body| AnswerBody::new(Counted { body, running, tail: Vec::new() })))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Counted {
    fn look_at(&mut self, data: &[u8]) {
        if self.running.is_none() {
            return;
        }
        self.tail.extend_from_slice(data);
        if memmem::find(&self.tail, END).is_some() {
            self.running = None;
            self.tail = Vec::new();
        } else {
            let kept = self.tail.len().min(END.len());
            self.tail.drain(..self.tail.len() - kept);
        }
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.look_at(data);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
