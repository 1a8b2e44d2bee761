//! The objects of each type, plain and large, and the definitions of the custom ones.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// An object. Its labels, and some of its fields, follow from the place of its name.
pub(crate) fn object(
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    place: usize,
) -> Result<Value> {
    let mut object = content(kind.kind, place)?;
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    let labels = json!({
        "app": if place.is_multiple_of(2) { "web" } else { "db" },
        "tier": if place.is_multiple_of(3) { "front" } else { "back" },
        "size": format!("{place}"),
        "example.com/part": "of.a_whole",
    });
    // What JSON has to escape, and what it must not.
    let annotations = json!({ "note": "<\u{e4}&\u{2028}\"\\\u{7}>\u{1f600}" });
    object["metadata"] = json!({ "name": name, "labels": labels, "annotations": annotations });
    if let Some(namespace) = namespace.filter(|_| kind.namespaced) {
        object["metadata"]["namespace"] = namespace.into();
        if kind.kind == "Event" {
            object["involvedObject"]["namespace"] = namespace.into();
        }
    }
    Ok(object)
}

fn content(kind: &str, place: usize) -> Result<Value> {
    let labels = json!({ "app": "web" });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod_spec() });
    let selector = json!({ "matchLabels": labels });
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "x" });
    Ok(match kind {
        "ConfigMap" => {
            json!({ "data": { "b": "2", "a": "\u{fc}\n" }, "binaryData": { "c": "AAEC/w==" } })
        }
        "Secret" if place == 1 => {
            json!({ "type": "example.com/other", "data": { "key": "AAEC/w==" } })
        }
        "Secret" => json!({ "stringData": { "key": "value" } }),
        "Pod" => json!({ "spec": pod_spec() }),
        "Service" if place == 1 => {
            json!({ "spec": { "clusterIP": "None", "ports": [{ "port": 80 }] } })
        }
        "Service" => json!({ "spec": { "selector": labels, "ports": [{ "port": 80 }] } }),
        "Endpoints" => {
            json!({ "subsets": [{ "addresses": [{ "ip": "192.0.2.1" }], "ports": [{ "port": 1 }] }] })
        }
        "ServiceAccount" => json!({ "imagePullSecrets": [{ "name": "pull" }] }),
        "ReplicationController" => {
            json!({ "spec": { "replicas": 0, "selector": labels, "template": template } })
        }
        "PodTemplate" => json!({ "template": template }),
        "Event" => json!({
            "involvedObject": { "kind": "Pod", "name": "x" }, "reason": "Why", "type": "Normal",
            "message": "something was so", "source": { "component": "tester" },
        }),
        "Node" if place == 1 => json!({ "spec": { "unschedulable": true } }),
        "Node" => json!({}),
        "Deployment" | "DaemonSet" => {
            json!({ "spec": { "selector": selector, "template": template } })
        }
        "Job" => {
            let mut template = template;
            template["spec"]["restartPolicy"] = "Never".into();
            json!({ "spec": { "suspend": true, "template": template } })
        }
        "Lease" => {
            json!({ "spec": { "holderIdentity": "someone", "renewTime": "2026-01-02T03:04:05.000006Z" } })
        }
        "EndpointSlice" => {
            json!({ "addressType": "IPv4", "endpoints": [{ "addresses": ["192.0.2.2"] }], "ports": null })
        }
        "ClusterRole" => {
            json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] })
        }
        "HorizontalPodAutoscaler" => {
            json!({ "spec": { "scaleTargetRef": target, "maxReplicas": 3 } })
        }
        "Widget" | "Globe" | "Bulk" => json!({ "spec": custom(place) }),
        other => bail!("no objects of {other}"),
    })
}

fn pod_spec() -> Value {
    let containers = json!([{ "name": "main", "image": "example.com/image:1" }]);
    json!({ "schedulerName": "nobody", "containers": containers })
}

