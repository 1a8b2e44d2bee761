//! Requests of the limit server: what it is told, and what it answers.

use std::{cell::RefCell, collections::HashMap, convert::Infallible, rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::{
    body::Body,
    events::{Blocks, Cursor, Feed},
};

/// Path with query, `Accept`, `Accept-Encoding`.
type Key = (String, Option<HeaderValue>, Option<HeaderValue>);

/// What all cores know.
pub(super) struct Shared {
    bodies: RwLock<HashMap<Key, Stored>>,
    event: Mutex<Bytes>,
    /// One for each core.
    cores: Vec<News>,
}

/// What a core is still to tell its watches.
#[derive(Default)]
struct News {
    /// Audiences, and how many events each.
    happened: Mutex<Vec<(String, u64)>>,
    changed: Notify,
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
    blocks: Rc<Blocks>,
    /// By audience.
    feeds: RefCell<HashMap<String, Rc<Feed>>>,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(cores: usize) -> Self {
        Self {
            bodies: RwLock::default(),
            event: Mutex::default(),
            cores: (0..cores).map(|_| News::default()).collect(),
        }
    }
}

// === impl Core ===

impl Core {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Self {
        Self { shared, number, blocks: Rc::default(), feeds: RefCell::default() }
    }

    /// Lets the core's watches see what the others were told. Needs a `LocalSet`.
    pub(super) fn follow(self: &Rc<Self>) {
        let core = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let mut prepared = Bytes::new();
            let news = &core.shared.cores[core.number];
            loop {
                news.changed.notified().await;
                let event = core.shared.event.lock().clone();
                if event != prepared {
                    core.blocks.prepare(&event);
                    prepared = event;
                }
                let happened = std::mem::take(&mut *news.happened.lock());
                for (audience, count) in happened {
                    // Nobody of it is connected to this core if there is no feed.
                    if let Some(feed) = core.feeds.borrow().get(&audience) {
                        feed.happen(count);
                    }
                }
            }
        });
    }

    fn feed(&self, audience: &str) -> Rc<Feed> {
        let mut feeds = self.feeds.borrow_mut();
        Rc::clone(
            feeds.entry(audience.to_owned()).or_insert_with(|| Rc::new(Feed::new(&self.blocks))),
        )
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
        let query = request.uri().query().unwrap_or_default();
        if query.contains("watch=") {
            let cursor = Cursor::new(self.feed(audience(query)));
            return Response::new(Body::Events(Rc::new(cursor)));
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

    /// PUT of a body or of the event (`/event`), POST of `/events/N` to an audience.
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
            let to = audience(head.uri.query().unwrap_or_default());
            for core in &self.shared.cores {
                core.happened.lock().push((to.to_owned(), count));
            }
        }
        for core in &self.shared.cores {
            core.changed.notify_one();
        }
        StatusCode::OK
    }
}

/// The field selector of a query, as it stands there; watches without one are an audience, too.
fn audience(query: &str) -> &str {
    query.split('&').find_map(|it| it.strip_prefix("fieldSelector=")).unwrap_or_default()
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
