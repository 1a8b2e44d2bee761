//! Credentials from a program: the `client.authentication.k8s.io` exec plugin protocol.
//!
//! Guarantees: the program runs for a bounded time, without a terminal, and its output is bounded;
//! its standard error goes to the gateway's own, as with kubectl, and is not read.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

use super::{CredentialError, FOREVER, Presented, bearer, certified_key, secret::Secret};

/// Environment variable that tells the program what is asked of it.
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";
/// Bound on one run; plugins ask a cloud's identity service.
const RUN_LIMIT: Duration = Duration::from_secs(60);
/// Bound on the credential that it writes.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// A program that hands out credentials.
#[derive(Debug)]
pub struct ExecPlugin {
    /// Where the kubeconfig says so, for errors.
    pub place: String,
    /// The API version spoken: `client.authentication.k8s.io/v1` or `…/v1beta1`.
    pub api_version: String,
    /// The program.
    pub command: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// What to tell the operator when the program is not there.
    pub install_hint: Option<String>,
    /// `spec.cluster` of what the program is told, if it asked for that.
    pub cluster: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: Option<String>,
    kind: Option<String>,
    status: Option<ExecStatus>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    token: Option<Secret>,
    expiration_timestamp: Option<String>,
    client_certificate_data: Option<Secret>,
    client_key_data: Option<Secret>,
}

// === impl ExecPlugin ===

impl ExecPlugin {
    /// Runs the program and reads its answer.
    pub(super) async fn run(&self) -> Result<Presented, CredentialError> {
        let output = timeout(RUN_LIMIT, self.output()).await.map_err(|_| {
            self.failed(format!("{} took longer than {RUN_LIMIT:?}", self.command.display()))
        })??;
        let credential: ExecCredential = serde_json::from_slice(output.expose())
            // serde_json's own text can quote the value, so only the position is told.
            .map_err(|error| {
                self.failed(format!(
                    "the output is not an ExecCredential (line {}, column {})",
                    error.line(),
                    error.column()
                ))
            })?;
        self.read(credential, SystemTime::now())
    }

