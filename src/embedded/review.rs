//! Access and token reviews: who the one user is, and that it may do everything.

use serde_json::{Value, json};

use super::{credential::Credential, definition::Fields};

/// The only user there is.
pub(super) const USER: &str = "system:admin";
const MASTERS: &str = "system:masters";

/// Answers a review by filling in its status; `None` when `plural` is not a review.
pub(super) fn answer(plural: &str, credential: &Credential, mut review: Fields) -> Option<Fields> {
    let spec = review.get("spec").cloned().unwrap_or_default();
    let status = match plural {
        "selfsubjectaccessreviews" => json!({"allowed": true}),
        "subjectaccessreviews" | "localsubjectaccessreviews" => access_of(&spec),
        "selfsubjectrulesreviews" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        "selfsubjectreviews" => json!({"userInfo": user()}),
        "tokenreviews" => {
            let token = spec["token"].as_str().unwrap_or_default();
            if credential.is(token.as_bytes()) {
                json!({"authenticated": true, "user": user()})
            } else {
                json!({"authenticated": false, "error": "the token is not that of this store"})
            }
        }
        _ => return None,
    };
    let metadata = review.entry("metadata").or_insert_with(|| json!({}));
    if metadata.is_object() {
        metadata["creationTimestamp"] = Value::Null;
    }
    review.insert("status".into(), status);
    Some(review)
}

fn user() -> Value {
    json!({"username": USER, "groups": [MASTERS, "system:authenticated"]})
}

fn access_of(spec: &Value) -> Value {
    let master = spec["user"] == USER
        || spec["groups"].as_array().is_some_and(|groups| groups.contains(&MASTERS.into()));
    if master {
        json!({"allowed": true})
    } else {
        json!({"allowed": false, "reason": "the embedded store grants access to system:masters only"})
    }
}
