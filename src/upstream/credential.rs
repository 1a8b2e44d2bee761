//! The gateway's own identity: where it comes from, and keeping it fresh.
//!
//! A [`Credential`] yields what the gateway's lane presents right now. Guarantees: files are read
//! again within a minute and an exec plugin is run again when its credential expires or was
//! refused; one refresh at a time; a file that cannot be read for a while costs nothing but a
//! warning as long as an earlier reading exists. Nothing secret appears in errors, logs or `Debug`.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use rustls::{crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::{sync::Mutex, time::Instant};

pub mod exec;
pub mod secret;

use self::{exec::ExecPlugin, secret::Secret};

/// How long a reading of a file is used; tokens of service accounts are replaced long before they
/// expire, so a minute is early enough (client-go reads as often).
const FILE_LIFETIME: Duration = Duration::from_secs(60);
/// How soon a failed refresh is tried again while an earlier result is in use.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// What stands for "does not expire".
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Where a bearer token comes from.
pub enum TokenSource {
    /// From a file that others replace; the field or flag that named it, and its path.
    File(&'static str, PathBuf),
    /// From the configuration itself.
    Fixed(Secret),
    /// There is none.
    None,
}

/// Where a client certificate comes from.
pub enum CertificateSource {
    /// From files that others replace.
    Files {
        /// The certificate and its chain, PEM.
        certificate: PathBuf,
        /// Its private key, PEM.
        key: PathBuf,
    },
    /// From the configuration itself.
    Fixed(Arc<CertifiedKey>),
    /// There is none.
    None,
}

/// The gateway's own identity towards one API server.
pub struct Credential {
    source: Source,
    presented: ArcSwapOption<Presented>,
    refresh: Mutex<()>,
}

enum Source {
    Exec(ExecPlugin),
    Files { token: TokenSource, certificate: CertificateSource },
}

/// What the gateway's lane presents.
pub struct Presented {
    /// `Bearer …`, marked sensitive.
    pub authorization: Option<HeaderValue>,
    /// The client certificate.
    pub certificate: Option<Arc<CertifiedKey>>,
    loaded: Instant,
    fresh_until: Instant,
    /// After which even a failed refresh does not make it usable.
    usable_until: Instant,
}

/// A part of the gateway's identity that cannot be had. Names the file and field.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct CredentialError {
    place: String,
    problem: String,
}

// === impl Credential ===

impl Credential {
    /// The identity made of a token, a certificate, both, or nothing at all.
    pub const fn new(token: TokenSource, certificate: CertificateSource) -> Self {
        Self::from_source(Source::Files { token, certificate })
    }

    /// The identity that a plugin hands out.
    pub const fn exec(plugin: ExecPlugin) -> Self {
        Self::from_source(Source::Exec(plugin))
    }

    const fn from_source(source: Source) -> Self {
        Self { source, presented: ArcSwapOption::const_empty(), refresh: Mutex::const_new(()) }
    }

    /// What to present now, refreshed if it is due.
    ///
    /// # Errors
    /// When there is nothing usable; the text names what failed.
    pub async fn present(&self) -> Result<Arc<Presented>, Arc<CredentialError>> {
        if let Some(presented) = self.fresh() {
            return Ok(presented);
        }
        let _one_at_a_time = self.refresh.lock().await;
        if let Some(presented) = self.fresh() {
            return Ok(presented);
        }
        let error = match self.source.load().await {
            Ok(presented) => {
                let presented = self.keep_certificate(presented);
                self.presented.store(Some(Arc::clone(&presented)));
                return Ok(presented);
            }
            Err(error) => error,
        };
        let now = Instant::now();
        let earlier = self.presented.load_full().filter(|earlier| now < earlier.usable_until);
        let Some(earlier) = earlier else { return Err(Arc::new(error)) };
        tracing::warn!(%error, "the gateway's credential cannot be refreshed; using the last one");
        let kept = Arc::new(Presented {
            authorization: earlier.authorization.clone(),
            certificate: earlier.certificate.clone(),
            loaded: earlier.loaded,
            fresh_until: now + RETRY_AFTER,
            usable_until: earlier.usable_until,
        });
        self.presented.store(Some(Arc::clone(&kept)));
        Ok(kept)
    }

    /// The certificate that [`Credential::present`] gave last.
    pub fn certificate(&self) -> Option<Arc<CertifiedKey>> {
        self.presented.load().as_ref().and_then(|presented| presented.certificate.clone())
    }

