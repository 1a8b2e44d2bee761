//! How watches begin: every combination of version, initial events and bookmarks.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;

use crate::exchange::{Expected, Frames, Tally, Watch};
use crate::form::Form;
use crate::kinds::{Kind, NAMESPACES};
use crate::objects::kept;
use crate::setup::Both;

/// Opens all of them at once; each ends by itself.
pub(crate) async fn compare(both: Arc<Both>, kind: &Kind) -> Result<()> {
    let mut tally = Tally::default();
    let cases = Form::ALL.iter().flat_map(|&form| {
        cases(kind, form, both.watch_list)
            .into_iter()
            .map(move |(target, expected)| (target, form, expected))
    });
    let cases: Vec<_> = cases.collect();
    let run = cases.iter().map(|(target, form, _)| one(&both, target, *form));
    let outcomes = try_join_all(run).await?;
    for ((target, form, expected), cache_status) in cases.iter().zip(outcomes) {
        tally.add(&format!("{target} as {form:?}"), cache_status.as_deref(), *expected)?;
    }
    eprintln!("{}: {} of {} watches from memory", kind.resource, tally.hits, tally.all);
    Ok(())
}

fn cases(kind: &Kind, form: Form, watch_list: bool) -> Vec<(String, Expected)> {
    let hit = kept(kind, form);
    let forward = |reason| match hit {
        Expected::Hit => Expected::Forward(reason),
        other => other,
    };
    let options = Expected::Forward("options");
    // Without the feature, its parameter is refused.
    let if_streaming = |expected| if watch_list { expected } else { options };
    // Too short for periodic bookmarks, but for one soon after the initial events, if any (semantics
    // §5.4): whether it comes is not compared here.
    let path = format!("{}?watch=1&timeoutSeconds=1", kind.within(NAMESPACES[1]));
    let long = format!("{}?watch=1&timeoutSeconds=9", kind.within(NAMESPACES[1]));
    let set = "&labelSelector=set%3Dreads";
    let sent = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let unsent = "&sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let bookmarks = "&allowWatchBookmarks=true";
    let future = "&resourceVersion=99999999";
    let mut cases = deprecated(kind, form, watch_list);
    let zero = "&resourceVersion=0";
    for marks in ["", bookmarks] {
        cases.extend(["", zero].map(|rest| (format!("{path}{set}{rest}{marks}"), hit)));
        let rests = [sent, unsent];
        cases.extend(rests.map(|rest| (format!("{path}{set}{rest}{marks}"), if_streaming(hit))));
    }
    cases.extend([
        (format!("{path}{set}{zero}{sent}{bookmarks}"), if_streaming(hit)),
        (format!("{path}{set}{zero}{unsent}{bookmarks}"), if_streaming(hit)),
        (format!("{path}&labelSelector=tier%3Dback{zero}{bookmarks}"), hit),
        (format!("{path}{set}&fieldSelector=metadata.name%3Done{zero}{bookmarks}"), hit),
        (format!("{path}{set}&resourceVersion=1{sent}{bookmarks}"), if_streaming(hit)),
        (format!("{path}{set}{future}{bookmarks}"), hit),
        // Both wait three seconds; the watch must not be over before.
        (format!("{long}{set}{future}{sent}"), if_streaming(forward("not-proven"))),
        (format!("{path}{set}&limit=1{zero}"), hit),
        (format!("{path}&resourceVersion=0&resourceVersionMatch=Exact"), options),
        (format!("{path}&sendInitialEvents=true"), options),
        // Such a watch begins with a state by default, which goes with no token; else it is ignored.
        (format!("{path}{set}&continue=x"), if watch_list { options } else { hit }),
        (format!("{path}&fieldSelector=spec.nonsense%3Dx"), options),
        (format!("{path}&resourceVersion=x"), options),
    ]);
    cases
}

/// Watches whose verb stands in the path: those without `watch=1` are validated as lists are, begin
/// with any state, and do not say where it ends (semantics §5.1).
fn deprecated(kind: &Kind, form: Form, watch_list: bool) -> Vec<(String, Expected)> {
    let hit = kept(kind, form);
    let options = Expected::Forward("options");
    let collection = kind.within(NAMESPACES[1]).replace("/v1/", "/v1/watch/");
    let object = format!("{collection}/{}", if kind.namespaced { "two" } else { "two-1" });
    let set = "&labelSelector=set%3Dreads";
    let mut cases = Vec::new();
    for path in [&collection, &object] {
        let path = format!("{path}?timeoutSeconds=1");
        for marks in ["", "&allowWatchBookmarks=true"] {
            cases.extend([
                (format!("{path}{set}{marks}"), hit),
                (format!("{path}{set}&resourceVersion=0{marks}"), hit),
                (format!("{path}{set}&watch=0{marks}"), hit),
                (format!("{path}{set}&watch=1{marks}"), hit),
                (format!("{path}{set}&watch=1&resourceVersion=0{marks}"), hit),
                (format!("{path}{set}&resourceVersion=99999999{marks}"), hit),
            ]);
        }
        let sent = "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        cases.extend([
            (format!("{path}{set}&limit=1&continue=x"), hit),
            (
                format!("{path}{set}&watch=1&resourceVersion=1{sent}"),
                if watch_list { hit } else { options },
            ),
            (format!("{path}{set}&resourceVersion=1{sent}"), options),
            (format!("{path}&resourceVersionMatch=Exact"), options),
            (format!("{path}&fieldSelector=metadata.name%3Dtwo,spec.nonsense%3Dx"), options),
        ]);
    }
    cases.push((format!("{object}?timeoutSeconds=1&fieldSelector=metadata.name%3Dx"), options));
    let everywhere = kind.everywhere().replace("/v1/", "/v1/watch/");
    cases.push((format!("{everywhere}?timeoutSeconds=1{set}"), hit));
    if kind.namespaced {
        let nowhere = format!("{everywhere}/two?timeoutSeconds=1{set}");
        cases.push((nowhere, Expected::Forward("resource")));
    }
    cases
}

/// Holds a watch of both to its end; says where ours came from.
async fn one(both: &Both, target: &str, form: Form) -> Result<Option<String>> {
    let [theirs, ours] = Watch::open(both, target, form).await?;
    let cache_status = ours.cache_status.clone();
    let (theirs, ours): (Frames, Frames) = tokio::try_join!(theirs.frames(), ours.frames())?;
    let bytes = |frames: &Frames| frames.events.iter().map(|f| f.bytes.clone()).collect::<Vec<_>>();
    ensure!(
        bytes(&ours) == bytes(&theirs),
        "{target} as {form:?} {cache_status:?}: {ours:#?} in place of {theirs:#?}"
    );
    Ok(cache_status)
}
