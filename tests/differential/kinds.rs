//! The types that are read, and what a selector can ask of each.

/// A type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// `/api/v1` or `/apis/GROUP/VERSION`.
    pub(crate) group: &'static str,
    pub(crate) resource: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) namespaced: bool,
    /// How often it is asked for, compared with others.
    pub(crate) weight: u32,
    /// How many objects the tester makes of it.
    pub(crate) made: Made,
    /// Field selector terms that are understood, beyond names and namespaces.
    pub(crate) fields: &'static [&'static str],
}

/// Where a type's objects come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// The tester makes them, with any name.
    Any,
    /// The tester makes them, without dots in their names.
    Undotted,
    /// They are another version's, or the API server's own.
    Elsewhere,
}

/// The namespaces of the objects: one sorts before another that is its prefix, and one is empty.
pub(crate) const NAMESPACES: [&str; 4] = ["diff", "diff-b", "diff0", "diff-empty"];

/// The namespace of what is large.
pub(crate) const LARGE: &str = "diff-large";

/// Names in the order of a person, which is not that of keys.
pub(crate) const NAMES: [&str; 7] = ["a", "a-b", "x", "x-1", "x.1", "x0", "other"];

impl Kind {
    /// The path of the objects in `namespace`, or of all.
    pub(crate) fn collection(&self, namespace: Option<&str>) -> String {
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{}/namespaces/{namespace}/{}", self.group, self.resource),
            None => format!("{}/{}", self.group, self.resource),
        }
    }

    /// `v1` or `GROUP/VERSION`.
    pub(crate) fn api_version(&self) -> &'static str {
        self.group.trim_start_matches("/apis/").trim_start_matches("/api/")
    }

    /// Whether it is defined by the tester.
    pub(crate) fn is_custom(&self) -> bool {
        self.group.starts_with("/apis/example.com/")
    }

    /// The names that objects of the tester may have.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let dots = self.made != Made::Undotted;
        NAMES.into_iter().filter(move |name| dots || !name.contains('.'))
    }
}

const fn kind(
    group: &'static str,
    resource: &'static str,
    kind: &'static str,
    fields: &'static [&'static str],
) -> Kind {
    Kind { group, resource, kind, namespaced: true, weight: 10, made: Made::Any, fields }
}

const fn cluster_wide(kind: Kind) -> Kind {
    Kind { namespaced: false, ..kind }
}

const fn elsewhere(kind: Kind) -> Kind {
    Kind { made: Made::Elsewhere, ..kind }
}

const fn seldom(kind: Kind) -> Kind {
    Kind { weight: 3, ..kind }
}

/// Large objects make slow requests.
const fn large(kind: Kind) -> Kind {
    Kind { weight: 1, ..kind }
}

const CORE: &str = "/api/v1";
const APPS: &str = "/apis/apps/v1";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const CUSTOM: &str = "/apis/example.com/v1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1";

const POD_FIELDS: [&str; 8] = [
    "spec.nodeName=x",
    "spec.nodeName=",
    "status.phase=Pending",
    "status.phase!=Running",
    "spec.restartPolicy=Always",
    "spec.schedulerName=nobody",
    "status.podIPs=",
    "spec.hostNetwork=false",
];
const WIDGET_FIELDS: [&str; 4] =
    ["spec.color=red", "spec.color!=red", "spec.size=7", "spec.color=,spec.on=true"];

/// All of them.
pub(crate) const KINDS: &[Kind] = &[
    kind(CORE, "configmaps", "ConfigMap", &[]),
    kind(CORE, "secrets", "Secret", &["type=Opaque", "type!=Opaque"]),
    kind(CORE, "pods", "Pod", &POD_FIELDS),
    Kind {
        made: Made::Undotted,
        ..kind(CORE, "services", "Service", &["spec.type=ClusterIP", "spec.clusterIP=None"])
    },
    kind(CORE, "endpoints", "Endpoints", &[]),
    kind(CORE, "serviceaccounts", "ServiceAccount", &[]),
    kind(CORE, "replicationcontrollers", "ReplicationController", &["status.replicas=0"]),
    large(kind(CORE, "podtemplates", "PodTemplate", &[])),
    seldom(kind(CORE, "events", "Event", &["involvedObject.name=x", "type=Normal", "reason=Why"])),
    seldom(elsewhere(cluster_wide(kind(CORE, "componentstatuses", "ComponentStatus", &[])))),
    cluster_wide(kind(CORE, "nodes", "Node", &["spec.unschedulable=false"])),
    seldom(elsewhere(cluster_wide(kind(
        CORE,
        "namespaces",
        "Namespace",
        &["status.phase=Active"],
    )))),
    kind(APPS, "deployments", "Deployment", &[]),
    kind(APPS, "daemonsets", "DaemonSet", &[]),
    kind("/apis/batch/v1", "jobs", "Job", &["status.successful=0"]),
    kind("/apis/coordination.k8s.io/v1", "leases", "Lease", &[]),
    kind("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", &[]),
    seldom(cluster_wide(kind(RBAC, "clusterroles", "ClusterRole", &[]))),
    kind("/apis/autoscaling/v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", &[]),
    elsewhere(kind(
        "/apis/autoscaling/v1",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        &[],
    )),
    seldom(elsewhere(cluster_wide(kind(
        DEFINITIONS,
        "customresourcedefinitions",
        "CustomResourceDefinition",
        &[],
    )))),
    kind(CUSTOM, "widgets", "Widget", &WIDGET_FIELDS),
    elsewhere(kind("/apis/example.com/v1beta1", "widgets", "Widget", &[])),
    cluster_wide(kind(CUSTOM, "globes", "Globe", &["spec.color=red"])),
    large(kind(CUSTOM, "bulks", "Bulk", &[])),
];
