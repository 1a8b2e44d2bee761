//! Serving over TLS: certificate and key become a rustls configuration that can be replaced while
//! connections are open.
//!
//! TLS 1.2 and 1.3 with the aws-lc-rs provider, named explicitly so that no process-wide default
//! is needed; ALPN `h2` then `http/1.1`. Client certificates are not asked for. A replaced
//! configuration concerns new connections only; session tickets stay valid across replacements.

use std::{fs, io, path::Path, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::ProducesTickets,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use zeroize::Zeroizing;

/// The protocols offered, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Why a certificate cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {what} {file}: {source}")]
    Read {
        /// Certificate or private key.
        what: &'static str,
        /// Its path.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not PEM, or holds nothing of the kind expected.
    #[error("{file} holds no usable {what} in PEM form: {source}")]
    Pem {
        /// Certificate or private key.
        what: &'static str,
        /// Its path.
        file: String,
        /// What the reader said.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key are unusable, or do not belong together.
    #[error("certificate {certificate} and private key {key} cannot be used together: {source}")]
    Pair {
        /// Path of the certificate.
        certificate: String,
        /// Path of the key.
        key: String,
        /// What rustls said.
        source: rustls::Error,
    },
    /// The TLS library cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Library(#[source] rustls::Error),
}

/// A certificate chain and its key in PEM, and where they came from, for errors.
pub struct PemPair {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    certificate_file: String,
    key_file: String,
}

/// The configuration that new connections get. Clones share it.
#[derive(Clone, Debug)]
pub struct Tls {
    current: Arc<ArcSwap<ServerConfig>>,
    tickets: Arc<dyn ProducesTickets>,
}

/// The cryptography used everywhere in the process.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

// === impl PemPair ===

impl PemPair {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError::Read`], naming the file.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read("certificate", certificate)?,
            key: Zeroizing::new(read("private key", key)?),
            certificate_file: certificate.display().to_string(),
            key_file: key.display().to_string(),
        })
    }

    /// The certificates, leaf first.
    pub(super) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let unusable = |source| TlsError::Pem {
            what: "certificate",
            file: self.certificate_file.clone(),
            source,
        };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(unusable)?;
        if chain.is_empty() {
            return Err(unusable(rustls_pki_types::pem::Error::NoItemsFound));
        }
        Ok(chain)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|source| TlsError::Pem {
            what: "private key",
            file: self.key_file.clone(),
            source,
        })
    }

    /// What to serve with; checks that key and certificate belong together.
    ///
    /// # Errors
    /// As [`Tls::new`].
    fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(TlsError::Library)?
            .with_no_client_auth()
            .with_single_cert(self.chain()?, self.private_key()?)
            .map_err(|source| TlsError::Pair {
                certificate: self.certificate_file.clone(),
                key: self.key_file.clone(),
                source,
            })?;
        config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read {
        what,
        file: path.display().to_string(),
        source,
    })
}

// === impl Tls ===

impl Tls {
    /// Serves with a certificate.
    ///
    /// # Errors
    /// When the pair is not PEM, not a pair, or of a kind that TLS cannot use.
    pub fn new(pair: &PemPair) -> Result<Self, TlsError> {
        let tickets = aws_lc_rs::Ticketer::new().map_err(TlsError::Library)?;
        let mut config = pair.server_config()?;
        config.ticketer = Arc::clone(&tickets);
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(config)), tickets })
    }

    /// Serves new connections with another certificate; open connections are not touched.
    ///
    /// # Errors
    /// As [`Tls::new`]; the certificate so far stays in use then.
    pub fn replace(&self, pair: &PemPair) -> Result<(), TlsError> {
        let mut config = pair.server_config()?;
        config.ticketer = Arc::clone(&self.tickets);
        self.current.store(Arc::new(config));
        Ok(())
    }

    /// The configuration for a connection that begins now.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests;
