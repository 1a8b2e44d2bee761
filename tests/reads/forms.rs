//! How a client may ask for a form, and what becomes of it: `Accept` with all its oddities, indented
//! JSON for people, compression of what is large.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::exchange::{self, Expected, Tally, read_with};
use crate::form::Form;
use crate::kinds::{KINDS, Kind, NAMESPACES};
use crate::setup::{Both, create};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Headers, for an object or a list that is there and for an object that is not.
pub(crate) async fn compare(both: Arc<Both>, kind: &Kind) -> Result<()> {
    let mut tally = Tally::default();
    let name = if kind.namespaced { "one" } else { "one-0" };
    let collection = kind.within(NAMESPACES[0]);
    let object = format!("{collection}/{name}?resourceVersion=0");
    let absent = format!("{collection}/absent?resourceVersion=0");
    let list = format!("{collection}?resourceVersion=0&labelSelector=set%3Dreads");
    for (accept, expected) in accepted(kind) {
        for target in [&object, &absent, &list] {
            read_with(&both, target, &[("accept", accept)], expected, &mut tally).await?;
        }
    }
    // Of several lines the first counts.
    for (first, second, expected) in [
        (JSON, "application/yaml", Expected::Hit),
        ("", "application/yaml", Expected::Hit),
        ("application/yaml", JSON, Expected::Forward("accept")),
    ] {
        for target in [&object, &absent, &list] {
            let headers = [("accept", first), ("accept", second)];
            read_with(&both, target, &headers, expected, &mut tally).await?;
        }
    }
    for (agent, rest) in [
        ("curl/8.5.0", ""),
        ("Wget/1.21", "&pretty="),
        ("Mozilla/5.0 (X11; Linux)", ""),
        ("Mozilla/4.0", ""),
        ("curl/8.5.0", "&pretty=false"),
        ("curl/8.5.0", "&pretty=nonsense"),
        ("curl/8.5.0", "&p%72etty=false"),
        ("kubectl/v1.36.3", "&pretty=T"),
        ("kubectl/v1.36.3", "&p%72etty=true"),
        ("kubectl/v1.36.3", "&pretty=0&pretty=1"),
    ] {
        for form in [Form::Json, Form::JsonMetadata] {
            for (target, is_list) in [(&object, false), (&absent, false), (&list, true)] {
                let headers = [("accept", &*form.accept(is_list)), ("user-agent", agent)];
                let target = format!("{target}{rest}");
                read_with(&both, &target, &headers, Expected::Hit, &mut tally).await?;
            }
        }
    }
    eprintln!("{}: {} of {} forms from memory", kind.resource, tally.hits, tally.all);
    Ok(())
}

/// What to expect of objects and lists that are asked for like that.
fn accepted(kind: &Kind) -> Vec<(&'static str, Expected)> {
    let (hit, forward) = (Expected::Hit, Expected::Forward("accept"));
    // A router stands before built-in types, and custom ones have no protobuf.
    let (routed, unrouted) = if kind.custom { (hit, hit) } else { (forward, hit) };
    let protobuf = if kind.custom { forward } else { hit };
    vec![
        ("", hit),
        ("*/*", hit),
        (" application/json ", hit),
        ("application/*", routed),
        ("*", routed),
        ("application/*, */*", unrouted),
        ("application/*;q=0.1,application/json;q=0.5", hit),
        ("APPLICATION/JSON", forward),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", hit),
        ("text/html", forward),
        ("application/json;q=0", hit),
        ("application/json;charset=utf-8", hit),
        ("application/json; charset=utf-8; q=0.3, text/plain", hit),
        ("application/json;stream=watch", hit),
        ("application/json;stream=other", forward),
        ("application/json;stream=other,*/*", hit),
        ("application/json;pretty=1", hit),
        ("application/json;pretty=true", hit),
        ("application/json;pretty=1;pretty=0", hit),
        ("application/json;profile=local;export=1", hit),
        ("application/json;as=Nothing;g=meta.k8s.io;v=v1,application/json", hit),
        ("application/json;as=Table;g=none;v=v1,application/json;pretty=1", hit),
        ("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1,application/json", hit),
        ("application/vnd.kubernetes.protobuf;pretty=1", protobuf),
        ("application/vnd.kubernetes.protobuf;q=0.4,application/json;q=0.2", hit),
        ("application/json;q=0.4,application/vnd.kubernetes.protobuf", hit),
        ("application/yaml,application/json", forward),
        ("application/json,application/yaml", hit),
        ("application/yaml;q=0.5,*/*;q=1", hit),
        ("*/*;q=1,application/yaml;q=0.5", forward),
        ("application/yaml;stream=watch,application/json", hit),
        ("application/cbor,application/json", hit),
        ("application/json/x,application/json", hit),
        (",,application/json,", hit),
        ("application/json;sv=v1", forward),
        ("application/json;q=1e-1", forward),
    ]
}

/// What a media range may be.
const CLAUSES: [&str; 12] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/*",
    "*/*",
    "*",
    "text/html",
    "application/cbor",
    "application/",
    "*/json",
    "application/json/",
    "",
];

