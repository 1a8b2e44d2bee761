use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    api::selector::field_schema::{FieldSchema, FieldSource, Scalar, SelectableField},
    codec::json::scanner::tests::values,
};

/// A custom type with two selectable fields, the second with a fallback and a default.
fn shape() -> ObjectShape {
    let source = |path: &str| FieldSource {
        json: path.split('.').map(CompactString::from).collect(),
        protobuf: Vec::new(),
        scalar: Scalar::String,
    };
    let fields = vec![
        SelectableField {
            label: "spec.a".into(),
            sources: vec![source("spec.a")],
            default: "".into(),
        },
        SelectableField {
            label: "spec.b".into(),
            sources: vec![source("spec.b"), source("items.c.d")],
            default: "none".into(),
        },
    ];
    let schema = FieldSchema { fields, accepts_namespace: true, aliases: Vec::new() };
    let (kind, api_version) = ("K".into(), "g/v".into());
    ObjectShape {
        plan: FieldPlan::new(&schema, |source| &source.json),
        scope: Scope::Namespaced,
        type_member: TypeMember::InCore { kind, api_version },
    }
}

fn scan(core: &str) -> Result<ObjectAttributes, DecodeError> {
    let mut scanner = Scanner::new(core, 0);
    let (attributes, span) = scan_core(&mut scanner, &shape())?;
    assert_eq!(span, 0..core.len());
    scanner.finish()?;
    Ok(attributes)
}

