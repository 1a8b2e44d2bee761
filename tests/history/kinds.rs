//! The types that are churned, and what writers do to their objects.

use serde_json::{Value, json};

use crate::checker::scope::{Scope, Term};
use crate::form::Form;
use crate::seeded::Seeded;

/// The namespaces. The first is a prefix of the second, which sorts before it.
pub(crate) const NAMESPACES: [&str; 3] = ["hist", "hist-more", "other"];

/// Makes a path below an object's own, and a merge patch, from the number of the write.
type Turn = fn(&mut Seeded, u64) -> (&'static str, Value);

/// A type.
pub(crate) struct Kind {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    /// The forms it is watched in; the first is JSON.
    pub(crate) forms: &'static [Form],
    object: fn(&mut Seeded) -> Value,
    /// A change of a field that selectors look at.
    turn: Option<Turn>,
    fields: fn() -> Vec<Vec<Term>>,
}

pub(crate) const KINDS: [Kind; 3] = [
    Kind {
        group: "/api/v1",
        resource: "configmaps",
        forms: &Form::ALL,
        object: |random| {
            let padding = "x".repeat(64 << random.below(7));
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "padding": padding } })
        },
        turn: None,
        fields: Vec::new,
    },
    Kind {
        group: "/api/v1",
        resource: "pods",
        forms: &Form::ALL,
        object: pod,
        turn: Some(|random, step| {
            let phase = *random.pick(&["Pending", "Running", "Succeeded"]);
            ("/status", json!({ "status": { "phase": phase, "message": step.to_string() } }))
        }),
        fields: || {
            vec![
                vec![Term::is("status.phase", "Running")],
                vec![Term::is_not("status.phase", "Succeeded")],
                vec![Term::is("spec.nodeName", "node-1")],
                vec![Term::is("spec.nodeName", ""), Term::is("status.phase", "Pending")],
            ]
        },
    },
    Kind {
        group: "/apis/history.example.com/v1",
        resource: "widgets",
        forms: &[Form::Json, Form::JsonMetadata, Form::ProtobufMetadata],
        object: |random| {
            let spec = json!({ "color": color(random), "size": random.below(3) });
            json!({ "apiVersion": "history.example.com/v1", "kind": "Widget", "spec": spec })
        },
        turn: Some(|random, _| ("", json!({ "spec": { "color": color(random) } }))),
        fields: || {
            vec![
                vec![Term::is("spec.color", "red")],
                vec![Term::is_not("spec.color", "red"), Term::is("spec.size", "1")],
            ]
        },
    },
];

fn color(random: &mut Seeded) -> &'static str {
    random.pick::<&'static str>(&["red", "blue"])
}

/// No scheduler runs: a pod is on a node from its begin, or never.
fn pod(random: &mut Seeded) -> Value {
    let containers = json!([{ "name": "main", "image": "example.com/image:1" }]);
    let node = *random.pick(&["", "node-1", "node-2"]);
    let spec = json!({ "schedulerName": "nobody", "nodeName": node, "containers": containers });
    json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec })
}

impl Kind {
    pub(crate) fn everywhere(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }

    pub(crate) fn within(&self, namespace: &str) -> String {
        format!("{}/namespaces/{namespace}/{}", self.group, self.resource)
    }

    /// A new object. `step` is of this write alone, so that no two states have the same bytes.
    pub(crate) fn create(&self, random: &mut Seeded, name: &str, step: u64) -> Value {
        let mut object = (self.object)(random);
        let (mut labels, annotations) = (labels(random), json!({ "step": step.to_string() }));
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|_, value| !value.is_null());
        }
        object["metadata"] = json!({ "name": name, "labels": labels, "annotations": annotations });
        object
    }

    /// A change: the path below the object's, and a merge patch.
    pub(crate) fn change(&self, random: &mut Seeded, step: u64) -> (&'static str, Value) {
        let annotations = json!({ "step": step.to_string() });
        if let Some(turn) = self.turn.filter(|_| random.percent(40)) {
            let (path, mut patch) = turn(random, step);
            if path.is_empty() {
                patch["metadata"] = json!({ "annotations": annotations });
            }
            return (path, patch);
        }
        let mut metadata = json!({ "annotations": annotations });
        if random.percent(70) {
            metadata["labels"] = labels(random);
        }
        ("", json!({ "metadata": metadata }))
    }

    /// What watchers of this type are about.
    pub(crate) fn scopes(&self) -> Vec<Scope> {
        let mut scopes = scopes_of_all_kinds();
        for (place, fields) in (self.fields)().into_iter().enumerate() {
            let within = (place == 1).then(|| NAMESPACES[0].to_owned());
            let labels = match place {
                0 => vec![Term::is_not("tier", "back")],
                _ => Vec::new(),
            };
            scopes.push(Scope { fields: fields.clone(), ..Scope::default() });
            scopes.push(Scope { namespace: within, labels, fields });
        }
        scopes
    }
}

/// Null takes a label away from an object that has it.
fn labels(random: &mut Seeded) -> Value {
    let tier = random.pick(&[json!("front"), json!("back"), Value::Null]).clone();
    let shard = random.below(3).to_string();
    let mut labels = json!({ "set": "history", "shard": shard });
    labels["tier"] = tier;
    labels
}

fn scopes_of_all_kinds() -> Vec<Scope> {
    let label = |term: Term| Scope { labels: vec![term], ..Scope::default() };
    let field = |term: Term| Scope { fields: vec![term], ..Scope::default() };
    let within =
        |namespace: &str| Scope { namespace: Some(namespace.to_owned()), ..Scope::default() };
    let tier = || "tier".to_owned();
    let values = |values: &[&str]| values.iter().map(|&value| value.to_owned()).collect();
    vec![
        Scope::default(),
        within(NAMESPACES[0]),
        label(Term::is("tier", "front")),
        label(Term::In(tier(), values(&["front", "back"]))),
        Scope { labels: vec![Term::is("shard", "1")], ..within(NAMESPACES[1]) },
        label(Term::Missing(tier())),
        Scope { fields: vec![Term::is("metadata.name", "w0-1")], ..within(NAMESPACES[0]) },
        field(Term::is("metadata.name", "w0.2")),
        field(Term::is("metadata.namespace", NAMESPACES[2])),
        label(Term::NotIn("shard".to_owned(), values(&["0"]))),
        Scope {
            labels: vec![Term::is_not("tier", "front"), Term::Exists("set".to_owned())],
            ..Scope::default()
        },
        within(NAMESPACES[1]),
        field(Term::is_not("metadata.namespace", NAMESPACES[0])),
    ]
}

/// The definition of the custom type.
pub(crate) fn definition() -> Value {
    let spec = json!({
        "type": "object",
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
        "metadata": { "name": "widgets.history.example.com" },
        "spec": {
            "group": "history.example.com", "scope": "Namespaced", "names": names, "versions": [version],
        },
    })
}
