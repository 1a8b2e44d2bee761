//! The types which are read, with objects of each.

use serde_json::{Value, json};

/// The namespaces of the objects. The first is a prefix of the second, which sorts before it.
pub(crate) const NAMESPACES: [&str; 2] = ["reads", "reads-more"];

/// A type.
pub(crate) struct Kind {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) namespaced: bool,
    pub(crate) custom: bool,
    /// The object with neither name nor labels.
    pub(crate) object: fn() -> Value,
    /// A field selector which the object matches.
    pub(crate) field: Option<&'static str>,
    /// What makes the object leave that selector.
    pub(crate) leave: Option<Leave>,
}

/// A write after which an object no longer matches its field selector.
pub(crate) enum Leave {
    /// A merge patch.
    Patch(&'static str),
    /// The binding of a pod.
    Binding,
}

impl Kind {
    /// The path of the objects in `namespace`.
    pub(crate) fn within(&self, namespace: &str) -> String {
        if self.namespaced {
            format!("{}/namespaces/{namespace}/{}", self.group, self.resource)
        } else {
            format!("{}/{}", self.group, self.resource)
        }
    }

    /// The path of all objects.
    pub(crate) fn everywhere(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }

    /// A whole object.
    pub(crate) fn named(&self, name: &str, labels: &Value) -> Value {
        let mut object = (self.object)();
        // A value which JSON has to escape.
        let annotations = json!({ "note": "<\u{e4}&\u{2028}\">" });
        object["metadata"] = json!({ "name": name, "labels": labels, "annotations": annotations });
        object
    }
}

/// All of them. Leases of other namespaces are renewed all the time, so that only those of the test's
/// own are compared, as everything else is.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        group: "/api/v1",
        resource: "pods",
        namespaced: true,
        custom: false,
        object: pod,
        field: Some("spec.nodeName=,status.phase=Pending"),
        leave: Some(Leave::Binding),
    },
    Kind {
        group: "/api/v1",
        resource: "configmaps",
        namespaced: true,
        custom: false,
        object: || json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "b": "2", "a": "1" } }),
        field: None,
        leave: None,
    },
    Kind {
        group: "/api/v1",
        resource: "services",
        namespaced: true,
        custom: false,
        object: service,
        field: Some("spec.type=ClusterIP"),
        leave: Some(Leave::Patch(r#"{"spec":{"type":"NodePort"}}"#)),
    },
    Kind {
        group: "/api/v1",
        resource: "nodes",
        namespaced: false,
        custom: false,
        object: || json!({ "apiVersion": "v1", "kind": "Node" }),
        field: Some("spec.unschedulable=false"),
        leave: Some(Leave::Patch(r#"{"spec":{"unschedulable":true}}"#)),
    },
    Kind {
        group: "/apis/apps/v1",
        resource: "deployments",
        namespaced: true,
        custom: false,
        object: || workload("Deployment"),
        field: None,
        leave: None,
    },
    Kind {
        group: "/apis/apps/v1",
        resource: "daemonsets",
        namespaced: true,
        custom: false,
        object: || workload("DaemonSet"),
        field: None,
        leave: None,
    },
    Kind {
        group: "/apis/example.com/v1",
        resource: "widgets",
        namespaced: true,
        custom: true,
        object: widget,
        field: Some("spec.color=red,spec.size!=3"),
        leave: Some(Leave::Patch(r#"{"spec":{"color":"blue"}}"#)),
    },
    Kind {
        group: "/apis/coordination.k8s.io/v1",
        resource: "leases",
        namespaced: true,
        custom: false,
        object: lease,
        field: None,
        leave: None,
    },
];

fn pod() -> Value {
    let containers = json!([{ "name": "main", "image": "example.com/image:1" }]);
    let spec = json!({ "schedulerName": "nobody", "containers": containers });
    json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec })
}

fn service() -> Value {
    let spec = json!({ "selector": { "app": "web" }, "ports": [{ "port": 80 }] });
    json!({ "apiVersion": "v1", "kind": "Service", "spec": spec })
}

fn workload(kind: &str) -> Value {
    let labels = json!({ "app": "web" });
    let containers = json!([{ "name": "main", "image": "example.com/image:1" }]);
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": containers } });
    let spec = json!({ "selector": { "matchLabels": labels }, "template": template });
    json!({ "apiVersion": "apps/v1", "kind": kind, "spec": spec })
}

fn widget() -> Value {
    let more = json!({ "z": [1, 2.5, 1e21, null], "a": { "deep": true } });
    let spec = json!({ "color": "red", "size": 7, "more": more });
    json!({ "apiVersion": "example.com/v1", "kind": "Widget", "spec": spec })
}

fn lease() -> Value {
    let spec = json!({ "holderIdentity": "someone", "renewTime": "2026-01-02T03:04:05.000006Z" });
    json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec })
}

/// The definition of the custom type.
pub(crate) fn definition() -> Value {
    let spec = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": { "color": { "type": "string" }, "size": { "type": "integer" } },
    });
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } },
        "selectableFields": [{ "jsonPath": ".spec.color" }, { "jsonPath": ".spec.size" }],
    });
    let names = json!({ "plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList" });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "widgets.example.com" },
        "spec": { "group": "example.com", "scope": "Namespaced", "names": names, "versions": [version] },
    })
}
