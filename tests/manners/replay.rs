//! Sending again: only what upstream cannot have acted on.

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};

use crate::{front::Front, scripted::Scripted};

/// A request whose body has left is sent once, whatever becomes of it.
pub(crate) async fn not_after_the_body(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    let client = scripted.client_of_one_thread()?;
    for (number, method) in
        [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].iter().enumerate()
    {
        // With a connection that is fresh, and one that has been used.
        for path in ["/hang-up", "/hang-up-if-reused"] {
            ensure!(client.get("/ok").send().await?.status == StatusCode::OK);
            let target = format!("{path}?{number}");
            let answer = client.request(method.clone(), &target).body("abc").send().await?;
            let seen = scripted.seen(&target);
            ensure!(seen.len() == 1, "{method} {target}: {seen:?}");
            if seen[0].before > 0 || path == "/hang-up" {
                ensure!(answer.status == StatusCode::BAD_GATEWAY, "{method} {target}: {answer:?}");
                let retry = answer.header("retry-after");
                ensure!(retry.is_none(), "a client would repeat it: {answer:?}");
            }
        }
    }
    scripted.stop().await
}

/// A write without a body counts as sent with its head: upstream may have acted on it.
pub(crate) async fn not_after_the_head(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    let client = scripted.client_of_one_thread()?;
    for method in [Method::DELETE, Method::POST] {
        for path in ["/hang-up", "/hang-up-if-reused"] {
            ensure!(client.get("/ok").send().await?.status == StatusCode::OK);
            // The connection is free again a moment after the answer has arrived.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            let target = format!("{path}?{method}");
            let answer = client.request(method.clone(), &target).send().await?;
            let seen = scripted.seen(&target);
            ensure!(seen.len() == 1 && seen[0].before > 0, "{method} {target}: {seen:?}");
            ensure!(answer.status == StatusCode::BAD_GATEWAY, "{method} {target}: {answer:?}");
        }
    }
    scripted.stop().await
}

/// A connection that upstream closed while nobody used it costs no request, and a read that meets
/// the end of a used connection is asked once more.
pub(crate) async fn of_what_was_not_sent(front: Arc<Front>) -> Result<()> {
    let scripted = Scripted::start(&front).await?;
    let client = scripted.client_of_one_thread()?;
    for number in 0..20 {
        ensure!(client.get("/close-behind").send().await?.status == StatusCode::OK);
        let target = format!("/posted?{number}");
        let answer = client.request(Method::POST, &target).body("abc").send().await?;
        let seen = scripted.seen(&target);
        ensure!(seen.len() <= 1, "sent {} times", seen.len());
        // The close may cross the request; then nobody knows, and it must say so.
        ensure!(answer.status == StatusCode::OK || seen.is_empty(), "{answer:?} {seen:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        let target = format!("/posted-later?{number}");
        let answer = client.request(Method::POST, &target).body("abc").send().await?;
        ensure!(answer.status == StatusCode::OK, "{answer:?}");
        ensure!(scripted.seen(&target).len() == 1);
    }
    ensure!(client.get("/ok").send().await?.status == StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let answer = client.get("/hang-up-if-reused").send().await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");
    let seen = scripted.seen("/hang-up-if-reused");
    // The last attempt meets a connection that is fresh.
    ensure!(seen.len() == 2 && seen[1].before == 0, "{seen:?}");
    scripted.stop().await
}
