//! Paths and list options.

use http::Method;
use serde::Deserialize;
use watchgate::api::{
    options::{
        ListOptions, ListRequest, OptionsError, RequestedMatch, RequestedVersion, WatchRequest,
    },
    query::Query,
    request::{NotServeable, RequestInfo},
    selector::field_schema::FieldSchema,
    version::ResourceVersionMatch,
};

use crate::{assert_none, cases};

#[derive(Deserialize)]
struct Path {
    method: String,
    target: String,
    #[serde(default)]
    error: String,
    info: Option<Info>,
}

#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct Info {
    verb: String,
    group: String,
    version: String,
    namespace: String,
    resource: String,
    subresource: String,
    name: String,
    fields: String,
    labels: String,
}

#[test]
fn paths() {
    let (mut disagreements, mut resources, mut refused) = (Vec::new(), 0, 0);
    for mut case in cases::<Path>("paths.jsonl") {
        let (path, query) = match case.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (case.target.as_str(), None),
        };
        let method = Method::from_bytes(case.method.as_bytes()).expect("a method");
        let query = Query::parse(query).expect("a query");
        let found = match RequestInfo::parse(&method, path, &query) {
            // The same two that no server serves, or a spelling that is forwarded as it came.
            Err(NotServeable::NothingAfterVerb) => {
                if case.error.is_empty() {
                    disagreements.push(format!("{}: Go reads it", case.target));
                }
                continue;
            }
            Err(NotServeable::NonCanonicalPath | NotServeable::NestedNamespaces) => {
                refused += 1;
                continue;
            }
            Ok(RequestInfo::NonResource) => None,
            Ok(RequestInfo::Resource(request)) => Some(Info {
                verb: request.verb.as_str().into(),
                group: request.resource.group.to_string(),
                version: request.resource.version.to_string(),
                namespace: request.namespace.to_string(),
                resource: request.resource.resource.to_string(),
                subresource: request.subresource.to_string(),
                name: request.name.to_string(),
                fields: request.field_selector.to_string(),
                labels: request.label_selector.to_string(),
            }),
        };
        resources += usize::from(found.is_some());
        let expected = case.info.take().map(|mut info| {
            // Selectors are only asked about where the verb selects.
            if !matches!(info.verb.as_str(), "list" | "watch" | "deletecollection")
                || path.split('/').nth(if info.group.is_empty() { 3 } else { 4 }) == Some("watch")
            {
                (info.fields, info.labels) = (String::new(), String::new());
            }
            info
        });
        if found != expected || !case.error.is_empty() {
            let Path { method, target, error, .. } = &case;
            disagreements.push(format!("{method} {target}: {found:?}, not {expected:?} {error}"));
        }
    }
    assert_none(&disagreements);
    assert!(resources > 400, "{resources} for resources, {refused} not read");
}

#[derive(Deserialize)]
struct Listed {
    query: String,
    #[serde(default)]
    error: String,
    options: Option<Options>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    watch: bool,
    bookmarks: bool,
    send_initial_events: Option<bool>,
    resource_version: String,
    #[serde(rename = "match")]
    version_match: String,
    timeout_seconds: Option<i64>,
    limit: i64,
    #[serde(rename = "continue")]
    continue_token: String,
}

/// Whether an error stands for something that Kubernetes finds only later, or reads in a way of its own.
fn is_found_later(error: &OptionsError) -> bool {
    matches!(
        error,
        OptionsError::Continue(_)
            | OptionsError::ContinueWithVersion
            | OptionsError::ResourceVersion
            | OptionsError::Timeout
            | OptionsError::UpstreamOnly(_)
    )
}

#[test]
fn list_options() {
    let schema = FieldSchema::metadata_only(true);
    let (mut disagreements, mut taken) = (Vec::new(), 0);
    for case in cases::<Listed>("options.jsonl") {
        let query = Query::parse(Some(&case.query)).expect("a query");
        let decoded = ListOptions::decode(&query);
        let resolved = decoded.as_ref().map_err(Clone::clone).and_then(|options| {
            if options.watch {
                WatchRequest::resolve(options, &schema).map(drop)
            } else {
                ListRequest::resolve(options, &schema).map(drop)
            }
        });
        taken += usize::from(resolved.is_ok());
        match (&resolved, &case.options) {
            (Ok(()), None) => disagreements.push(format!("{}: Go says {}", case.query, case.error)),
            (Err(error), Some(_)) if !is_found_later(error) => {
                disagreements.push(format!("{}: {error}, but Go takes it", case.query));
            }
            (_, Some(expected)) => {
                if let Ok(found) = &decoded
                    && let Some(difference) = difference(found, expected)
                {
                    disagreements.push(format!("{}: {difference}", case.query));
                }
            }
            (Err(_), None) => {}
        }
    }
    assert_none(&disagreements);
    assert!(taken > 200, "{taken} taken");
}

/// What was read otherwise. Kubernetes' options have been defaulted already, the gateway's have not.
fn difference(found: &ListOptions, expected: &Options) -> Option<String> {
    let version_match = match found.resource_version_match {
        RequestedMatch::Unset => "",
        RequestedMatch::Known(ResourceVersionMatch::Exact) => "Exact",
        RequestedMatch::Known(ResourceVersionMatch::NotOlderThan) => "NotOlderThan",
        RequestedMatch::Invalid => return Some("an invalid match was taken".into()),
    };
    let from_now =
        matches!(found.resource_version, RequestedVersion::Unset | RequestedVersion::Zero);
    let is_plain = found.send_initial_events.is_none() && version_match.is_empty();
    let defaulted = found.watch && is_plain && from_now;
    let own = (
        found.watch,
        found.allow_watch_bookmarks,
        if defaulted { Some(true) } else { found.send_initial_events },
        found.resource_version,
        if defaulted { "NotOlderThan" } else { version_match },
        found.timeout_seconds,
        found.limit,
        found.continue_token.as_str(),
    );
    let theirs = (
        expected.watch,
        expected.bookmarks,
        expected.send_initial_events,
        RequestedVersion::parse(&expected.resource_version),
        expected.version_match.as_str(),
        expected.timeout_seconds,
        expected.limit,
        expected.continue_token.as_str(),
    );
    (own != theirs).then(|| format!("{own:?}, not {theirs:?}"))
}
