//! Upstreams that read otherwise: with the feature gate `WatchList` off, and of another release.
//!
//! The first are the comparisons of `tests/reads` with an API server that has no streaming lists, which
//! is how 1.33 is by default: shards are filled in pages, and watches mean something else. The second
//! exchanges the API server under the gateway. That takes a build of the older release, so it is left
//! out unless `WATCHGATE_UPGRADE=1`:
//!
//! ```sh
//! WATCHGATE_UPGRADE=1 cargo test --test versions upgrade
//! ```

mod upgrade;

#[path = "../front/mod.rs"]
mod front;

// The comparisons refer to each other from the crate's root.
#[path = "../reads/exchange.rs"]
mod exchange;
#[path = "../front/form.rs"]
mod form;
#[path = "../reads/kinds.rs"]
mod kinds;
#[path = "../reads/lists.rs"]
mod lists;
#[path = "../reads/objects.rs"]
mod objects;
#[path = "../reads/script.rs"]
mod script;
#[path = "../reads/setup.rs"]
mod setup;
#[path = "../front/varint.rs"]
mod varint;
#[path = "../reads/watches.rs"]
mod watches;
#[path = "../reads/wire.rs"]
mod wire;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use watchgate_cluster::Suite;

use crate::exchange::Expected;
use crate::form::Form;
use crate::kinds::{KINDS, NAMESPACES};
use crate::setup::Both;

/// Those that differ most: many fields, quiet, custom.
const RESOURCES: [&str; 3] = ["pods", "configmaps", "widgets"];

/// A type's bookmarks become known seconds after its first read, if something is written meanwhile: the
/// API server renews its lease every ten seconds.
const PATIENCE: Duration = Duration::from_secs(45);

fn main() -> ExitCode {
    let mut suite = Suite::new(without_watch_list);
    for kind in KINDS.iter().filter(|kind| RESOURCES.contains(&kind.resource)) {
        let name = |part: &str| format!("without_watch_list_{part}_{}", kind.resource);
        suite = suite
            .test(&name("objects"), |both| objects::compare(both, kind))
            .test(&name("lists"), |both| lists::compare(both, kind))
            .test(&name("watches"), |both| watches::compare(both, kind))
            .test(&name("script"), |both| script::compare(both, kind));
    }
    if std::env::var_os("WATCHGATE_UPGRADE").is_some_and(|value| value == "1") {
        suite = suite.exclusive("upgrade_and_downgrade", |_| upgrade::are_noticed());
    }
    suite.run()
}

/// Starts both and waits until the gateway knows the bookmarks of the types.
async fn without_watch_list() -> Result<Both> {
    let both = Both::start(false).await?;
    let started = Instant::now();
    for kind in KINDS.iter().filter(|kind| RESOURCES.contains(&kind.resource)) {
        for form in Form::ALL {
            let path = kind.within(NAMESPACES[0]);
            let rest = "?watch=1&resourceVersion=0&allowWatchBookmarks=1&timeoutSeconds=1";
            let target = format!("{path}{rest}");
            let accept = form.accept(false);
            while !is_hit(&both, &target, &accept).await?
                && objects::kept(kind, form) == Expected::Hit
            {
                ensure!(started.elapsed() < PATIENCE, "{target} as {accept} is never served");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    eprintln!("all bookmarks known after {:.1} s", started.elapsed().as_secs_f64());
    Ok(both)
}

async fn is_hit(both: &Both, target: &str, accept: &str) -> Result<bool> {
    let answer = both.gateway.get(target).header("accept", accept).stream().await?;
    Ok(front::answer::is_hit(&answer.headers))
}
