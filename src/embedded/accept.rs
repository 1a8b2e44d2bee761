//! Which of the forms the store knows a client accepts. JSON is the only encoding it speaks.
//!
//! Clauses are tried by quality, then by position; what the store cannot do (protobuf, YAML,
//! Tables) is passed over, so that a client which also takes plain JSON gets that.

use super::form::Form;

/// The form of a resource answer: that of an object, or, with `list`, of a list. `None` means 406.
pub(super) fn resource_form(accept: Option<&str>, list: bool) -> Option<Form> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return Some(Form::Object);
    };
    let metadata = if list { "PartialObjectMetadataList" } else { "PartialObjectMetadata" };
    clauses(accept).into_iter().find_map(|clause| {
        if !clause.takes_json() {
            return None;
        }
        match clause.parameter("as") {
            None => Some(Form::Object),
            Some(kind) => {
                let of_meta = clause.parameter("g") == Some("meta.k8s.io")
                    && matches!(clause.parameter("v"), Some("v1" | "v1beta1"));
                (of_meta && kind == metadata).then_some(Form::Metadata)
            }
        }
    })
}

/// Whether the client takes aggregated discovery, wherever it says so.
pub(super) fn aggregated_discovery(accept: Option<&str>) -> bool {
    clauses(accept.unwrap_or_default()).iter().any(|clause| {
        clause.takes_json()
            && clause.parameter("g") == Some("apidiscovery.k8s.io")
            && clause.parameter("v") == Some("v2")
            && clause.parameter("as") == Some("APIGroupDiscoveryList")
    })
}

struct Clause<'a> {
    media_type: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
    quality: f32,
}

// === impl Clause ===

impl Clause<'_> {
    fn takes_json(&self) -> bool {
        matches!(self.media_type, "application/json" | "application/*" | "*/*" | "*")
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

fn clauses(accept: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = accept
        .split(',')
        .map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let quality = parameters.iter().find(|(name, _)| *name == "q");
            let quality = quality.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0));
            Clause { media_type, parameters, quality }
        })
        .collect();
    clauses.sort_by(|a, b| b.quality.total_cmp(&a.quality));
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_over_what_it_cannot_do() {
        let form = |accept: &str| resource_form(Some(accept), true);
        assert_eq!(resource_form(None, true), Some(Form::Object));
        assert_eq!(form("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Some(Form::Object)
        );
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        assert_eq!(form(table), None);
        assert_eq!(form(&format!("{table},application/json")), Some(Form::Object));
        let metadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
        assert_eq!(form(metadata), Some(Form::Metadata));
        assert_eq!(resource_form(Some(metadata), false), None);
        assert_eq!(form("application/json;q=0.1,application/yaml"), Some(Form::Object));
    }

    #[test]
    fn finds_aggregated_discovery_anywhere() {
        let accept = "application/json,application/json;g=apidiscovery.k8s.io;v=v2;\
                      as=APIGroupDiscoveryList";
        assert!(aggregated_discovery(Some(accept)));
        assert!(!aggregated_discovery(Some("application/json")));
    }
}
