//! A serving certificate of the program's own, for when the operator gives none: a CA and a
//! certificate signed by it, kept in the data directory so that clients can go on trusting it.
//!
//! Guarantees that the certificate returned is one that a client which trusts the CA would accept
//! for every name asked for, now and for the next 30 days; otherwise a new one is issued, by the
//! same CA as long as that lasts. Files are replaced atomically; keys are readable by their owner
//! only. A crash between two files leaves a pair that does not fit, which the next start replaces.

use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    RootCertStore, client::WebPkiServerVerifier, client::danger::ServerCertVerifier as _,
};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, UnixTime, pem::PemObject as _};
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use super::{
    durable_file::{self, Access},
    tls::{PemPair, Tls, TlsError, provider},
};

const CA_CERTIFICATE: &str = "watchgate-ca.crt";
const CA_KEY: &str = "watchgate-ca.key";
const SERVING_CERTIFICATE: &str = "watchgate-serving.crt";
const SERVING_KEY: &str = "watchgate-serving.key";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Clients keep copies of the CA, so it lasts.
const CA_VALIDITY: Duration = DAY.saturating_mul(3650);

/// kube-apiserver's own self-signed certificate lasts as long.
const SERVING_VALIDITY: Duration = DAY.saturating_mul(365);

/// A certificate this near to its end is issued anew.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// Certificates begin in the past: clocks of clients are not exact.
const CLOCK_SKEW: Duration = Duration::from_secs(60 * 60);

