//! JSON frames and lists.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Frame, Object, Page, digest};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Status {
    code: u16,
}

#[derive(Deserialize)]
struct Whole {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Phase,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    resource_version: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    #[serde(rename = "continue")]
    rest: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
    color: String,
    size: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: String,
}

#[derive(Deserialize)]
struct List<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

pub(super) fn frame(bytes: &[u8]) -> Result<Frame> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    if envelope.kind == "ERROR" {
        return Ok(Frame::Error(serde_json::from_str::<Status>(envelope.object.get())?.code));
    }
    Ok(Frame::Object { kind: envelope.kind.to_owned(), object: object(envelope.object.get())? })
}

pub(super) fn page(bytes: &[u8]) -> Result<Page> {
    let list: List<'_> = serde_json::from_slice(bytes)?;
    let version = list.metadata.resource_version.parse()?;
    let items = list.items.unwrap_or_default().into_iter();
    let objects = items.map(|item| object(item.get())).collect::<Result<_>>()?;
    Ok(Page { version, rest: list.metadata.rest, objects })
}

fn object(text: &str) -> Result<Object> {
    let whole: Whole = serde_json::from_str(text)?;
    let metadata = whole.metadata;
    // Items of built-in lists have neither kind nor apiVersion, which come first everywhere else.
    let start = text.find("\"metadata\":").context("no metadata")?;
    let needle = format!("\"resourceVersion\":\"{}\"", metadata.resource_version);
    let (before, after) = text[start..].split_once(&needle).context("no resourceVersion")?;
    let fields = BTreeMap::from([
        ("spec.nodeName".to_owned(), whole.spec.node_name),
        ("spec.color".to_owned(), whole.spec.color),
        ("spec.size".to_owned(), whole.spec.size.map(|s| s.to_string()).unwrap_or_default()),
        ("status.phase".to_owned(), whole.status.phase),
    ]);
    Ok(Object {
        namespace: metadata.namespace,
        name: metadata.name,
        version: metadata.resource_version.parse()?,
        initial_end: metadata
            .annotations
            .get("k8s.io/initial-events-end")
            .is_some_and(|v| v == "true"),
        labels: metadata.labels,
        fields,
        content: digest(&[before.as_bytes(), after.as_bytes()]),
    })
}
