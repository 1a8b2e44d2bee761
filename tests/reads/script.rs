//! Watches over a fixed sequence of writes: an object comes, changes, leaves and enters selectors, and
//! is deleted. The frames of all watches must be those of the API server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::Method;
use serde_json::{Value, json};

use crate::exchange::{Frames, Watch};
use crate::form::Form;
use crate::kinds::{Kind, Leave, NAMESPACES};
use crate::objects::kept;
use crate::setup::{Both, create, write};

const NAME: &str = "scripted";

/// Opens the watches, plays the script, and compares what they said until their time was over.
pub(crate) async fn compare(both: Arc<Both>, kind: &Kind) -> Result<()> {
    let path = kind.within(NAMESPACES[0]);
    let list = both.direct.get(&path).send().await?.json()?;
    let version = list["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned();
    let mut watches = Vec::new();
    for form in Form::ALL {
        for selector in selectors(kind) {
            let target = format!(
                "{path}?watch=1&timeoutSeconds=6&allowWatchBookmarks=true&resourceVersion={version}{selector}"
            );
            watches.push((target, form));
        }
    }
    // The shards are filled before the script begins, as its first events would be missed otherwise.
    for form in Form::ALL {
        let fill = format!("{path}?resourceVersion=0");
        both.gateway.get(&fill).header("accept", &form.accept(true)).send().await?;
    }
    let open = watches.iter().map(|(target, form)| Watch::open(&both, target, *form));
    let open = try_join_all(open).await?;
    play(&both, kind, &path).await?;

    let mut hits = 0;
    let count = open.len();
    for ((target, form), [theirs, ours]) in watches.iter().zip(open) {
        let cache_status = ours.cache_status.clone();
        let (theirs, ours) = tokio::try_join!(theirs.frames(), ours.frames())?;
        hold_against(&ours, &theirs).with_context(|| {
            format!("{target} as {form:?} {cache_status:?}: {ours:#?} in place of {theirs:#?}")
        })?;
        let is_hit = cache_status.as_deref() == Some("watchgate; hit");
        hits += usize::from(is_hit);
        let with_fields = kind.custom && target.contains("spec.");
        let from_memory = kept(kind, *form).admits(Some("watchgate; hit"))
            && !(with_fields && matches!(form, Form::JsonMetadata | Form::ProtobufMetadata));
        ensure!(is_hit == from_memory, "{target} as {form:?}: {cache_status:?}");
    }
    eprintln!("{}: {hits} of {count} scripted watches from memory", kind.resource);
    Ok(())
}

fn selectors(kind: &Kind) -> Vec<String> {
    let mut selectors = vec![
        String::new(),
        "&labelSelector=phase%3Din".to_owned(),
        "&labelSelector=phase!%3Din".to_owned(),
        format!("&fieldSelector=metadata.name%3D{NAME}"),
    ];
    if let Some(field) = kind.field {
        let field = field.replace('=', "%3D");
        selectors.push(format!("&fieldSelector={field}"));
        selectors.push(format!("&labelSelector=phase%3Din&fieldSelector={field}"));
    }
    selectors
}

/// The writes.
async fn play(both: &Both, kind: &Kind, path: &str) -> Result<()> {
    let client = &both.direct;
    let object = format!("{path}/{NAME}");
    create(client, path, &kind.named(NAME, &json!({ "phase": "in" }))).await?;
    let patch = async |patch: &str| -> Result<()> {
        let patch_type = "application/merge-patch+json";
        let done = write(client, Method::PATCH, &object, patch_type, patch.to_owned()).await?;
        ensure!(done.status.is_success(), "{patch}: {done:?}");
        Ok(())
    };
    patch(r#"{"metadata":{"annotations":{"step":"1"}}}"#).await?;
    patch(r#"{"metadata":{"labels":{"phase":"out"}}}"#).await?;
    patch(r#"{"metadata":{"annotations":{"step":"2"}}}"#).await?;
    patch(r#"{"metadata":{"labels":{"phase":"in"}}}"#).await?;
    match kind.leave {
        Some(Leave::Patch(leave)) => patch(leave).await?,
        Some(Leave::Binding) => {
            let target = json!({ "kind": "Node", "name": "one-0" });
            let binding: Value = json!({
                "apiVersion": "v1", "kind": "Binding", "metadata": { "name": NAME }, "target": target,
            });
            create(client, &format!("{object}/binding"), &binding).await?;
        }
        None => {}
    }
    patch(r#"{"metadata":{"annotations":{"step":null}}}"#).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let delete = format!("{object}?gracePeriodSeconds=0");
    let done = client.request(Method::DELETE, &delete).send().await?;
    ensure!(done.status.is_success(), "{done:?}");
    Ok(())
}

/// Equal events; and bookmarks of the same bytes, none of which is behind the events.
fn hold_against(ours: &Frames, theirs: &Frames) -> Result<()> {
    ensure!(!theirs.events.is_empty(), "no events at all");
    ensure!(ours.events == theirs.events, "other events");
    let Some(like) = theirs.bookmarks.first() else {
        ensure!(ours.bookmarks.is_empty(), "bookmarks where the API server has none");
        return Ok(());
    };
    ensure!(!ours.bookmarks.is_empty(), "no bookmark");
    let last = theirs.events.last().and_then(|event| version_of(&event.bytes));
    for bookmark in &ours.bookmarks {
        ensure!(bookmark.bytes == like.bytes, "{bookmark:?} in place of {like:?}");
        ensure!(bookmark.version >= last, "{:?} < {last:?}", bookmark.version);
    }
    Ok(())
}

/// The version of the object in a JSON event.
fn version_of(frame: &[u8]) -> Option<u64> {
    let event: Value = serde_json::from_slice(frame).ok()?;
    event["object"]["metadata"]["resourceVersion"].as_str()?.parse().ok()
}
