//! Requests that are not in the one form that memory reads: upstream reads them, as they came.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::Protocol;

use crate::{
    front::{
        Front, Side,
        answer::{self, Answer, Body, ensure_relayed},
        rights,
        wire::Head,
    },
    scripted::Scripted,
};

const NAMESPACE: &str = "paths";

async fn prepare(front: &Front, namespace: &str) -> Result<String> {
    rights::namespace(front, namespace).await?;
    rights::configmap(front, namespace, "kept").await?;
    let list = format!("/api/v1/namespaces/{namespace}/configmaps?resourceVersion=0");
    let client = front.client().token(front.cluster.token("admin")).build()?;
    front.warm(&client, &list).await?;
    Ok(list)
}

async fn compare(front: &Front, what: &str, direct: &str, through: &str) -> Result<Head> {
    let context = || what.to_owned();
    let (expected, expected_body) =
        front.wire(Side::Direct).await?.ask(direct).await.with_context(context)?;
    let (found, body) =
        front.wire(Side::Through).await?.ask(through).await.with_context(context)?;
    ensure!(!answer::is_hit(&found.headers), "{what}: {found:?}");
    ensure!(expected.status == found.status, "{what}:\n {expected:?}\n {found:?}");
    let location = |head: &Head| answer::text(&head.headers, "location");
    ensure!(location(&expected) == location(&found), "{what}:\n {expected:?}\n {found:?}");
    // The gateway's own refusals of what is no HTTP have no body; Go's have one.
    if answer::text(&found.headers, "cache-status").is_empty() {
        ensure!(found.status == StatusCode::BAD_REQUEST, "{what}: {found:?}");
    } else {
        ensure!(
            Body::of(&expected_body) == Body::of(&body),
            "{what}:\n {expected_body:?}\n {body:?}"
        );
    }
    Ok(found)
}

/// Paths that need cleaning or decoding.
pub(crate) async fn never_served(front: Arc<Front>) -> Result<()> {
    prepare(&front, NAMESPACE).await?;
    let authorization = front.bearer("admin");
    for target in [
        "//api/v1/namespaces/paths/configmaps?resourceVersion=0",
        "/api//v1/namespaces/paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/paths//configmaps?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps/?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps//kept?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps/kept/?resourceVersion=0",
        "/./api/v1/namespaces/paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/./paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/x/../paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps/.?resourceVersion=0",
        "/api/v1/%2e/namespaces/paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/x/%2e%2e/paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/paths%2Fconfigmaps?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps%2fkept?resourceVersion=0",
        "/api/v1/namespaces/paths/%63onfigmaps?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps/kep%74?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps%20?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps%00?resourceVersion=0",
        "/API/v1/namespaces/paths/configmaps?resourceVersion=0",
        "/api/v1/namespaces/paths/configmaps;a=b?resourceVersion=0",
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {authorization}\r\n\r\n"
        );
        compare(&front, target, &request, &request).await?;
        let ask = async |side| {
            let client = front.client_of(side).token(front.cluster.token("admin"));
            let client = client.protocol(Protocol::Http2).build()?;
            Answer::to(client.get(target), false).await
        };
        let (direct, through) = (ask(Side::Direct).await?, ask(Side::Through).await?);
        ensure_relayed(&format!("HTTP/2: {target}"), &direct, &through)?;
    }
    Ok(())
}

/// Request lines and hosts that only a proxy or an attacker sends.
pub(crate) async fn odd_heads(front: Arc<Front>) -> Result<()> {
    let list = prepare(&front, "heads").await?;
    let authorization = front.bearer("admin");
    let rest = format!("Authorization: {authorization}\r\n\r\n");
    for (what, head) in [
        ("absolute form", format!("GET https://127.0.0.1{list} HTTP/1.1\r\nHost: 127.0.0.1\r\n")),
        ("absolute form, other host", format!("GET http://other{list} HTTP/1.1\r\nHost: a\r\n")),
        ("two hosts", format!("GET {list} HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: other\r\n")),
        ("the same host twice", format!("GET {list} HTTP/1.1\r\nHost: a\r\nHost: a\r\n")),
        ("no host", format!("GET {list} HTTP/1.1\r\n")),
        ("a host that is none", format!("GET {list} HTTP/1.1\r\nHost: a b/c\r\n")),
    ] {
        let request = format!("{head}{rest}");
        compare(&front, what, &request, &request).await?;
    }
    Ok(())
}

/// The target is not tidied on its way.
pub(crate) async fn byte_for_byte(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    for target in [
        "/bytes//a/./b/../c",
        "/bytes/%2e%2E/%2F%2f/%41%7e~",
        "/bytes?a=%20b+c&d=;e&&=&f",
        "/bytes?",
        "/bytes/?x",
        "/bytes/a:b@c,d!e$f'g(h)i*j;k=l",
        "/bytes?q={a:[1|2]}",
        "/bytes/ü",
    ] {
        let before = scripted.seen("/bytes").len();
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let (head, _) = scripted.wire().await?.ask(request).await?;
        ensure!(head.status == StatusCode::OK, "{target}: {head:?}");
        let seen = scripted.seen("/bytes");
        ensure!(seen.len() == before + 1, "{target}: {seen:?}");
        let line = &seen[before].line;
        ensure!(*line == format!("GET {target} HTTP/1.1"), "{target} became {line}");
    }
    scripted.stop().await
}
