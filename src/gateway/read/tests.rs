//! Serve or forward, row by row (semantics §16), from the request's bytes to the decision.

use http::Request;

use super::*;
use crate::{
    api::{
        continue_token::ContinueToken,
        options::{EventsAfter, ListConsistency, WatchStart},
        release::{Release, WatchListGate},
        resource::{GroupVersionResource, Origin},
        selector::built_in::field_schema_for,
        version::ResourceVersion,
    },
    codec::object::Representation,
    upstream::discovery::TypeTable,
};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const PROTOBUF_METADATA_LIST: &str =
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

fn types() -> Types {
    types_under(ReadRules::default())
}

fn types_under(rules: ReadRules) -> Types {
    let served = |group, version, resource, kind: &str, scope, origin| {
        let gvr = GroupVersionResource::new(group, version, resource);
        let resource = ResourceType {
            fields: field_schema_for(&gvr),
            gvr,
            kind: kind.into(),
            list_kind: format!("{kind}List").into(),
            scope,
            origin,
        };
        ServedType { resource: Arc::new(resource), warning: None, fingerprint: 1 }
    };
    let types = Types::default();
    let table = TypeTable::new([
        served("", "v1", "pods", "Pod", Scope::Namespaced, Origin::BuiltIn),
        served("", "v1", "secrets", "Secret", Scope::Namespaced, Origin::BuiltIn),
        served("", "v1", "nodes", "Node", Scope::Cluster, Origin::BuiltIn),
        served("", "v1", "namespaces", "Namespace", Scope::Cluster, Origin::BuiltIn),
        served("example.com", "v1", "widgets", "Widget", Scope::Namespaced, Origin::Custom),
    ]);
    types.replace(table.under(rules));
    types
}

