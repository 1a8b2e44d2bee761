//! Receives an answer from a connection, whole or until nothing more comes.

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::BytesMut;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::timeout;
use watchgate_cluster::Streaming;

use crate::answer::{Answer, End};
use crate::case::Case;
use crate::front::wire::{Head, Wire};

/// After so long a silence, a watch without an end is left.
const QUIET: Duration = Duration::from_millis(1000);

/// Reads the answer to `case`, and says whether the connection can be used again. `opened` is called
/// when its head is there.
pub(crate) async fn receive(
    wire: &mut Wire,
    case: &Case,
    opened: impl FnOnce(),
) -> Result<(Answer, bool)> {
    let head = wire.head().await?;
    opened();
    let (body, end) = body(wire, &head, case).await?;
    let closes = head.headers.get("connection").is_some_and(|value| value == "close");
    let answer = answer(case, head.status, &head.headers, body, end)?;
    Ok((answer, end == End::Complete && !closes))
}

/// The same, of a stream of an HTTP/2 connection.
pub(crate) async fn receive_stream(mut stream: Streaming, case: &Case) -> Result<Answer> {
    let mut body = BytesMut::new();
    let end = loop {
        let Ok(chunk) = timeout(patience(case), stream.chunk()).await else { break End::Left };
        match chunk {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break End::Complete,
            Err(_) => break End::Broken,
        }
    };
    answer(case, stream.status, &stream.headers, body.to_vec(), end)
}

fn answer(
    case: &Case,
    status: StatusCode,
    headers: &HeaderMap,
    body: Vec<u8>,
    end: End,
) -> Result<Answer> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let lines = headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value)));
    let mut headers: Vec<(String, String)> = lines.collect();
    headers.sort();
    let mut answer = Answer { status: status.as_u16(), headers, body, end };
    if answer.header("content-encoding") == Some("gzip") && case.method != "HEAD" {
        let mut plain = Vec::new();
        GzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain)?;
        answer.body = plain;
    }
    Ok(answer)
}

/// How long a silence within a body may be.
fn patience(case: &Case) -> Duration {
    if case.may_watch() && !case.ends() { QUIET } else { Duration::from_secs(60) }
}

async fn body(wire: &mut Wire, head: &Head, case: &Case) -> Result<(Vec<u8>, End)> {
    if case.method == "HEAD" || matches!(head.status.as_u16(), 204 | 304) {
        return Ok((Vec::new(), End::Complete));
    }
    let chunked = head.headers.get("transfer-encoding").is_some_and(|value| value == "chunked");
    if !chunked {
        return Ok((wire.body(head).await?.to_vec(), End::Complete));
    }
    let mut body = BytesMut::new();
    loop {
        let Ok(chunk) = timeout(patience(case), chunk(wire)).await else {
            return Ok((body.to_vec(), End::Left));
        };
        match chunk {
            Ok(chunk) if chunk.is_empty() => return Ok((body.to_vec(), End::Complete)),
            Ok(chunk) => body.extend_from_slice(&chunk),
            Err(_) => return Ok((body.to_vec(), End::Broken)),
        }
    }
}

/// The next chunk; the last is empty.
async fn chunk(wire: &mut Wire) -> Result<Vec<u8>> {
    let size = wire.line().await?;
    let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
    let chunk = wire.exactly(size).await?.to_vec();
    ensure!(wire.line().await?.is_empty(), "a chunk without its end");
    Ok(chunk)
}
