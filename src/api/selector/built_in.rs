//! The selectable fields of the types compiled into kube-apiserver, and of custom resources.
//!
//! One table, after semantics §7.1; protobuf field numbers are those of `k8s.io/api` v0.36.3's
//! `generated.proto` files. Events are left out: they are never cached, so their selectors are
//! always upstream's business. A version or type that is not in the table gets the metadata labels
//! alone, and a selector that asks for more is forwarded.

use compact_str::CompactString;

use super::field_schema::{
    AliasMeaning, FieldAlias, FieldSchema, FieldSource, Scalar, SelectableField,
};
use crate::api::resource::{GroupVersionResource, Scope};

/// One type of the table.
struct TypeFields {
    group: &'static str,
    versions: &'static [&'static str],
    resource: &'static str,
    accepts_namespace: bool,
    fields: &'static [Field],
}

/// A label, the value of an object without it, and where the value stands.
struct Field {
    label: &'static str,
    default: &'static str,
    sources: &'static [Source],
}

/// A dotted JSON path, the same as protobuf field numbers, and the scalar's kind.
struct Source(&'static str, &'static [u32], Scalar);

const fn text(label: &'static str, sources: &'static [Source]) -> Field {
    Field { label, default: "", sources }
}

use Scalar::{Bool, Integer, String as Text};

const TYPES: &[TypeFields] = &[
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "pods",
        accepts_namespace: true,
        fields: POD_FIELDS,
    },
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "nodes",
        accepts_namespace: false,
        fields: &[Field {
            label: "spec.unschedulable",
            default: "false",
            sources: &[Source("spec.unschedulable", &[2, 4], Bool)],
        }],
    },
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "namespaces",
        accepts_namespace: false,
        fields: &[text("status.phase", &[Source("status.phase", &[3, 1], Text)])],
    },
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "secrets",
        accepts_namespace: true,
        fields: &[text("type", &[Source("type", &[3], Text)])],
    },
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "services",
        accepts_namespace: true,
        fields: &[
            text("spec.clusterIP", &[Source("spec.clusterIP", &[2, 3], Text)]),
            text("spec.type", &[Source("spec.type", &[2, 4], Text)]),
        ],
    },
    TypeFields {
        group: "",
        versions: &["v1"],
        resource: "replicationcontrollers",
        accepts_namespace: true,
        fields: &[Field {
            label: "status.replicas",
            default: "0",
            sources: &[Source("status.replicas", &[3, 1], Integer)],
        }],
    },
    TypeFields {
        group: "batch",
        versions: &["v1"],
        resource: "jobs",
        accepts_namespace: true,
        fields: &[Field {
            label: "status.successful",
            default: "0",
            sources: &[Source("status.succeeded", &[3, 5], Integer)],
        }],
    },
    TypeFields {
        group: "certificates.k8s.io",
        versions: &["v1", "v1beta1"],
        resource: "certificatesigningrequests",
        accepts_namespace: false,
        fields: &[text("spec.signerName", &[Source("spec.signerName", &[2, 7], Text)])],
    },
    TypeFields {
        group: "certificates.k8s.io",
        versions: &["v1alpha1", "v1beta1"],
        resource: "clustertrustbundles",
        accepts_namespace: false,
        fields: &[text("spec.signerName", &[Source("spec.signerName", &[2, 1], Text)])],
    },
    TypeFields {
        group: "certificates.k8s.io",
        versions: &["v1beta1"],
        resource: "podcertificaterequests",
        accepts_namespace: false,
        fields: &[
            text("spec.signerName", &[Source("spec.signerName", &[2, 1], Text)]),
            text("spec.podName", &[Source("spec.podName", &[2, 2], Text)]),
            text("spec.nodeName", &[Source("spec.nodeName", &[2, 6], Text)]),
        ],
    },
    TypeFields {
        group: "resource.k8s.io",
        versions: &["v1", "v1beta1", "v1beta2"],
        resource: "resourceslices",
        accepts_namespace: false,
        fields: &[
            text("spec.nodeName", &[Source("spec.nodeName", &[2, 3], Text)]),
            text("spec.driver", &[Source("spec.driver", &[2, 1], Text)]),
        ],
    },
];

const POD_FIELDS: &[Field] = &[
    text("spec.nodeName", &[Source("spec.nodeName", &[2, 10], Text)]),
    text("spec.restartPolicy", &[Source("spec.restartPolicy", &[2, 3], Text)]),
    text("spec.schedulerName", &[Source("spec.schedulerName", &[2, 19], Text)]),
    text(
        "spec.serviceAccountName",
        &[
            Source("spec.serviceAccountName", &[2, 8], Text),
            Source("spec.serviceAccount", &[2, 9], Text),
        ],
    ),
    Field {
        label: "spec.hostNetwork",
        default: "false",
        sources: &[Source("spec.hostNetwork", &[2, 11], Bool)],
    },
    text("status.phase", &[Source("status.phase", &[3, 1], Text)]),
    text(
        "status.podIP",
        &[Source("status.podIP", &[3, 6], Text), Source("status.podIPs.ip", &[3, 12, 1], Text)],
    ),
    text("status.nominatedNodeName", &[Source("status.nominatedNodeName", &[3, 11], Text)]),
];

