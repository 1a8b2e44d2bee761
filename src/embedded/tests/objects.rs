use serde_json::json;

use super::*;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str, data: &str) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name},
           "data": {"key": data}})
}

#[tokio::test]
async fn creates_reads_updates_and_deletes() {
    let server = server();
    let (code, created) = post(&server, CONFIG_MAPS, config_map("a", "1")).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(created["metadata"]["namespace"], "default");
    assert_eq!(
        created["metadata"]["resourceVersion"],
        server.current_revision().to_string().as_str()
    );
    let text = get_text(&server, &format!("{CONFIG_MAPS}/a")).await;
    assert!(text.starts_with(r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"#), "{text}");
    assert!(text.ends_with("}\n"));

    let (code, body) = post(&server, CONFIG_MAPS, config_map("a", "1")).await;
    assert_eq!((code, &body["reason"]), (StatusCode::CONFLICT, &json!("AlreadyExists")));

    let mut changed = created.clone();
    changed["data"]["key"] = "2".into();
    let (code, updated) = put(&server, &format!("{CONFIG_MAPS}/a"), changed.clone()).await;
    assert_eq!((code, &updated["data"]["key"]), (StatusCode::OK, &json!("2")));
    assert_eq!(updated["metadata"]["uid"], created["metadata"]["uid"]);

    changed["data"]["key"] = "3".into();
    let (code, body) = put(&server, &format!("{CONFIG_MAPS}/a"), changed).await;
    assert_eq!((code, &body["reason"]), (StatusCode::CONFLICT, &json!("Conflict")));

    let (code, body) = delete(&server, &format!("{CONFIG_MAPS}/a")).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(
        body,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
               "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}})
    );
    let (code, body) = get(&server, &format!("{CONFIG_MAPS}/a")).await;
    assert_eq!(code, StatusCode::NOT_FOUND);
    assert_eq!(body["message"], "configmaps \"a\" not found");
}

#[tokio::test]
async fn an_unchanged_update_writes_nothing() {
    let server = server();
    let (_, created) = post(&server, CONFIG_MAPS, config_map("a", "1")).await;
    let before = server.current_revision();
    let (code, same) = put(&server, &format!("{CONFIG_MAPS}/a"), created.clone()).await;
    assert_eq!((code, &same), (StatusCode::OK, &created));
    assert_eq!(server.current_revision(), before);
}

#[tokio::test]
async fn refuses_bad_names_namespaces_and_kinds() {
    let server = server();
    let (code, body) = post(&server, CONFIG_MAPS, config_map("Bad", "1")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with(
        "ConfigMap \"Bad\" is invalid: metadata.name: Invalid value: \"Bad\": a lowercase RFC 1123"
    ));
    assert_eq!(body["details"]["causes"][0]["field"], "metadata.name");
    let path = "/api/v1/namespaces/nowhere/configmaps";
    let (code, body) = post(&server, path, config_map("a", "1")).await;
    assert_eq!(
        (code, &body["message"]),
        (StatusCode::NOT_FOUND, &json!("namespaces \"nowhere\" not found"))
    );
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}});
    assert_eq!(post(&server, CONFIG_MAPS, secret).await.0, StatusCode::BAD_REQUEST);
    let (code, _) = post(&server, "/api/v1/configmaps", config_map("a", "1")).await;
    assert_eq!(code, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&server, "/api/v1/pots").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        get(&server, "/apis/none.io/v1/x").await,
        (StatusCode::NOT_FOUND, "404 page not found\n".into())
    );
}

#[tokio::test]
async fn lists_pages_of_one_state_with_selectors() {
    let server = server();
    for name in ["a", "b", "c"] {
        let mut object = config_map(name, "1");
        object["metadata"]["labels"] = json!({"name": name});
        post(&server, CONFIG_MAPS, object).await;
    }
    let (_, first) = get(&server, &format!("{CONFIG_MAPS}?limit=2")).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    assert_eq!(first["items"][0].get("kind"), None);
    delete(&server, &format!("{CONFIG_MAPS}/c")).await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = get(&server, &format!("{CONFIG_MAPS}?limit=2&continue={token}")).await;
    assert_eq!(second["items"][0]["metadata"]["name"], "c", "the page is of the first state");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);

    let (_, chosen) = get(&server, &format!("{CONFIG_MAPS}?labelSelector=name+in+(b,x)")).await;
    assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
    let (_, chosen) = get(&server, "/api/v1/configmaps?fieldSelector=metadata.name%3Da").await;
    assert_eq!(chosen["items"].as_array().unwrap().len(), 1);
    let (code, body) = get(&server, &format!("{CONFIG_MAPS}?resourceVersion=999999")).await;
    assert_eq!((code.as_u16(), &body["reason"]), (504, &json!("Timeout")));
    let exact = format!("{CONFIG_MAPS}?resourceVersion=1&resourceVersionMatch=Exact");
    let (code, _) = get(&server, &exact).await;
    assert_eq!(code, StatusCode::OK);
}

