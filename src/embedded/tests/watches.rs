use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Events {
    body: EmbeddedBody,
    lines: Vec<Value>,
}

impl Events {
    async fn open(server: &ApiServer, path: &str) -> Self {
        let request = request(Method::GET, path, "application/json", String::new());
        let answer = server.call(request).await;
        assert_eq!(answer.status(), StatusCode::OK);
        Self { body: answer.into_body(), lines: Vec::new() }
    }

    /// The next event as its type and object; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        while self.lines.is_empty() {
            let frame = tokio::time::timeout(Duration::from_secs(5), self.body.frame());
            let data = frame.await.expect("an event in time")?.unwrap().into_data().unwrap();
            let text = std::str::from_utf8(&data).unwrap();
            self.lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        let mut event = self.lines.remove(0);
        Some((event["type"].as_str().unwrap().to_owned(), event["object"].take()))
    }

    async fn expect(&mut self, kind: &str) -> Value {
        let (found, object) = self.next().await.expect("not the end");
        assert_eq!(found, kind, "{object}");
        object
    }
}

fn config_map(name: &str, labels: &Value) -> Value {
    json!({"kind": "ConfigMap", "apiVersion": "v1",
           "metadata": {"name": name, "labels": labels}})
}

#[tokio::test]
async fn sends_the_state_its_end_and_what_follows() {
    let server = server();
    post(&server, CONFIG_MAPS, config_map("a", &json!({}))).await;
    let path = format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true");
    let mut events = Events::open(&server, &path).await;
    assert_eq!(events.expect("ADDED").await["metadata"]["name"], "a");
    let bookmark = events.expect("BOOKMARK").await;
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let revision = server.current_revision().to_string();
    assert_eq!(bookmark["metadata"]["resourceVersion"], revision.as_str());
    post(&server, CONFIG_MAPS, config_map("b", &json!({}))).await;
    assert_eq!(events.expect("ADDED").await["metadata"]["name"], "b");
    delete(&server, &format!("{CONFIG_MAPS}/b")).await;
    let gone = loop {
        let (kind, object) = events.next().await.unwrap();
        if kind != "BOOKMARK" {
            assert_eq!(kind, "DELETED");
            break object;
        }
    };
    let revision = server.current_revision().to_string();
    assert_eq!(gone["metadata"]["resourceVersion"], revision.as_str());
}

#[tokio::test]
async fn entering_and_leaving_a_selection_are_added_and_deleted() {
    let server = server();
    let revision = server.current_revision();
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}&labelSelector=x%3Dy");
    let mut events = Events::open(&server, &path).await;
    let item = format!("{CONFIG_MAPS}/a");
    post(&server, CONFIG_MAPS, config_map("a", &json!({"x": "n"}))).await;
    patch(&server, &item, "merge", json!({"metadata": {"labels": {"x": "y"}}})).await;
    patch(&server, &item, "merge", json!({"data": {"k": "v"}})).await;
    patch(&server, &item, "merge", json!({"metadata": {"labels": {"x": "n"}}})).await;
    events.expect("ADDED").await;
    events.expect("MODIFIED").await;
    let left = events.expect("DELETED").await;
    assert_eq!(left["metadata"]["labels"]["x"], "y", "the object as it was");
    let revision = server.current_revision().to_string();
    assert_eq!(left["metadata"]["resourceVersion"], revision.as_str());
}

#[tokio::test]
async fn a_quiet_watch_hears_of_other_writes_within_100_milliseconds() {
    let server = server();
    let revision = server.current_revision();
    let path = format!("/api/v1/pods?watch=1&resourceVersion={revision}&allowWatchBookmarks=true");
    let mut events = Events::open(&server, &path).await;
    let before = Instant::now();
    post(&server, CONFIG_MAPS, config_map("a", &json!({}))).await;
    let bookmark = events.expect("BOOKMARK").await;
    assert!(before.elapsed() < Duration::from_millis(100), "{:?}", before.elapsed());
    let revision = server.current_revision().to_string();
    assert_eq!(bookmark["metadata"]["resourceVersion"], revision.as_str());
}

#[tokio::test]
async fn ends_in_time_and_skips_the_past_of_a_future_version() {
    let server = server();
    let future = server.current_revision() + 2;
    let path = format!("{CONFIG_MAPS}?watch=1&resourceVersion={future}&timeoutSeconds=1");
    let mut events = Events::open(&server, &path).await;
    for name in ["a", "b", "c"] {
        post(&server, CONFIG_MAPS, config_map(name, &json!({}))).await;
    }
    assert_eq!(events.expect("ADDED").await["metadata"]["name"], "c");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn answers_metadata_alone_where_asked() {
    let server = server();
    post(&server, CONFIG_MAPS, config_map("a", &json!({}))).await;
    let accept = |kind: &str, path: &str| {
        let mut request = request(Method::GET, path, "application/json", String::new());
        let value = format!("application/json;as={kind};g=meta.k8s.io;v=v1");
        request.headers_mut().insert("accept", value.parse().unwrap());
        request
    };
    let answer = server.call(accept("PartialObjectMetadataList", CONFIG_MAPS)).await;
    let list: Value = serde_json::from_str(&text(answer.into_body()).await).unwrap();
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    let answer = server.call(accept("PartialObjectMetadataList", "/api/v1/pods")).await;
    assert!(text(answer.into_body()).await.contains(r#""items":null"#));
    let answer = server.call(accept("Table", CONFIG_MAPS)).await;
    assert_eq!(answer.status(), StatusCode::NOT_ACCEPTABLE);
}

#[tokio::test]
async fn an_event_needs_no_bookmark_of_its_own() {
    let server = server();
    let revision = server.current_revision();
    let path = format!(
        "{CONFIG_MAPS}?watch=1&resourceVersion={revision}&allowWatchBookmarks=true&timeoutSeconds=1"
    );
    let mut events = Events::open(&server, &path).await;
    post(&server, CONFIG_MAPS, config_map("a", &json!({}))).await;
    events.expect("ADDED").await;
    assert_eq!(events.next().await, None, "nothing until the end");
}
