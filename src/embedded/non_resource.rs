//! Paths that name no resource: health, version, discovery, OpenAPI (semantics §11).

use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{
    accept,
    answer::{self, Answer},
    discovery, openapi,
    refusal::Refusal,
    registry::Registry,
    server::{ApiServer, page_not_found},
};
use crate::api::status::Status;

const HEALTH: [&str; 3] = ["/healthz", "/livez", "/readyz"];

/// Whether a path is answered without a credential.
pub(super) fn is_public(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    HEALTH.contains(&path) || path == "/version"
}

/// Answers a path that names no resource.
pub(super) fn answer(server: &ApiServer, parts: &Parts, path: &str) -> Result<Answer, Refusal> {
    if HEALTH.contains(&path) {
        return Ok(answer::text(StatusCode::OK, "ok"));
    }
    if parts.method != Method::GET {
        return Err(Status::method_not_allowed().into());
    }
    let accept = parts.headers.get(http::header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let state = server.store.state();
    let registry = &state.registry;
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let aggregated = || accept::aggregated_discovery(accept);
    let acceptable = |value: Value| {
        accept::resource_form(accept, false)
            .map(|_| answer::json_value(&value))
            .ok_or_else(|| Refusal::from(Status::not_acceptable(&["application/json"])))
    };
    match segments.as_slice() {
        ["" | "index.html"] => Ok(answer::indented(&discovery::paths(registry))),
        ["version"] => Ok(answer::indented(&version())),
        [root @ ("api" | "apis")] if aggregated() => {
            let groups = discovery::aggregated(registry, *root == "api");
            Ok(answer::aggregated(&groups, &parts.headers))
        }
        ["api"] => acceptable(discovery::api_versions()),
        ["apis"] => acceptable(discovery::group_list(registry)),
        ["api", version] => discovery::resource_list(registry, "", version)
            .map_or_else(|| Err(Status::unknown_resource().into()), acceptable),
        ["apis", group] => {
            discovery::api_group(registry, group).map_or_else(|| Ok(page_not_found()), acceptable)
        }
        ["apis", group, version] => match discovery::resource_list(registry, group, version) {
            Some(list) => acceptable(list),
            None => missing_version(group),
        },
        ["openapi", "v3"] => Ok(answer::json_value(&openapi::index(registry, answer::hash))),
        ["openapi", "v3", rest @ ..] => {
            let document = openapi::document(registry, &rest.join("/"));
            Ok(document.map_or_else(page_not_found, |document| answer::json_value(&document)))
        }
        ["openapi", "v2"] => Err(Status::failure(
            404,
            "NotFound",
            "the embedded store serves OpenAPI v3 at /openapi/v3, no v2",
        )
        .into()),
        _ => Ok(page_not_found()),
    }
}

fn missing_version(group: &str) -> Result<Answer, Refusal> {
    if Registry::built_in_group(group) {
        return Err(Status::unknown_resource().into());
    }
    Ok(page_not_found())
}

/// `/version`: the API this store follows, marked as not being a cluster.
fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": "v1.36.0+watchgate-embedded",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}