#[tokio::test]
async fn keeps_status_and_desired_state_apart() {
    let server = server();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let deployment = json!({"kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": "d"}, "spec": {"replicas": 1}, "status": {"replicas": 9}});
    let (_, created) = post(&server, path, deployment).await;
    assert_eq!((created.get("status"), &created["metadata"]["generation"]), (None, &json!(1)));
    let item = format!("{path}/d");
    let change = json!({"spec": {"replicas": 7}, "status": {"replicas": 1}});
    let (code, after) = patch(&server, &format!("{item}/status"), "merge", change.clone()).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!((&after["spec"]["replicas"], &after["status"]["replicas"]), (&json!(1), &json!(1)));
    assert_eq!(after["metadata"]["generation"], 1);
    let (_, after) = patch(&server, &item, "strategic-merge", change).await;
    assert_eq!(
        (&after["spec"]["replicas"], &after["metadata"]["generation"]),
        (&json!(7), &json!(2))
    );
    let (code, scale) =
        patch(&server, &format!("{item}/scale"), "merge", json!({"spec": {"replicas": 6}})).await;
    assert_eq!((code, &scale["kind"]), (StatusCode::OK, &json!("Scale")));
    assert_eq!(scale["spec"]["replicas"], 6);
    let (_, scaled) = get(&server, &item).await;
    assert_eq!(
        (&scaled["spec"]["replicas"], &scaled["status"]["replicas"]),
        (&json!(6), &json!(1))
    );
    let operations = json!([{"op": "replace", "path": "/spec/replicas", "value": 8}]);
    let (_, after) = patch(&server, &item, "json", operations).await;
    assert_eq!(after["spec"]["replicas"], 8);
    let (code, body) = patch(
        &server,
        &item,
        "json",
        json!([{"op": "test", "path": "/spec/replicas", "value": 1}]),
    )
    .await;
    assert_eq!((code.as_u16(), &body["reason"]), (422, &json!("Invalid")));
    let answer = server
        .call(request(Method::PATCH, &item, "application/apply-patch+yaml", String::new()))
        .await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn honours_dry_run_and_preconditions() {
    let server = server();
    let before = server.current_revision();
    let (code, dry) =
        post(&server, &format!("{CONFIG_MAPS}?dryRun=All"), config_map("a", "1")).await;
    assert_eq!((code, server.current_revision()), (StatusCode::CREATED, before));
    assert_eq!(dry["metadata"].get("resourceVersion"), None);
    let (code, _) = post(&server, &format!("{CONFIG_MAPS}?dryRun=x"), config_map("a", "1")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    post(&server, CONFIG_MAPS, config_map("a", "1")).await;
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
                         "preconditions": {"uid": "other"}});
    let path = format!("{CONFIG_MAPS}/a");
    let (code, _) = send(&server, Method::DELETE, &path, "application/json", &options).await;
    assert_eq!(code, StatusCode::CONFLICT);
    assert_eq!(get(&server, &path).await.0, StatusCode::OK);
}