    /// Upstream did not accept what was presented: the next request fetches it anew, unless it was
    /// fetched just now.
    pub fn refused(&self) {
        let now = Instant::now();
        let Some(refused) = self.presented.load_full() else { return };
        if now < refused.loaded + RETRY_AFTER {
            return;
        }
        self.presented.store(Some(Arc::new(Presented {
            authorization: refused.authorization.clone(),
            certificate: refused.certificate.clone(),
            loaded: refused.loaded,
            fresh_until: now,
            usable_until: refused.usable_until,
        })));
    }

    fn fresh(&self) -> Option<Arc<Presented>> {
        let presented = self.presented.load();
        let presented = presented.as_ref()?;
        (Instant::now() < presented.fresh_until).then(|| Arc::clone(presented))
    }

    /// An unchanged certificate stays the same object, so that connections that presented it are
    /// kept.
    fn keep_certificate(&self, mut presented: Presented) -> Arc<Presented> {
        let before = self.certificate();
        if let (Some(before), Some(now)) = (before, &presented.certificate)
            && before.cert == now.cert
        {
            presented.certificate = Some(before);
        }
        Arc::new(presented)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

// === impl Source ===

impl Source {
    async fn load(&self) -> Result<Presented, CredentialError> {
        match self {
            Self::Exec(plugin) => plugin.run().await,
            Self::Files { token, certificate } => {
                let authorization = match token {
                    TokenSource::File(field, path) => Some(read_token(field, path).await?),
                    TokenSource::Fixed(token) => Some(bearer("token", token)?),
                    TokenSource::None => None,
                };
                let files = matches!(token, TokenSource::File(..))
                    || matches!(certificate, CertificateSource::Files { .. });
                let certificate = match certificate {
                    CertificateSource::Files { certificate, key } => {
                        Some(read_certificate(certificate, key).await?)
                    }
                    CertificateSource::Fixed(certified) => Some(Arc::clone(certified)),
                    CertificateSource::None => None,
                };
                let lifetime = if files { FILE_LIFETIME } else { FOREVER };
                Ok(Presented::new(authorization, certificate, lifetime, FOREVER))
            }
        }
    }
}

// === impl Presented ===

impl Presented {
    fn new(
        authorization: Option<HeaderValue>,
        certificate: Option<Arc<CertifiedKey>>,
        fresh: Duration,
        usable: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            authorization,
            certificate,
            loaded: now,
            fresh_until: now + fresh.min(FOREVER),
            usable_until: now + usable.min(FOREVER),
        }
    }
}

// === impl CredentialError ===

impl CredentialError {
    pub(super) fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }

    pub(super) fn into_parts(self) -> (String, String) {
        (self.place, self.problem)
    }
}

/// A certificate with its key, from PEM texts; the place names them in errors.
pub(super) fn certified_key(
    certificate_place: &str,
    certificate: &[u8],
    key_place: &str,
    key: &[u8],
) -> Result<Arc<CertifiedKey>, CredentialError> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CredentialError::new(certificate_place, error.to_string()))?;
    if chain.is_empty() {
        return Err(CredentialError::new(certificate_place, "holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| CredentialError::new(key_place, format!("no PEM private key: {error}")))?;
    let key = aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|error| CredentialError::new(key_place, format!("not a usable key: {error}")))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|error| {
        CredentialError::new(key_place, format!("does not fit the certificate: {error}"))
    })?;
    Ok(Arc::new(certified))
}

/// The header that carries a token.
fn bearer(place: &str, token: &Secret) -> Result<HeaderValue, CredentialError> {
    let token = token.expose().trim_ascii();
    if token.is_empty() {
        return Err(CredentialError::new(place, "is empty"));
    }
    let mut text = zeroize::Zeroizing::new(Vec::with_capacity(7 + token.len()));
    text.extend_from_slice(b"Bearer ");
    text.extend_from_slice(token);
    let mut header = HeaderValue::from_bytes(&text)
        .map_err(|_| CredentialError::new(place, "holds bytes that a token cannot have"))?;
    header.set_sensitive(true);
    Ok(header)
}

async fn read_token(field: &str, path: &PathBuf) -> Result<HeaderValue, CredentialError> {
    let place = format!("{field} {}", path.display());
    bearer(&place, &Secret::new(read(&place, path).await?))
}

async fn read_certificate(
    certificate: &PathBuf,
    key: &PathBuf,
) -> Result<Arc<CertifiedKey>, CredentialError> {
    let certificate_place = format!("client-certificate {}", certificate.display());
    let key_place = format!("client-key {}", key.display());
    let chain = read(&certificate_place, certificate).await?;
    let secret = Secret::new(read(&key_place, key).await?);
    certified_key(&certificate_place, &chain, &key_place, secret.expose())
}

async fn read(place: &str, path: &PathBuf) -> Result<Vec<u8>, CredentialError> {
    tokio::fs::read(path).await.map_err(|error| CredentialError::new(place, error.to_string()))
}
