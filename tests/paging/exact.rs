//! Lists at exact versions.

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::form::Form;
use crate::kinds::{Kind, NAMESPACES};
use crate::page::Page;
use crate::world::World;
use crate::writers::write;

/// Versions that are read, all of them different states.
const VERSIONS: usize = 50;

/// Each of the last versions, the newest first and then the oldest first, in every form, scope and
/// spelling by turns.
pub(crate) async fn each_of_the_last_versions(
    world: Arc<World>,
    kind: &'static Kind,
) -> Result<()> {
    for form in kind.forms {
        world.warm(kind, *form).await?;
    }
    let mut versions = Vec::new();
    for step in 0..VERSIONS {
        // Not the numbers of other tests' writes.
        write(&world, kind, 100_000 + step).await?;
        let list = format!("{}?limit=1", kind.everywhere());
        versions.push(Page::of(&world.direct, &list, Form::Json).await?.version);
    }
    let mut hits = 0;
    let order: Vec<u64> = versions.iter().rev().chain(&versions).copied().collect();
    for (turn, version) in order.iter().enumerate() {
        let form = kind.forms[turn % kind.forms.len()];
        let scope = if turn % 3 == 2 { kind.within(NAMESPACES[0]) } else { kind.everywhere() };
        let target = match turn % 5 {
            0 => format!("{scope}?resourceVersion={version}&limit=1000"),
            1 => format!("{scope}?resourceVersion={version}&resourceVersionMatch=Exact&limit=3"),
            2 => format!(
                "{scope}?resourceVersion={version}&resourceVersionMatch=Exact&labelSelector=tier%3Deven"
            ),
            _ => format!("{scope}?resourceVersion={version}&resourceVersionMatch=Exact"),
        };
        let page = world.same(&target, form).await?;
        ensure!(page.version == *version, "{target}: at {}", page.version);
        hits += usize::from(page.is_hit);
        ensure!(page.is_hit, "{target}: {page:?}");
    }
    eprintln!("{}: {hits} of {} exact lists from memory", kind.resource, order.len());
    Ok(())
}
