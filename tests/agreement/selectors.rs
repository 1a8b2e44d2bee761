//! Label and field selectors: the same texts are taken, and select the same objects.

use std::collections::BTreeMap;

use compact_str::CompactString;
use serde::Deserialize;
use watchgate::api::{
    object_key::ObjectKey,
    resource::GroupVersionResource,
    selector::{built_in::field_schema_for, field::FieldSelector, label::LabelSelector},
};

use crate::{assert_none, cases};

#[derive(Deserialize)]
struct Case {
    selector: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    objects: Vec<BTreeMap<CompactString, CompactString>>,
    #[serde(default)]
    matches: Vec<bool>,
}

/// Compares one kind of selector; `select` gives the verdict on one object.
fn compare<S>(
    name: &str,
    parse: impl Fn(&str) -> Option<S>,
    select: impl Fn(&S, &BTreeMap<CompactString, CompactString>) -> bool,
) {
    let mut disagreements = Vec::new();
    let (mut taken, mut selected) = (0, 0);
    for case in cases::<Case>(name) {
        let parsed = parse(&case.selector);
        // Go takes a NUL for the end of a selector or of a word; such a request is forwarded.
        let is_left_to_go = parsed.is_none() && case.selector.contains('\0');
        if parsed.is_some() != case.error.is_empty() && !is_left_to_go {
            disagreements.push(format!("{:?}: Go says {:?}", case.selector, case.error));
        }
        let Some(selector) = parsed else { continue };
        taken += 1;
        for (object, matches) in case.objects.iter().zip(case.matches) {
            selected += usize::from(matches);
            if select(&selector, object) != matches {
                disagreements.push(format!("{:?} of {object:?}: Go says {matches}", case.selector));
            }
        }
    }
    assert_none(&disagreements);
    assert!(taken > 200 && selected > 100, "{name}: {taken} taken, {selected} selected");
}

#[test]
fn label_selectors() {
    let select = |selector: &LabelSelector, object: &BTreeMap<CompactString, CompactString>| {
        let labels: Vec<_> = object.clone().into_iter().collect();
        selector.matches(&labels)
    };
    compare("labels.jsonl", |text| LabelSelector::parse(text).ok(), select);
}

/// Of Pods; objects are their selectable fields, less those that are empty.
#[test]
fn field_selectors() {
    let schema = field_schema_for(&GroupVersionResource::new("", "v1", "pods"));
    let parse = |text: &str| FieldSelector::parse(text, &schema).ok();
    let select = |selector: &FieldSelector, object: &BTreeMap<CompactString, CompactString>| {
        let value = |label: &str| object.get(label).cloned().unwrap_or_default();
        let key = ObjectKey::new(&value("metadata.namespace"), &value("metadata.name"));
        let fields: Vec<_> = schema.fields.iter().map(|field| value(&field.label)).collect();
        selector.matches(&key, &fields)
    };
    compare("fields.jsonl", parse, select);
}
