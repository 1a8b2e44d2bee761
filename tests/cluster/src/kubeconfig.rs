//! Kubeconfig files. They are written as JSON, which every reader of YAML takes.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::authority::Identity;
use crate::users::Token;

/// Who a kubeconfig speaks as.
pub(crate) enum Credentials<'a> {
    Token(&'a Token),
    Certificate(&'a Identity),
}

/// Writes a kubeconfig with one context to `path`. The authority goes to a file beside it.
pub(crate) fn write(
    path: &Path,
    server: &str,
    ca_pem: &str,
    credentials: &Credentials<'_>,
) -> Result<()> {
    let authority = path.with_extension("ca.crt");
    std::fs::write(&authority, ca_pem).with_context(|| authority.display().to_string())?;
    let user = match credentials {
        Credentials::Token(token) => json!({ "token": token.expose() }),
        Credentials::Certificate(identity) => json!({
            "client-certificate": identity.certificate,
            "client-key": identity.key,
        }),
    };
    let content: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": server, "certificate-authority": authority } }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    });
    std::fs::write(path, content.to_string()).with_context(|| path.display().to_string())
}
