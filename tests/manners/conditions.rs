//! Conditional and partial requests, and the time that a request may take.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::Response;

use crate::front::{
    Front, Side,
    answer::{Answer, Body, ensure_relayed, is_hit},
};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A request with headers, sent to both.
async fn both(
    front: &Front,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(Response, Response)> {
    let ask = async |side| {
        let client = front.client_of(side).token(front.cluster.token("admin")).build()?;
        let request = headers
            .iter()
            .fold(client.get(target), |request, (name, value)| request.header(name, value));
        request.send().await
    };
    Ok((ask(Side::Direct).await?, ask(Side::Through).await?))
}

fn ensure_same(target: &str, direct: &Response, through: &Response) -> Result<()> {
    ensure!(direct.status == through.status, "{target}: {direct:?} {through:?}");
    ensure!(Body::of(&direct.body) == Body::of(&through.body), "{target}: the bodies differ");
    for name in ["etag", "vary", "content-type", "content-range", "accept-ranges"] {
        let (direct, through) = (direct.header(name), through.header(name));
        ensure!(direct == through, "{target}: {name}: {direct:?} {through:?}");
    }
    Ok(())
}

/// What a client has already is not sent again.
pub(crate) async fn etags(front: Arc<Front>) -> Result<()> {
    for (target, accept) in
        [("/openapi/v2", "application/json"), ("/apis", AGGREGATED), ("/api", AGGREGATED)]
    {
        let (direct, through) = both(&front, target, &[("accept", accept)]).await?;
        ensure_same(target, &direct, &through)?;
        let etag = direct.header("etag").with_context(|| format!("{target} has no ETag"))?;
        let headers = [("accept", accept), ("if-none-match", etag)];
        let (direct, through) = both(&front, target, &headers).await?;
        ensure!(direct.status == StatusCode::NOT_MODIFIED, "{target}: {direct:?}");
        ensure_same(target, &direct, &through)?;
        ensure!(through.body.is_empty(), "{target}: a 304 with a body");
    }
    Ok(())
}

/// A part of a document is the part that upstream cuts.
pub(crate) async fn ranges(front: Arc<Front>) -> Result<()> {
    let list = "/api/v1/namespaces?resourceVersion=0";
    for (target, range) in [
        ("/openapi/v2", "bytes=0-99"),
        ("/openapi/v2", "bytes=-10"),
        ("/openapi/v2", "bytes=999999999-"),
        ("/apis", "bytes=0-9"),
        (list, "bytes=0-9"),
    ] {
        let headers = [("accept", "application/json"), ("range", range)];
        let (direct, through) = both(&front, target, &headers).await?;
        ensure!(direct.status == through.status, "{target}: {direct:?} {through:?}");
        if direct.status == StatusCode::PARTIAL_CONTENT {
            ensure!(direct.body == through.body, "{target} {range}: the parts differ");
        }
        ensure_same(target, &direct, &through)?;
    }
    Ok(())
}

/// `timeout=` is upstream's to read: what it refuses is refused, and what it allows may be served.
pub(crate) async fn timeouts(front: Arc<Front>) -> Result<()> {
    let client = |side| front.client_of(side).token(front.cluster.token("admin")).build();
    let (direct, through) = (client(Side::Direct)?, client(Side::Through)?);
    let path = "/api/v1/namespaces?resourceVersion=0";
    front.warm(&through, path).await?;
    for timeout in ["30s", "0", "0s", "1h", "bad", "-1s", "1", "", "5m&timeout=bad"] {
        let target = format!("{path}&timeout={timeout}");
        let expected = Answer::to(direct.get(&target), false).await?;
        let found = Answer::to(through.get(&target), false).await?;
        ensure!(expected.essence == found.essence, "{target}:\n {expected:?}\n {found:?}");
    }
    let target = "/api/v1/events?timeout=bad";
    let expected = Answer::to(direct.get(target), false).await?;
    ensure_relayed(target, &expected, &Answer::to(through.get(target), false).await?)?;
    // A watch ends by itself after its own timeout, wherever it comes from.
    for target in ["/api/v1/events", "/api/v1/namespaces"] {
        let target = format!("{target}?watch=true&resourceVersion=0&timeoutSeconds=1");
        let started = std::time::Instant::now();
        let answer = through.get(&target).send().await.context(target.clone())?;
        let took = started.elapsed().as_secs_f64();
        ensure!((0.9..3.0).contains(&took), "{target}: {took} s, hit: {}", is_hit(&answer.headers));
    }
    Ok(())
}
