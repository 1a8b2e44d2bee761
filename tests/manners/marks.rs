//! What the gateway adds: where an answer came from, and the way that it and its request took.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::Method;
use watchgate_cluster::Protocol;

use crate::{
    front::{Front, answer::text, json_body},
    scripted::Scripted,
};

/// `Via` and `Cache-Status` are on every answer, errors included, once each.
pub(crate) async fn every_answer(front: Arc<Front>) -> Result<()> {
    for (protocol, via) in [(Protocol::Http1, "1.1 watchgate"), (Protocol::Http2, "2 watchgate")] {
        let client =
            front.client().token(front.cluster.token("admin")).protocol(protocol).build()?;
        let weak = front.client().token(front.cluster.token("bob")).protocol(protocol).build()?;
        let nobody = front.client().protocol(protocol).build()?;
        let configmaps = "/api/v1/namespaces/default/configmaps";
        let list = format!("{configmaps}?resourceVersion=0");
        front.warm(&client, &list).await?;
        let requests = [
            (200, client.get(&list)),
            (200, client.get("/api/v1/namespaces/default?resourceVersion=0")),
            (200, client.get("/version")),
            (200, client.get("/watchgate/livez")),
            (404, client.get("/watchgate/other")),
            (404, client.get("/no-such-path")),
            (404, client.get(&format!("{configmaps}/none?resourceVersion=0"))),
            (400, client.get(&format!("{configmaps}?resourceVersion=bad"))),
            (406, client.get(&list).header("accept", "image/png")),
            (403, weak.get(&list)),
            (403, nobody.get(&list)),
            (401, nobody.get(&list).header("authorization", "Bearer wrong")),
            (403, json_body(weak.request(Method::POST, configmaps), &serde_json::json!({}))),
            (405, client.request(Method::PUT, configmaps)),
            (403, nobody.request(Method::HEAD, &list)),
        ];
        for (status, request) in requests {
            let what = format!("{request:?}");
            let answer = request.send().await?;
            ensure!(answer.status.as_u16() == status, "{what}: {answer:?}");
            ensure!(text(&answer.headers, "via") == [via], "{what}: {:?}", answer.headers);
            let marks = text(&answer.headers, "cache-status");
            ensure!(marks.len() == 1 && marks[0].starts_with("watchgate; "), "{what}: {marks:?}");
        }
    }
    let scripted = Scripted::start(&front).await?;
    let answer = scripted.client(Protocol::Http1)?.get("/hang-up").send().await?;
    ensure!(answer.status.is_server_error(), "{answer:?}");
    ensure!(answer.json()?["kind"] == "Status", "{answer:?}");
    ensure!(text(&answer.headers, "via").len() == 1, "{answer:?}");
    ensure!(text(&answer.headers, "cache-status").len() == 1, "{answer:?}");
    scripted.stop().await
}

/// The sender's address and the gateway are added to what a request says of its way.
pub(crate) async fn the_way(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let client = scripted.client(protocol)?;
        client.get("/fresh").send().await?;
        client
            .get("/travelled")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-forwarded-for", "192.0.2.2, 192.0.2.3")
            .header("via", "1.0 fred")
            .header("x-remote-user", "admin")
            .header("x-custom", "kept")
            .send()
            .await?;
    }
    let forwarded = |target: &str| -> Vec<Vec<String>> {
        scripted.seen(target).iter().map(|seen| text(&seen.headers, "x-forwarded-for")).collect()
    };
    ensure!(forwarded("/fresh") == [["127.0.0.1"], ["127.0.0.1"]], "{:?}", forwarded("/fresh"));
    let expected = "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1";
    let found = forwarded("/travelled");
    ensure!(found == [[expected], [expected]], "{found:?}");
    for seen in scripted.seen("/travelled") {
        let via = text(&seen.headers, "via").join(", ");
        ensure!(via.starts_with("1.0 fred, ") && via.ends_with(" watchgate"), "{via}");
        ensure!(!seen.headers.contains_key("x-remote-user"), "{seen:?}");
        ensure!(!seen.headers.contains_key("authorization"), "{seen:?}");
        ensure!(seen.headers["x-custom"] == "kept", "{seen:?}");
    }
    scripted.stop().await
}
