//! The gateway's credential may do everything here. Nobody gets any of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::json;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, SignatureScheme, client::ResolvesClientCert, crypto::aws_lc_rs,
    sign::CertifiedKey,
};
use watchgate_cluster::{Client, Protocol};

use crate::front::{
    Front, Side,
    answer::{Answer, Body, ensure_relayed},
    authority_of, json_body, start_gateway, until_ready,
    wire::Wire,
};

const ANONYMOUS: &str = "system:anonymous";

/// Reads and writes, in every shape in which rights could be lent.
const REQUESTS: [(&str, &str); 9] = [
    ("GET", "/api/v1/namespaces/default/configmaps?resourceVersion=0"),
    ("GET", "/api/v1/namespaces/default/configmaps/x"),
    ("GET", "/api/v1/namespaces/default/secrets"),
    ("GET", "/api/v1/namespaces/default/configmaps?watch=true"),
    ("POST", "/api/v1/namespaces/default/configmaps"),
    ("PUT", "/api/v1/namespaces/default/configmaps/x"),
    ("PATCH", "/api/v1/namespaces/default/configmaps/x"),
    ("DELETE", "/api/v1/namespaces/default/configmaps/x"),
    ("DELETE", "/api/v1/namespaces/default/configmaps"),
];

/// Who shows nothing is nobody to upstream, over every path.
pub(crate) async fn nobody_is_anonymous(front: Arc<Front>) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let direct = front.cluster.client().protocol(protocol).build()?;
        let through = front.client().protocol(protocol).build()?;
        refused_as(ANONYMOUS, &direct, &through).await?;
    }
    Ok(())
}

/// Who may do nothing is told so by name, also between requests of the administrator's.
pub(crate) async fn a_weak_token_stays_weak(front: Arc<Front>) -> Result<()> {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let token = front.cluster.token("bob");
        let direct = front.cluster.client().token(token).protocol(protocol).build()?;
        let through = front.client().token(token).protocol(protocol).build()?;
        let admin =
            front.client().token(front.cluster.token("admin")).protocol(protocol).build()?;
        let strong = admin.get("/api/v1/namespaces/default/secrets").send().await?;
        ensure!(strong.status == StatusCode::OK, "{strong:?}");
        refused_as("bob", &direct, &through).await?;
    }
    Ok(())
}

async fn refused_as(user: &str, direct: &Client, through: &Client) -> Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "x", "namespace": "default" },
    });
    for (method, target) in REQUESTS {
        let method: Method = method.parse()?;
        let request = |client: &Client| {
            let request = client.request(method.clone(), target);
            match method {
                Method::GET | Method::DELETE => request,
                Method::PATCH => request
                    .header("content-type", "application/merge-patch+json")
                    .body(object.to_string()),
                _ => json_body(request, &object),
            }
        };
        let what = format!("{user}: {method} {target}");
        let direct = Answer::from_upstream(request(direct), false).await?;
        ensure!(direct.essence.status == StatusCode::FORBIDDEN, "{what}: {direct:?}");
        ensure!(names(&direct.essence.body, user), "{what}: {direct:?}");
        let through = Answer::to(request(through), false).await?;
        ensure_relayed(&what, &direct, &through)?;
    }
    Ok(())
}

fn names(body: &Body, user: &str) -> bool {
    let Body::Json(status) = body else { return false };
    let message = status["message"].as_str().unwrap_or_default();
    message.contains(&format!("User \"{user}\" cannot"))
}

/// exec and its kin go over connections of their own: without rights, too.
pub(crate) async fn upgrades_have_their_own_rights(front: Arc<Front>) -> Result<()> {
    let pod = "/api/v1/namespaces/default/pods/x";
    let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let spdy = "Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n";
    for (user, authorization) in
        [(ANONYMOUS, String::new()), ("bob", format!("Authorization: {}\r\n", front.bearer("bob")))]
    {
        for (method, path, upgrade) in [
            ("GET", format!("{pod}/exec?command=id&stdout=true"), websocket),
            ("POST", format!("{pod}/exec?command=id&stdout=true"), spdy),
            ("POST", format!("{pod}/attach?stdout=true"), spdy),
            ("GET", format!("{pod}/portforward?ports=80"), websocket),
            ("GET", "/api/v1/namespaces/default/configmaps?watch=true".to_owned(), websocket),
        ] {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\
                 Connection: Upgrade\r\n{upgrade}\r\n"
            );
            let (direct, direct_body) = front.wire(Side::Direct).await?.ask(&request).await?;
            ensure!(direct.status == StatusCode::FORBIDDEN, "{path}: {direct:?}");
            ensure!(names(&Body::of(&direct_body), user), "{path}: {direct_body:?}");
            let (through, body) = front.wire(Side::Through).await?.ask(&request).await?;
            ensure!(through.status == direct.status, "{user}: {method} {path}: {through:?}");
            ensure!(Body::of(&body) == Body::of(&direct_body), "{user}: {path}: {body:?}");
        }
    }
    Ok(())
}

/// The same with a gateway that has a token instead of a certificate.
pub(crate) async fn a_token_is_not_lent(front: Arc<Front>) -> Result<()> {
    let cluster = &front.cluster;
    let kubeconfig =
        cluster.kubeconfig_for_token("admin", &cluster.api_server_url(), cluster.ca_pem())?;
    let gateway = start_gateway(&kubeconfig).await?;
    let authority = authority_of(&gateway).await?;
    until_ready(&Client::builder(gateway.url(), &authority).build()?).await?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let through = Client::builder(gateway.url(), &authority).protocol(protocol);
        let direct = cluster.client().protocol(protocol);
        refused_as(ANONYMOUS, &direct.clone().build()?, &through.clone().build()?).await?;
        let token = cluster.token("bob");
        refused_as("bob", &direct.token(token).build()?, &through.token(token).build()?).await?;
    }
    ensure!(gateway.stop().await?.success());
    Ok(())
}

/// Notes whether a server asked for a certificate.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::Relaxed);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The gateway could not pass a certificate on, so it does not ask for one; upstream does.
pub(crate) async fn no_certificate_is_requested(front: Arc<Front>) -> Result<()> {
    let api_server = (front.cluster.api_server_url(), front.cluster.ca_pem());
    let gateway = (front.gateway.url().to_owned(), front.gateway_ca());
    for ((url, authority), expected) in [(api_server, true), (gateway, false)] {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let asked = Arc::new(Asked::default());
        let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::clone(&asked) as Arc<dyn ResolvesClientCert>);
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Wire::connect_with(&url, tls).await?;
        ensure!(asked.0.load(Ordering::Relaxed) == expected, "{url}: expected {expected}");
    }
    // Who shows a certificate anyway is nobody.
    let with_certificate = front.client().identity(front.cluster.admin()).build()?;
    let answer = Answer::to(with_certificate.get(REQUESTS[0].1), false).await?;
    ensure!(names(&answer.essence.body, ANONYMOUS), "{answer:?}");
    Ok(())
}