fn parse(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Read, ForwardReason> {
    parse_of(&types(), method, target, headers)
}

fn parse_of(
    types: &Types,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> Result<Read, ForwardReason> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Read::parse(&parts, types, &ResourcePolicies::default())
}

fn get(target: &str) -> Result<Read, ForwardReason> {
    parse("GET", target, &[("accept", JSON)])
}

fn accepting(target: &str, accept: &str) -> Result<Read, ForwardReason> {
    parse("GET", target, &[("accept", accept)])
}

fn at_least(number: u64) -> Requirement {
    Requirement::AtLeast(ResourceVersion::new(number).unwrap())
}

fn exactly(number: u64) -> Requirement {
    Requirement::Exact(ResourceVersion::new(number).unwrap())
}

fn token(version: Option<u64>) -> String {
    ContinueToken {
        resource_version: version.and_then(ResourceVersion::new),
        start: "ns/a\0".into(),
    }
    .encode()
}

#[test]
fn lists_are_served_from_states_that_memory_can_prove() {
    for (query, expected) in [
        ("?resourceVersion=0", Ok(Requirement::Any)),
        ("?resourceVersion=0&limit=5", Ok(Requirement::Any)),
        ("?resourceVersion=0&resourceVersionMatch=NotOlderThan", Ok(Requirement::Any)),
        ("?resourceVersion=7", Ok(at_least(7))),
        ("?resourceVersion=7&resourceVersionMatch=NotOlderThan", Ok(at_least(7))),
        ("?resourceVersion=7&resourceVersionMatch=NotOlderThan&limit=5", Ok(at_least(7))),
        ("", Ok(Requirement::Latest)),
        ("?limit=5", Ok(Requirement::Latest)),
        ("?resourceVersion=7&limit=5", Ok(exactly(7))),
        ("?resourceVersion=7&resourceVersionMatch=Exact", Ok(exactly(7))),
        ("?resourceVersion=7&resourceVersionMatch=Exact&labelSelector=a", Ok(exactly(7))),
        ("?resourceVersion=7&limit=5&fieldSelector=spec.nodeName%3Dn", Ok(exactly(7))),
        (
            "?resourceVersion=7&limit=5&fieldSelector=metadata.name%3Da",
            Err(ForwardReason::ExactName),
        ),
        ("?limit=5&fieldSelector=spec.nodeName%3Dn", Err(ForwardReason::Options)),
        ("?fieldSelector=spec.nodeName%3Dn", Ok(Requirement::Latest)),
        ("?resourceVersion=x", Err(ForwardReason::Options)),
        ("?resourceVersion=00", Err(ForwardReason::Options)),
        ("?resourceVersionMatch=Exact", Err(ForwardReason::Options)),
        ("?resourceVersion=0&resourceVersionMatch=Exact", Err(ForwardReason::Options)),
        ("?resourceVersion=7&resourceVersionMatch=Newest", Err(ForwardReason::Options)),
        ("?labelSelector=a%20b", Err(ForwardReason::Options)),
        ("?fieldSelector=spec.unknown%3Dx", Err(ForwardReason::Options)),
        ("?shardSelector=x", Err(ForwardReason::Options)),
        ("?sendInitialEvents=true", Err(ForwardReason::Options)),
        ("?continue=nonsense", Err(ForwardReason::Options)),
        ("?includeObject=nonsense", Ok(Requirement::Latest)),
        ("?timeout=nonsense", Err(ForwardReason::Options)),
        ("?timeout=-1s", Err(ForwardReason::Options)),
    ] {
        let found = get(&format!("/api/v1/pods{query}")).map(|read| read.requirement);
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn lists_that_go_on_are_served_at_their_tokens_version() {
    for (version, requirement) in [(Some(7), exactly(7)), (None, Requirement::Latest)] {
        let token = token(version);
        // None of these is read from an index or as one key when it goes on.
        for more in [
            "",
            "&limit=5",
            "&limit=5&resourceVersion=0",
            "&limit=5&fieldSelector=spec.nodeName%3Dn",
            "&limit=5&fieldSelector=metadata.name%3Da",
            "&labelSelector=a",
        ] {
            let found = get(&format!("/api/v1/namespaces/ns/pods?continue={token}{more}"));
            let found = found.map(|read| read.requirement);
            assert_eq!(found, Ok(requirement), "{version:?}{more}");
        }
        for more in ["&resourceVersion=7", "&resourceVersionMatch=Exact", "&resourceVersion=00"] {
            let found = get(&format!("/api/v1/pods?continue={token}{more}")).map(|_| ());
            assert_eq!(found, Err(ForwardReason::Options), "{version:?}{more}");
        }
    }
}

#[test]
fn gets_are_served_unless_they_are_quorum_reads() {
    for (target, expected) in [
        ("/api/v1/namespaces/ns/pods/a?resourceVersion=0", Ok((Requirement::Any, "ns/a"))),
        ("/api/v1/namespaces/ns/pods/a?resourceVersion=7", Ok((at_least(7), "ns/a"))),
        ("/api/v1/nodes/n?resourceVersion=0", Ok((Requirement::Any, "n"))),
        ("/api/v1/namespaces/ns?resourceVersion=0", Ok((Requirement::Any, "ns"))),
        ("/api/v1/namespaces/ns/pods/a", Err(ForwardReason::Quorum)),
        ("/api/v1/namespaces/ns", Err(ForwardReason::Quorum)),
        ("/api/v1/namespaces/ns/pods/a?resourceVersion=x", Err(ForwardReason::Options)),
        ("/api/v1/nodes/n?resourceVersion=0&timeout=30s", Ok((Requirement::Any, "n"))),
        ("/api/v1/nodes/n?resourceVersion=0&timeout=30", Err(ForwardReason::Options)),
        // Not where such objects are.
        ("/api/v1/pods/a?resourceVersion=0", Err(ForwardReason::Resource)),
        ("/api/v1/namespaces/ns/nodes/n?resourceVersion=0", Err(ForwardReason::Resource)),
    ] {
        let found = get(target).map(|read| match read.what {
            What::Get(key) => (read.requirement, key.as_str().to_owned()),
            what => panic!("{what:?}"),
        });
        assert_eq!(found, expected.map(|(how, key)| (how, key.to_owned())), "{target}");
    }
}

#[test]
fn watches_are_served_by_their_beginning() {
    let version = |number| ResourceVersion::new(number).unwrap();
    let state = |consistency| WatchStart::State { consistency, marks_end: true };
    let latest = state(ListConsistency::Latest);
    let any = state(ListConsistency::Any);
    let from = |number| state(ListConsistency::NotOlderThan(version(number)));
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let events_only = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    for (query, expected) in [
        (String::new(), Ok((Requirement::Latest, latest))),
        ("resourceVersion=0".into(), Ok((Requirement::Any, any))),
        (
            "resourceVersion=7".into(),
            Ok((Requirement::Any, WatchStart::Events(EventsAfter::Version(version(7))))),
        ),
        (initial.into(), Ok((Requirement::Latest, latest))),
        (format!("{initial}&resourceVersion=0"), Ok((Requirement::Any, any))),
        (format!("{initial}&resourceVersion=7"), Ok((at_least(7), from(7)))),
        (events_only.into(), Ok((Requirement::Latest, WatchStart::Events(EventsAfter::Latest)))),
        (
            format!("{events_only}&resourceVersion=0"),
            Ok((Requirement::Any, WatchStart::Events(EventsAfter::Any))),
        ),
        (
            format!("{events_only}&resourceVersion=7"),
            Ok((Requirement::Any, WatchStart::Events(EventsAfter::Version(version(7))))),
        ),
        ("sendInitialEvents=true".into(), Err(ForwardReason::Options)),
        ("resourceVersion=7&resourceVersionMatch=Exact".into(), Err(ForwardReason::Options)),
        ("resourceVersion=x".into(), Err(ForwardReason::Options)),
        ("timeoutSeconds=-1".into(), Err(ForwardReason::Options)),
        ("shardSelector=x".into(), Err(ForwardReason::Options)),
    ] {
        let found = get(&format!("/api/v1/pods?watch=1&{query}")).map(|read| match read.what {
            What::Watch(request, _) => (read.requirement, request.start),
            what => panic!("{what:?}"),
        });
        assert_eq!(found, expected, "{query}");
    }
}

#[test]
fn what_is_not_a_plain_read_of_a_cached_type_is_forwarded() {
    let pods = "/api/v1/pods?resourceVersion=0";
    for (method, target, expected) in [
        ("HEAD", pods, ForwardReason::Method),
        ("POST", pods, ForwardReason::Method),
        ("PUT", pods, ForwardReason::Method),
        ("PATCH", pods, ForwardReason::Method),
        ("DELETE", pods, ForwardReason::Method),
        ("OPTIONS", pods, ForwardReason::Method),
        ("GET", "/healthz", ForwardReason::Path),
        ("GET", "/api/v1", ForwardReason::Path),
        ("GET", "/", ForwardReason::Path),
        ("GET", "//api/v1/pods?resourceVersion=0", ForwardReason::Path),
        ("GET", "/api/v1/pods/?resourceVersion=0", ForwardReason::Path),
        ("GET", "/api/v1/../v1/pods", ForwardReason::Path),
        ("GET", "/api/v1/p%6Fds", ForwardReason::Path),
        ("GET", "/api/v1/watch", ForwardReason::Path),
        ("GET", "/api/v1/watch/pods/a", ForwardReason::Resource),
        ("GET", "/api/v1/watch/namespaces/ns/nodes/a", ForwardReason::Resource),
        ("GET", "/api/v1/watch/namespaces/ns/pods/a/status", ForwardReason::Resource),
        ("GET", "/apis/example.com/v1/watch/widgets/a", ForwardReason::Resource),
        ("HEAD", "/api/v1/watch/pods", ForwardReason::Method),
        ("GET", "/api/v1/proxy/pods", ForwardReason::Resource),
        ("GET", "/api/v1/namespaces/ns/pods/a/status?resourceVersion=0", ForwardReason::Resource),
        ("GET", "/api/v1/namespaces/ns/pods/a/log", ForwardReason::Resource),
        ("GET", "/api/v1/namespaces/ns/pods/a/exec?watch=1", ForwardReason::Resource),
        ("GET", "/api/v1/namespaces/ns/finalize?resourceVersion=0", ForwardReason::Resource),
        ("GET", "/api/v1/namespaces/ns/nodes?resourceVersion=0", ForwardReason::Resource),
        ("GET", "/api/v1/events?resourceVersion=0", ForwardReason::Resource),
        ("GET", "/api/v1/componentstatuses", ForwardReason::Resource),
        ("GET", "/api/v2/pods?resourceVersion=0", ForwardReason::Resource),
        ("GET", "/apis/metrics.k8s.io/v1beta1/nodes", ForwardReason::Resource),
        ("GET", "/api/v1/secrets?resourceVersion=0", ForwardReason::Policy),
    ] {
        let found = parse(method, target, &[("accept", JSON)]).map(|read| read.requirement);
        assert_eq!(found, Err(expected), "{method} {target}");
    }
    let upgraded = [("accept", JSON), ("connection", "Upgrade"), ("upgrade", "websocket")];
    let found = parse("GET", "/api/v1/pods?watch=1", &upgraded).map(|read| read.requirement);
    assert_eq!(found, Err(ForwardReason::Upgrade));
}

#[test]
fn the_form_decides_which_shard_answers() {
    let one = |representation, form| Ok(Source { representation, fuller: None, form });
    let metadata_or_fuller = Ok(Source {
        representation: Representation::ProtobufMetadata,
        fuller: Some(Representation::Protobuf),
        form: Form::Metadata,
    });
    let pods = "/api/v1/pods?resourceVersion=0";
    let by_node = "/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3Dn";
    let by_name = "/api/v1/pods?resourceVersion=0&fieldSelector=metadata.name%3Da";
    let widgets = "/apis/example.com/v1/widgets?resourceVersion=0";
    for (target, accept, expected) in [
        (pods, JSON, one(Representation::Json, Form::Full)),
        (pods, "*/*", one(Representation::Json, Form::Full)),
        (pods, PROTOBUF, one(Representation::Protobuf, Form::Full)),
        (pods, METADATA_LIST, one(Representation::Json, Form::Metadata)),
        (pods, PROTOBUF_METADATA_LIST, metadata_or_fuller),
        (by_name, PROTOBUF_METADATA_LIST, metadata_or_fuller),
        (by_node, PROTOBUF_METADATA_LIST, one(Representation::Protobuf, Form::Metadata)),
        (pods, TABLE, Err(ForwardReason::Accept)),
        (pods, "application/yaml", Err(ForwardReason::Accept)),
        (pods, "text/html", Err(ForwardReason::Accept)),
        (widgets, JSON, one(Representation::Json, Form::Full)),
        (widgets, METADATA_LIST, one(Representation::JsonMetadata, Form::Metadata)),
        (widgets, PROTOBUF_METADATA_LIST, one(Representation::ProtobufMetadata, Form::Metadata)),
    ] {
        let found = accepting(target, accept).map(|read| read.source);
        assert_eq!(found, expected, "{target} as {accept}");
    }
    let pod = "/api/v1/namespaces/ns/pods/a?resourceVersion=0";
    let found = accepting(pod, METADATA).map(|read| read.source);
    assert_eq!(found, one(Representation::Json, Form::Metadata));
    let bytes = Request::get(pods).header("accept", &b"\xff"[..]).body(()).unwrap();
    let found = Read::parse(&bytes.into_parts().0, &types(), &ResourcePolicies::default());
    assert!(matches!(found, Err(ForwardReason::Accept)), "no text");
}

#[test]
fn json_is_indented_for_people() {
    const CURL: &str = "curl/8.5.0";
    let pod = "/api/v1/namespaces/ns/pods/a?resourceVersion=0";
    let pods = "/api/v1/pods?resourceVersion=0";
    let parsed = |target: &str, accept: &str, agent: &str| {
        parse("GET", target, &[("accept", accept), ("user-agent", agent)]).unwrap()
    };
    for (accept, agent, rest, expected) in [
        (JSON, "kubectl", "", false),
        ("*/*", CURL, "", true),
        (JSON, CURL, "&pretty=false", false),
        (JSON, "", "&pretty=1", true),
        ("application/json;pretty=1", "", "&pretty=0", true),
        (PROTOBUF, CURL, "&pretty=1", false),
    ] {
        for target in [pod, pods] {
            let read = parsed(&format!("{target}{rest}"), accept, agent);
            assert_eq!(read.encoding.indented, expected, "{target}{rest} as {accept} for {agent}");
        }
        let watch = parsed(&format!("{pods}&watch=1{rest}"), accept, agent);
        assert!(!watch.encoding.indented, "watches never are");
    }
}

#[test]
fn watch_paths_follow_the_rules_of_lists() {
    let marked = |consistency| WatchStart::State { consistency, marks_end: true };
    let unmarked = WatchStart::State { consistency: ListConsistency::Any, marks_end: false };
    let seven = WatchStart::Events(EventsAfter::Version(ResourceVersion::new(7).unwrap()));
    let initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    for (query, expected) in [
        ("", Ok((Requirement::Any, unmarked))),
        ("resourceVersion=0", Ok((Requirement::Any, unmarked))),
        ("watch=0&allowWatchBookmarks=1", Ok((Requirement::Any, unmarked))),
        ("resourceVersion=7", Ok((Requirement::Any, seven))),
        ("resourceVersion=7&resourceVersionMatch=Exact", Ok((Requirement::Any, seven))),
        ("watch=1", Ok((Requirement::Latest, marked(ListConsistency::Latest)))),
        ("watch=1&resourceVersion=0", Ok((Requirement::Any, marked(ListConsistency::Any)))),
        ("watch=1&resourceVersion=7", Ok((Requirement::Any, seven))),
        ("watch=1&continue=x", Err(ForwardReason::Options)),
        ("continue=x", Ok((Requirement::Any, unmarked))),
        (initial, Err(ForwardReason::Options)),
        ("sendInitialEvents=false", Err(ForwardReason::Options)),
        ("resourceVersionMatch=Exact", Err(ForwardReason::Options)),
        ("resourceVersion=x", Err(ForwardReason::Options)),
        ("limit=x", Err(ForwardReason::Options)),
        ("timeout=nonsense", Ok((Requirement::Any, unmarked))),
    ] {
        for path in [
            "/api/v1/watch/pods",
            "/api/v1/watch/namespaces/ns/pods",
            "/api/v1/watch/namespaces/ns/pods/a",
            "/api/v1/watch/namespaces/ns",
            "/api/v1/watch/namespaces",
            "/apis/example.com/v1/watch/widgets",
            "/apis/example.com/v1/watch/namespaces/ns/widgets/a",
        ] {
            let found = get(&format!("{path}?{query}")).map(|read| match read.what {
                What::Watch(request, _) => (read.requirement, request.start),
                what => panic!("{what:?}"),
            });
            assert_eq!(found, expected, "{path}?{query}");
        }
    }
    let other = "/api/v1/watch/namespaces/ns/pods/a?fieldSelector=metadata.name%3Db";
    assert!(matches!(get(other), Err(ForwardReason::Options)));
}

#[test]
fn a_clients_patience_is_known() {
    let pod = "/api/v1/namespaces/ns/pods/a?resourceVersion=0";
    let pods = "/api/v1/pods?resourceVersion=0";
    for target in [pod, pods] {
        for (text, expected) in [
            ("", Ok(None)),
            ("0", Ok(None)),
            ("1500ms", Ok(Some(Duration::from_millis(1500)))),
            ("nonsense", Err(ForwardReason::Options)),
            ("-1s", Err(ForwardReason::Options)),
        ] {
            let found = get(&format!("{target}&timeout={text}")).map(|read| read.timeout);
            assert_eq!(found, expected, "{target} {text}");
        }
    }
    let watch = get(&format!("{pods}&watch=1&timeout=nonsense")).unwrap();
    assert_eq!(watch.timeout, None, "watches are long");
}

#[test]
fn an_audience_is_narrowed_to_the_namespace_that_is_meant() {
    let namespaced = "/api/v1/namespaces/ns/pods?resourceVersion=0";
    for (target, expected) in [
        ("/api/v1/pods?resourceVersion=0", None),
        (namespaced, Some("ns")),
        ("/api/v1/pods?resourceVersion=0&fieldSelector=metadata.namespace%3Dx", Some("x")),
        ("/api/v1/pods?resourceVersion=0&fieldSelector=metadata.namespace!%3Dx", None),
        ("/api/v1/pods?resourceVersion=0&fieldSelector=metadata.namespace%3D", None),
        (&format!("{namespaced}&fieldSelector=metadata.namespace%3Dother"), Some("ns")),
        ("/api/v1/nodes?resourceVersion=0", None),
        ("/api/v1/namespaces?resourceVersion=0", None),
        ("/api/v1/namespaces?resourceVersion=0&fieldSelector=metadata.name%3Dns", None),
    ] {
        for suffix in ["", "&watch=1"] {
            let read = get(&format!("{target}{suffix}")).unwrap();
            let (What::List(_, audience) | What::Watch(_, audience)) = read.what else {
                panic!("{target} reads one object")
            };
            assert_eq!(audience.namespace.as_deref(), expected, "{target}{suffix}");
        }
    }
    // A list that continues is about what its path says, whatever is selected.
    let next = format!("continue={}&fieldSelector=metadata.namespace%3Dx", token(Some(7)));
    for (target, expected) in [("/api/v1/pods", None), ("/api/v1/namespaces/ns/pods", Some("ns"))] {
        let What::List(_, audience) = get(&format!("{target}?{next}")).unwrap().what else {
            panic!("{target} is a list")
        };
        assert_eq!(audience.namespace.as_deref(), expected, "{target}");
    }
}

#[test]
fn a_selectors_namespace_does_not_narrow_a_list_that_goes_on() {
    for (path, expected) in [("/api/v1/pods", None), ("/api/v1/namespaces/ns/pods", Some("ns"))] {
        let selector = "fieldSelector=metadata.namespace%3Dx";
        let read = get(&format!("{path}?continue={}&{selector}", token(Some(7)))).unwrap();
        let What::List(_, audience) = read.what else { panic!("{path} is a list") };
        assert_eq!(audience.namespace.as_deref(), expected, "{path}");
        assert_eq!(audience.selection.field.required_namespace(), Some("x"));
    }
}

#[test]
fn authorization_is_asked_what_upstream_would_ask() {
    for (target, verb, namespace, name) in [
        ("/api/v1/namespaces/ns/pods?resourceVersion=0", "list", "ns", ""),
        ("/api/v1/pods?watch=1", "watch", "", ""),
        ("/api/v1/pods?watch=true&fieldSelector=metadata.name%3Da", "watch", "", "a"),
        ("/api/v1/pods?resourceVersion=0&fieldSelector=metadata.namespace%3Dx", "list", "", ""),
        ("/api/v1/namespaces/ns/pods/a?resourceVersion=0", "get", "ns", "a"),
        ("/api/v1/namespaces/ns?resourceVersion=0", "get", "ns", "ns"),
        ("/api/v1/watch/pods?fieldSelector=metadata.name%3Da", "watch", "", ""),
        ("/api/v1/watch/namespaces/ns/pods?watch=1", "watch", "ns", ""),
        ("/api/v1/watch/namespaces/ns/pods/a", "watch", "ns", "a"),
        ("/api/v1/watch/nodes/n", "watch", "", "n"),
        ("/api/v1/watch/namespaces/ns", "watch", "ns", "ns"),
        // A name in the path is no watch, whatever the query says.
        ("/api/v1/namespaces/ns/pods/a?resourceVersion=0&watch=1", "get", "ns", "a"),
    ] {
        let attributes = get(target).unwrap().attributes;
        assert_eq!(attributes.verb, verb, "{target}");
        assert_eq!((&*attributes.namespace, &*attributes.name), (namespace, name), "{target}");
    }
    let selected = get("/api/v1/pods?resourceVersion=0&labelSelector=a%3Db").unwrap().attributes;
    assert_eq!(&*selected.label_selector, "a=b");
    let deprecated = "/api/v1/watch/pods?labelSelector=a%3Db&fieldSelector=metadata.name%3Da";
    let deprecated = get(deprecated).unwrap().attributes;
    assert_eq!((&*deprecated.label_selector, &*deprecated.field_selector), ("", ""));
}

#[test]
fn compression_is_for_those_who_name_it() {
    for (encoding, expected) in
        [("gzip", true), ("br, gzip", true), ("gzip;q=1", false), ("*", false)]
    {
        let headers = [("accept", JSON), ("accept-encoding", encoding)];
        let read = parse("GET", "/api/v1/pods?resourceVersion=0", &headers).unwrap();
        assert_eq!(read.encoding.gzip, expected, "{encoding}");
    }
}

#[test]
fn the_release_and_its_gate_decide_what_is_served() {
    let newest = ReadRules::default();
    let older = ReadRules::new(Release::V1_34, WatchListGate::On);
    let off = ReadRules::new(Release::V1_34, WatchListGate::Off);
    let unknown = ReadRules::new(Release::V1_36, WatchListGate::Unknown);
    let disputed = "/api/v1/pods?resourceVersion=0&labelSelector=a+in+(x,,)";
    let bare = "/api/v1/pods?watch=1";
    let after = "/api/v1/pods?watch=1&resourceVersion=7";
    let streaming = "/api/v1/pods?watch=1&sendInitialEvents=1&resourceVersionMatch=NotOlderThan";
    for (rules, target, expected) in [
        (newest, disputed, Ok(Requirement::Any)),
        (older, disputed, Err(ForwardReason::Options)),
        (older, "/api/v1/pods?resourceVersion=0&labelSelector=a+in+(x,)", Ok(Requirement::Any)),
        (newest, bare, Ok(Requirement::Latest)),
        (off, bare, Ok(Requirement::Any)),
        (unknown, bare, Err(ForwardReason::Options)),
        (newest, streaming, Ok(Requirement::Latest)),
        (off, streaming, Err(ForwardReason::Options)),
        (unknown, streaming, Err(ForwardReason::Options)),
        (off, after, Ok(Requirement::Any)),
        (unknown, after, Ok(Requirement::Any)),
    ] {
        let found = parse_of(&types_under(rules), "GET", target, &[("accept", JSON)]);
        assert_eq!(found.map(|read| read.requirement), expected, "{target} under {rules:?}");
    }
}

#[test]
fn nothing_is_served_of_a_release_that_is_not_known() {
    let types = Types::default();
    types.replace(TypeTable::of_unknown_release());
    let parse = |target: &str| parse_of(&types, "GET", target, &[("accept", JSON)]).unwrap_err();
    assert_eq!(parse("/api/v1/pods?resourceVersion=0"), ForwardReason::Release);
    assert_eq!(parse("/api/v1/nodes/n?resourceVersion=0"), ForwardReason::Release);
    assert_eq!(parse("/version"), ForwardReason::Path);
}
