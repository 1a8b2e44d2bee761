//! Bodies of any length and framing, trailers, and answers without a body.

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::json;
use watchgate_cluster::Protocol;

use crate::{
    front::{
        Front, Side,
        answer::{self, Answer, Body, ensure_relayed},
    },
    scripted::Scripted,
};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

fn chunked(authorization: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(10_000) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    request
}

fn configmap(name: &str, size: usize) -> String {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
        "data": { "key": "x".repeat(size) },
    });
    object.to_string()
}

/// Chunks whose sum nobody announced arrive.
pub(crate) async fn chunked_uploads_pass(front: Arc<Front>) -> Result<()> {
    let object = configmap("chunked", 500 << 10);
    let request = chunked(&front.bearer("admin"), object.as_bytes());
    let (head, _) = front.wire(Side::Through).await?.ask(request).await?;
    ensure!(head.status == StatusCode::CREATED, "{head:?}");
    let stored = front.admin()?.get(&format!("{PATH}/chunked")).send().await?.json()?;
    ensure!(stored["data"]["key"].as_str().map(str::len) == Some(500 << 10));
    Ok(())
}

/// Above 3 MiB upstream refuses, chunked or not, and its words reach a client that is still sending.
pub(crate) async fn too_large_uploads(front: Arc<Front>) -> Result<()> {
    let object = configmap("too-large", 4 << 20);
    let request = chunked(&front.bearer("admin"), object.as_bytes());
    let (direct, direct_body) = front.wire(Side::Direct).await?.ask(&request).await?;
    ensure!(direct.status == StatusCode::PAYLOAD_TOO_LARGE, "{direct:?}");
    let (through, body) = front.wire(Side::Through).await?.ask(&request).await?;
    ensure!(through.status == direct.status, "{through:?}");
    ensure!(Body::of(&body) == Body::of(&direct_body), "{body:?}");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut answers = Vec::new();
        for side in [Side::Direct, Side::Through] {
            let client = front.client_of(side).token(front.cluster.token("admin"));
            let client = client.protocol(protocol).build()?;
            let request = client
                .request(Method::POST, PATH)
                .header("content-type", "application/json")
                .body(object.clone());
            answers.push(Answer::to(request, false).await?);
        }
        ensure!(answers[0].essence.status == StatusCode::PAYLOAD_TOO_LARGE, "{answers:?}");
        ensure_relayed(&format!("{protocol:?}"), &answers[0], &answers[1])?;
    }
    Ok(())
}

/// Trailers of an answer and of a request arrive, over both versions of HTTP.
pub(crate) async fn trailers_pass(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    let request = "GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n";
    let mut wire = scripted.wire().await?;
    wire.send(request).await?;
    let head = wire.head().await?;
    ensure!(head.headers.get("trailer").is_some(), "{head:?}");
    let (body, trailers) = wire.chunks().await?;
    ensure!(&body[..] == b"abc", "{body:?}");
    ensure!(trailers.get("x-sum").map(String::as_str) == Some("6"), "{trailers:?}");

    let client = scripted.client(Protocol::Http2)?;
    let answer = client.get("/trailers").header("te", "trailers").send().await?;
    ensure!(&answer.body[..] == b"abc", "{answer:?}");
    ensure!(answer.trailers.get("x-sum").is_some_and(|sum| sum == "6"), "{answer:?}");

    let upload = "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                  Trailer: X-Check\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 7\r\n\r\n";
    let (head, _) = scripted.wire().await?.ask(upload).await?;
    ensure!(head.status == StatusCode::OK, "{head:?}");
    let seen = scripted.seen("/upload");
    ensure!(seen.len() == 1 && seen[0].body == b"abc", "{seen:?}");
    ensure!(
        seen[0].trailers.iter().any(|line| line.eq_ignore_ascii_case("x-check: 7")),
        "{seen:?}"
    );
    scripted.stop().await
}

/// HEAD is upstream's, and the connection is good for the next request.
pub(crate) async fn heads_have_no_body(front: Arc<Front>) -> Result<()> {
    let authorization = front.bearer("admin");
    for target in ["/readyz", "/version", PATH, "/no-such-path"] {
        let request = |method: &str| {
            let mut text = String::new();
            write!(
                text,
                "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                 Authorization: {authorization}\r\n\r\n"
            )?;
            anyhow::Ok(text)
        };
        let mut heads = Vec::new();
        for side in [Side::Direct, Side::Through] {
            let mut wire = front.wire(side).await?;
            wire.send(request("HEAD")?).await?;
            heads.push(wire.head().await?);
            wire.send(request("GET")?).await?;
            let next = wire.head().await?;
            wire.body(&next).await?;
        }
        let [direct, through] = &heads[..] else { anyhow::bail!("two were asked") };
        ensure!(direct.status == through.status, "{target}: {direct:?} {through:?}");
        for name in ["content-length", "content-type", "allow"] {
            let (direct, through) = (direct.headers.get(name), through.headers.get(name));
            ensure!(direct == through, "{target}: {name}: {direct:?} {through:?}");
        }
        ensure!(!answer::is_hit(&through.headers), "{target}: {through:?}");
    }
    Ok(())
}
