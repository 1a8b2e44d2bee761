//! CustomResourceDefinitions and APIServices, as far as the type table needs them.

use std::hash::BuildHasher;

use compact_str::{CompactString, format_compact};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

use crate::api::{
    resource::{GroupVersionResource, Origin, ResourceType, Scope},
    selector::built_in::custom_field_schema,
};

use super::{
    ServedType,
    deprecation::{self, Alternative, default_text},
};

/// One CustomResourceDefinition.
#[derive(Debug, Deserialize)]
pub struct CustomResourceDefinition<'a> {
    metadata: Metadata,
    #[serde(borrow)]
    spec: &'a RawValue,
    #[serde(default)]
    status: Status,
}

/// One APIService.
#[derive(Debug, Deserialize)]
pub struct ApiService {
    spec: ApiServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    uid: CompactString,
}

#[derive(Debug, Deserialize)]
struct Spec {
    group: CompactString,
    scope: CompactString,
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    name: CompactString,
    served: bool,
    #[serde(default)]
    deprecated: bool,
    #[serde(default)]
    deprecation_warning: Option<String>,
    #[serde(default)]
    selectable_fields: Vec<SelectableField>,
    #[serde(default)]
    schema: serde_json::Value,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SelectableField {
    json_path: CompactString,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    accepted_names: Names,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize, Hash)]
#[serde(rename_all = "camelCase")]
struct Names {
    #[serde(default)]
    plural: CompactString,
    #[serde(default)]
    kind: CompactString,
    #[serde(default)]
    list_kind: CompactString,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: CompactString,
    status: CompactString,
}

#[derive(Debug, Deserialize)]
struct ApiServiceSpec {
    #[serde(default)]
    group: CompactString,
    #[serde(default)]
    version: CompactString,
    #[serde(default)]
    service: Option<serde::de::IgnoredAny>,
}

// === impl CustomResourceDefinition ===

impl CustomResourceDefinition<'_> {
    /// The types it serves; none before it is established. Upstream tears a type's storage down
    /// when the definition's spec or accepted names change, so both are in the fingerprint.
    ///
    /// # Errors
    /// The spec does not have a definition's shape.
    pub fn types(&self, hasher: &impl BuildHasher) -> Result<Vec<ServedType>, serde_json::Error> {
        let established = self
            .status
            .conditions
            .iter()
            .any(|condition| condition.kind == "Established" && condition.status == "True");
        if !established {
            return Ok(Vec::new());
        }
        let spec: Spec = serde_json::from_str(self.spec.get())?;
        let decisive = (&self.metadata.uid, self.spec.get(), &self.status.accepted_names);
        let fingerprint = hasher.hash_one(decisive);
        Ok(spec
            .versions
            .iter()
            .filter(|version| version.served)
            .map(|version| self.served(&spec, version, fingerprint))
            .collect())
    }

    fn served(&self, spec: &Spec, version: &Version, fingerprint: u64) -> ServedType {
        let names = &self.status.accepted_names;
        let scope = if spec.scope == "Namespaced" { Scope::Namespaced } else { Scope::Cluster };
        let fields: Vec<_> = version
            .selectable_fields
            .iter()
            .map(|field| (field.json_path.as_str(), version.type_of(&field.json_path)))
            .collect();
        let list_kind = if names.list_kind.is_empty() {
            format_compact!("{}List", names.kind)
        } else {
            names.list_kind.clone()
        };
        let resource = ResourceType {
            gvr: GroupVersionResource::new(&spec.group, &version.name, &names.plural),
            kind: names.kind.clone(),
            list_kind,
            scope,
            origin: Origin::Custom,
            fields: custom_field_schema(scope, &fields),
        };
        let warning = version.deprecated.then(|| warning(&resource, spec, version)).flatten();
        ServedType { resource: Arc::new(resource), warning, fingerprint }
    }
}

impl Version {
    /// The OpenAPI type of the field at a JSON path such as `.spec.color`; empty when unknown.
    fn type_of(&self, path: &str) -> &str {
        path.split('.')
            .filter(|segment| !segment.is_empty())
            .fold(&self.schema["openAPIV3Schema"], |schema, key| &schema["properties"][key])["type"]
            .as_str()
            .unwrap_or_default()
    }
}

/// The warning on reads of a deprecated version.
fn warning(resource: &ResourceType, spec: &Spec, version: &Version) -> Option<HeaderValue> {
    if let Some(text) = &version.deprecation_warning {
        return deprecation::header(text);
    }
    let versions = spec.versions.iter().map(|other| Alternative {
        version: &other.name,
        recommended: other.served && !other.deprecated,
    });
    let text = default_text(&spec.group, &resource.kind, &version.name, versions);
    deprecation::header(&text)
}

// === impl ApiService ===

impl ApiService {
    /// The group and version that another server answers for; `None` for local ones.
    pub fn aggregated(&self) -> Option<(&str, &str)> {
        self.spec.service.as_ref().map(|_| (self.spec.group.as_str(), self.spec.version.as_str()))
    }
}
