//! How much a head may hold: no less than at the API server, whose limit is 1 MiB.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::StatusCode;
use watchgate_cluster::Protocol;

use crate::front::{Front, Side};

/// A read by name, so that it is cheap, with headers of about `lines` times `length` bytes.
fn request(authorization: &str, lines: usize, length: usize) -> String {
    let mut text = format!(
        "GET /api/v1/namespaces/default HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Authorization: {authorization}\r\n"
    );
    for number in 0..lines {
        text += &format!("X-Filler-{number}: {}\r\n", "x".repeat(length));
    }
    text + "\r\n"
}

/// One long line, and thousands of them.
pub(crate) async fn long_heads_pass(front: Arc<Front>) -> Result<()> {
    let authorization = front.bearer("admin");
    for (lines, length) in [(1, 60_000), (1, 900_000), (15, 60_000), (3000, 50), (3000, 250)] {
        let request = request(&authorization, lines, length);
        for side in [Side::Direct, Side::Through] {
            let (head, _) = front.wire(side).await?.ask(&request).await?;
            ensure!(head.status == StatusCode::OK, "{side:?}, {lines}x{length}: {head:?}");
        }
    }
    // Groups of a user come one line each.
    let mut text = format!(
        "GET /api/v1/namespaces/default HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Authorization: {authorization}\r\nImpersonate-User: x\r\n"
    );
    for number in 0..2500 {
        text += &format!("Impersonate-Group: group-{number}\r\n");
    }
    text += "Impersonate-Group: system:masters\r\n\r\n";
    for side in [Side::Direct, Side::Through] {
        let (head, _) = front.wire(side).await?.ask(&text).await?;
        ensure!(head.status == StatusCode::OK, "{side:?}: {head:?}");
    }
    for (lines, length) in [(1, 60_000), (10, 60_000), (14, 60_000)] {
        for side in [Side::Direct, Side::Through] {
            let client = front.client_of(side).token(front.cluster.token("admin"));
            let client = client.protocol(Protocol::Http2).build()?;
            let value = "x".repeat(length);
            let request = (0..lines)
                .map(|number| format!("x-filler-{number}"))
                .fold(client.get("/api/v1/namespaces/default"), |request, name| {
                    request.header(&name, &value)
                });
            let answer = request.send().await;
            let status = answer.as_ref().map(|answer| answer.status).ok();
            ensure!(
                status == Some(StatusCode::OK),
                "HTTP/2, {side:?}, {lines}x{length}: {answer:?}"
            );
        }
    }
    Ok(())
}

/// Above the limit both say 431.
pub(crate) async fn too_long_heads(front: Arc<Front>) -> Result<()> {
    let authorization = front.bearer("admin");
    for (lines, length) in [(1, 1_200_000), (20, 60_000)] {
        let request = request(&authorization, lines, length);
        for side in [Side::Direct, Side::Through] {
            let mut wire = front.wire(side).await?;
            // The server may answer and close before it has read everything.
            wire.send(&request).await.ok();
            let head = wire.head().await?;
            let expected = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            ensure!(head.status == expected, "{side:?}, {lines}x{length}: {head:?}");
        }
    }
    Ok(())
}
