//! What clients send: paths, queries, selectors, continue tokens, `Accept`.

use std::sync::LazyLock;

use compact_str::CompactString;
use http::Method;
use watchgate::api::{
    continue_token::ContinueToken,
    negotiate::{AnswerKind, negotiate, negotiate_status, wants_gzip},
    object_key::ObjectKey,
    options::{GetRequest, ListOptions, ListRequest, WatchRequest},
    query::Query,
    request::{RequestInfo, ResourceRequest, Verb},
    resource::{GroupVersionResource, Origin},
    selector::{
        built_in::field_schema_for,
        field::{FieldSelector, FieldTerms},
        field_schema::FieldSchema,
        label::{Condition, LabelSelector},
    },
};

/// `METHOD path?query`, the method by its first letter. A request that is understood is understood
/// alike when its path is written down again.
pub fn path(input: &[u8]) {
    let Some((method, target)) = std::str::from_utf8(input).ok().and_then(|it| it.split_once(' '))
    else {
        return;
    };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let Ok(query) = Query::parse(query) else { return };
    let Ok(RequestInfo::Resource(request)) = RequestInfo::parse(&method, path, &query) else {
        return;
    };
    let again = RequestInfo::parse(&method, &written(&request), &query);
    assert_eq!(again, Ok(RequestInfo::Resource(request)), "{path}");
}

/// The path of a request, with what lies behind its subresource left out.
fn written(request: &ResourceRequest) -> String {
    let gvr = &request.resource;
    let group =
        if gvr.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", gvr.group) };
    let verb = match (request.verb_from_path, request.verb) {
        (false, _) => "",
        (true, Verb::Proxy) => "/proxy",
        (true, _) => "/watch",
    };
    let mut path = format!("{group}/{}{verb}", gvr.version);
    let is_namespace = gvr.resource == "namespaces";
    if !is_namespace && !request.namespace.is_empty() {
        path.push_str(&format!("/namespaces/{}", request.namespace));
    }
    path.push_str(&format!("/{}", gvr.resource));
    // A collection's name comes from the query; only a deprecated watch path has one of its own.
    let name = if is_namespace { &request.namespace } else { &request.name };
    let is_collection = request.list_options.is_some() && !is_namespace && !request.verb_from_path;
    for part in [name, &request.subresource] {
        if !part.is_empty() && !is_collection {
            path.push_str(&format!("/{part}"));
        }
    }
    path
}

static PODS: LazyLock<FieldSchema> =
    LazyLock::new(|| field_schema_for(&GroupVersionResource::new("", "v1", "pods")));

/// A query. What is accepted has selectors that mean the same when written down, and a list that is
/// accepted is no watch's mistake: neither panics, whatever the combination.
pub fn options(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(query) = Query::parse(Some(text)) else { return };
    let _ = (GetRequest::parse(&query), GetRequest::timeout(&query));
    let Ok(options) = ListOptions::decode(&query) else { return };
    assert_eq!(ListOptions::decode(&query).as_ref(), Ok(&options));
    let schema = &*PODS;
    let selections = [
        ListRequest::resolve(&options, schema).map(|request| request.selection),
        WatchRequest::resolve(&options, schema).map(|request| request.selection),
    ];
    for selection in selections.into_iter().flatten() {
        let label = LabelSelector::parse(&selection.label.to_string());
        assert_eq!(label, Ok(selection.label));
        let field = FieldSelector::parse(&selection.field.to_string(), schema);
        assert_eq!(field, Ok(selection.field));
    }
}

