//! Odd tokens: of every make, of other scopes, of places that are gone, and without a version.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::Value;
use watchgate_cluster::{Client, Response};

use crate::form::Form;
use crate::kinds::{Kind, NAMESPACES, REVISIONS};
use crate::page::{Page, token};
use crate::walks::elsewhere;
use crate::world::World;

const KIND: &Kind = &REVISIONS;

const NAMED: &str = "fieldSelector=metadata.name%3Da-3";

/// Tokens that the API server understands, whoever wrote them, are answered from memory as it does.
pub(crate) async fn of_every_make(world: Arc<World>) -> Result<()> {
    world.warm(KIND, Form::Json).await?;
    let everywhere = KIND.everywhere();
    let within = KIND.within(NAMESPACES[0]);
    let first = Page::of(&world.direct, &format!("{everywhere}?limit=3"), Form::Json).await?;
    let at = i64::try_from(first.version)?;
    // The last object of the first page goes away; its place stays.
    let list: Value = serde_json::from_slice(&first.body)?;
    let last = &list["items"][2]["metadata"];
    let text = |name: &str| last[name].as_str().with_context(|| list.to_string());
    let (namespace, name) = (text("namespace")?, text("name")?);
    let object = format!("{}/{name}", KIND.within(namespace));
    let answer = world.direct.request(Method::DELETE, &object).send().await?;
    ensure!(answer.status.is_success(), "{answer:?}");

    let own = first.token.context("one page")?;
    let selector = "labelSelector=tier%3Deven";
    for query in [
        format!("continue={own}"),
        format!("continue={own}&limit=4"),
        format!("continue={own}&limit=1000"),
        format!("continue={own}&limit=4&resourceVersion=0"),
        format!("continue={own}&limit=-1"),
        format!("continue={own}&limit=2&{selector}"),
        format!("continue={own}&limit=1&{NAMED}"),
        // Narrows the first page, whose token is relative to it, but no other.
        format!("continue={own}&limit=1&fieldSelector=metadata.namespace%3Dpages"),
        format!(
            "continue={}&limit=1&fieldSelector=metadata.namespace%3Dpages",
            token(at, "/a-3\0")
        ),
        format!("continue={}&limit=2", token(at, "/pages/a-3\0")),
        format!("continue={}&limit=2", token(at, "pages/a-3\0")),
        format!("continue={}&limit=2", token(at, "pages/a-3")),
        format!("continue={}&limit=2", token(at, "/")),
        format!("continue={}&limit=2", token(at, "zzz")),
        format!("continue={}&limit=2", token(at, "pages\0")),
        format!("continue={}&limit=2", token(at, "\u{e4}\u{2028}<")),
    ] {
        for path in [&everywhere, &within] {
            let target = format!("{path}?{query}");
            let page = world.same(&target, Form::Json).await?;
            ensure!(page.is_hit, "{target}: {page:?}");
        }
    }
    refused(&world, &within, at, &own).await
}

/// What nobody may ask for, and what only upstream knows, is upstream's to answer.
async fn refused(world: &World, within: &str, at: i64, own: &str) -> Result<()> {
    for query in [
        format!("continue={}", token(0, "/a\0")),
        format!("continue={}", token(at, "")),
        format!("continue={}", token(at, "/a/")),
        format!("continue={}", token(at, "/../a")),
        format!("continue={own}&resourceVersion={at}"),
        format!("continue={own}&resourceVersion=0&resourceVersionMatch=NotOlderThan"),
        "continue=*".to_owned(),
        // The store is not there yet: upstream waits three seconds, and says so.
        format!("continue={}", token(at + 1_000_000, "/a\0")),
        format!("resourceVersion={at}&resourceVersionMatch=Exact&{NAMED}"),
    ] {
        let target = format!("{within}?{query}");
        let begun = Instant::now();
        let through = world.through.get(&target).send().await?;
        // The API server's three seconds, and not the gateway's as well.
        ensure!(begun.elapsed() < Duration::from_secs(5), "{target}: {:?}", begun.elapsed());
        let direct = world.direct.get(&target).send().await?;
        let is_forwarded = through.header("cache-status").is_some_and(|text| text.contains("fwd="));
        ensure!(is_forwarded, "{target}: {through:?}");
        ensure!(
            (through.status, refusal(&through)?) == (direct.status, refusal(&direct)?),
            "{target}: {through:?} in place of {direct:?}"
        );
    }
    Ok(())
}

/// A refusal without the version that the store happened to be at.
fn refusal(answer: &Response) -> Result<Value> {
    let mut status = answer.json()?;
    let message = status["message"].as_str().unwrap_or_default();
    let message = message.split(", current: ").next().unwrap_or_default().to_owned();
    status["message"] = message.into();
    Ok(status)
}

/// After its version is gone, a list goes on in the latest state, which from then on is its version.
pub(crate) async fn without_a_version(world: Arc<World>) -> Result<()> {
    world.warm(KIND, Form::Json).await?;
    let within = KIND.within(NAMESPACES[0]);
    for version in [-1, -5] {
        // The page's version lies above what the shard hears of by itself.
        elsewhere(&world, "before").await?;
        let target = format!("{within}?limit=2&continue={}", token(version, "/a-3\0"));
        let (direct, _) = names(&world.direct, &target).await?;
        let (through, page) = names(&world.through, &target).await?;
        ensure!(page.is_hit, "{page:?}");
        ensure!(through == direct, "{through:?} in place of {direct:?}");
        let next = page.token.clone().context("one page")?;
        let next = format!("{within}?limit=2&continue={next}");
        elsewhere(&world, "after").await?;
        let following = world.same(&next, Form::Json).await?;
        ensure!(following.is_hit && following.version == page.version, "{following:?} {page:?}");
    }
    Ok(())
}

/// The names on a page, and how many remain.
async fn names(client: &Client, target: &str) -> Result<((Vec<String>, Value), Page)> {
    let page = Page::of(client, target, Form::Json).await?;
    let list: Value = serde_json::from_slice(&page.body)?;
    let items = list["items"].as_array().context("no items")?;
    let names = items.iter().map(|item| item["metadata"]["name"].to_string()).collect();
    Ok(((names, list["metadata"]["remainingItemCount"].clone()), page))
}
