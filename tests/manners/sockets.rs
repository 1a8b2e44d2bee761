//! WebSockets through the gateway, and a proxy in front of it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::Value;

use crate::front::{
    Front, Side,
    answer::{is_hit, text},
    rights,
    wire::Wire,
};

/// A watch over a WebSocket: 101, then an event a frame.
pub(crate) async fn websockets_watch(front: Arc<Front>) -> Result<()> {
    rights::namespace(&front, "sockets").await?;
    rights::configmap(&front, "sockets", "kept").await?;
    let request = format!(
        "GET /api/v1/namespaces/sockets/configmaps?watch=true&resourceVersion=0 HTTP/1.1\r\n\
         Host: 127.0.0.1\r\nOrigin: https://127.0.0.1\r\nAuthorization: {}\r\nConnection: keep-alive, Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        front.bearer("admin")
    );
    for side in [Side::Direct, Side::Through] {
        let mut wire = front.wire(side).await?;
        wire.send(&request).await?;
        let head = wire.head().await?;
        ensure!(head.status == StatusCode::SWITCHING_PROTOCOLS, "{side:?}: {head:?}");
        // RFC 6455 §1.3 has this key and its answer.
        let accept = text(&head.headers, "sec-websocket-accept");
        ensure!(accept == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="], "{side:?}: {head:?}");
        if side == Side::Through {
            ensure!(text(&head.headers, "via") == ["1.1 watchgate"], "{head:?}");
            let marks = text(&head.headers, "cache-status");
            ensure!(marks == ["watchgate; fwd=bypass; detail=upgrade"], "{head:?}");
        }
        let event = event(&mut wire).await?;
        ensure!(event["type"] == "ADDED" && event["object"]["metadata"]["name"] == "kept");
        let name = format!("later-{side:?}").to_ascii_lowercase();
        rights::configmap(&front, "sockets", &name).await?;
        loop {
            let event = self::event(&mut wire).await?;
            if event["object"]["metadata"]["name"] == name.as_str() {
                break;
            }
        }
        // A close frame with an empty mask is answered by the end of the connection.
        wire.send([0x88, 0x80, 0, 0, 0, 0]).await?;
        let ended = async {
            while wire.more().await? {}
            anyhow::Ok(())
        };
        tokio::time::timeout(Duration::from_secs(10), ended).await.context("it stays open")?.ok();
    }
    Ok(())
}

/// The JSON of the next frame with data.
async fn event(wire: &mut Wire) -> Result<Value> {
    loop {
        let head = wire.exactly(2).await?;
        let length = match head[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes(wire.exactly(2).await?[..].try_into()?)),
            127 => u64::from_be_bytes(wire.exactly(8).await?[..].try_into()?),
            short => u64::from(short),
        };
        let payload = wire.exactly(usize::try_from(length)?).await?;
        if matches!(head[0] & 0x0f, 1 | 2) {
            return serde_json::from_slice(&payload).context("a frame without JSON");
        }
    }
}

/// kubectl's own proxy, with a gateway where it expects an API server.
pub(crate) async fn kubectl_proxy(front: Arc<Front>) -> Result<()> {
    rights::namespace(&front, "proxied").await?;
    rights::configmap(&front, "proxied", "kept").await?;
    let cluster = &front.cluster;
    let kubeconfig =
        cluster.kubeconfig_for_token("admin", front.gateway.url(), front.gateway_ca())?;
    let mut proxy = cluster.kubectl_in_background(&kubeconfig, &["proxy", "--port=0"])?;
    let address: String = proxy
        .line(Duration::from_secs(30), |line| {
            Some(line.trim().strip_prefix("Starting to serve on ")?.to_owned())
        })
        .await?;
    let path = "/api/v1/namespaces/proxied/configmaps";
    let client = front.client().token(cluster.token("admin")).build()?;
    front.warm(&client, &format!("{path}?resourceVersion=0")).await?;

    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let list = get(&format!("{path}?resourceVersion=0"));
    let (head, body) = Wire::plain(&address).await?.ask(list).await?;
    ensure!(head.status == StatusCode::OK && is_hit(&head.headers), "{head:?}");
    let body: Value = serde_json::from_slice(&body)?;
    ensure!(body["items"][0]["metadata"]["name"] == "kept", "{body}");

    let object = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"made"}}"#;
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{object}",
        object.len()
    );
    let (head, _) = Wire::plain(&address).await?.ask(post).await?;
    ensure!(head.status == StatusCode::CREATED, "{head:?}");

    let mut watch = Wire::plain(&address).await?;
    watch.send(get(&format!("{path}?watch=true&resourceVersion=0"))).await?;
    let head = watch.head().await?;
    ensure!(head.status == StatusCode::OK && is_hit(&head.headers), "{head:?}");
    ensure!(watch.more().await?, "the watch through both proxies says nothing");
    Ok(())
}