/// A label selector, evaluated requirement by requirement over a few objects.
pub fn label_selector(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(selector) = LabelSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = LabelSelector::parse(&written).expect("its own text");
    assert_eq!((&again, again.to_string()), (&selector, written));
    for labels in objects(&selector) {
        let holds = selector.requirements().iter().all(|requirement| {
            let value = labels.iter().find(|(key, _)| key == requirement.key());
            let value = value.map(|(_, value)| value.as_str());
            let number = value.and_then(|value| value.parse::<i64>().ok());
            match requirement.condition() {
                Condition::Exists => value.is_some(),
                Condition::Absent => value.is_none(),
                Condition::In(values) => values.iter().any(|one| Some(one.as_str()) == value),
                Condition::NotIn(values) => values.iter().all(|one| Some(one.as_str()) != value),
                Condition::GreaterThan(bound) => number.is_some_and(|number| number > *bound),
                Condition::LessThan(bound) => number.is_some_and(|number| number < *bound),
            }
        });
        assert_eq!(selector.matches(&labels), holds, "{selector} of {labels:?}");
        for (key, value) in selector.equality_terms() {
            let has = labels.iter().any(|label| *label == (key.into(), value.into()));
            assert!(!holds || has, "{selector} selects {labels:?} without {key}={value}");
        }
    }
}

type Labels = Vec<(CompactString, CompactString)>;

/// Objects whose labels come near what the selector asks for; sorted by key.
fn objects(selector: &LabelSelector) -> Vec<Labels> {
    let value = |condition: &Condition, turn: usize| -> Option<CompactString> {
        let number = |bound: i64| Some(bound.saturating_add(turn as i64 - 1).to_string().into());
        match condition {
            Condition::In(values) | Condition::NotIn(values) => values.get(turn).cloned(),
            Condition::GreaterThan(bound) | Condition::LessThan(bound) => number(*bound),
            Condition::Exists | Condition::Absent => (turn == 0).then(CompactString::default),
        }
    };
    (0..3)
        .map(|turn| {
            let mut labels: Labels = vec![("zz".into(), "".into())];
            for requirement in selector.requirements() {
                if let Some(value) = value(requirement.condition(), turn) {
                    labels.push((requirement.key().into(), value));
                }
            }
            labels.sort();
            labels.dedup_by(|one, other| one.0 == other.0);
            labels
        })
        .collect()
}

/// A field selector: its canonical text means the same, and what every selected object has, it has.
pub fn field_selector(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(terms) = FieldTerms::parse(text) else { return };
    let schema = &*PODS;
    let Ok(selector) = FieldSelector::resolve(&terms, schema) else { return };
    let written = selector.to_string();
    let again = FieldSelector::parse(&written, schema).expect("its own text");
    assert_eq!((&again, again.to_string()), (&selector, written));
    let values: Vec<CompactString> = schema.fields.iter().map(|_| "x".into()).collect();
    for name in [terms.required_name().unwrap_or_default(), "x"] {
        let key = ObjectKey::new("x", name);
        if selector.matches(&key, &values) {
            assert!(selector.required_name().is_none_or(|required| required == key.name()));
            assert!(selector.required_namespace().is_none_or(|required| required == "x"));
        }
    }
}

/// A continue token: what is understood is understood alike when it is written down again.
pub fn continue_token(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(token) = ContinueToken::decode(text) else { return };
    assert_eq!(ContinueToken::decode(&token.encode()), Ok(token.clone()));
    // It never leads out of the namespace that it is used in.
    assert!(token.start_key("ns").starts_with("ns/"));
}

/// An `Accept` header. Spaces around clauses mean nothing; a metadata answer is never made of a kind
/// that was not asked for.
pub fn accept(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let spaced = text.split(',').map(|clause| format!(" {clause} ")).collect::<Vec<_>>().join(",");
    for origin in [Origin::BuiltIn, Origin::Custom] {
        for kind in [AnswerKind::Object, AnswerKind::List, AnswerKind::Watch] {
            let found = negotiate(Some(text), kind, origin);
            if !text.is_empty() {
                assert_eq!(negotiate(Some(&spaced), kind, origin), found, "{text:?}");
            }
            if found
                .is_ok_and(|found| found.transform != watchgate::api::negotiate::Transform::None)
            {
                assert!(text.contains("PartialObjectMetadata"), "{text:?}");
            }
        }
    }
    for pretty in [false, true] {
        let _ = (negotiate_status(Some(text), pretty), wants_gzip(Some(text)));
    }
}
