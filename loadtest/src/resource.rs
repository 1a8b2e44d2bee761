//! Resources as paths name them: which there are and where their objects live.
//!
//! Well-known ones go by their plural; any other is `GROUP/VERSION/PLURAL` (`v1/PLURAL` in the core
//! group) and can be watched, listed and got, but not made.

use std::{fmt, str::FromStr};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use watchgate::api::{
    resource::{GroupVersionResource, Scope},
    selector::{
        built_in::{custom_field_schema, field_schema_for},
        field_schema::FieldSchema,
    },
};

/// API group of the custom resources that fills make.
pub const CUSTOM_GROUP: &str = "loadtest.watchgate.example";

/// What can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// ConfigMaps.
    ConfigMap,
    /// The custom resource of [`CUSTOM_GROUP`].
    Sample,
    /// EndpointSlices.
    EndpointSlice,
    /// Leases.
    Lease,
    /// Nodes.
    Node,
    /// Pods.
    Pod,
    /// Secrets.
    Secret,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource {
    group: String,
    version: String,
    plural: String,
    /// What it is, if it can be made.
    pub kind: Option<Kind>,
}

const KNOWN: [(Kind, &str, &str, &str); 7] = [
    (Kind::ConfigMap, "", "v1", "configmaps"),
    (Kind::EndpointSlice, "discovery.k8s.io", "v1", "endpointslices"),
    (Kind::Lease, "coordination.k8s.io", "v1", "leases"),
    (Kind::Node, "", "v1", "nodes"),
    (Kind::Pod, "", "v1", "pods"),
    (Kind::Sample, CUSTOM_GROUP, "v1", "samples"),
    (Kind::Secret, "", "v1", "secrets"),
];

// === impl Resource ===

impl Resource {
    /// Everything that can be made.
    pub const KINDS: [Kind; 7] = [
        Kind::ConfigMap,
        Kind::EndpointSlice,
        Kind::Lease,
        Kind::Node,
        Kind::Pod,
        Kind::Sample,
        Kind::Secret,
    ];

    /// One that can be made.
    pub fn of(kind: Kind) -> Self {
        let known = KNOWN.iter().find(|known| known.0 == kind);
        let (_, group, version, plural) = known.expect("the table has every kind");
        Self {
            group: (*group).to_owned(),
            version: (*version).to_owned(),
            plural: (*plural).to_owned(),
            kind: Some(kind),
        }
    }

    /// The plural name.
    pub fn plural(&self) -> &str {
        &self.plural
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.clone()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether its objects live in namespaces, as far as it is known.
    pub fn namespaced(&self) -> bool {
        self.kind != Some(Kind::Node)
    }

    /// Whether the server has Protobuf for it.
    pub fn has_protobuf(&self) -> bool {
        self.group.is_empty() || self.group.ends_with(".k8s.io") || !self.group.contains('.')
    }

    /// Path of the collection, in one namespace or all, with a query.
    pub fn collection(&self, namespace: Option<&str>, query: &[(&str, &str)]) -> String {
        self.path(namespace, None, query)
    }

    /// Path of one object.
    pub fn object(&self, namespace: Option<&str>, name: &str, query: &[(&str, &str)]) -> String {
        self.path(namespace, Some(name), query)
    }

    /// What its objects can be selected by.
    pub fn field_schema(&self) -> FieldSchema {
        if self.group == CUSTOM_GROUP {
            return custom_field_schema(Scope::Namespaced, &[]);
        }
        field_schema_for(&GroupVersionResource {
            group: self.group.as_str().into(),
            version: self.version.as_str().into(),
            resource: self.plural.as_str().into(),
        })
    }

    fn path(&self, namespace: Option<&str>, name: Option<&str>, query: &[(&str, &str)]) -> String {
        let mut path = if self.group.is_empty() {
            format!("/api/{}/", self.version)
        } else {
            format!("/apis/{}/{}/", self.group, self.version)
        };
        if let Some(namespace) = namespace.filter(|_| self.namespaced()) {
            path.push_str(&format!("namespaces/{namespace}/"));
        }
        path.push_str(&self.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        for (index, (key, value)) in query.iter().enumerate() {
            path.push(if index == 0 { '?' } else { '&' });
            path.push_str(key);
            path.push('=');
            path.push_str(&utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
        }
        path
    }
}

impl FromStr for Resource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((kind, ..)) = KNOWN.iter().find(|known| known.3 == text) {
            return Ok(Self::of(*kind));
        }
        let known: Vec<&str> = KNOWN.iter().map(|known| known.3).collect();
        let allowed = || {
            let known = known.join(", ");
            format!("{text:?}: allowed are {known}, GROUP/VERSION/PLURAL and v1/PLURAL")
        };
        let plain = |part: &str| {
            let inner =
                |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(&it);
            part.starts_with(|it: char| it.is_ascii_lowercase()) && part.bytes().all(inner)
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(|part| plain(part)) {
            return Err(allowed());
        }
        let (group, version, plural) = match parts[..] {
            ["v1", plural] => ("", "v1", plural),
            [group, version, plural] => (group, version, plural),
            _ => return Err(allowed()),
        };
        let known =
            KNOWN.iter().find(|known| (known.1, known.2, known.3) == (group, version, plural));
        Ok(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: known.map(|known| known.0),
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(_) => f.write_str(&self.plural),
            None => write!(f, "{}/{}", self.api_version(), self.plural),
        }
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        let path = |name: &str, namespace| {
            name.parse::<Resource>().unwrap().collection(namespace, &[("labelSelector", "a=b")])
        };
        assert_eq!(path("pods", Some("x")), "/api/v1/namespaces/x/pods?labelSelector=a%3Db");
        assert_eq!(path("nodes", Some("x")), "/api/v1/nodes?labelSelector=a%3Db");
        let deployments = path("apps/v1/deployments", None);
        assert_eq!(deployments, "/apis/apps/v1/deployments?labelSelector=a%3Db");
        assert_eq!(path("v1/services", None), "/api/v1/services?labelSelector=a%3Db");
        assert_eq!("coordination.k8s.io/v1/leases".parse(), Ok(Resource::of(Kind::Lease)));
        for name in ["", "pod", "v1/", "a/b/c/d", "../v1/pods", "v1/Pods"] {
            assert!(name.parse::<Resource>().is_err(), "{name}");
        }
    }

    #[test]
    fn pods_are_selected_by_node() {
        assert!(Resource::of(Kind::Pod).field_schema().position("spec.nodeName").is_some());
        assert!(Resource::of(Kind::ConfigMap).field_schema().position("spec.nodeName").is_none());
    }
}
