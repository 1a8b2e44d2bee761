//! Requests that lack permission, or whose sender is not plain to see.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use watchgate_cluster::{Client, Protocol};

use crate::front::{
    Front, Side,
    answer::{self, Answer, Body, ensure_relayed},
    rights,
};

/// Headers that a stranger sends.
struct Attempt {
    what: &'static str,
    headers: Vec<(&'static str, String)>,
}

/// A GET, a LIST and a WATCH that memory answers for who may.
fn reads(namespace: &str) -> [(String, bool); 3] {
    let path = format!("/api/v1/namespaces/{namespace}/configmaps");
    [
        (format!("{path}/kept?resourceVersion=0"), false),
        (format!("{path}?resourceVersion=0"), false),
        (format!("{path}?watch=true&resourceVersion=0"), true),
    ]
}

/// A token, with further headers beside it.
fn with(what: &'static str, authorization: &str, more: &[(&'static str, &str)]) -> Attempt {
    let mut headers = vec![("authorization", authorization.to_owned())];
    headers.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Attempt { what, headers }
}

/// Tokens that are none, not allowed, or not alone.
fn credentials(front: &Front) -> Vec<Attempt> {
    let (keeper, weak) = (front.bearer("keeper"), front.bearer("bob"));
    let token = front.cluster.token("keeper").expose();
    vec![
        Attempt { what: "no token", headers: Vec::new() },
        with("a token without rights", &weak, &[]),
        with("an unknown token", "Bearer no-such-token", &[]),
        with("a token and a word", &format!("{keeper} more"), &[]),
        with("two spaces", &format!("Bearer  {token}"), &[]),
        with("a tab", &format!("Bearer\t{token}"), &[]),
        with("no scheme", token, &[]),
        with("an empty token", "Bearer ", &[]),
        with("Basic", "Basic a2VlcGVyOnNlY3JldA==", &[]),
        with("two tokens in one line", &format!("{keeper}, {weak}"), &[]),
        with("the same token twice", &keeper, &[("authorization", &keeper)]),
        with("a good token first", &keeper, &[("authorization", &weak)]),
        with("a good token last", &weak, &[("authorization", &keeper)]),
    ]
}

/// Every form of impersonation, by who may not and by who may.
fn impersonations(front: &Front) -> Vec<Attempt> {
    let (keeper, admin) = (front.bearer("keeper"), front.bearer("admin"));
    let user = ("impersonate-user", "x");
    vec![
        with("Impersonate-User", &keeper, &[("impersonate-user", "kubernetes-admin")]),
        with("Impersonate-User of none", &keeper, &[("impersonate-user", "")]),
        with("Impersonate-Group alone", &keeper, &[("impersonate-group", "system:masters")]),
        with("Impersonate-Group", &keeper, &[user, ("impersonate-group", "system:masters")]),
        with("Impersonate-Uid alone", &keeper, &[("impersonate-uid", "1")]),
        with("Impersonate-Uid", &keeper, &[user, ("impersonate-uid", "1")]),
        with("Impersonate-Extra alone", &keeper, &[("impersonate-extra-scopes", "all")]),
        with("Impersonate-Extra", &keeper, &[user, ("impersonate-extra-scopes", "all")]),
        with("a permitted impersonation", &admin, &[("impersonate-user", "bob")]),
        with("a permitted impersonation of a reader", &admin, &[("impersonate-user", "keeper")]),
    ]
}

/// What only a front proxy may say.
fn forgeries(front: &Front) -> Vec<Attempt> {
    let (keeper, weak) = (front.bearer("keeper"), front.bearer("bob"));
    let masters = ("x-remote-group", "system:masters");
    let all = [
        ("x-remote-user", "keeper"),
        ("x-remote-uid", "uid-keeper"),
        masters,
        ("x-remote-extra-a", "b"),
    ];
    let owned = all.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    vec![
        with("X-Remote-User", &weak, &[("x-remote-user", "keeper")]),
        with("X-Remote-User beside a good token", &keeper, &[("x-remote-user", "bob")]),
        with("X-Remote-Group", &weak, &[masters]),
        with("X-Remote-Extra", &weak, &[("x-remote-extra-scopes", "all")]),
        with("all of X-Remote", &weak, &all),
        Attempt { what: "X-Remote without a token", headers: owned },
    ]
}

