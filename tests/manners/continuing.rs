//! `Expect: 100-continue`.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use http::StatusCode;
use serde_json::json;

use crate::front::{Front, Side, answer};

const PATH: &str = "/api/v1/namespaces/default/configmaps";

fn head(front: &Front, user: &str, length: usize) -> String {
    let authorization = front.bearer(user);
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    )
}

/// A client that waits gets 100, then sends its body, then gets the answer.
pub(crate) async fn is_told(front: Arc<Front>) -> Result<()> {
    for (side, name) in [(Side::Direct, "continued-direct"), (Side::Through, "continued")] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name },
        })
        .to_string();
        let mut wire = front.wire(side).await?;
        wire.send(head(&front, "admin", object.len())).await?;
        let interim = wire.head().await?;
        ensure!(interim.status == StatusCode::CONTINUE, "{side:?}: {interim:?}");
        wire.ensure_silent(Duration::from_millis(300)).await?;
        wire.send(object).await?;
        let last = wire.head().await?;
        ensure!(last.status == StatusCode::CREATED, "{side:?}: {last:?}");
        let body: serde_json::Value = serde_json::from_slice(&wire.body(&last).await?)?;
        ensure!(body["metadata"]["name"] == name, "{body}");
    }
    Ok(())
}

/// Who is refused by the head alone gets the final answer and is never asked for the body.
pub(crate) async fn is_refused(front: Arc<Front>) -> Result<()> {
    for side in [Side::Direct, Side::Through] {
        let mut wire = front.wire(side).await?;
        wire.send(head(&front, "bob", 1000)).await?;
        let only = wire.head().await?;
        ensure!(only.status == StatusCode::FORBIDDEN, "{side:?}: {only:?}");
        wire.body(&only).await?;
        if side == Side::Through {
            ensure!(!answer::text(&only.headers, "cache-status").is_empty(), "{only:?}");
        }
    }
    Ok(())
}
