//! The `scale` sub-resource: an object's number of replicas as an `autoscaling/v1` Scale.

use serde_json::{Value, json};

use super::{definition::Fields, refusal::Refusal, stored::metadata_text};

/// Where a resource keeps its numbers of replicas, as JSON pointers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ScalePaths {
    pub(super) wanted: String,
    pub(super) present: String,
    /// Where the selector of the replicas is: a text or a label selector.
    pub(super) selector: Option<String>,
}

// === impl ScalePaths ===

impl ScalePaths {
    /// The paths of the built-in workloads that have the sub-resource.
    pub(super) fn built_in(group_resource: &str) -> Option<Self> {
        let scalable =
            ["deployments.apps", "replicasets.apps", "replicationcontrollers", "statefulsets.apps"];
        scalable.contains(&group_resource).then(|| Self {
            wanted: "/spec/replicas".into(),
            present: "/status/replicas".into(),
            selector: Some("/spec/selector".into()),
        })
    }

    /// The paths that a version of a CustomResourceDefinition names.
    pub(super) fn custom(version: &Value) -> Option<Self> {
        let scale = version.pointer("/subresources/scale")?;
        let path = |name: &str| scale[name].as_str().map(|path| path.replace('.', "/"));
        Some(Self {
            wanted: path("specReplicasPath")?,
            present: path("statusReplicasPath")?,
            selector: path("labelSelectorPath"),
        })
    }

    /// The Scale of an object.
    pub(super) fn scale_of(&self, fields: &Fields) -> Fields {
        let at = |path: &str| find(fields, path);
        let number = |path: &str| at(path).and_then(Value::as_i64).unwrap_or(0);
        let mut status = json!({"replicas": number(&self.present)});
        if let Some(selector) = self.selector.as_deref().and_then(at) {
            status["selector"] = selector_text(selector).into();
        }
        let mut metadata = Fields::new();
        for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            let text = metadata_text(fields, name);
            if !text.is_empty() {
                metadata.insert(name.into(), text.into());
            }
        }
        let mut scale = Fields::new();
        scale.insert("kind".into(), "Scale".into());
        scale.insert("apiVersion".into(), "autoscaling/v1".into());
        scale.insert("metadata".into(), Value::Object(metadata));
        scale.insert("spec".into(), json!({"replicas": number(&self.wanted)}));
        scale.insert("status".into(), status);
        scale
    }

    /// The object with the number of replicas that a changed Scale wants.
    pub(super) fn apply(&self, fields: &Fields, scale: &Fields) -> Result<Fields, Refusal> {
        let replicas = scale.get("spec").map_or(&Value::Null, |spec| &spec["replicas"]);
        let replicas = match replicas {
            Value::Null => 0,
            number => number.as_u64().filter(|number| i32::try_from(*number).is_ok()).ok_or_else(
                || Refusal::bad_request("spec.replicas must be an integer of at least 0"),
            )?,
        };
        let mut fields = fields.clone();
        let names: Vec<&str> = self.wanted.split('/').skip(1).collect();
        set(&mut fields, &names, replicas.into());
        let version = metadata_text(scale, "resourceVersion").to_owned();
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.insert("resourceVersion".into(), version.into());
        }
        Ok(fields)
    }
}

fn find<'f>(fields: &'f Fields, path: &str) -> Option<&'f Value> {
    let (first, rest) = path.strip_prefix('/')?.split_once('/')?;
    fields.get(first)?.pointer(&format!("/{rest}"))
}

fn set(fields: &mut Fields, names: &[&str], value: Value) {
    match names {
        [] => {}
        [last] => {
            fields.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            let inner = fields.entry(*first).or_insert_with(|| Value::Object(Fields::new()));
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

/// A selector in the text form of queries: given so, as a map, or as a LabelSelector.
fn selector_text(selector: &Value) -> String {
    if let Some(text) = selector.as_str() {
        return text.to_owned();
    }
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> = expression["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        terms.push(match expression["operator"].as_str() {
            Some("In") => format!("{key} in ({})", values.join(",")),
            Some("NotIn") => format!("{key} notin ({})", values.join(",")),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::schema::fields_of;

    #[test]
    fn shows_and_changes_replicas() {
        let paths = ScalePaths::built_in("deployments.apps").unwrap();
        let fields = fields_of(json!({
            "metadata": {"name": "d", "resourceVersion": "5"},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}},
        }));
        let mut scale = paths.scale_of(&fields);
        assert_eq!(scale["spec"], json!({"replicas": 2}));
        assert_eq!(scale["status"], json!({"replicas": 0, "selector": "a=b"}));
        scale["spec"]["replicas"] = 7.into();
        assert_eq!(paths.apply(&fields, &scale).unwrap()["spec"]["replicas"], 7);
        scale["spec"]["replicas"] = (-1).into();
        assert!(paths.apply(&fields, &scale).is_err());
    }
}