fn object(metadata: &str, rest: &str) -> String {
    format!(r#""apiVersion":"g/v","kind":"K","metadata":{metadata}{rest}}}"#)
}

const METADATA: &str = r#"{"name":"n","namespace":"s","resourceVersion":"7"}"#;

#[test]
fn fields_take_the_first_source_that_has_a_value() {
    for (rest, expected) in [
        ("", ["", "none"]),
        (r#","spec":{"a":true,"b":-5}"#, ["true", "-5"]),
        (r#","items":[{"c":{"d":"x"}},{"c":{"d":"y"}}],"spec":{"b":"z"}"#, ["", "z"]),
        (r#","items":[{"c":{"d":"x"}},{"c":{"d":"y"}}],"spec":{"b":""}"#, ["", "x"]),
        (r#","items":[{},{"c":{"d":"y"}}],"spec":{"b":null}"#, ["", "none"]),
        (r#","items":[],"spec":[]"#, ["", "none"]),
        (r#","items":[[{"c":{"d":"x"}}]],"spec":{"a":{"a":"b"}}"#, ["", "none"]),
        (r#","spec":{"\u0061":"\u00e9\n"}"#, ["é\n", "none"]),
    ] {
        let attributes = scan(&object(METADATA, rest)).unwrap();
        assert_eq!(attributes.fields[..], expected, "{rest}");
    }
}

#[test]
fn finds_spans_wherever_metadata_stands() {
    let core =
        format!(r#""Z":[1],"apiVersion":"g/v","kind":"K","meta\u0064ata":{METADATA},"z":0}}"#);
    let attributes = scan(&core).unwrap();
    let span = |range: &Range<u32>| &core[range.start as usize..range.end as usize];
    assert_eq!(span(&attributes.metadata), METADATA);
    assert_eq!(span(&attributes.resource_version_span), "7");
}

#[test]
fn labels_are_sorted_and_unescaped() {
    let metadata = r#"{"labels":{"b":"\u003c","a":"","\u0061b":"é"},"name":"n","namespace":"s","resourceVersion":"7"}"#;
    let attributes = scan(&object(metadata, "")).unwrap();
    let labels: Vec<_> =
        attributes.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("a", ""), ("ab", "é"), ("b", "<")]);
    let none = r#"{"labels":null,"name":"n","namespace":"s","resourceVersion":"7"}"#;
    assert!(scan(&object(none, "")).unwrap().labels.is_empty());
}

#[test]
fn rejects_incomplete_and_ambiguous_objects() {
    for metadata in [
        r#"{"namespace":"s","resourceVersion":"7"}"#,
        r#"{"name":"","namespace":"s","resourceVersion":"7"}"#,
        r#"{"name":"a/b","namespace":"s","resourceVersion":"7"}"#,
        r#"{"name":"n","resourceVersion":"7"}"#,
        r#"{"name":"n","namespace":"s"}"#,
        r#"{"name":"n","namespace":"s","resourceVersion":7}"#,
        r#"{"name":"n","namespace":"s","resourceVersion":"0"}"#,
        r#"{"name":"n","namespace":"s","resourceVersion":"\u0037"}"#,
        r#"{"name":"n","namespace":"s","resourceVersion":"07"}"#,
        r#"{"name":"n","name":"n","namespace":"s","resourceVersion":"7"}"#,
        r#"{"name":"n","namespace":"s","resourceVersion":"7","resourceVersion":"7"}"#,
        r#"{"labels":{"a":"1","a":"2"},"name":"n","namespace":"s","resourceVersion":"7"}"#,
        r#"{"labels":{"a":1},"name":"n","namespace":"s","resourceVersion":"7"}"#,
        r#"{"labels":[],"name":"n","namespace":"s","resourceVersion":"7"}"#,
        r#"{"name":"\ud800","namespace":"s","resourceVersion":"7"}"#,
        "null",
    ] {
        assert!(scan(&object(metadata, "")).is_err(), "{metadata}");
    }
    assert!(scan(&object(METADATA, &format!(r#","metadata":{METADATA}"#))).is_err());
    assert!(scan(&object(METADATA, r#","kind":"K""#)).is_err());
    assert!(scan(&format!(r#""kind":"K","metadata":{METADATA}}}"#)).is_err());
    assert!(scan("}").is_err());
}

proptest! {
    /// Whatever else an object holds, the scanner finds what serde_json finds.
    #[test]
    fn agrees_with_serde_json(
        name in "[a-z]{1,40}",
        namespace in any::<String>().prop_filter("a namespace", |text| {
            !text.is_empty() && !text.contains('/')
        }),
        version in 1_u64..,
        labels in prop::collection::btree_map(any::<String>(), any::<String>(), 0..6),
        others in prop::collection::btree_map(any::<String>(), values(), 0..6),
        a in values(),
    ) {
        let mut object: Map<String, Value> = others.clone().into_iter().collect();
        let mut metadata: Map<String, Value> = others.into_iter().collect();
        metadata.insert("name".to_owned(), json!(name));
        metadata.insert("namespace".to_owned(), json!(namespace));
        metadata.insert("resourceVersion".to_owned(), json!(version.to_string()));
        metadata.insert("labels".to_owned(), json!(labels));
        let metadata = Value::Object(metadata);
        object.insert("metadata".to_owned(), metadata.clone());
        object.insert("kind".to_owned(), json!("K"));
        object.insert("apiVersion".to_owned(), json!("g/v"));
        object.insert("spec".to_owned(), json!({ "a": a }));
        let text = Value::Object(object).to_string();
        let attributes = scan(&text[1..]).unwrap();

        prop_assert_eq!(attributes.key.as_str(), format!("{namespace}/{name}"));
        prop_assert_eq!(attributes.resource_version.get(), version);
        let found: Vec<_> = attributes.labels.iter()
            .map(|(key, value)| (key.to_string(), value.to_string())).collect();
        prop_assert_eq!(found, labels.into_iter().collect::<Vec<_>>());
        let span = attributes.metadata.start as usize + 1..attributes.metadata.end as usize + 1;
        prop_assert_eq!(&text[span], metadata.to_string());
        let expected = match &a {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => a.to_string(),
            _ => String::new(),
        };
        prop_assert_eq!(attributes.fields[0].as_str(), expected);
    }
}
