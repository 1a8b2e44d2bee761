//! The protobuf fields of the kinds whose bodies the store reads in that encoding.
//!
//! Numbers are those of the `generated.proto` files of `k8s.io/api` and `k8s.io/apimachinery`
//! v0.36.3. Listed are the small kinds that kubectl (from 1.32 on) and leader election send as
//! protobuf without an alternative; what users write about them, not their status.

/// One field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// How a field's value is read, and what its absence looks like.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A text; an empty one is absent.
    Text,
    /// A text that may be empty on purpose.
    OptionalText,
    /// A list of texts.
    Texts,
    /// A number; zero is absent.
    Integer,
    /// A number that may be zero on purpose.
    OptionalInteger,
    /// A boolean; false is absent.
    Bool,
    /// A boolean that may be false on purpose.
    OptionalBool,
    /// A time in seconds.
    Time,
    /// A time in microseconds.
    MicroTime,
    /// A map from text to text.
    TextMap,
    /// A map from text to bytes.
    BytesMap,
    /// A message; an empty one is absent.
    Message(&'static [Field]),
    /// A list of messages.
    Messages(&'static [Field]),
}

use Kind::{
    Bool, BytesMap, Integer, Message, Messages, MicroTime, OptionalBool, OptionalInteger,
    OptionalText, Text, TextMap, Texts, Time,
};

const fn field(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, kind }
}

const METADATA: Field = field(1, "metadata", Message(OBJECT_META));

const OBJECT_META: &[Field] = &[
    field(1, "name", Text),
    field(2, "generateName", Text),
    field(3, "namespace", Text),
    field(4, "selfLink", Text),
    field(5, "uid", Text),
    field(6, "resourceVersion", Text),
    field(7, "generation", Integer),
    field(8, "creationTimestamp", Time),
    field(9, "deletionTimestamp", Time),
    field(10, "deletionGracePeriodSeconds", OptionalInteger),
    field(11, "labels", TextMap),
    field(12, "annotations", TextMap),
    field(13, "ownerReferences", Messages(OWNER_REFERENCE)),
    field(14, "finalizers", Texts),
];
const OWNER_REFERENCE: &[Field] = &[
    field(1, "kind", Text),
    field(3, "name", Text),
    field(4, "uid", Text),
    field(5, "apiVersion", Text),
    field(6, "controller", OptionalBool),
    field(7, "blockOwnerDeletion", OptionalBool),
];
const OBJECT_REFERENCE: &[Field] = &[
    field(1, "kind", Text),
    field(2, "namespace", Text),
    field(3, "name", Text),
    field(4, "uid", Text),
    field(5, "apiVersion", Text),
    field(6, "resourceVersion", Text),
    field(7, "fieldPath", Text),
];
const POLICY_RULE: &[Field] = &[
    field(1, "verbs", Texts),
    field(2, "apiGroups", Texts),
    field(3, "resources", Texts),
    field(4, "resourceNames", Texts),
    field(5, "nonResourceURLs", Texts),
];
const SUBJECT: &[Field] = &[
    field(1, "kind", Text),
    field(2, "apiGroup", Text),
    field(3, "name", Text),
    field(4, "namespace", Text),
];
const ROLE_REF: &[Field] =
    &[field(1, "apiGroup", Text), field(2, "kind", Text), field(3, "name", Text)];
const RULES: Field = field(2, "rules", Messages(POLICY_RULE));
const BINDING: &[Field] =
    &[METADATA, field(2, "subjects", Messages(SUBJECT)), field(3, "roleRef", Message(ROLE_REF))];