/// What may follow it.
const PARAMETERS: [&str; 17] = [
    ";q=0.5",
    "; q=0.8",
    ";q=0",
    ";q=1.0",
    ";q=.3",
    ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
    ";as=Table;g=none;v=v1",
    ";v=v1",
    ";stream=watch",
    ";stream=x",
    ";pretty=1",
    ";pretty=0",
    ";charset=utf-8",
    ";;",
    "; a=b=c",
];

/// Headers made at random of the parts that decide something, the same ones in every run.
pub(crate) async fn oddities(both: Arc<Both>) -> Result<()> {
    let mut state = 1_u64;
    let mut pick = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or_default() % below
    };
    let mut tally = Tally::default();
    let kinds = KINDS.iter().filter(|kind| matches!(kind.resource, "configmaps" | "widgets"));
    for kind in kinds {
        let collection = kind.within(NAMESPACES[0]);
        let targets = [
            format!("{collection}/one?resourceVersion=0"),
            format!("{collection}/absent?resourceVersion=0"),
            format!("{collection}?resourceVersion=0&labelSelector=set%3Dreads"),
        ];
        for _ in 0..250 {
            let mut clauses = Vec::new();
            for _ in 0..=pick(4) {
                let mut clause = CLAUSES[pick(CLAUSES.len())].to_owned();
                for _ in 0..pick(3) {
                    clause.push_str(PARAMETERS[pick(PARAMETERS.len())]);
                }
                clauses.push(clause);
            }
            let accept = clauses.join(if pick(2) == 0 { "," } else { ", " });
            let headers = [("accept", accept.as_str())];
            let target = &targets[pick(targets.len())];
            let (cache_status, _) = exchange::compare(&both, target, &headers).await?;
            let cache_status = cache_status.as_deref();
            // Which of them memory has is a table's matter; here only the bytes count.
            let is_hit = Expected::Hit.admits(cache_status);
            let expected = if is_hit { Expected::Hit } else { Expected::Forward("accept") };
            tally.add(&accept, cache_status, expected)?;
        }
    }
    eprintln!("{} of {} odd forms from memory", tally.hits, tally.all);
    ensure!(tally.hits > tally.all / 4, "most of them are answered by the other server");
    Ok(())
}

/// Types that other parts of the API server answer for, or that carry a warning.
pub(crate) async fn elsewhere(both: Arc<Both>) -> Result<()> {
    let mut tally = Tally::default();
    for (collection, name) in [
        ("/api/v1/namespaces", NAMESPACES[0]),
        ("/api/v1/namespaces/default/endpoints", "kubernetes"),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "widgets.example.com"),
        ("/apis/apiregistration.k8s.io/v1/apiservices", "v1.apps"),
    ] {
        for form in Form::ALL {
            for rest in ["", "&pretty=1"] {
                for object in [name, "absent"] {
                    let target = format!("{collection}/{object}?resourceVersion=0{rest}");
                    let accept = form.accept(false);
                    let headers = [("accept", accept.as_str())];
                    read_with(&both, &target, &headers, Expected::Hit, &mut tally).await?;
                }
                let target = format!("{collection}?resourceVersion=0{rest}");
                let accept = form.accept(true);
                let headers = [("accept", accept.as_str())];
                read_with(&both, &target, &headers, Expected::Hit, &mut tally).await?;
            }
        }
    }
    eprintln!("{} of {} answers of other parts from memory", tally.hits, tally.all);
    Ok(())
}

/// One object just below and one above the length from which answers are compressed, compact and
/// indented, and lists of them.
pub(crate) async fn large(both: Arc<Both>) -> Result<()> {
    let mut tally = Tally::default();
    let path = format!("/api/v1/namespaces/{}/configmaps", NAMESPACES[0]);
    // The object's own metadata takes about 200 bytes.
    let lengths = [130_000, 130_900, 131_100, 200_000, 900_000];
    for (place, length) in lengths.into_iter().enumerate() {
        let metadata = json!({ "name": format!("large-{place}"), "labels": { "size": "large" } });
        let data = json!({ "text": "<\u{e4}>\n".repeat(length / 16) });
        let object =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
        create(&both.direct, &path, &object).await?;
    }
    let mut targets: Vec<String> =
        (0..lengths.len()).map(|place| format!("{path}/large-{place}?resourceVersion=")).collect();
    targets.push(format!("{path}?labelSelector=size%3Dlarge&limit=1&resourceVersionMatch=NotOlderThan&resourceVersion="));
    targets.push(format!("{path}?labelSelector=size%3Dlarge&resourceVersion="));
    targets.push(format!("{path}?resourceVersion="));
    let list = both.direct.get(&path).send().await?.json()?;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    for target in targets {
        for encoding in ["gzip", "br, gzip ", "gzip;q=1", "GZIP", "*", "identity"] {
            for accept in [JSON, PROTOBUF, "application/json;pretty=1"] {
                let headers = [("accept", accept), ("accept-encoding", encoding)];
                let target = format!("{target}{version}");
                read_with(&both, &target, &headers, Expected::Proof, &mut tally).await?;
            }
        }
    }
    for (first, second) in [("gzip", "identity"), ("identity", "gzip")] {
        let headers = [("accept", JSON), ("accept-encoding", first), ("accept-encoding", second)];
        let target = format!("{path}/large-3?resourceVersion={version}");
        read_with(&both, &target, &headers, Expected::Proof, &mut tally).await?;
    }
    eprintln!("{} of {} large answers from memory", tally.hits, tally.all);
    Ok(())
}
