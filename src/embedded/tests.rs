//! Drives the store through [`ApiServer::call`], as the gateway does.

mod custom_resources;
mod loopback;
mod objects;
mod watches;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{ApiServer, EmbeddedBody, Storage};

const TOKEN: &str = "test-credential";

fn server() -> ApiServer {
    ApiServer::open(&Storage::Memory, Zeroizing::new(TOKEN.into())).unwrap()
}

fn request(method: Method, path: &str, media_type: &str, body: String) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", media_type)
        .body(Full::from(body))
        .unwrap()
}

async fn text(body: EmbeddedBody) -> String {
    String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn send(
    server: &ApiServer,
    method: Method,
    path: &str,
    media_type: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = server.call(request(method, path, media_type, body)).await;
    let code = answer.status();
    let text = text(answer.into_body()).await;
    (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(server: &ApiServer, path: &str) -> (StatusCode, Value) {
    send(server, Method::GET, path, "application/json", &Value::Null).await
}

async fn get_text(server: &ApiServer, path: &str) -> String {
    let answer = server.call(request(Method::GET, path, "application/json", String::new())).await;
    text(answer.into_body()).await
}

async fn post(server: &ApiServer, path: &str, body: Value) -> (StatusCode, Value) {
    send(server, Method::POST, path, "application/json", &body).await
}

async fn put(server: &ApiServer, path: &str, body: Value) -> (StatusCode, Value) {
    send(server, Method::PUT, path, "application/json", &body).await
}

async fn patch(server: &ApiServer, path: &str, kind: &str, body: Value) -> (StatusCode, Value) {
    let media_type = format!("application/{kind}-patch+json");
    send(server, Method::PATCH, path, &media_type, &body).await
}

async fn delete(server: &ApiServer, path: &str) -> (StatusCode, Value) {
    send(server, Method::DELETE, path, "application/json", &Value::Null).await
}