const RESOURCE_ATTRIBUTES: &[Field] = &[
    field(1, "namespace", Text),
    field(2, "verb", Text),
    field(3, "group", Text),
    field(4, "version", Text),
    field(5, "resource", Text),
    field(6, "subresource", Text),
    field(7, "name", Text),
];
const PATH_ATTRIBUTES: &[Field] = &[field(1, "path", Text), field(2, "verb", Text)];
const SELF_ACCESS: &[Field] = &[
    field(1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
    field(2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
];
const ACCESS: &[Field] = &[
    field(1, "resourceAttributes", Message(RESOURCE_ATTRIBUTES)),
    field(2, "nonResourceAttributes", Message(PATH_ATTRIBUTES)),
    field(3, "user", Text),
    field(4, "groups", Texts),
    field(6, "uid", Text),
];
/// The status of a Namespace being created.
const NAMESPACE_STATUS: &[Field] = &[field(1, "phase", Text)];
const ACCESS_STATUS: &[Field] = &[
    field(1, "allowed", Bool),
    field(2, "reason", Text),
    field(3, "evaluationError", Text),
    field(4, "denied", Bool),
];
const RULES_STATUS: &[Field] = &[field(3, "incomplete", Bool), field(4, "evaluationError", Text)];
const USER: &[Field] = &[field(1, "username", Text), field(2, "uid", Text)];
const SELF_STATUS: &[Field] = &[field(1, "userInfo", Message(USER))];
const TOKEN_STATUS: &[Field] =
    &[field(1, "authenticated", Bool), field(2, "user", Message(USER)), field(3, "error", Text)];
const EVENT: &[Field] = &[
    METADATA,
    field(2, "involvedObject", Message(OBJECT_REFERENCE)),
    field(3, "reason", Text),
    field(4, "message", Text),
    field(5, "source", Message(&[field(1, "component", Text), field(2, "host", Text)])),
    field(6, "firstTimestamp", Time),
    field(7, "lastTimestamp", Time),
    field(8, "count", Integer),
    field(9, "type", Text),
    field(10, "eventTime", MicroTime),
    field(
        11,
        "series",
        Message(&[field(1, "count", Integer), field(2, "lastObservedTime", MicroTime)]),
    ),
    field(12, "action", Text),
    field(13, "related", Message(OBJECT_REFERENCE)),
    field(14, "reportingComponent", Text),
    field(15, "reportingInstance", Text),
];
const LEASE: &[Field] = &[
    METADATA,
    field(
        2,
        "spec",
        Message(&[
            field(1, "holderIdentity", OptionalText),
            field(2, "leaseDurationSeconds", OptionalInteger),
            field(3, "acquireTime", MicroTime),
            field(4, "renewTime", MicroTime),
            field(5, "leaseTransitions", OptionalInteger),
            field(6, "strategy", OptionalText),
            field(7, "preferredHolder", OptionalText),
        ]),
    ),
];
const DELETE_OPTIONS: &[Field] = &[
    field(1, "gracePeriodSeconds", OptionalInteger),
    field(
        2,
        "preconditions",
        Message(&[field(1, "uid", OptionalText), field(2, "resourceVersion", OptionalText)]),
    ),
    field(3, "orphanDependents", OptionalBool),
    field(4, "propagationPolicy", OptionalText),
    field(5, "dryRun", Texts),
    field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Bool),
];

const SECRET: &[Field] = &[
    METADATA,
    field(2, "data", BytesMap),
    field(3, "type", Text),
    field(4, "stringData", TextMap),
    field(5, "immutable", OptionalBool),
];
const NAMESPACE: &[Field] = &[
    METADATA,
    field(2, "spec", Message(&[field(1, "finalizers", Texts)])),
    field(3, "status", Message(NAMESPACE_STATUS)),
];
const CONFIG_MAP: &[Field] = &[
    METADATA,
    field(2, "data", TextMap),
    field(3, "binaryData", BytesMap),
    field(4, "immutable", OptionalBool),
];
const SERVICE_ACCOUNT: &[Field] = &[
    METADATA,
    field(2, "secrets", Messages(OBJECT_REFERENCE)),
    field(3, "imagePullSecrets", Messages(&[field(1, "name", Text)])),
    field(4, "automountServiceAccountToken", OptionalBool),
];
const PRIORITY_CLASS: &[Field] = &[
    METADATA,
    field(2, "value", OptionalInteger),
    field(3, "globalDefault", Bool),
    field(4, "description", Text),
    field(5, "preemptionPolicy", OptionalText),
];
const TOKEN_REVIEW: &[Field] = &[
    METADATA,
    field(2, "spec", Message(&[field(1, "token", Text), field(2, "audiences", Texts)])),
    field(3, "status", Message(TOKEN_STATUS)),
];
const SELF_REVIEW: &[Field] = &[METADATA, field(2, "status", Message(SELF_STATUS))];
const SELF_ACCESS_REVIEW: &[Field] =
    &[METADATA, field(2, "spec", Message(SELF_ACCESS)), field(3, "status", Message(ACCESS_STATUS))];
const ACCESS_REVIEW: &[Field] =
    &[METADATA, field(2, "spec", Message(ACCESS)), field(3, "status", Message(ACCESS_STATUS))];
const RULES_REVIEW: &[Field] = &[
    METADATA,
    field(2, "spec", Message(&[field(1, "namespace", Text)])),
    field(3, "status", Message(RULES_STATUS)),
];
const ROLE: &[Field] = &[METADATA, RULES];

/// The fields of a kind; `None` when its protobuf is not read.
pub(super) fn of_kind(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    Some(match (api_version, kind) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        ("v1", "Event") => EVENT,
        ("coordination.k8s.io/v1", "Lease") => LEASE,
        ("rbac.authorization.k8s.io/v1", "Role" | "ClusterRole") => ROLE,
        ("rbac.authorization.k8s.io/v1", "RoleBinding" | "ClusterRoleBinding") => BINDING,
        ("scheduling.k8s.io/v1", "PriorityClass") => PRIORITY_CLASS,
        (_, "DeleteOptions") => DELETE_OPTIONS,
        ("authorization.k8s.io/v1", "SelfSubjectAccessReview") => SELF_ACCESS_REVIEW,
        ("authorization.k8s.io/v1", "SubjectAccessReview" | "LocalSubjectAccessReview") => {
            ACCESS_REVIEW
        }
        ("authorization.k8s.io/v1", "SelfSubjectRulesReview") => RULES_REVIEW,
        ("authentication.k8s.io/v1", "SelfSubjectReview") => SELF_REVIEW,
        ("authentication.k8s.io/v1", "TokenReview") => TOKEN_REVIEW,
        _ => return None,
    })
}