/// Numbers beyond those of JavaScript, keys that sort oddly, a value that is deep.
fn custom(place: usize) -> Value {
    let deep = (0..200).fold(json!("deep"), |inside, _| json!({ "d": [inside] }));
    let numbers = json!([1, 2.5, 1e21, 1e-7, 9_007_199_254_740_993_i64, i64::MIN, null, -0.0]);
    let mut spec = json!({
        "size": 7, "on": place.is_multiple_of(2),
        "more": { "z": numbers, "B": {}, "a": [], "\u{fc}": "<&>\u{2028}", "deep": deep },
    });
    if place != 2 {
        spec["color"] = if place.is_multiple_of(2) { "red".into() } else { "blue".into() };
    }
    spec
}

/// Objects of a type that is there for large ones: 1.5 MB and more, and 10,000 labels or annotations.
pub(crate) fn large(kind: &Kind) -> Result<Vec<Value>> {
    let many = |length: usize| -> Map<String, Value> {
        (0..10_000).map(|n| (format!("l{n}"), "v".repeat(length).into())).collect()
    };
    let named = |name: &str| object(kind, Some(crate::kinds::LARGE), name, 0);
    let mut labelled = named("labelled")?;
    labelled["metadata"]["labels"] = many(20).into();
    let mut annotated = named("annotated")?;
    annotated["metadata"]["annotations"] = many(10).into();
    let mut long = named("long")?;
    if kind.is_custom() {
        long["spec"]["text"] = "t".repeat(1_500_000).into();
    } else {
        // Six bytes each in JSON, one in the store.
        let environment = json!([{ "name": "LONG", "value": "<".repeat(1_000_000) }]);
        long["template"]["spec"]["containers"][0]["env"] = environment;
    }
    Ok(vec![labelled, annotated, long])
}

/// The definitions of the custom types.
pub(crate) fn definitions() -> Vec<Value> {
    let version = |name: &str, storage: bool| {
        let spec = json!({
            // Equal schemas would be one for all versions, which then could select by no fields.
            "type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": name,
            "properties": {
                "color": { "type": "string" }, "size": { "type": "integer" }, "on": { "type": "boolean" },
            },
        });
        json!({
            "name": name, "served": true, "storage": storage, "deprecated": !storage,
            "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } },
            "additionalPrinterColumns": [
                { "name": "Color", "type": "string", "jsonPath": ".spec.color" },
                { "name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1 },
            ],
        })
    };
    let definition = |plural: &str, kind: &str, scope: &str, versions: Value| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.example.com") },
            "spec": {
                "group": "example.com", "scope": scope, "versions": versions,
                "names": { "plural": plural, "kind": kind, "listKind": format!("{kind}List") },
            },
        })
    };
    let paths = |paths: &[&str]| -> Value {
        paths.iter().map(|path| json!({ "jsonPath": path })).collect()
    };
    let mut widget = version("v1", true);
    widget["selectableFields"] = paths(&[".spec.color", ".spec.size", ".spec.on"]);
    let mut globe = version("v1", true);
    globe["selectableFields"] = paths(&[".spec.color"]);
    vec![
        definition("widgets", "Widget", "Namespaced", json!([widget, version("v1beta1", false)])),
        definition("globes", "Globe", "Cluster", json!([globe])),
        definition("bulks", "Bulk", "Namespaced", json!([version("v1", true)])),
    ]
}

/// A ConfigMap whose one value is no UTF-8, as only protobuf can say it.
pub(crate) fn invalid_text(namespace: &str) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).expect("short messages only");
        [&[number << 3 | 2, length], content].concat()
    };
    let metadata = [field(1, b"invalid-text"), field(3, namespace.as_bytes())].concat();
    let entry = [field(1, b"key"), field(2, b"\xff\xfe no text")].concat();
    let raw = [field(1, &metadata), field(2, &entry)].concat();
    let of = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
    [b"k8s\0".to_vec(), field(1, &of), field(2, &raw)].concat()
}
