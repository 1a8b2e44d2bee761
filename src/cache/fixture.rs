//! Objects and events for tests, made by the codec from the API server's own layout.

pub(crate) mod history;

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;

use super::audience::AudienceKey;
use crate::{
    api::{
        resource::{GroupVersionResource, Origin, ResourceType, Scope},
        selector::{
            Selection, built_in::field_schema_for, field::FieldSelector, field_schema::FieldSchema,
            label::LabelSelector,
        },
        version::ResourceVersion,
    },
    codec::{
        ResourceCodec,
        object::{Object, Representation},
        watch_event::{Form, WatchEvent},
    },
};

/// What a test says of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) node: String,
}

// === impl Pod ===

impl Pod {
    pub(crate) fn new(namespace: &str, name: &str, version: u64) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { namespace, name, version, labels: Vec::new(), node: String::new() }
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self.labels.sort();
        self
    }

    pub(crate) fn node(mut self, node: &str) -> Self {
        node.clone_into(&mut self.node);
        self
    }

    /// The JSON of the object, at another version if need be.
    pub(crate) fn json_at(&self, version: u64) -> String {
        let mut json = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":""#.to_owned();
        let Self { namespace, name, .. } = self;
        write!(json, r#"{name}","namespace":"{namespace}","resourceVersion":"{version}""#).unwrap();
        if !self.labels.is_empty() {
            let labels: Vec<_> =
                self.labels.iter().map(|(key, value)| format!(r#""{key}":"{value}""#)).collect();
            write!(json, r#","labels":{{{}}}"#, labels.join(",")).unwrap();
        }
        json.push_str(r#"},"spec":{"containers":null"#);
        if !self.node.is_empty() {
            write!(json, r#","nodeName":"{}""#, self.node).unwrap();
        }
        json.push_str(r#"},"status":{}}"#);
        json
    }

    pub(crate) fn json(&self) -> String {
        self.json_at(self.version)
    }

    /// The object as the codec reads it.
    pub(crate) fn object(&self) -> Object {
        match self.event("ADDED") {
            WatchEvent::Added(object) => object,
            other => panic!("{other:?} is no ADDED"),
        }
    }

    pub(crate) fn event(&self, kind: &str) -> WatchEvent {
        codec().decode_watch_event(line(kind, &self.json())).unwrap()
    }
}

/// Pods, as a JSON shard holds them.
pub(crate) fn pods() -> Arc<ResourceType> {
    let gvr = GroupVersionResource::new("", "v1", "pods");
    Arc::new(ResourceType {
        fields: field_schema_for(&gvr),
        gvr,
        kind: "Pod".into(),
        list_kind: "PodList".into(),
        scope: Scope::Namespaced,
        origin: Origin::BuiltIn,
    })
}

pub(crate) fn codec() -> Arc<ResourceCodec> {
    Arc::new(ResourceCodec::new(&pods(), Representation::Json))
}

pub(crate) fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).unwrap()
}

/// A watch event without its line break.
pub(crate) fn line(kind: &str, object: &str) -> Bytes {
    format!(r#"{{"type":"{kind}","object":{object}}}"#).into()
}

/// The object of a Pod bookmark.
pub(crate) fn bookmark_json(version: u64, ends_initial_events: bool) -> String {
    let annotation = match ends_initial_events {
        true => r#","annotations":{"k8s.io/initial-events-end":"true"}"#,
        false => "",
    };
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{annotation}}},"spec":{{"containers":null}},"status":{{}}}}"#
    )
}

pub(crate) fn bookmark(version: u64) -> WatchEvent {
    codec().decode_watch_event(line("BOOKMARK", &bookmark_json(version, false))).unwrap()
}

/// An audience of Pods with selectors as written; an empty namespace is none.
pub(crate) fn audience(namespace: &str, labels: &str, fields: &str) -> AudienceKey {
    let schema: &FieldSchema = &pods().fields;
    AudienceKey {
        namespace: Some(namespace).filter(|name| !name.is_empty()).map(Into::into),
        selection: Selection {
            label: LabelSelector::parse(labels).unwrap(),
            field: FieldSelector::parse(fields, schema).unwrap(),
        },
        form: Form::Full,
    }
}