/// A certificate made by the program, and the CA that signed it.
pub struct SelfSigned {
    /// Certificate chain and key, to serve with.
    pub pair: PemPair,
    /// The CA's certificate in PEM: what clients have to trust.
    pub ca_pem: String,
    /// Where that certificate stands, for `--certificate-authority` and the like.
    pub ca_file: PathBuf,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// A file of the data directory cannot be read or written.
    #[error("cannot {action} {file}: {source}")]
    File {
        /// Read or write.
        action: &'static str,
        /// Its path.
        file: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The certificate library refused.
    #[error("cannot issue a self-signed certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// What was just issued is not usable.
    #[error("the certificate just issued is not usable: {0}")]
    Unusable(#[from] TlsError),
}

/// The names a certificate has to cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingNames(BTreeSet<String>);

// === impl ServingNames ===

impl ServingNames {
    /// `localhost`, both loopback addresses, the address bound (if it is one), the host's name (if
    /// it can stand in a certificate).
    pub fn new(bound: IpAddr, host_name: Option<&str>) -> Self {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let addresses = loopback.into_iter().chain((!bound.is_unspecified()).then_some(bound));
        let mut names: BTreeSet<String> = addresses.map(|address| address.to_string()).collect();
        names.insert("localhost".to_owned());
        names.extend(
            host_name
                .map(str::to_ascii_lowercase)
                .filter(|name| DnsName::try_from(name.as_str()).is_ok()),
        );
        Self(names)
    }

    /// These names with the name of the machine the program runs on.
    pub fn of_this_host(bound: IpAddr) -> Self {
        Self::new(bound, rustix::system::uname().nodename().to_str().ok())
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// The certificate of the data directory, issued now if there is none that will do.
///
/// # Errors
/// When the directory cannot be made, or a file in it not be read or written.
pub fn ensure(
    directory: &Path,
    names: &ServingNames,
    now: SystemTime,
) -> Result<SelfSigned, SelfSignedError> {
    durable_file::create_private_directory(directory).map_err(|e| file("create", directory, e))?;
    let ca = ensure_ca(directory, now)?;
    let certificate = directory.join(SERVING_CERTIFICATE);
    let key = directory.join(SERVING_KEY);
    if !serves(&certificate, &key, &ca.der, names, now) {
        tracing::info!(file = %certificate.display(), "issuing a self-signed serving certificate");
        let (certificate_pem, key_pem) = issue(&ca, names, now)?;
        write(&key, key_pem.as_bytes(), Access::Owner)?;
        write(&certificate, certificate_pem.as_bytes(), Access::Everyone)?;
    }
    let pair = PemPair::read(&certificate, &key)?;
    Ok(SelfSigned { pair, ca_pem: ca.pem, ca_file: directory.join(CA_CERTIFICATE) })
}

/// A CA that can sign.
struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    key: KeyPair,
}

fn ensure_ca(directory: &Path, now: SystemTime) -> Result<Authority, SelfSignedError> {
    let (certificate, key) = (directory.join(CA_CERTIFICATE), directory.join(CA_KEY));
    let stored = read(&certificate)?.zip(read(&key)?.map(Zeroizing::new));
    if let Some((pem, key_pem)) = stored {
        if let Some(ca) = usable_ca(pem, &key_pem, now) {
            return Ok(ca);
        }
        tracing::warn!(
            file = %certificate.display(),
            "the self-signed CA is unusable or near its end: a new one is made, and clients that \
             trusted the old one have to be given the new one"
        );
    }
    let mut params = params(now, CA_VALIDITY, "watchgate self-signed CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key_pair = KeyPair::generate()?;
    let made = params.self_signed(&key_pair)?;
    write(&key, Zeroizing::new(key_pair.serialize_pem()).as_bytes(), Access::Owner)?;
    write(&certificate, made.pem().as_bytes(), Access::Everyone)?;
    Ok(Authority { pem: made.pem(), der: made.der().clone(), key: key_pair })
}

/// The stored CA, if certificate and key fit and it outlives whatever it signs today.
fn usable_ca(pem: String, key_pem: &str, now: SystemTime) -> Option<Authority> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let key = KeyPair::from_pem(key_pem).ok()?;
    let (_, parsed) = parse_x509_certificate(&der).ok()?;
    let needed_until = unix(now + SERVING_VALIDITY + RENEW_BEFORE);
    let lasts = u64::try_from(parsed.validity().not_after.timestamp()).ok()? > needed_until;
    let fits = parsed.public_key().subject_public_key.data.as_ref() == key.public_key_raw();
    let usable = lasts && fits && parsed.is_ca();
    usable.then_some(Authority { pem, der, key })
}

/// Whether a client that trusts the CA would accept the stored certificate under every name until
/// it is due for renewal, and its key fits.
fn serves(
    certificate: &Path,
    key: &Path,
    ca: &CertificateDer<'static>,
    names: &ServingNames,
    now: SystemTime,
) -> bool {
    let Ok(pair) = PemPair::read(certificate, key) else { return false };
    let (Ok(_), Ok(chain)) = (Tls::new(&pair), pair.chain()) else { return false };
    let mut roots = RootCertStore::empty();
    if roots.add(ca.clone()).is_err() {
        return false;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build();
    let Ok(verifier) = verifier else { return false };
    let at = UnixTime::since_unix_epoch(Duration::from_secs(unix(now + RENEW_BEFORE)));
    names.iter().all(|name| {
        ServerName::try_from(name).is_ok_and(|name| {
            verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], at).is_ok()
        })
    })
}

/// A new serving certificate followed by its CA, and its key, in PEM.
fn issue(
    ca: &Authority,
    names: &ServingNames,
    now: SystemTime,
) -> Result<(String, Zeroizing<String>), SelfSignedError> {
    let mut params = params(now, SERVING_VALIDITY, "watchgate");
    let named = CertificateParams::new(names.iter().map(str::to_owned).collect::<Vec<_>>())?;
    params.subject_alt_names = named.subject_alt_names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let issuer = Issuer::from_ca_cert_der(&ca.der, &ca.key)?;
    let made = params.signed_by(&key, &issuer)?;
    Ok((made.pem() + &ca.pem, Zeroizing::new(key.serialize_pem())))
}

fn params(now: SystemTime, validity: Duration, common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + validity).into();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Seconds since 1970; 0 for a clock set before that, under which nothing is valid.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The text of a file, `None` when there is none.
fn read(path: &Path) -> Result<Option<String>, SelfSignedError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file("read", path, error)),
    }
}

fn write(path: &Path, content: &[u8], access: Access) -> Result<(), SelfSignedError> {
    durable_file::replace(path, content, access).map_err(|source| file("write", path, source))
}

fn file(action: &'static str, path: &Path, source: io::Error) -> SelfSignedError {
    SelfSignedError::File { action, file: path.display().to_string(), source }
}

#[cfg(test)]
mod tests;