/// Every attempt, every read, both versions of HTTP: what the gateway says is upstream's answer.
pub(crate) async fn get_upstreams_answer(front: Arc<Front>) -> Result<()> {
    let namespace = "strangers";
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    rights::grant(&front, namespace, "keeper", rights::read_configmaps()).await?;
    let reads = reads(namespace);
    let direct = front.cluster.client().token(front.cluster.token("keeper")).build()?;
    rights::until(&direct, &reads[1].0, StatusCode::OK).await?;

    for protocol in [Protocol::Http1, Protocol::Http2] {
        let keeper = front.client().token(front.cluster.token("keeper"));
        let keeper = keeper.protocol(protocol).build()?;
        let client = |side| front.client_of(side).protocol(protocol).build();
        let (direct, through) = (client(Side::Direct)?, client(Side::Through)?);
        for (target, is_watch) in &reads {
            front.warm(&keeper, target).await?;
            let attempts = [credentials(&front), impersonations(&front), forgeries(&front)];
            for attempt in attempts.iter().flatten() {
                let what = format!("{}, {protocol:?}, {target}", attempt.what);
                let direct =
                    ask(&direct, target, *is_watch, attempt).await.context(what.clone())?;
                let through =
                    ask(&through, target, *is_watch, attempt).await.context(what.clone())?;
                ensure_relayed(&what, &direct, &through)?;
            }
            // Memory could have answered all the while.
            let answer = keeper.get(target).stream().await?;
            ensure!(answer::is_hit(&answer.headers), "{target}: {answer:?}");
        }
    }
    Ok(())
}

async fn ask(client: &Client, target: &str, is_watch: bool, attempt: &Attempt) -> Result<Answer> {
    let request = attempt
        .headers
        .iter()
        .fold(client.get(target), |request, (name, value)| request.header(name, value));
    Answer::to(request, is_watch).await
}

/// A client library writes names in lower case; an attacker as he likes.
pub(crate) async fn odd_spellings_are_not_served(front: Arc<Front>) -> Result<()> {
    let namespace = "spellings";
    rights::namespace(&front, namespace).await?;
    rights::configmap(&front, namespace, "kept").await?;
    let target = &reads(namespace)[1].0;
    let admin = front.client().token(front.cluster.token("admin")).build()?;
    front.warm(&admin, target).await?;
    let (strong, weak) = (front.bearer("admin"), front.bearer("bob"));
    let plain = format!("Authorization: {strong}\r\n");
    let (head, _) = front.wire(Side::Through).await?.ask(request(target, &plain)).await?;
    ensure!(answer::is_hit(&head.headers), "the plain spelling is served: {head:?}");

    for lines in [
        format!("aUTHORIZATION: {strong}\r\niMPERSONATE-uSER: bob\r\n"),
        format!("Authorization: {strong}\r\nIMPERSONATE-USER: bob\r\nIMPERSONATE-GROUP: g\r\n"),
        format!("Authorization: {strong}\r\nimpersonate-Extra-%41: v\r\nImpersonate-User: bob\r\n"),
        format!("Authorization: {strong}\r\nimpersonate-\r\n"),
        format!(
            "Authorization: {weak}\r\nx-REMOTE-user: admin\r\nX-ReMoTe-GrOuP: system:masters\r\n"
        ),
        format!("Authorization: {weak}\r\nX-REMOTE-EXTRA-A: b\r\nX-REMOTE-UID: 1\r\n"),
        format!("Authorization: {strong}\r\nX-REMOTE-USER: bob\r\n"),
        format!("Authorization: {weak}\r\nAUTHORIZATION: {strong}\r\n"),
        format!("Authorization: {strong}\r\nAUTHORIZATION: {weak}\r\n"),
        "X-REMOTE-USER: admin\r\nX-REMOTE-GROUP: system:masters\r\n".to_owned(),
    ] {
        let (direct, direct_body) =
            front.wire(Side::Direct).await?.ask(request(target, &lines)).await?;
        let (through, body) = front.wire(Side::Through).await?.ask(request(target, &lines)).await?;
        let what = redacted(&lines, &[&strong, &weak]);
        ensure!(!answer::is_hit(&through.headers), "{what}: {through:?}");
        ensure!(direct.status == through.status, "{what}: {direct:?} {through:?}");
        if direct.status != StatusCode::BAD_REQUEST {
            ensure!(Body::of(&direct_body) == Body::of(&body), "{what}: {body:?}");
        }
    }
    Ok(())
}

/// `Connection` names headers that a proxy takes out. It must not change who is asking.
pub(crate) async fn cannot_nominate_away(front: Arc<Front>) -> Result<()> {
    let strong = front.bearer("admin");
    let target = "/api/v1/namespaces/default/configmaps";
    for nominated in ["impersonate-user", "Impersonate-User, Impersonate-Group", "authorization"] {
        let lines = format!(
            "Authorization: {strong}\r\nImpersonate-User: bob\r\nImpersonate-Group: nobodies\r\n\
             Connection: {nominated}\r\n"
        );
        let (direct, direct_body) =
            front.wire(Side::Direct).await?.ask(request(target, &lines)).await?;
        ensure!(direct.status == StatusCode::FORBIDDEN, "{direct:?}");
        let (through, body) = front.wire(Side::Through).await?.ask(request(target, &lines)).await?;
        ensure!(through.status == direct.status, "Connection: {nominated}: {through:?}");
        ensure!(Body::of(&direct_body) == Body::of(&body), "Connection: {nominated}: {body:?}");
    }
    Ok(())
}

fn request(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}\r\n")
}

fn redacted(lines: &str, secrets: &[&String]) -> String {
    secrets.iter().fold(lines.to_owned(), |text, secret| text.replace(secret.as_str(), "Bearer …"))
}
