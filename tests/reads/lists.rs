//! LIST.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::exchange::{Expected, Tally, read};
use crate::form::Form;
use crate::kinds::{Kind, NAMESPACES};
use crate::objects::kept;
use crate::setup::Both;

/// What the lists of a type are of: the test's own objects, which no other test changes.
const SELECTOR: &str = "labelSelector=set%3Dreads";

/// Scopes, versions, selectors and pages, in every form.
pub(crate) async fn compare(both: Arc<Both>, kind: &Kind) -> Result<()> {
    let mut tally = Tally::default();
    for form in Form::ALL {
        let accept = form.accept(true);
        for (target, expected) in versions(&both, kind, form, &mut tally).await? {
            read(&both, &target, &accept, expected, &mut tally).await?;
        }
        for (target, expected) in selectors(kind, form) {
            read(&both, &target, &accept, expected, &mut tally).await?;
        }
    }
    pages(&both, kind).await?;
    let path = kind.within(NAMESPACES[0]);
    // Waiting takes three seconds on either side.
    if kind.resource == "pods" || kind.custom {
        let future = format!("{path}?resourceVersion=99999999");
        let late = Expected::Forward("not-proven");
        read(&both, &future, "application/json", late, &mut tally).await?;
    }
    eprintln!("{}: {} of {} LISTs from memory", kind.resource, tally.hits, tally.all);
    Ok(())
}

type Cases = Vec<(String, Expected)>;

/// `expected` if memory holds the type in this form at all.
fn if_kept(kind: &Kind, form: Form, expected: Expected) -> Expected {
    match kept(kind, form) {
        Expected::Hit => expected,
        other => other,
    }
}

async fn versions(both: &Both, kind: &Kind, form: Form, tally: &mut Tally) -> Result<Cases> {
    let path = kind.within(NAMESPACES[0]);
    let accept = form.accept(true);
    let hit = if_kept(kind, form, Expected::Hit);
    let proof = if_kept(kind, form, Expected::Proof);
    let options = Expected::Forward("options");
    let any = format!("{path}?{SELECTOR}&resourceVersion=0");
    // A refusal has no version; the cases need one all the same.
    let at = read(both, &any, &accept, hit, tally).await?.unwrap_or(1);
    // What the API server is at by now is ahead of a shard on which nothing happens.
    let ahead = both.direct.get(&format!("{path}?{SELECTOR}")).send().await?.json()?;
    let ahead = ahead["metadata"]["resourceVersion"].as_str().context("no version")?.to_owned();
    let nothing = "labelSelector=tier%3Dnone";
    let q = |rest: &str| format!("{path}?{SELECTOR}{rest}");
    Ok(vec![
        (q(""), proof),
        (q(&format!("&resourceVersion={at}")), hit),
        (q(&format!("&resourceVersion={ahead}")), proof),
        (q(&format!("&resourceVersion={at}&resourceVersionMatch=NotOlderThan")), hit),
        (q(&format!("&resourceVersion={at}&resourceVersionMatch=Exact")), hit),
        (q(&format!("&resourceVersion={at}&limit=1")), hit),
        (q("&resourceVersion=0&limit=1"), hit),
        (q("&resourceVersion=0&resourceVersionMatch=NotOlderThan&limit=1"), hit),
        (q(&format!("&resourceVersion={at}&resourceVersionMatch=NotOlderThan&limit=1")), hit),
        (q("&limit=1"), proof),
        (q("&limit=500"), proof),
        (q("&limit=x"), options),
        (q("&resourceVersionMatch=Exact"), options),
        (q("&resourceVersion=0&sendInitialEvents=true"), options),
        (q("&resourceVersion=0&watch=false"), hit),
        (q("&resourceVersion=0&pretty=true"), hit),
        (format!("{path}?{nothing}&resourceVersion=0&pretty=true"), hit),
        (q("&resourceVersion=0&includeObject=nonsense"), hit),
        (q("&resourceVersion=0&timeout=1m"), hit),
        (q("&resourceVersion=0&timeout=nonsense"), options),
    ])
}

fn selectors(kind: &Kind, form: Form) -> Cases {
    let hit = if_kept(kind, form, Expected::Hit);
    let options = Expected::Forward("options");
    let within = kind.within(NAMESPACES[0]);
    let everywhere = kind.everywhere();
    let labels = [
        "tier%3Dfront",
        "tier!%3Dfront,set%3Dreads",
        "tier+in+(back,none),set%3Dreads",
        "tier+notin+(back),set",
        "set%3Dreads,!other",
        "tier%3Dnone",
    ];
    let zero = "resourceVersion=0";
    let mut cases: Cases = labels
        .iter()
        .map(|label| (format!("{everywhere}?{zero}&labelSelector={label}"), hit))
        .collect();
    let name = if kind.namespaced { "two" } else { "two-1" };
    let named = format!("fieldSelector=metadata.name%3D{name}");
    cases.push((format!("{everywhere}?{zero}&{named}"), hit));
    cases.push((format!("{within}?{zero}&{named}&{SELECTOR}"), hit));
    cases.push((format!("{within}?{zero}&fieldSelector=metadata.name!%3D{name}&{SELECTOR}"), hit));
    cases.push((format!("{within}?{zero}&labelSelector=%3D%3D"), options));
    cases.push((format!("{within}?{zero}&fieldSelector=spec.nonsense%3Dx"), options));
    if kind.namespaced {
        let narrowed = format!("metadata.namespace%3D{}", NAMESPACES[1]);
        cases.push((format!("{everywhere}?{zero}&fieldSelector={narrowed}"), hit));
        // A namespace in which nothing else happens, without any selector.
        cases.push((format!("{}?{zero}", kind.within(NAMESPACES[1])), hit));
        cases.push((format!("{}?{zero}", kind.within("nowhere")), hit));
    }
    if let Some(field) = kind.field {
        let field = field.replace('=', "%3D");
        let target = format!("{everywhere}?{zero}&{SELECTOR}&fieldSelector={field}");
        // The metadata of custom objects has no fields to select by.
        let no_fields = kind.custom && matches!(form, Form::JsonMetadata | Form::ProtobufMetadata);
        let expected = if no_fields { Expected::Forward("accept") } else { hit };
        cases.push((target, expected));
    }
    cases
}

/// Pages through either server, each continuing what the other began.
async fn pages(both: &Both, kind: &Kind) -> Result<()> {
    let path = kind.everywhere();
    let first =
        format!("{path}?{SELECTOR}&limit=1&resourceVersionMatch=NotOlderThan&resourceVersion=1");
    for clients in [[&both.direct, &both.gateway], [&both.gateway, &both.direct]] {
        let (mut names, mut target) = (Vec::new(), first.clone());
        for turn in 0.. {
            let page: Value = clients[turn % 2].get(&target).send().await?.json()?;
            let items = page["items"].as_array().with_context(|| page.to_string())?;
            names.extend(items.iter().map(|item| item["metadata"]["uid"].to_string()));
            ensure!(turn < 100, "pages without end");
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => target = format!("{path}?{SELECTOR}&limit=1&continue={token}"),
                None => break,
            }
        }
        let distinct: std::collections::BTreeSet<_> = names.iter().collect();
        ensure!(names.len() == 4 && distinct.len() == 4, "{path}: {names:?}");
    }
    Ok(())
}