/// The schema of a built-in type; the metadata labels alone when the table does not have it.
pub fn field_schema_for(resource: &GroupVersionResource) -> FieldSchema {
    let known = TYPES.iter().find(|known| {
        known.group == resource.group
            && known.resource == resource.resource
            && known.versions.contains(&resource.version.as_str())
    });
    let Some(known) = known else { return FieldSchema::metadata_only(true) };
    FieldSchema {
        fields: known.fields.iter().map(Field::to_selectable).collect(),
        accepts_namespace: known.accepts_namespace,
        aliases: if known.resource == "pods" { pod_aliases() } else { Vec::new() },
    }
}

/// The schema of a custom resource's version: its `selectableFields`, as pairs of JSON path
/// (`.spec.color`) and the type that the version's OpenAPI schema gives it. Fields of other types
/// than string, boolean and integer are refused by the API server and left out here.
pub fn custom_field_schema(scope: Scope, selectable_fields: &[(&str, &str)]) -> FieldSchema {
    let fields = selectable_fields.iter().filter_map(|(path, kind)| {
        let scalar = match *kind {
            "string" => Text,
            "boolean" => Bool,
            "integer" => Integer,
            _ => return None,
        };
        let label = path.strip_prefix('.').unwrap_or(path);
        let source = FieldSource { json: keys(label), protobuf: Vec::new(), scalar };
        Some(SelectableField {
            label: label.into(),
            sources: vec![source],
            default: CompactString::const_new(""),
        })
    });
    FieldSchema {
        fields: fields.collect(),
        accepts_namespace: scope == Scope::Namespaced,
        aliases: Vec::new(),
    }
}

/// `spec.host` is an older name; `status.podIPs` is accepted but never filled in by the API server.
fn pod_aliases() -> Vec<FieldAlias> {
    let node = CompactString::const_new("spec.nodeName");
    vec![
        FieldAlias { label: "spec.host".into(), meaning: AliasMeaning::Field(node) },
        FieldAlias { label: "status.podIPs".into(), meaning: AliasMeaning::AlwaysEmpty },
    ]
}

fn keys(path: &str) -> Vec<CompactString> {
    path.split('.').map(CompactString::from).collect()
}

// === impl Field ===

impl Field {
    fn to_selectable(&self) -> SelectableField {
        let source = |Source(path, numbers, scalar): &Source| FieldSource {
            json: keys(path),
            protobuf: numbers.to_vec(),
            scalar: *scalar,
        };
        SelectableField {
            label: self.label.into(),
            sources: self.sources.iter().map(source).collect(),
            default: self.default.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(group: &str, version: &str, resource: &str) -> (Vec<String>, bool) {
        let schema = field_schema_for(&GroupVersionResource::new(group, version, resource));
        let labels = schema.fields.iter().map(|field| field.label.to_string());
        (labels.collect(), schema.accepts_namespace)
    }

    #[test]
    fn knows_the_labels_of_built_in_types() {
        for (group, version, resource, expected, accepts_namespace) in [
            ("", "v1", "configmaps", &[][..], true),
            ("", "v1", "nodes", &["spec.unschedulable"], false),
            ("", "v1", "namespaces", &["status.phase"], false),
            ("", "v1", "secrets", &["type"], true),
            ("", "v1", "services", &["spec.clusterIP", "spec.type"], true),
            ("", "v1", "replicationcontrollers", &["status.replicas"], true),
            ("batch", "v1", "jobs", &["status.successful"], true),
            ("batch", "v1", "cronjobs", &[], true),
            (
                "certificates.k8s.io",
                "v1",
                "certificatesigningrequests",
                &["spec.signerName"],
                false,
            ),
            ("resource.k8s.io", "v1", "resourceslices", &["spec.nodeName", "spec.driver"], false),
            ("apps", "v1", "deployments", &[], true),
            ("other.io", "v1", "pods", &[], true),
        ] {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(
                labels(group, version, resource),
                (expected, accepts_namespace),
                "{resource}"
            );
        }
    }

    #[test]
    fn knows_where_a_pods_values_stand() {
        let schema = field_schema_for(&GroupVersionResource::new("", "v1", "pods"));
        assert_eq!(schema.fields.len(), 8);
        let address = &schema.fields[schema.position("status.podIP").unwrap()];
        assert_eq!(address.sources[1].json, ["status", "podIPs", "ip"]);
        assert_eq!(address.sources[1].protobuf, [3, 12, 1]);
        let host_network = &schema.fields[schema.position("spec.hostNetwork").unwrap()];
        assert_eq!(
            (host_network.default.as_str(), host_network.sources[0].scalar),
            ("false", Bool)
        );
    }

    #[test]
    fn takes_the_selectable_fields_of_a_custom_resource() {
        let schema = custom_field_schema(
            Scope::Cluster,
            &[(".spec.color", "string"), (".spec.size", "integer"), (".spec.parts", "array")],
        );
        assert!(!schema.accepts_namespace);
        let found: Vec<_> = schema.fields.iter().map(|field| field.label.as_str()).collect();
        assert_eq!(found, ["spec.color", "spec.size"]);
        assert_eq!(schema.fields[0].sources[0].json, ["spec", "color"]);
        assert!(custom_field_schema(Scope::Namespaced, &[]).accepts_namespace);
    }
}