#[tokio::test]
async fn finalizers_hold_an_object_and_its_namespace_back() {
    let server = server();
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "n"}});
    post(&server, "/api/v1/namespaces", namespace).await;
    let path = "/api/v1/namespaces/n/configmaps";
    let mut held = config_map("held", "1");
    held["metadata"]["finalizers"] = json!(["example.com/wait"]);
    post(&server, path, held).await;
    post(&server, path, config_map("free", "1")).await;
    let (code, body) = delete(&server, "/api/v1/namespaces/n").await;
    assert_eq!((code, &body["status"]["phase"]), (StatusCode::OK, &json!("Terminating")));
    assert_eq!(get(&server, &format!("{path}/free")).await.0, StatusCode::NOT_FOUND);
    let (_, held) = get(&server, &format!("{path}/held")).await;
    assert!(held["metadata"]["deletionTimestamp"].is_string());
    assert_eq!(post(&server, path, config_map("new", "1")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(get(&server, "/api/v1/namespaces/n").await.0, StatusCode::OK);
    let release = json!({"metadata": {"finalizers": null}});
    let (code, _) = patch(&server, &format!("{path}/held"), "merge", release).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(get(&server, &format!("{path}/held")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&server, "/api/v1/namespaces/n").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn deletes_the_selected_part_of_a_collection() {
    let server = server();
    for name in ["a", "b"] {
        let mut object = config_map(name, "1");
        object["metadata"]["labels"] = json!({"name": name});
        post(&server, CONFIG_MAPS, object).await;
    }
    let (code, gone) = delete(&server, &format!("{CONFIG_MAPS}?labelSelector=name%3Da")).await;
    assert_eq!((code, gone["items"].as_array().unwrap().len()), (StatusCode::OK, 1));
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/a")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/b")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn admits_its_credential_only() {
    let server = server();
    let call = async |path: &str, token: Option<&str>| {
        let mut request = request(Method::GET, path, "application/json", String::new());
        request.headers_mut().remove("authorization");
        if let Some(token) = token {
            request.headers_mut().insert("authorization", token.parse().unwrap());
        }
        server.call(request).await.status().as_u16()
    };
    assert_eq!(call("/api/v1/pods", None).await, 401);
    assert_eq!(call("/api/v1/pods", Some("Bearer wrong")).await, 401);
    assert_eq!(call("/api/v1/pods", Some("Basic test-credential")).await, 401);
    assert_eq!(call("/api/v1/pods", Some("Bearer test-credential")).await, 200);
    assert_eq!(call("/readyz", None).await, 200);
    assert_eq!(call("/readyz", Some("Bearer wrong")).await, 401);
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"});
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (code, body) = post(&server, path, review).await;
    assert_eq!(code, StatusCode::CREATED);
    assert_eq!(body["status"]["userInfo"]["username"], "system:admin");
}

#[tokio::test]
async fn remembers_objects_and_revision_but_not_events() {
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::Directory(directory.path().join("data"));
    let open = || ApiServer::open(&storage, Zeroizing::new(TOKEN.into())).unwrap();
    let server = open();
    let (_, created) = post(&server, CONFIG_MAPS, config_map("a", "1")).await;
    post(&server, CONFIG_MAPS, config_map("b", "1")).await;
    let revision = server.current_revision();
    drop(server);
    let server = open();
    assert_eq!(server.current_revision(), revision);
    assert_eq!(get(&server, &format!("{CONFIG_MAPS}/a")).await.1, created);
    let old = created["metadata"]["resourceVersion"].as_str().unwrap();
    let events = get_text(&server, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={old}")).await;
    assert!(events.contains("too old resource version") && events.contains(r#""code":410"#));
}

#[tokio::test]
async fn reads_yaml_and_escaped_paths_and_no_other_formats() {
    let server = server();
    let yaml = "kind: ClusterRole\napiVersion: rbac.authorization.k8s.io/v1\n\
                metadata:\n  name: system:x\nrules:\n- verbs: [get]\n  resources: [\"on\"]\n";
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    let create =
        |media_type: &str| server.call(request(Method::POST, path, media_type, yaml.to_owned()));
    assert_eq!(create("application/yaml; charset=utf-8").await.status(), StatusCode::CREATED);
    let deep = format!("{yaml}x: {}1{}", "[".repeat(130), "]".repeat(130));
    let deep = server.call(request(Method::POST, path, "application/yaml", deep)).await;
    assert_eq!(deep.status(), StatusCode::BAD_REQUEST);
    let unknown = create("application/cbor").await;
    assert_eq!(unknown.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let (code, role) = get(&server, &format!("{path}/system%3Ax/")).await;
    assert_eq!((code, &role["rules"][0]["resources"][0]), (StatusCode::OK, &json!("on")));
    assert_eq!(get(&server, &format!("{path}/a%2Fb")).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn words_invalid_options_as_kube_apiserver_does() {
    let server = server();
    let (code, body) = get(&server, &format!("{CONFIG_MAPS}?resourceVersionMatch=Exact")).await;
    assert_eq!(code, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        body["message"],
        "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
         resourceVersionMatch is forbidden unless resourceVersion is provided"
    );
    let (code, _) = get(&server, &format!("{CONFIG_MAPS}?limit=x")).await;
    assert_eq!(code, StatusCode::BAD_REQUEST);
    let (code, body) = get(&server, &format!("{CONFIG_MAPS}/a?resourceVersion=x")).await;
    assert_eq!((code.as_u16(), body.get("reason")), (500, None));
}

#[tokio::test]
async fn refuses_values_of_the_wrong_type() {
    let server = server();
    let path = "/api/v1/namespaces/default/secrets";
    let mut secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s"},
                            "data": "x", "stringData": {"a": "b"}});
    assert_eq!(post(&server, path, secret.clone()).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    secret["data"] = Value::Null;
    let (code, created) = post(&server, path, secret).await;
    assert_eq!((code, &created["data"]["a"]), (StatusCode::CREATED, &json!("Yg==")));
    for metadata in [json!("x"), json!({"name": "x", "labels": "y"}), json!({"name": 5})] {
        let mut object = config_map("x", "1");
        object["metadata"] = metadata;
        let (code, body) = post(&server, CONFIG_MAPS, object).await;
        assert!(code.is_client_error(), "{body}");
    }
    for spec in [json!(null), json!("x"), json!({"group": 1}), json!({"names": [], "versions": 3})]
    {
        let crd = json!({"kind": "CustomResourceDefinition",
            "apiVersion": "apiextensions.k8s.io/v1", "metadata": {"name": "a.b.c"}, "spec": spec});
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        assert_eq!(post(&server, path, crd).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    }
}
