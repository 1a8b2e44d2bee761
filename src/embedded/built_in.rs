//! The built-in resources of the store: one row per resource, as kube-apiserver names them.
//!
//! Rows carry names, scope and the few per-kind rules the store follows. The store knows no
//! schemas of built-in types: it neither defaults nor validates their `spec`.

use super::definition::NameRule;

/// One built-in resource.
pub(super) struct BuiltIn {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) short_names: &'static [&'static str],
    pub(super) namespaced: bool,
    pub(super) rules: Rules,
}

/// What sets one resource apart from another when it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// Has a `status` sub-resource.
    pub(super) status: bool,
    /// `metadata.generation` counts changes of the desired state.
    pub(super) generation: bool,
    /// Which names its objects may have.
    pub(super) names: NameRule,
    /// DELETE answers the object instead of a `Status`.
    pub(super) returns_deleted: bool,
    /// PUT of a missing object creates it.
    pub(super) create_on_update: bool,
    /// Listed by `kubectl get all`.
    pub(super) in_all: bool,
}

const PLAIN: Rules = Rules {
    status: false,
    generation: false,
    names: NameRule::Subdomain,
    returns_deleted: false,
    create_on_update: false,
    in_all: false,
};
const STATUS: Rules = Rules { status: true, ..PLAIN };
const WORKLOAD: Rules = Rules { status: true, generation: true, in_all: true, ..PLAIN };
const SPEC_AND_STATUS: Rules = Rules { status: true, generation: true, ..PLAIN };
const SPEC: Rules = Rules { generation: true, ..PLAIN };
const RETURNED: Rules = Rules { returns_deleted: true, ..PLAIN };
const RETURNED_STATUS: Rules = Rules { status: true, returns_deleted: true, ..PLAIN };
const UPSERT: Rules = Rules { create_on_update: true, ..PLAIN };
const RBAC: Rules = Rules { names: NameRule::PathSegment, create_on_update: true, ..PLAIN };

const fn row(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    short_names: &'static [&'static str],
    namespaced: bool,
    rules: Rules,
) -> BuiltIn {
    BuiltIn { group, version, plural, kind, short_names, namespaced, rules }
}

const NAMESPACED: bool = true;
const CLUSTER: bool = false;

/// Every built-in resource, grouped as discovery lists them.
pub(super) const BUILT_INS: &[BuiltIn] = &[
    row("", "v1", "configmaps", "ConfigMap", &["cm"], NAMESPACED, PLAIN),
    row("", "v1", "endpoints", "Endpoints", &["ep"], NAMESPACED, UPSERT),
    row("", "v1", "events", "Event", &["ev"], NAMESPACED, UPSERT),
    row("", "v1", "limitranges", "LimitRange", &["limits"], NAMESPACED, UPSERT),
    row(
        "",
        "v1",
        "namespaces",
        "Namespace",
        &["ns"],
        CLUSTER,
        Rules { names: NameRule::Label, ..RETURNED_STATUS },
    ),
    row("", "v1", "nodes", "Node", &["no"], CLUSTER, STATUS),
    row(
        "",
        "v1",
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        &["pvc"],
        NAMESPACED,
        RETURNED_STATUS,
    ),
    row("", "v1", "persistentvolumes", "PersistentVolume", &["pv"], CLUSTER, RETURNED_STATUS),
    row(
        "",
        "v1",
        "pods",
        "Pod",
        &["po"],
        NAMESPACED,
        Rules { generation: true, in_all: true, ..RETURNED_STATUS },
    ),
    row("", "v1", "podtemplates", "PodTemplate", &[], NAMESPACED, RETURNED),
    row("", "v1", "replicationcontrollers", "ReplicationController", &["rc"], NAMESPACED, WORKLOAD),
    row("", "v1", "resourcequotas", "ResourceQuota", &["quota"], NAMESPACED, RETURNED_STATUS),
    row("", "v1", "secrets", "Secret", &[], NAMESPACED, PLAIN),
    row("", "v1", "serviceaccounts", "ServiceAccount", &["sa"], NAMESPACED, RETURNED),
    row(
        "",
        "v1",
        "services",
        "Service",
        &["svc"],
        NAMESPACED,
        Rules {
            names: NameRule::ServiceLabel,
            create_on_update: true,
            in_all: true,
            ..RETURNED_STATUS
        },
    ),
    row(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        &["crd", "crds"],
        CLUSTER,
        SPEC_AND_STATUS,
    ),
    row("apiregistration.k8s.io", "v1", "apiservices", "APIService", &[], CLUSTER, STATUS),
    row("apps", "v1", "controllerrevisions", "ControllerRevision", &[], NAMESPACED, PLAIN),
    row("apps", "v1", "daemonsets", "DaemonSet", &["ds"], NAMESPACED, WORKLOAD),
    row("apps", "v1", "deployments", "Deployment", &["deploy"], NAMESPACED, WORKLOAD),
    row("apps", "v1", "replicasets", "ReplicaSet", &["rs"], NAMESPACED, WORKLOAD),
    row("apps", "v1", "statefulsets", "StatefulSet", &["sts"], NAMESPACED, WORKLOAD),
    row(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        &["hpa"],
        NAMESPACED,
        Rules { in_all: true, ..STATUS },
    ),
    row("batch", "v1", "cronjobs", "CronJob", &["cj"], NAMESPACED, WORKLOAD),
    row("batch", "v1", "jobs", "Job", &[], NAMESPACED, WORKLOAD),
    row("coordination.k8s.io", "v1", "leases", "Lease", &[], NAMESPACED, UPSERT),
    row("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", &[], NAMESPACED, SPEC),
    row("networking.k8s.io", "v1", "ingressclasses", "IngressClass", &[], CLUSTER, SPEC),
    row("networking.k8s.io", "v1", "ingresses", "Ingress", &["ing"], NAMESPACED, SPEC_AND_STATUS),
    row(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
        &["netpol"],
        NAMESPACED,
        SPEC,
    ),
    row("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", &[], CLUSTER, UPSERT),
    row(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        &["pdb"],
        NAMESPACED,
        SPEC_AND_STATUS,
    ),
    row(
        "rbac.authorization.k8s.io",
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        &[],
        CLUSTER,
        RBAC,
    ),
    row("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", &[], CLUSTER, RBAC),
    row("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", &[], NAMESPACED, RBAC),
    row("rbac.authorization.k8s.io", "v1", "roles", "Role", &[], NAMESPACED, RBAC),
    row("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", &["pc"], CLUSTER, SPEC),
    row("storage.k8s.io", "v1", "csidrivers", "CSIDriver", &[], CLUSTER, RETURNED),
    row("storage.k8s.io", "v1", "csinodes", "CSINode", &[], CLUSTER, RETURNED),
    row("storage.k8s.io", "v1", "storageclasses", "StorageClass", &["sc"], CLUSTER, RETURNED),
    row(
        "storage.k8s.io",
        "v1",
        "volumeattachments",
        "VolumeAttachment",
        &[],
        CLUSTER,
        RETURNED_STATUS,
    ),
];

/// The groups whose versions hold no stored resources but answer POSTs, with kind and plural.
pub(super) const REVIEWS: &[(&str, &str, &str, bool)] = &[
    ("authentication.k8s.io", "selfsubjectreviews", "SelfSubjectReview", false),
    ("authentication.k8s.io", "tokenreviews", "TokenReview", false),
    ("authorization.k8s.io", "localsubjectaccessreviews", "LocalSubjectAccessReview", true),
    ("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
    ("authorization.k8s.io", "selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
    ("authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", false),
];
