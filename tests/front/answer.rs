//! What of an answer must be the same with and without the gateway.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use watchgate_cluster::{RequestBuilder, Streaming};

/// An answer without what differs between two requests by right: dates, audit IDs, and the version
/// of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Essence {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Body,
}

/// A body, or the first event of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Json(Value),
    Bytes(Vec<u8>),
    Event(Option<Value>),
}

/// An answer's essence, and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) essence: Essence,
    pub(crate) cache_status: Vec<String>,
}

/// How hyper puts a GOAWAY without an error.
const GO_AWAY: &str = "connection error received: not a result of an error";

const EVENT: Duration = Duration::from_secs(10);

impl Answer {
    /// Sends a request; of a watch, reads the first event.
    pub(crate) async fn to(request: RequestBuilder, is_watch: bool) -> Result<Self> {
        let mut answer = request.stream().await?;
        let (status, headers) = (answer.status, answer.headers.clone());
        let body = if is_watch && status == StatusCode::OK {
            Body::Event(answer.event(EVENT).await?)
        } else {
            Body::of(&collected(answer).await?)
        };
        let content_type = text(&headers, "content-type").into_iter().next();
        let cache_status = text(&headers, "cache-status");
        Ok(Self { essence: Essence { status, content_type, body }, cache_status })
    }

    /// As [`Self::to`], past the gateway. Over HTTP/2 the API server leaves a connection with GOAWAY
    /// once a request on it was nobody's, and the GOAWAY can take that request's answer with it.
    pub(crate) async fn from_upstream(request: RequestBuilder, is_watch: bool) -> Result<Self> {
        for _ in 0..5 {
            match Self::to(request.clone(), is_watch).await {
                Err(error) if format!("{error:#}").contains(GO_AWAY) => {
                    eprintln!("upstream took its answer back with GOAWAY; asking it again");
                }
                answer => return answer.context("upstream, asked directly"),
            }
        }
        Self::to(request, is_watch).await.context("upstream, asked directly")
    }

    /// That it was not served from memory, and says so.
    pub(crate) fn is_forwarded(&self) -> bool {
        matches!(&self.cache_status[..], [only] if only.starts_with("watchgate; fwd="))
    }
}

impl Body {
    /// JSON if it is, without the version of a collection.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let Ok(mut json) = serde_json::from_slice::<Value>(bytes) else {
            return Self::Bytes(bytes.to_vec());
        };
        let is_list = json["items"].is_array();
        if let Some(metadata) = json["metadata"].as_object_mut().filter(|_| is_list) {
            metadata.remove("resourceVersion");
        }
        Self::Json(json)
    }
}

async fn collected(answer: Streaming) -> Result<Vec<u8>> {
    let whole = tokio::time::timeout(EVENT, answer.collect()).await;
    Ok(whole.context("the body does not end")??.body.to_vec())
}

/// Whether an answer says that memory gave it.
pub(crate) fn is_hit(headers: &HeaderMap) -> bool {
    text(headers, "cache-status").iter().any(|line| line.contains("hit"))
}

/// All lines of a header.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    lines.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned()).collect()
}

/// That the gateway forwarded and relayed what upstream says itself.
pub(crate) fn ensure_relayed(what: &str, direct: &Answer, through: &Answer) -> Result<()> {
    ensure!(through.is_forwarded(), "{what}: {:?}", through.cache_status);
    ensure!(
        direct.essence == through.essence,
        "{what}:\n directly {:?}\n through the gateway {:?}",
        direct.essence,
        through.essence
    );
    Ok(())
}
