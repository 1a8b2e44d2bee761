//! Who may read the metrics: whoever upstream lets get `/metrics`, and nobody else.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Protocol, RequestBuilder, Response};

use crate::{
    exposition::Exposition,
    front::{Front, Side, behind_cutter::BehindCutter},
};

const PATH: &str = "/watchgate/metrics";

/// How long an audit event may take to be written.
const WRITTEN: Duration = Duration::from_millis(500);

/// What a request brings along.
type Brings = Vec<(&'static str, String)>;

/// Users with and without the right, tokens that are none, and credentials that are no token.
pub(crate) async fn matrix(front: Arc<Front>) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for user in ["scraper", "admin"] {
            let client = client(&front, Side::Through, protocol)?;
            let answer = with(client.get(PATH), &token(&front, user)).send().await?;
            ensure!(answer.status == StatusCode::OK, "{user}: {answer:?}");
            ensure!(answer.header("cache-status") == Some("watchgate; fwd=bypass; detail=own"));
            for user in crate::setup::USERS {
                let secret = front.cluster.token(user).expose();
                let text = String::from_utf8_lossy(&answer.body);
                ensure!(!text.contains(secret), "{user}'s token is in the metrics");
                let mut series = text.lines().filter(|line| !line.starts_with('#'));
                ensure!(!series.any(|line| line.contains(user)), "{user} is in the metrics");
            }
        }
        worded_by_upstream(&front, protocol).await?;
        worded_here(&front, protocol).await?;
        let anybody = client(&front, Side::Through, protocol)?;
        for path in ["/watchgate/livez", "/watchgate/readyz"] {
            let answer = anybody.get(path).send().await?;
            ensure!(answer.status == StatusCode::OK, "{path}: {answer:?}");
        }
    }
    Ok(())
}

/// Who is refused is told exactly what upstream says for the same path.
async fn worded_by_upstream(front: &Front, protocol: Protocol) -> Result<()> {
    let scraper = front.bearer("scraper");
    let cases: [(&str, StatusCode, Brings); 7] = [
        ("nobody", StatusCode::FORBIDDEN, vec![]),
        ("a stranger", StatusCode::FORBIDDEN, token(front, "stranger")),
        ("a wrong token", StatusCode::UNAUTHORIZED, vec![("authorization", "Bearer x".into())]),
        ("no token", StatusCode::FORBIDDEN, vec![("authorization", "Basic eDp5".into())]),
        (
            "as another, without the right to",
            StatusCode::FORBIDDEN,
            vec![("authorization", scraper.clone()), ("impersonate-user", "admin".into())],
        ),
        (
            "as a stranger",
            StatusCode::FORBIDDEN,
            vec![("authorization", front.bearer("admin")), ("impersonate-user", "stranger".into())],
        ),
        ("a front proxy's word", StatusCode::FORBIDDEN, vec![("x-remote-user", "admin".into())]),
    ];
    for (case, status, brings) in cases {
        let direct = with(client(front, Side::Direct, protocol)?.get(PATH), &brings).send().await?;
        let answer =
            with(client(front, Side::Through, protocol)?.get(PATH), &brings).send().await?;
        ensure!(answer.status == status, "{case}: {answer:?}");
        ensure!(direct.status == status, "{case}: upstream itself says {direct:?}");
        ensure!(answer.json()? == direct.json()?, "{case}: {answer:?}\n upstream: {direct:?}");
        ensure!(answer.json()?["kind"] == "Status", "{case}: {answer:?}");
    }
    Ok(())
}

/// Where upstream would not refuse the path, or can't be asked about it, the gateway does.
async fn worded_here(front: &Front, protocol: Protocol) -> Result<()> {
    let gateway = client(front, Side::Through, protocol)?;
    let as_scraper = vec![
        ("authorization", front.bearer("admin")),
        ("impersonate-user", "scraper".to_owned()),
        ("impersonate-group", "system:masters".to_owned()),
    ];
    for (case, brings) in [("another path", token(front, "pather")), ("as another", as_scraper)] {
        let answer = with(gateway.get(PATH), &brings).send().await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{case}: {answer:?}");
        let (reason, message) = (answer.json()?["reason"].clone(), message(&answer)?);
        ensure!(reason == "Forbidden" && message.starts_with("forbidden: "), "{case}: {answer:?}");
    }
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        let request = gateway.request(method.clone(), PATH);
        let answer = with(request, &token(front, "admin")).send().await?;
        ensure!(answer.status == StatusCode::METHOD_NOT_ALLOWED, "{method}: {answer:?}");
        ensure!(answer.header("allow") == Some("GET"), "{method}: {answer:?}");
    }
    Ok(())
}

/// The review is about `/metrics`, carries the scraper's own token, and is asked once for many scrapes.
pub(crate) async fn is_reviewed(front: Arc<Front>) -> Result<()> {
    let user = "counted";
    let client = front.client().token(front.cluster.token(user)).build()?;
    let before = front.cluster.audit().position()?;
    for _ in 0..5 {
        let _exposition = Exposition::of(&client).await?;
    }
    tokio::time::sleep(WRITTEN).await;
    let events = front.cluster.audit().events_since(before)?;
    let is_review = |event: &&Value| {
        event["stage"] == "ResponseComplete"
            && event["user"]["username"] == user
            && event["objectRef"]["resource"] == "selfsubjectaccessreviews"
    };
    let reviews: Vec<&Value> = events.iter().filter(is_review).collect();
    let [review] = &reviews[..] else { anyhow::bail!("{} reviews: {reviews:?}", reviews.len()) };
    let asked = &review["requestObject"]["spec"];
    let expected = json!({ "verb": "get", "path": "/metrics" });
    ensure!(asked["nonResourceAttributes"] == expected, "{review}");
    ensure!(asked["resourceAttributes"].is_null(), "{review}");
    Ok(())
}

/// When upstream can't be asked, nobody new may read, and is told so; who was allowed may for 9 s.
pub(crate) async fn needs_a_review(front: Arc<Front>) -> Result<()> {
    let behind = BehindCutter::start(&front).await?;
    let (known, unasked) = (behind.client("scraper")?, behind.client("unasked")?);
    let _exposition = Exposition::of(&known).await?;
    behind.cutter.refuse().await;
    let _exposition = Exposition::of(&known).await?;
    for client in [&unasked, &behind.anonymous().build()?] {
        let answer = client.get(PATH).send().await?;
        ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
        ensure!(message(&answer)?.contains("/metrics"), "{answer:?}");
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    let answer = known.get(PATH).send().await?;
    ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    behind.cutter.resume().await?;
    let exposition = Exposition::of(&known).await?;
    let failed = [("outcome", "failed")];
    ensure!(exposition.sum("watchgate_access_reviews_total", &failed) >= 2.0);
    let unanswered = [("code", "none")];
    ensure!(exposition.sum("watchgate_upstream_requests_total", &unanswered) >= 2.0);
    behind.stop().await
}

fn client(front: &Front, side: Side, protocol: Protocol) -> Result<Client> {
    front.client_of(side).protocol(protocol).build()
}

fn token(front: &Front, user: &str) -> Brings {
    vec![("authorization", front.bearer(user))]
}

fn with(request: RequestBuilder, brings: &Brings) -> RequestBuilder {
    brings.iter().fold(request, |request, (name, value)| request.header(name, value))
}

fn message(answer: &Response) -> Result<String> {
    let status = answer.json()?;
    Ok(status["message"].as_str().context("no message")?.to_owned())
}
