use serde_json::json;

use super::*;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";

fn definition() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer"}, "color": {"type": "string", "default": "blue"},
        }},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }}});
    json!({"kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
    "metadata": {"name": "widgets.example.com"},
    "spec": {"group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["w"]},
        "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": schema,
             "subresources": {"status": {}},
             "selectableFields": [{"jsonPath": ".spec.color"}]},
            {"name": "v2", "served": true, "storage": false, "schema": schema},
        ]}})
}

fn widget(spec: &Value) -> Value {
    json!({"kind": "Widget", "apiVersion": "example.com/v1", "metadata": {"name": "a"},
           "spec": spec})
}

#[tokio::test]
async fn serves_what_a_definition_defines() {
    let server = server();
    assert_eq!(get(&server, WIDGETS).await.0, StatusCode::NOT_FOUND);
    let (code, crd) = post(&server, DEFINITIONS, definition()).await;
    assert_eq!(code, StatusCode::CREATED, "{crd}");
    assert_eq!(crd["status"]["acceptedNames"]["singular"], "widget");
    assert_eq!(crd["status"]["conditions"][1]["type"], "Established");
    let (_, empty) = get(&server, WIDGETS).await;
    let text = get_text(&server, WIDGETS).await;
    assert!(text.starts_with(
        r#"{"apiVersion":"example.com/v1","items":[],"kind":"WidgetList","metadata":{"continue":"","resourceVersion":""#
    ), "{text}");
    assert_eq!(empty["items"], json!([]));

    let (code, created) = post(&server, WIDGETS, widget(&json!({"size": 1, "typo": 2}))).await;
    assert_eq!(code, StatusCode::CREATED, "{created}");
    assert_eq!(created["spec"], json!({"size": 1, "color": "blue"}));
    let text = get_text(&server, &format!("{WIDGETS}/a")).await;
    assert!(text.starts_with(r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"#));
    let (_, other) = get(&server, "/apis/example.com/v2/widgets").await;
    assert_eq!(other["items"][0]["apiVersion"], "example.com/v2");
    let path = format!("{WIDGETS}?fieldSelector=spec.color%3Dred");
    assert_eq!(get(&server, &path).await.1["items"], json!([]));

    let (code, body) = patch(&server, &format!("{WIDGETS}/a"), "strategic-merge", json!({})).await;
    assert_eq!((code.as_u16(), &body["reason"]), (415, &json!("UnsupportedMediaType")));
    let (_, list) = get(&server, "/apis/example.com/v1").await;
    assert_eq!(list["resources"][0]["shortNames"], json!(["w"]));
}

#[tokio::test]
async fn validates_custom_objects() {
    let server = server();
    post(&server, DEFINITIONS, definition()).await;
    let (code, body) = post(&server, WIDGETS, widget(&json!({"size": "big"}))).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        body["message"],
        "Widget.example.com \"a\" is invalid: spec.size: Invalid value: \"string\": spec.size in \
         body must be of type integer: \"string\""
    );
    let path = format!("{WIDGETS}?fieldValidation=Strict");
    let (code, body) = post(&server, &path, widget(&json!({"size": 1, "typo": 2}))).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    assert!(body["message"].as_str().unwrap().ends_with("unknown field \"spec.typo\""), "{body}");
    let (_, created) = post(&server, WIDGETS, widget(&json!({"size": 1}))).await;
    let mut unversioned = created;
    unversioned["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    let (code, _) = put(&server, &format!("{WIDGETS}/a"), unversioned).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_deleted_definition_takes_its_objects_along() {
    let server = server();
    post(&server, DEFINITIONS, definition()).await;
    post(&server, WIDGETS, widget(&json!({"size": 1}))).await;
    let revision = server.current_revision();
    let watch = request(
        Method::GET,
        &format!("{WIDGETS}?watch=1&resourceVersion={revision}"),
        "application/json",
        String::new(),
    );
    let watch = server.call(watch).await;
    let (code, _) = delete(&server, &format!("{DEFINITIONS}/widgets.example.com")).await;
    assert_eq!(code, StatusCode::OK);
    let events = text(watch.into_body()).await;
    assert!(events.starts_with(r#"{"type":"DELETED""#) && events.lines().count() == 1, "{events}");
    assert_eq!(get(&server, WIDGETS).await.0, StatusCode::NOT_FOUND);
    let path = format!("{DEFINITIONS}/widgets.example.com");
    assert_eq!(get(&server, &path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn refuses_definitions_it_cannot_serve() {
    let server = server();
    let mut webhook = definition();
    webhook["spec"]["conversion"] = json!({"strategy": "Webhook"});
    let (code, body) = post(&server, DEFINITIONS, webhook).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body["message"].as_str().unwrap().contains("only strategy None"));
    let mut misnamed = definition();
    misnamed["metadata"]["name"] = "others.example.com".into();
    let (code, _) = post(&server, DEFINITIONS, misnamed).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn serves_custom_resources_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().to_owned());
    let open = || ApiServer::open(&storage, Zeroizing::new(TOKEN.into()));
    let server = open().unwrap();
    post(&server, DEFINITIONS, definition()).await;
    let (_, created) = post(&server, WIDGETS, widget(&json!({"size": 1}))).await;
    assert!(open().is_err(), "two servers cannot share a directory");
    drop(server);
    let server = open().unwrap();
    assert_eq!(get(&server, &format!("{WIDGETS}/a")).await.1, created);
    let (code, _) = post(&server, DEFINITIONS, definition()).await;
    assert_eq!(code, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_taken_name_is_not_established() {
    let server = server();
    post(&server, DEFINITIONS, definition()).await;
    let mut other = definition();
    other["metadata"]["name"] = "gadgets.example.com".into();
    other["spec"]["names"]["plural"] = "gadgets".into();
    let (code, body) = post(&server, DEFINITIONS, other).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(body["status"]["conditions"][0]["status"], "False");
    assert_eq!(get(&server, "/apis/example.com/v1/gadgets").await.0, StatusCode::NOT_FOUND);
    let mut moved = get(&server, &format!("{DEFINITIONS}/widgets.example.com")).await.1;
    moved["spec"]["scope"] = "Cluster".into();
    let path = format!("{DEFINITIONS}/widgets.example.com");
    assert_eq!(put(&server, &path, moved).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}
