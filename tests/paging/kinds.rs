//! The types that are listed.

use serde_json::{Value, json};

use crate::form::Form;

/// The namespaces of the objects. The first is a prefix of the second, which sorts before it.
pub(crate) const NAMESPACES: [&str; 2] = ["pages", "pages-more"];

/// A type.
pub(crate) struct Kind {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) namespaced: bool,
    /// Objects at the beginning.
    pub(crate) count: usize,
    /// Of a page.
    pub(crate) limit: usize,
    /// The object without metadata.
    object: fn() -> Value,
    pub(crate) forms: &'static [Form],
}

const EVERY_FORM: &[Form] = &Form::ALL;

pub(crate) const CONFIG_MAPS: Kind = Kind {
    group: "/api/v1",
    resource: "configmaps",
    namespaced: true,
    count: 240,
    limit: 25,
    object: || json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "text": "<\u{e4}&> ".repeat(700) } }),
    forms: EVERY_FORM,
};

pub(crate) const PODS: Kind = Kind {
    group: "/api/v1",
    resource: "pods",
    namespaced: true,
    count: 60,
    limit: 7,
    object: || {
        let containers = json!([{ "name": "main", "image": "example.com/image:1" }]);
        let spec = json!({ "schedulerName": "nobody", "containers": containers });
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec })
    },
    forms: EVERY_FORM,
};

pub(crate) const NODES: Kind = Kind {
    group: "/api/v1",
    resource: "nodes",
    namespaced: false,
    count: 40,
    limit: 7,
    object: || json!({ "apiVersion": "v1", "kind": "Node" }),
    forms: EVERY_FORM,
};

/// A custom type; its objects have no protobuf form.
pub(crate) const WIDGETS: Kind = Kind {
    group: "/apis/example.com/v1",
    resource: "widgets",
    namespaced: true,
    count: 40,
    limit: 7,
    object: || json!({ "apiVersion": "example.com/v1", "kind": "Widget", "spec": { "size": 7 } }),
    forms: &[Form::Json, Form::JsonMetadata, Form::ProtobufMetadata],
};

/// A type that nobody changes, with more objects than a probe compares.
pub(crate) const QUIET: Kind = Kind {
    group: "/api/v1",
    resource: "limitranges",
    namespaced: true,
    count: 130,
    limit: 30,
    object: || json!({ "apiVersion": "v1", "kind": "LimitRange", "spec": { "limits": [] } }),
    forms: &[Form::Json],
};

/// A small one for odd tokens.
pub(crate) const REVISIONS: Kind = Kind {
    group: "/apis/apps/v1",
    resource: "controllerrevisions",
    namespaced: true,
    count: 12,
    limit: 3,
    object: || json!({ "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": { "a": 1 } }),
    forms: &[Form::Json],
};

pub(crate) const ALL: [&Kind; 6] = [&CONFIG_MAPS, &PODS, &NODES, &WIDGETS, &QUIET, &REVISIONS];

// === impl Kind ===

impl Kind {
    /// The path of the objects in `namespace`.
    pub(crate) fn within(&self, namespace: &str) -> String {
        if self.namespaced {
            format!("{}/namespaces/{namespace}/{}", self.group, self.resource)
        } else {
            self.everywhere()
        }
    }

    /// The path of all objects.
    pub(crate) fn everywhere(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }

    /// The scopes that lists are of.
    pub(crate) fn scopes(&self) -> Vec<String> {
        let mut scopes = vec![self.everywhere()];
        if self.namespaced {
            scopes.push(self.within(NAMESPACES[0]));
        }
        scopes
    }

    /// Where the object with this number is, and its name. One in four is in the second namespace.
    pub(crate) fn place(&self, number: usize) -> (String, String) {
        let namespace = NAMESPACES[usize::from(number.is_multiple_of(4))];
        // Names whose order is not that of their numbers.
        (self.within(namespace), format!("{}-{number}", ["a", "a.b", "b"][number % 3]))
    }

    /// A whole object.
    pub(crate) fn named(&self, name: &str) -> Value {
        let mut object = (self.object)();
        let tier = if name.len().is_multiple_of(2) { "even" } else { "odd" };
        object["metadata"] = json!({ "name": name, "labels": { "tier": tier } });
        object
    }
}

/// The definition of the custom type.
pub(crate) fn definition() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = json!({
        "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
    });
    let names = json!({ "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced", "names": names, "versions": [version] },
    })
}
