//! Pretty printing and compression.

use std::{io::Read as _, sync::Arc};

use anyhow::{Result, ensure};
use serde_json::json;
use watchgate_cluster::{Protocol, Response};

use crate::front::{Front, Side, answer::is_hit, rights};

async fn both(
    front: &Front,
    protocol: Protocol,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<(Response, Response)> {
    let ask = async |side| {
        let client = front.client_of(side).token(front.cluster.token("admin"));
        let request = client.protocol(protocol).build()?.get(target);
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(name, value))
            .send()
            .await
    };
    Ok((ask(Side::Direct).await?, ask(Side::Through).await?))
}

/// People with curl or a browser get indented JSON, byte for byte upstream's.
pub(crate) async fn pretty(front: Arc<Front>) -> Result<()> {
    rights::namespace(&front, "pretty").await?;
    rights::configmap(&front, "pretty", "kept").await?;
    let path = "/api/v1/namespaces/pretty/configmaps";
    let client = front.client().token(front.cluster.token("admin")).build()?;
    front.warm(&client, &format!("{path}?resourceVersion=0")).await?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (query, agent) in [
            ("", "curl/8.5.0"),
            ("", "Mozilla/5.0 (X11; Linux x86_64)"),
            ("", "Wget/1.21"),
            ("&pretty=true", "client-go"),
            ("&pretty=1", "client-go"),
            ("&pretty=false", "curl/8.5.0"),
            ("&pretty=", "curl/8.5.0"),
            ("&pretty", "curl/8.5.0"),
            ("&pretty=yes", "client-go"),
        ] {
            let target = format!("{path}/kept?resourceVersion=0{query}");
            let headers = [("user-agent", agent), ("accept", "application/json")];
            let (direct, through) = both(&front, protocol, &target, &headers).await?;
            let what = format!("{target} by {agent}");
            ensure!(direct.status == through.status, "{what}: {direct:?} {through:?}");
            ensure!(direct.body == through.body, "{what}:\n{direct:?}\n{through:?}");
            ensure!(direct.header("content-type") == through.header("content-type"), "{what}");
        }
    }
    Ok(())
}

/// Lists above 128 KiB are compressed for who can read that; what is in them is the same.
pub(crate) async fn compressed(front: Arc<Front>) -> Result<()> {
    rights::namespace(&front, "large").await?;
    let path = "/api/v1/namespaces/large/configmaps";
    for number in 0..20 {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("c-{number}") },
            "data": { "key": format!("{number}").repeat(8 << 10) },
        });
        front.create(path, &object).await?;
    }
    let target = format!("{path}?resourceVersion=0");
    let client = front.client().token(front.cluster.token("admin")).build()?;
    front.warm(&client, &target).await?;
    // Memory holds all 20: a list that is not older than the last write.
    let list = front.admin()?.get(path).send().await?.json()?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let target = format!("{path}?resourceVersion={version}&resourceVersionMatch=NotOlderThan");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for accept in ["gzip", "gzip, deflate, br", "br, gzip;q=0.5", "identity", "deflate", ""] {
            let headers = [("accept-encoding", accept)];
            let (direct, through) = both(&front, protocol, &target, &headers).await?;
            let what = format!("Accept-Encoding: {accept}");
            ensure!(is_hit(&through.headers), "{what}: {:?}", through.headers);
            for name in ["content-encoding", "vary", "content-type"] {
                let (direct, through) = (direct.header(name), through.header(name));
                ensure!(direct == through, "{what}: {name}: {direct:?} {through:?}");
            }
            let (direct, through) = (items(&direct)?, items(&through)?);
            ensure!(direct == through && direct.len() == 20, "{what}: the items differ");
        }
        // A forwarded large list stays as upstream compressed it.
        let headers = [("accept-encoding", "gzip"), ("origin", "https://elsewhere.example")];
        let (direct, through) = both(&front, protocol, &target, &headers).await?;
        ensure!(!is_hit(&through.headers), "{:?}", through.headers);
        ensure!(through.header("content-encoding") == Some("gzip"), "{:?}", through.headers);
        ensure!(items(&direct)? == items(&through)?, "the forwarded items differ");
    }
    Ok(())
}

fn items(answer: &Response) -> Result<Vec<serde_json::Value>> {
    let mut json = match answer.header("content-encoding") {
        Some("gzip") => {
            ensure!(answer.body.starts_with(&[0x1f, 0x8b]), "not gzip");
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(&answer.body[..]).read_to_end(&mut plain)?;
            serde_json::from_slice(&plain)?
        }
        _ => answer.json()?,
    };
    match json["items"].take() {
        serde_json::Value::Array(items) => Ok(items),
        _ => anyhow::bail!("no list"),
    }
}
