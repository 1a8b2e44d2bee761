//! The kubeconfig's own form, as far as it is read. An empty text counts as absent, as in kubectl.

use serde::{Deserialize, Deserializer};

use crate::upstream::credential::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Config {
    #[serde(default)]
    pub(super) current_context: Option<String>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub(super) cluster: Option<String>,
    #[serde(default)]
    pub(super) user: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(default, deserialize_with = "text")]
    pub(super) server: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) certificate_authority: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) certificate_authority_data: Option<String>,
    #[serde(default)]
    pub(super) insecure_skip_tls_verify: bool,
    #[serde(default, deserialize_with = "text")]
    pub(super) tls_server_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) proxy_url: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(default, deserialize_with = "text")]
    pub(super) client_certificate: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) client_certificate_data: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) client_key: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) client_key_data: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) token: Option<Secret>,
    #[serde(default, rename = "tokenFile", deserialize_with = "text")]
    pub(super) token_file: Option<String>,
    #[serde(default)]
    pub(super) exec: Option<Exec>,
    #[serde(default)]
    pub(super) auth_provider: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) username: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) password: Option<Secret>,
    #[serde(default, rename = "as", deserialize_with = "text")]
    pub(super) impersonate: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    #[serde(default)]
    pub(super) api_version: Option<String>,
    #[serde(default)]
    pub(super) command: Option<String>,
    #[serde(default)]
    pub(super) args: Option<Vec<String>>,
    #[serde(default)]
    pub(super) env: Option<Vec<Variable>>,
    #[serde(default)]
    pub(super) install_hint: Option<String>,
    #[serde(default)]
    pub(super) interactive_mode: Option<String>,
    #[serde(default)]
    pub(super) provide_cluster_info: bool,
}

#[derive(Deserialize)]
pub(super) struct Variable {
    name: String,
    value: String,
}

// === impl Config ===

impl Config {
    /// Reads the text; an error tells where, never what, for the text holds secrets.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        serde_saphyr::from_slice(text).map_err(|error| match error.location() {
            Some(place) => format!(
                "is not a kubeconfig: line {}, column {} does not have the form expected there",
                place.line(),
                place.column()
            ),
            None => "is not a kubeconfig in YAML".to_owned(),
        })
    }

    pub(super) fn context(&self, name: &str) -> Option<&Context> {
        let named = self.contexts.iter().flatten().find(|entry| entry.name == name);
        named.map(|entry| &entry.context)
    }

    pub(super) fn cluster(&self, name: &str) -> Option<&Cluster> {
        let named = self.clusters.iter().flatten().find(|entry| entry.name == name);
        named.map(|entry| &entry.cluster)
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        static NOBODY: std::sync::LazyLock<User> = std::sync::LazyLock::new(User::default);
        let named = self.users.iter().flatten().find(|entry| entry.name == name);
        named.map(|entry| entry.user.as_ref().unwrap_or(&NOBODY))
    }
}

// === impl Cluster ===

impl Cluster {
    /// What an exec plugin is told about the cluster if it asks.
    pub(super) fn exec_info(&self) -> serde_json::Value {
        let mut info = serde_json::Map::new();
        for (key, value) in [
            ("server", &self.server),
            ("tls-server-name", &self.tls_server_name),
            ("certificate-authority-data", &self.certificate_authority_data),
        ] {
            if let Some(value) = value {
                info.insert(key.to_owned(), value.clone().into());
            }
        }
        if self.insecure_skip_tls_verify {
            info.insert("insecure-skip-tls-verify".to_owned(), true.into());
        }
        info.into()
    }
}

// === impl Variable ===

impl Variable {
    pub(super) fn pair(&self) -> (String, String) {
        (self.name.clone(), self.value.clone())
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let secret = Option::<Secret>::deserialize(deserializer)?;
    Ok(secret.filter(|secret| !secret.is_empty()))
}
