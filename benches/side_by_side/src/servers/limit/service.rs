//! Requests of the limit server: what it is told, and what it answers.

use std::{
    collections::HashMap,
    convert::Infallible,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{
    body::Body,
    events::{Cursor, Feed},
};

/// Path with query, `Accept`, `Accept-Encoding`.
type Key = (String, Option<HeaderValue>, Option<HeaderValue>);

/// What all cores know.
pub(super) struct Shared {
    bodies: RwLock<HashMap<Key, Stored>>,
    event: Mutex<Bytes>,
    happened: AtomicU64,
    /// One for each core: the feed changed.
    changed: Vec<Notify>,
}

#[derive(Clone)]
struct Stored {
    body: Bytes,
    content_type: Option<HeaderValue>,
    content_encoding: Option<HeaderValue>,
}

/// One core's view.
pub(super) struct Core {
    shared: Arc<Shared>,
    number: usize,
    feed: Rc<Feed>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            bodies: RwLock::default(),
            event: Mutex::default(),
            happened: AtomicU64::new(0),
            changed: (0..cores).map(|_| Notify::new()).collect(),
        }
    }
}

// === impl Core ===

impl Core {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, feed: Rc::default() }
    }

    /// Lets the core's watches see what the others were told. Needs a `LocalSet`.
    pub(super) fn follow(self: &Rc<Self>) {
        let core = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut prepared = Bytes::new();
            loop {
                core.shared.changed[core.number].notified().await;
                let event = core.shared.event.lock().clone();
                if event != prepared {
                    core.feed.prepare(&event);
                    prepared = event;
                }
                core.feed.happen(core.shared.happened.load(Ordering::Acquire));
            }
        });
    }

    pub(super) async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        if request.method() == Method::GET {
            return Ok(self.get(&request));
        }
        let (head, body) = request.into_parts();
        let status = match body.collect().await {
            Ok(body) => self.told(&head, body.to_bytes()),
            Err(_) => StatusCode::BAD_REQUEST,
        };
        Ok(empty(status))
    }

    fn get(&self, request: &Request<Incoming>) -> Response<Body> {
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return Response::new(Body::Events(Rc::new(Cursor::new(&self.feed))));
        }
        let stored = self.shared.bodies.read().get(&key(request.uri(), request.headers())).cloned();
        let Some(stored) = stored else { return empty(StatusCode::NOT_FOUND) };
        let mut response = Response::new(Body::Whole(stored.body));
        let headers = response.headers_mut();
        let fields = [
            (header::CONTENT_TYPE, stored.content_type),
            (header::CONTENT_ENCODING, stored.content_encoding),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        response
    }

    /// PUT of a body or of the event (`/event`), POST of `/events/N`.
    fn told(&self, head: &http::request::Parts, body: Bytes) -> StatusCode {
        let path = head.uri.path();
        if head.method == Method::PUT && path == "/event" {
            *self.shared.event.lock() = body;
        } else if head.method == Method::PUT {
            let stored = Stored {
                body,
                content_type: head.headers.get(header::CONTENT_TYPE).cloned(),
                content_encoding: head.headers.get(header::CONTENT_ENCODING).cloned(),
            };
            self.shared.bodies.write().insert(key(&head.uri, &head.headers), stored);
            return StatusCode::OK;
        } else {
            let Some(count) = path.strip_prefix("/events/").and_then(|it| it.parse().ok()) else {
                return StatusCode::NOT_FOUND;
            };
            self.shared.happened.fetch_add(count, Ordering::AcqRel);
        }
        for changed in &self.shared.changed {
            changed.notify_one();
        }
        StatusCode::OK
    }
}

fn key(uri: &http::Uri, headers: &HeaderMap) -> Key {
    let path = uri.path_and_query().map_or_else(String::new, |it| it.as_str().to_owned());
    let get = |name| headers.get(name).cloned();
    (path, get(header::ACCEPT), get(header::ACCEPT_ENCODING))
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
