use proptest::prelude::*;

use super::*;
use crate::api::{resource::GroupVersionResource, selector::built_in::field_schema_for};

fn pods() -> FieldSchema {
    field_schema_for(&GroupVersionResource::new("", "v1", "pods"))
}

fn selector(text: &str) -> FieldSelector {
    FieldSelector::parse(text, &pods()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// The values of a pod, in the order of the schema.
fn values(pairs: &[(&str, &str)]) -> Vec<CompactString> {
    let value = |label: &CompactString| {
        pairs.iter().find(|(name, _)| name == label).map_or("", |(_, value)| value).into()
    };
    pods().fields.iter().map(|field| value(&field.label)).collect()
}

#[test]
fn has_one_canonical_text_per_selection() {
    for (text, canonical) in [
        ("", ""),
        (",", ""),
        ("=", ""),
        ("!=,==", ""),
        ("metadata.name==x", "metadata.name=x"),
        ("metadata.name=", "metadata.name="),
        ("spec.host=n", "spec.nodeName=n"),
        ("spec.nodeName=n,spec.host=n", "spec.nodeName=n"),
        ("spec.nodeName=n,,metadata.name!=x", "metadata.name!=x,spec.nodeName=n"),
        ("metadata.namespace=b,metadata.name=a", "metadata.name=a,metadata.namespace=b"),
        ("status.phase=", "status.phase="),
        (r"status.phase=a\,b\=c\\", r"status.phase=a\,b\=c\\"),
        ("metadata.name= x", "metadata.name= x"),
        ("status.podIPs=", "status.podIPs="),
        ("status.phase=!x", "status.phase=!x"),
        ("status.phase=!", "status.phase=!"),
    ] {
        assert_eq!(selector(text).to_string(), canonical, "{text:?}");
        assert_eq!(selector(canonical), selector(text), "{text:?}");
    }
}

#[test]
fn refuses_what_the_api_server_refuses() {
    use FieldSelectorError::{NoOperator, UnknownLabel, Value};
    for (text, expected) in [
        (" ", NoOperator(" ".into())),
        ("metadata.name", NoOperator("metadata.name".into())),
        ("a!b", NoOperator("a!b".into())),
        (r"metadata.name\=x", UnknownLabel(r"metadata.name\".into())),
        ("metadata.name=a=b", Value("a=b".into())),
        ("metadata.name=!=", Value("!=".into())),
        ("metadata.name===a", Value("=a".into())),
        (r"metadata.name=\x", Value(r"\x".into())),
        (r"metadata.name=\", Value(r"\".into())),
        ("=x", UnknownLabel("".into())),
        (" metadata.name=x", UnknownLabel(" metadata.name".into())),
        ("metadata.name =x", UnknownLabel("metadata.name ".into())),
        ("metadata.name in (x)", NoOperator("metadata.name in (x)".into())),
        ("spec.foo=x", UnknownLabel("spec.foo".into())),
        ("spec.z!=x,spec.a=x", UnknownLabel("spec.a".into())),
    ] {
        assert_eq!(FieldSelector::parse(text, &pods()), Err(expected), "{text:?}");
    }
    let nodes = field_schema_for(&GroupVersionResource::new("", "v1", "nodes"));
    for text in ["metadata.namespace=", "spec.host=x", "status.podIPs="] {
        assert!(FieldSelector::parse(text, &nodes).is_err(), "{text:?}");
    }
}

#[test]
fn matches_as_the_api_server_does() {
    let key = ObjectKey::new("ns", "web-1");
    let fields = values(&[("spec.nodeName", "n1"), ("status.phase", "Running")]);
    for (text, expected) in [
        ("", true),
        ("metadata.name=web-1", true),
        ("metadata.name=web-2", false),
        ("metadata.name!=web-1", false),
        ("metadata.name=web-1,metadata.name=web-2", false),
        ("metadata.namespace=ns,status.phase=Running", true),
        ("metadata.namespace!=ns", false),
        ("spec.nodeName=n1", true),
        ("spec.host=n1", true),
        ("spec.nodeName=", false),
        ("spec.nodeName!=", true),
        ("status.podIP=", true),
        ("status.podIPs=", true),
        ("status.podIPs=10.0.0.1", false),
        ("status.podIPs!=10.0.0.1", true),
        ("status.podIPs!=", false),
        ("metadata.name= web-1", false),
    ] {
        assert_eq!(selector(text).matches(&key, &fields), expected, "{text:?}");
    }
}

#[test]
fn a_cluster_scoped_object_has_the_empty_namespace() {
    let schema = FieldSchema::metadata_only(true);
    let key = ObjectKey::new("", "admin");
    for (text, expected) in [("metadata.namespace=", true), ("metadata.namespace=x", false)] {
        assert_eq!(FieldSelector::parse(text, &schema).unwrap().matches(&key, &[]), expected);
    }
}

#[test]
fn names_what_every_selected_object_has() {
    let all =
        selector("spec.host=n,metadata.name=x,status.phase!=y,status.podIPs=,metadata.namespace=b");
    assert_eq!(all.required_name(), Some("x"));
    assert_eq!(all.required_namespace(), Some("b"));
    let node = FieldTarget::Field(pods().position("spec.nodeName").unwrap());
    assert_eq!(
        all.equality_terms().collect::<Vec<_>>(),
        [(FieldTarget::Name, "x"), (FieldTarget::Namespace, "b"), (node, "n")]
    );
    assert_eq!(selector("metadata.name!=x").required_name(), None);
    // An accepted term without effect is still a selector: no remainingItemCount.
    assert!(!selector("status.podIPs=").is_everything());
    assert!(selector("=").is_everything());
}

#[test]
fn the_first_sorted_text_gives_the_request_its_name() {
    for (text, expected) in [
        ("metadata.name=y,metadata.name=x", Some("x")),
        ("metadata.name=a,metadata.name==b", Some("b")),
        ("spec.nodeName=n", None),
        ("metadata.name!=x", None),
        ("metadata.name=", Some("")),
    ] {
        assert_eq!(FieldTerms::parse(text).unwrap().required_name(), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn the_canonical_text_means_the_same(
        terms in prop::collection::vec(
            ("metadata[.]name|spec[.]nodeName|spec[.]host|status[.]phase|status[.]podIPs", "==?|!=", r"([a,=\\é]{0,2})"),
            0..5,
        ),
        name in "[a,=]{1,2}",
        node in "[a,=]{0,2}",
    ) {
        let escaped = |value: &str| value.chars().fold(String::new(), |mut text, character| {
            if matches!(character, '\\' | ',' | '=') {
                text.push('\\');
            }
            text.push(character);
            text
        });
        let texts: Vec<String> =
            terms.iter().map(|(label, op, value)| format!("{label}{op}{}", escaped(value))).collect();
        let parsed = selector(&texts.join(","));
        prop_assert_eq!(&selector(&parsed.to_string()), &parsed);

        let key = ObjectKey::new("ns", &name);
        let fields = values(&[("spec.nodeName", &node)]);
        let naive = terms.iter().all(|(label, op, value)| {
            let actual = match label.as_str() {
                "metadata.name" => name.as_str(),
                "spec.nodeName" | "spec.host" => node.as_str(),
                _ => "",
            };
            (actual == value) == (op != "!=")
        });
        prop_assert_eq!(parsed.matches(&key, &fields), naive);
    }

    #[test]
    fn never_panics(text in ".*", near in r"(metadata.name|[=!\\,é ])*") {
        let _ = FieldTerms::parse(&text);
        let _ = FieldTerms::parse(&near);
    }
}
