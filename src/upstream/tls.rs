//! TLS towards the store: whom the gateway trusts, and on which lane it says who it is.
//!
//! Guarantees: a configuration presents a client certificate only if it was made for the gateway's
//! own lane, and lanes share no session store, so a resumed session cannot carry an identity over.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Lane, credential::Credential};

/// Which certificates of a server are believed.
#[derive(Clone)]
pub enum Trust {
    /// Those signed by one of these authorities.
    Authorities(Vec<CertificateDer<'static>>),
    /// Any. Whoever sits on the path can read and change everything.
    Anyone,
    /// Those that the operating system believes.
    System,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// An authority's certificate cannot be used.
    #[error("certificate-authority: not a usable certificate: {0}")]
    Authority(#[source] rustls::Error),
    /// The operating system trusts nobody.
    #[error("the system has no trusted certificates ({problems}); give a certificate-authority")]
    NoSystemRoots {
        /// What was wrong with the places looked at.
        problems: String,
    },
    /// The library refuses the combination.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] rustls::Error),
}

/// The TLS configurations of an endpoint, one per use.
pub(super) struct TlsConfigs {
    pub(super) gateway: Arc<ClientConfig>,
    pub(super) brief: Arc<ClientConfig>,
    pub(super) client: Arc<ClientConfig>,
    pub(super) unproven: Arc<ClientConfig>,
    pub(super) upgrade: Arc<ClientConfig>,
}

/// Presents the certificate that the credential holds at the time of the handshake.
struct PresentsCredential(Arc<Credential>);

/// Believes every certificate, but still checks that the server holds its key.
#[derive(Debug)]
struct BelievesAnyone(Arc<CryptoProvider>);

// === impl Trust ===

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(list) => write!(f, "Authorities({})", list.len()),
            Self::Anyone => f.write_str("Anyone"),
            Self::System => f.write_str("System"),
        }
    }
}

impl Trust {
    /// The check of a server's certificate that this trust amounts to.
    ///
    /// # Errors
    /// When an authority's certificate is not usable, or the system trusts nobody.
    pub fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsSetupError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        match self {
            Self::Anyone => return Ok(Arc::new(BelievesAnyone(provider))),
            Self::Authorities(certificates) => {
                for certificate in certificates {
                    roots.add(certificate.clone()).map_err(TlsSetupError::Authority)?;
                }
            }
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    let problems: Vec<String> =
                        found.errors.iter().map(ToString::to_string).collect();
                    return Err(TlsSetupError::NoSystemRoots { problems: problems.join("; ") });
                }
            }
        }
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map(|verifier| verifier as Arc<dyn ServerCertVerifier>)
            .map_err(|error| TlsSetupError::Setup(rustls::Error::General(error.to_string())))
    }
}

// === impl TlsConfigs ===

impl TlsConfigs {
    pub(super) fn new(
        trust: &Trust,
        host: &str,
        credential: &Arc<Credential>,
    ) -> Result<Self, TlsSetupError> {
        if matches!(trust, Trust::Anyone) {
            tracing::warn!(
                %host,
                "insecure-skip-tls-verify: the API server's certificate is not checked; anyone on \
                 the network path can read every secret and act as every user"
            );
        }
        let verifier = trust.verifier()?;
        let anonymous = |lane: Lane| config(&verifier, lane, None);
        Ok(Self {
            gateway: config(&verifier, Lane::Gateway, Some(credential))?,
            brief: anonymous(Lane::ClientBrief)?,
            client: anonymous(Lane::Client)?,
            unproven: anonymous(Lane::Unproven)?,
            upgrade: anonymous(Lane::Unproven)?,
        })
    }
}

fn config(
    verifier: &Arc<dyn ServerCertVerifier>,
    lane: Lane,
    credential: Option<&Arc<Credential>>,
) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(verifier));
    let mut config = match credential {
        Some(credential) => {
            let resolver = PresentsCredential(Arc::clone(credential));
            let mut config = builder.with_client_cert_resolver(Arc::new(resolver));
            // A resumed session would keep the identity of a certificate since replaced.
            config.resumption = Resumption::disabled();
            config
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match lane {
        Lane::Client | Lane::Gateway => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Lane::ClientBrief | Lane::Unproven => vec![b"http/1.1".to_vec()],
    };
    Ok(Arc::new(config))
}

// === impl PresentsCredential ===

impl ResolvesClientCert for PresentsCredential {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let certified = self.0.certificate()?;
        certified.key.choose_scheme(schemes).is_some().then_some(certified)
    }

    fn has_certs(&self) -> bool {
        self.0.certificate().is_some()
    }
}

impl fmt::Debug for PresentsCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresentsCredential")
    }
}

// === impl BelievesAnyone ===

impl ServerCertVerifier for BelievesAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
