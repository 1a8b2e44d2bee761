//! Browsers that ask from a page of another origin. The API server is started with one that it
//! allows; the gateway does not know which.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use watchgate_cluster::{Protocol, Response};

use crate::front::{Front, Side, answer::Body, rights};

const ALLOWED: &str = "https://console.example.com";
const OTHER: &str = "https://evil.example.com";

/// What a browser looks at.
fn access_control(answer: &Response) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("access-control-") || *name == "vary")
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    found.sort();
    found
}

async fn compare(
    front: &Front,
    protocol: Protocol,
    method: &Method,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Response> {
    let ask = async |side| {
        let client = front.client_of(side).token(front.cluster.token("admin"));
        let client = client.protocol(protocol).build()?;
        let request = client.request(method.clone(), target);
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value))
            .send()
            .await
    };
    let (direct, through) = (ask(Side::Direct).await?, ask(Side::Through).await?);
    let what = format!("{method} {target} {headers:?}");
    ensure!(direct.status == through.status, "{what}: {direct:?} {through:?}");
    ensure!(Body::of(&direct.body) == Body::of(&through.body), "{what}: {through:?}");
    let (expected, found) = (access_control(&direct), access_control(&through));
    ensure!(expected == found, "{what}:\n expected {expected:?}\n found {found:?}");
    Ok(direct)
}

/// OPTIONS, as a preflight and otherwise.
pub(crate) async fn preflights(front: Arc<Front>) -> Result<()> {
    let target = "/api/v1/namespaces/default/configmaps?resourceVersion=0";
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let preflight = [
            ("origin", ALLOWED),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        let answer = compare(&front, protocol, &Method::OPTIONS, target, &preflight).await?;
        ensure!(answer.status == StatusCode::NO_CONTENT, "{answer:?}");
        ensure!(answer.header("access-control-allow-origin") == Some(ALLOWED), "{answer:?}");
        compare(&front, protocol, &Method::OPTIONS, target, &[("origin", OTHER)]).await?;
        compare(&front, protocol, &Method::OPTIONS, target, &[]).await?;
    }
    Ok(())
}

/// Reads that memory could answer: whether the page may see the answer is upstream's to say.
pub(crate) async fn reads(front: Arc<Front>) -> Result<()> {
    rights::namespace(&front, "pages").await?;
    rights::configmap(&front, "pages", "kept").await?;
    let client = front.client().token(front.cluster.token("admin")).build()?;
    for target in [
        "/api/v1/namespaces/pages/configmaps?resourceVersion=0",
        "/api/v1/namespaces/pages/configmaps/kept?resourceVersion=0",
        "/api/v1/namespaces/pages/configmaps?watch=true&resourceVersion=0&timeoutSeconds=1",
    ] {
        front.warm(&client, target).await?;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for origin in [ALLOWED, OTHER] {
                compare(&front, protocol, &Method::GET, target, &[("origin", origin)]).await?;
            }
        }
    }
    Ok(())
}