    async fn output(&self) -> Result<Secret, CredentialError> {
        let mut child = Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env(EXEC_INFO, self.exec_info())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let mut output = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let mut stdout = stdout.take(OUTPUT_LIMIT + 1);
            let read = stdout.read_to_end(&mut output).await;
            read.map_err(|error| self.failed(format!("reading the output: {error}")))?;
        }
        let output = Secret::new(output);
        if output.expose().len() as u64 > OUTPUT_LIMIT {
            return Err(self.failed(format!("the output is longer than {OUTPUT_LIMIT} bytes")));
        }
        let status = child.wait().await.map_err(|error| self.failed(error.to_string()))?;
        if status.success() {
            Ok(output)
        } else {
            Err(self.failed(format!("{} failed: {status}", self.command.display())))
        }
    }

    fn exec_info(&self) -> String {
        let mut spec = serde_json::json!({ "interactive": false });
        if let Some(cluster) = &self.cluster {
            spec["cluster"] = cluster.clone();
        }
        serde_json::json!({
            "apiVersion": self.api_version,
            "kind": "ExecCredential",
            "spec": spec,
        })
        .to_string()
    }

    fn read(
        &self,
        credential: ExecCredential,
        now: SystemTime,
    ) -> Result<Presented, CredentialError> {
        if credential.kind.as_deref() != Some("ExecCredential")
            || credential.api_version.as_deref() != Some(&self.api_version)
        {
            let expected = &self.api_version;
            return Err(self.failed(format!("the output is not an ExecCredential of {expected}")));
        }
        let status =
            credential.status.ok_or_else(|| self.failed("the output has no status".to_owned()))?;
        let token = status.token.filter(|token| !token.is_empty());
        let authorization =
            token.map(|token| bearer(&self.field("status.token"), &token)).transpose()?;
        let certificate = match (status.client_certificate_data, status.client_key_data) {
            (Some(certificate), Some(key)) => Some(certified_key(
                &self.field("status.clientCertificateData"),
                certificate.expose(),
                &self.field("status.clientKeyData"),
                key.expose(),
            )?),
            (None, None) => None,
            _ => {
                return Err(self.failed(
                    "status must hold clientCertificateData and clientKeyData together".to_owned(),
                ));
            }
        };
        if authorization.is_none() && certificate.is_none() {
            return Err(
                self.failed("status holds neither token nor clientCertificateData".to_owned())
            );
        }
        let lifetime = match status.expiration_timestamp {
            Some(text) => self.lifetime(&text, now)?,
            None => FOREVER,
        };
        Ok(Presented::new(authorization, certificate, lifetime, lifetime))
    }

    /// How long a credential is good for; nothing if it has expired.
    fn lifetime(&self, text: &str, now: SystemTime) -> Result<Duration, CredentialError> {
        let expires = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
            self.failed("status.expirationTimestamp is not an RFC 3339 time".to_owned())
        })?;
        Ok(SystemTime::from(expires).duration_since(now).unwrap_or_default())
    }

    fn not_started(&self, error: &std::io::Error) -> CredentialError {
        let mut problem = format!("cannot run {}: {error}", self.command.display());
        if let Some(hint) = self.install_hint.as_ref().filter(|hint| !hint.is_empty()) {
            problem = format!("{problem}; {}", hint.trim());
        }
        self.failed(problem)
    }

    fn field(&self, name: &str) -> String {
        format!("{}: {name}", self.place)
    }

    fn failed(&self, problem: String) -> CredentialError {
        CredentialError::new(&*self.place, problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str) -> ExecPlugin {
        ExecPlugin {
            place: "kubeconfig /k: users[u].user.exec".to_owned(),
            api_version: "client.authentication.k8s.io/v1".to_owned(),
            command: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("EXTRA".to_owned(), "from-env".to_owned())],
            install_hint: Some("install it".to_owned()),
            cluster: None,
        }
    }

    fn answer(status: &str) -> String {
        format!(
            r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{status}}}'"#
        )
    }

    #[tokio::test]
    async fn takes_the_token_and_its_lifetime() {
        let script = answer(r#"{"token":"t1","expirationTimestamp":"2999-01-01T00:00:00Z"}"#);
        let presented = plugin(&script).run().await.unwrap();
        assert_eq!(presented.authorization.unwrap(), "Bearer t1");
    }

    #[tokio::test]
    async fn passes_exec_info_and_environment() {
        let script = r#"case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) exit 3;; esac
            printf '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}' "$EXTRA""#;
        let presented = plugin(script).run().await.unwrap();
        assert_eq!(presented.authorization.unwrap(), "Bearer from-env");
    }

    #[tokio::test]
    async fn errors_name_the_place_and_never_the_secret() {
        let mut missing = plugin("");
        missing.command = "/nonexistent/plugin".into();
        for (plugin, expected) in [
            (plugin("exit 4"), "failed: exit status: 4"),
            (plugin("echo hunter2"), "the output is not an ExecCredential (line 1"),
            (plugin(&answer("{}")), "neither token nor clientCertificateData"),
            (
                plugin(&answer(r#"{"token":"hunter2","expirationTimestamp":"soon"}"#)),
                "status.expirationTimestamp is not an RFC 3339 time",
            ),
            (missing, "cannot run /nonexistent/plugin"),
        ] {
            let text = plugin.run().await.err().unwrap().to_string();
            assert!(text.starts_with("kubeconfig /k: users[u].user.exec: "), "{text}");
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
        }
    }

    #[tokio::test]
    async fn an_expired_credential_is_fetched_again() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!(
            "echo x >> {}; {}",
            count.display(),
            answer(r#"{"token":"t","expirationTimestamp":"2001-01-01T00:00:00Z"}"#)
        );
        let credential = super::super::Credential::exec(plugin(&script));
        credential.present().await.unwrap();
        credential.present().await.unwrap();
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\nx\n");
    }

    #[tokio::test]
    async fn a_refused_credential_is_fetched_again_but_not_in_a_storm() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!("echo x >> {}; {}", count.display(), answer(r#"{"token":"t"}"#));
        let credential = super::super::Credential::exec(plugin(&script));
        let runs = || std::fs::read_to_string(&count).unwrap().lines().count();
        for _ in 0..3 {
            credential.present().await.unwrap();
            credential.refused();
        }
        assert_eq!(runs(), 1);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        credential.refused();
        tokio::time::resume();
        credential.present().await.unwrap();
        assert_eq!(runs(), 2);
    }
}
