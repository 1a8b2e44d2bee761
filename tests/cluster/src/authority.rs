//! Certificate authorities of a test cluster, and what they sign.
//!
//! All keys are ECDSA P-256, made for one run and kept in its scratch directory.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A certificate authority which lives in a directory.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: PathBuf,
    name: String,
    pem: String,
}

/// A signed certificate and its key, as PEM files. The key isn't in the `Debug` form.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Path of the certificate.
    pub certificate: PathBuf,
    /// Path of its private key, PKCS#8.
    pub key: PathBuf,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes an authority and writes its certificate to `DIRECTORY/NAME.crt`.
    ///
    /// # Errors
    /// When a file can't be written, or key generation fails.
    pub fn new(directory: &Path, name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, format!("watchgate test {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        write(&directory.join(format!("{name}.crt")), &pem)?;
        write(&directory.join(format!("{name}.key")), &key.serialize_pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            directory: directory.to_owned(),
            name: name.to_owned(),
            pem,
        })
    }

    /// The authority's own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The file which holds [`Self::pem`].
    pub fn certificate(&self) -> PathBuf {
        self.directory.join(format!("{}.crt", self.name))
    }

    /// The file which holds the authority's key.
    pub fn key(&self) -> PathBuf {
        self.directory.join(format!("{}.key", self.name))
    }

    /// Signs a server certificate for `hosts` (names or addresses), into files called `name`.
    ///
    /// # Errors
    /// As [`Self::new`]; also when a host is no valid name.
    pub fn server(&self, name: &str, hosts: &[&str]) -> Result<Identity> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(name, params)
    }

    /// Signs a client certificate, into files called `name`, which Kubernetes reads as the given user and groups.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn client(&self, name: &str, user: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, user);
        // A distinguished name here holds one value per attribute type, so that more than one group needs the type again
        // under another spelling, which it has not.
        anyhow::ensure!(groups.len() <= 1, "a certificate can name one group at most");
        if let Some(&group) = groups.first() {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(name, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let identity = Identity {
            certificate: self.directory.join(format!("{name}.crt")),
            key: self.directory.join(format!("{name}.key")),
        };
        write(&identity.certificate, &params.signed_by(&key, &self.issuer)?.pem())?;
        write(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }
}

/// Makes a key pair for service account tokens: the private key, then the public key which verifies what it signs.
pub(crate) fn service_account_keys(directory: &Path) -> Result<(PathBuf, PathBuf)> {
    let key = KeyPair::generate()?;
    let private = directory.join("service-account.key");
    let public = directory.join("service-account.pub");
    write(&private, &key.serialize_pem())?;
    write(&public, &key.public_key_pem())?;
    Ok((private, public))
}

fn write(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).with_context(|| path.display().to_string())
}
