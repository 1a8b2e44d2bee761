//! Lists in pages, begun on one side and finished on the other.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use http::Method;

use crate::form::Form;
use crate::front::{Side, authority_of, start_gateway, until_ready};
use crate::kinds::{Kind, QUIET};
use crate::page::Page;
use crate::world::World;
use crate::writers::Writers;

/// What a walk through all pages came to.
#[derive(Debug, Default)]
struct Tally {
    pages: usize,
    hits: usize,
}

/// Every form, scope and direction, while writers change the type.
pub(crate) async fn under_writes(world: Arc<World>, kind: &'static Kind) -> Result<()> {
    for form in kind.forms {
        world.warm(kind, *form).await?;
    }
    let writers = Writers::start(&world, kind);
    let mut tally = Tally::default();
    for form in kind.forms {
        for path in kind.scopes() {
            for begin in [Side::Direct, Side::Through] {
                walk(&world, kind, &path, *form, begin, &mut tally).await?;
            }
        }
    }
    let written = writers.stop().await?;
    eprintln!(
        "{}: {} of {} further pages from memory during {written} writes",
        kind.resource, tally.hits, tally.pages
    );
    ensure!(written > tally.pages / 4, "the writers hardly wrote");
    ensure!(tally.hits == tally.pages, "{tally:?}");
    Ok(())
}

/// Lists everything in pages. The first comes from `begin`; each further one is asked of both sides,
/// so that what began on one side is finished on the other.
async fn walk(
    world: &Arc<World>,
    kind: &Kind,
    path: &str,
    form: Form,
    begin: Side,
    tally: &mut Tally,
) -> Result<()> {
    let limit = kind.limit;
    let client = if begin == Side::Direct { &world.direct } else { &world.through };
    let first = Page::of(client, &format!("{path}?limit={limit}"), form).await?;
    // The same page, by its version.
    let at = first.version;
    let again = world.same(&format!("{path}?limit={limit}&resourceVersion={at}"), form).await?;
    ensure!(again.body == first.body, "{path} as {form:?}: {first:?} is not {again:?}");
    tally.pages += 1;
    tally.hits += usize::from(again.is_hit);
    let mut pages = 1;
    let mut token = first.token;
    while let Some(next) = token {
        let target = format!("{path}?limit={limit}&continue={next}");
        let page = world.same(&target, form).await?;
        ensure!(page.version == at, "{target}: at {} in place of {at}", page.version);
        tally.pages += 1;
        tally.hits += usize::from(page.is_hit);
        pages += 1;
        token = page.token;
    }
    ensure!(pages > 3, "{path}: only {pages} pages");
    Ok(())
}

/// Nothing happens to the type, but elsewhere: the shard hears of the page's version from an
/// auxiliary watch at best.
pub(crate) async fn of_a_quiet_list(world: Arc<World>) -> Result<()> {
    let kind = &QUIET;
    let path = kind.everywhere();
    world.warm(kind, Form::Json).await?;
    for begin in [Side::Direct, Side::Through] {
        elsewhere(&world, "before").await?;
        let client = if begin == Side::Direct { &world.direct } else { &world.through };
        let first = Page::of(client, &format!("{path}?limit={}", kind.limit), Form::Json).await?;
        elsewhere(&world, "after").await?;
        let mut token = first.token;
        let mut waits = Vec::new();
        while let Some(next) = token {
            let begun = Instant::now();
            let target = format!("{path}?limit={}&continue={next}", kind.limit);
            let page = Page::of(&world.through, &target, Form::Json).await?;
            waits.push(begun.elapsed());
            ensure!(page.is_hit, "{page:?}");
            let direct = Page::of(&world.direct, &target, Form::Json).await?;
            ensure!(page.body == direct.body, "{target}:\n {page:?}\n {direct:?}");
            token = page.token;
        }
        eprintln!("begun {begin:?}: pages from memory after {waits:?}");
        ensure!(waits.len() == 4, "{waits:?}");
    }
    Ok(())
}

/// A write that moves the store's version and nothing of the types here.
pub(crate) async fn elsewhere(world: &World, step: &str) -> Result<()> {
    let patch = format!(r#"{{"metadata":{{"annotations":{{"step":"{step}"}}}}}}"#);
    let request = world.direct.request(Method::PATCH, "/api/v1/namespaces/default");
    let request = request.header("content-type", "application/merge-patch+json");
    let answer = request.body(patch).send().await?;
    ensure!(answer.status.is_success(), "{answer:?}");
    Ok(())
}

/// Another gateway does not know what was before it: pages of older versions are the API server's,
/// those of versions that it has seen are its own.
pub(crate) async fn after_a_restart(world: Arc<World>) -> Result<()> {
    let kind = &QUIET;
    let path = kind.everywhere();
    let limit = kind.limit;
    let first = format!("{path}?limit={limit}");
    let old = Page::of(&world.through, &first, Form::Json).await?.token.context("one page")?;
    elsewhere(&world, "between").await?;

    let cluster = &world.front.cluster;
    let gateway = start_gateway(&cluster.admin_kubeconfig()?).await?;
    let ca = authority_of(&gateway).await?;
    let client = watchgate_cluster::Client::builder(gateway.url(), &ca);
    let client = client.token(cluster.token("reader")).build()?;
    until_ready(&client).await?;
    world.front.warm(&client, &format!("{path}?resourceVersion=0")).await?;

    let target = format!("{path}?limit={limit}&continue={old}");
    let page = Page::of(&client, &target, Form::Json).await?;
    let direct = Page::of(&world.direct, &target, Form::Json).await?;
    ensure!(!page.is_hit && page.body == direct.body, "{page:?}\n{direct:?}");

    let new = Page::of(&world.direct, &first, Form::Json).await?.token.context("one page")?;
    let target = format!("{path}?limit={limit}&continue={new}");
    let page = Page::of(&client, &target, Form::Json).await?;
    let direct = Page::of(&world.direct, &target, Form::Json).await?;
    ensure!(page.is_hit && page.body == direct.body, "{page:?}\n{direct:?}");
    ensure!(gateway.stop().await?.success(), "the second gateway did not end in order");
    Ok(())
}
