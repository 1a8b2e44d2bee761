//! A proxy between gateway and API server that ends TLS on both sides and spoils answers on demand.
//!
//! Everything passes as it is, but answers about one resource: their bytes go through the [`Fault`] that is set at the moment.
//! The gateway's credential passes, too: it is a token.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, header};
use hyper::body::{Body, Frame, Incoming};
use parking_lot::Mutex;
use watchgate_cluster::{AnswerBody, Cluster, Failure, Intermediary, Onward};

/// What happens to the bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They pass.
    None,
    /// They are replaced by something that is no frame.
    Garbage,
    /// They are not text, and would be one very long frame.
    Noise,
    /// Half of them pass, then the answer ends as if it were whole.
    Truncated,
    /// Half of them pass, then the answer breaks off.
    BrokenOff,
    /// Objects lose their resourceVersion: every one is well-formed, none can be kept.
    Unversioned,
}

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Mangler {
    intermediary: Intermediary,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    resource: String,
    fault: Mutex<Fault>,
    spoilt: AtomicUsize,
}

impl Mangler {
    /// Stands before the cluster's API server and spoils answers to requests whose path ends with `resource`.
    pub(crate) async fn start(cluster: &Cluster, name: &str, resource: &str) -> Result<Self> {
        let shared = Arc::new(Shared {
            resource: format!("/{resource}"),
            fault: Mutex::new(Fault::None),
            spoilt: AtomicUsize::new(0),
        });
        let answer = {
            let shared = Arc::clone(&shared);
            move |request, onward| forward(request, onward, Arc::clone(&shared))
        };
        let intermediary = Intermediary::start(cluster, name, answer).await?;
        Ok(Self { intermediary, shared })
    }

    pub(crate) fn url(&self) -> &str {
        self.intermediary.url()
    }

    /// Spoils answers from now on, those under way included.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock() = fault;
    }

    /// How many pieces of answers were spoilt so far.
    pub(crate) fn spoilt(&self) -> usize {
        self.shared.spoilt.load(Ordering::Relaxed)
    }
}

async fn forward(
    request: Request<Incoming>,
    onward: Arc<Onward>,
    shared: Arc<Shared>,
) -> Result<Response<AnswerBody>> {
    let concerned = request.uri().path().ends_with(&shared.resource);
    let mut response = onward.send(request).await?;
    if concerned {
        // What comes may be longer or shorter than what upstream sent.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let shared = concerned.then_some(shared);
    Ok(response.map(|body| AnswerBody::new(Spoilt { body, shared, over: None })))
}

/// An answer's body, through the fault.
struct Spoilt {
    body: Incoming,
    shared: Option<Arc<Shared>>,
    /// Set when nothing more is to come: whether that is a failure.
    over: Option<bool>,
}

impl Spoilt {
    fn spoil(&mut self, data: Bytes) -> Bytes {
        let Some(shared) = &self.shared else { return data };
        let fault = *shared.fault.lock();
        if fault == Fault::None {
            return data;
        }
        shared.spoilt.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::None => data,
            Fault::Garbage => Bytes::from_static(b"{\"type\":\"MODIFIED\",\"object\":{{\"a\n"),
            Fault::Noise => Bytes::from(vec![0xfe; 4096]),
            Fault::Truncated | Fault::BrokenOff => {
                self.over = Some(fault == Fault::BrokenOff);
                data.slice(..data.len() / 2)
            }
            Fault::Unversioned => {
                let text = String::from_utf8_lossy(&data);
                Bytes::from(text.replace("\"resourceVersion\":", "\"resourceVersions\":"))
            }
        }
    }
}

impl Body for Spoilt {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.over {
            Some(true) => return Poll::Ready(Some(Err("broken off on purpose".into()))),
            Some(false) => return Poll::Ready(None),
            None => {}
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => Frame::data(self.spoil(data)),
            Err(frame) => frame,
        })))
    }
}
