//! From the command line to a configuration that can be built upon: parsed once, checked whole.
//!
//! A [`Config`] in hand means: the choice of upstream is unambiguous, the embedded store cannot
//! be reached from elsewhere, flags that belong together are complete. Reads no files; what it
//! needs to know of its surroundings is handed in as [`Surroundings`].

mod byte_size;
mod flags;
pub mod policy;
pub mod resource_sizes;
mod surroundings;
mod upstream;

use std::{
    ffi::OsString,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use clap::Parser as _;

pub use byte_size::ByteSize;
pub use surroundings::{SERVICE_ACCOUNT_TOKEN, Surroundings};
pub use upstream::{Storage, UpstreamChoice, UpstreamError};

use self::{
    flags::{CommandLine, ServeFlags},
    policy::{PolicyError, ResourcePolicies},
    resource_sizes::{ResourceSizes, SizesError},
};
use crate::telemetry::logging::{LogFormat, Verbosity};

/// `EX_USAGE` of sysexits.h: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;

/// Everything an operator decides about `watchgate serve`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the objects come from.
    pub upstream: UpstreamChoice,
    /// The address to serve on; port 0 is any free port.
    pub listen: SocketAddr,
    /// What to serve with.
    pub certificate: CertificateChoice,
    /// Where the program keeps files of its own, the kubeconfig for clients among them.
    pub data_directory: Option<PathBuf>,
    /// Which resources are cached, and when.
    pub resource_policies: ResourcePolicies,
    /// Budget of all cached objects together.
    pub cache_max_bytes: ByteSize,
    /// Budgets of the objects of single resources.
    pub resource_max_bytes: ResourceSizes,
    /// Budget of all watch histories together.
    pub history_max_bytes: ByteSize,
    /// The form of log lines.
    pub log_format: LogFormat,
    /// How much is logged.
    pub verbosity: Verbosity,
}

/// Where the serving certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateChoice {
    /// The operator's.
    Files {
        /// Certificate chain in PEM, leaf first.
        certificate: PathBuf,
        /// Its private key in PEM.
        key: PathBuf,
    },
    /// Made by the program and kept in this directory.
    SelfSigned(PathBuf),
}

/// Why a command line is refused, or (for help and version) only answered.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A flag is unknown or its value bad; also the way help and version are asked for.
    #[error("{0}")]
    Flags(#[from] clap::Error),
    /// The upstream is not clear.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A `--resource-policy` is bad.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A `--resource-max-bytes` is bad.
    #[error(transparent)]
    Sizes(#[from] SizesError),
    /// Half of a certificate.
    #[error("{given} also needs {missing}")]
    HalfCertificate {
        /// The flag there is.
        given: &'static str,
        /// The flag to add.
        missing: &'static str,
    },
    /// The embedded store would be reachable from elsewhere.
    #[error(
        "--bind-address {0}: without an upstream the embedded store is served, on a loopback \
         address only; use 127.0.0.1 or ::1, or give --kubeconfig or --server"
    )]
    NotLoopback(IpAddr),
    /// No place for state.
    #[error(
        "--data-dir is needed to keep {0}: neither XDG_STATE_HOME nor HOME is an absolute path"
    )]
    NoDataDirectory(&'static str),
}

// === impl Config ===

impl Config {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// What is wrong with it; also when help or the version is asked for. See
    /// [`ConfigError::report`].
    pub fn from_command_line<I, T>(
        arguments: I,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        Self::from_flags(CommandLine::try_parse_from(arguments)?.into_serve(), surroundings)
    }

    fn from_flags(flags: ServeFlags, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let data_directory = flags.data_dir.clone().or_else(|| surroundings.data_directory());
        let upstream = upstream::choose(&flags, surroundings, data_directory.as_deref())?;
        let certificate =
            certificate(flags.tls_cert_file, flags.tls_private_key_file, data_directory.clone())?;
        let address = match (&upstream, flags.bind_address) {
            (UpstreamChoice::Embedded(_), Some(address)) if !address.is_loopback() => {
                return Err(ConfigError::NotLoopback(address));
            }
            (_, Some(address)) => address,
            (UpstreamChoice::Embedded(_), None) => Ipv4Addr::LOCALHOST.into(),
            (_, None) => Ipv4Addr::UNSPECIFIED.into(),
        };
        Ok(Self {
            upstream,
            listen: SocketAddr::new(address, flags.secure_port),
            certificate,
            data_directory,
            resource_policies: ResourcePolicies::parse(&flags.resource_policy)?,
            cache_max_bytes: flags.cache_max_bytes,
            resource_max_bytes: ResourceSizes::parse(&flags.resource_max_bytes)?,
            history_max_bytes: flags.history_max_bytes,
            log_format: flags.logging_format,
            verbosity: Verbosity(flags.verbosity),
        })
    }
}

fn certificate(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    data_directory: Option<PathBuf>,
) -> Result<CertificateChoice, ConfigError> {
    const FLAGS: [&str; 2] = ["--tls-cert-file", "--tls-private-key-file"];
    let [certificate_flag, key_flag] = FLAGS;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(CertificateChoice::Files { certificate, key }),
        (Some(_), None) => {
            Err(ConfigError::HalfCertificate { given: certificate_flag, missing: key_flag })
        }
        (None, Some(_)) => {
            Err(ConfigError::HalfCertificate { given: key_flag, missing: certificate_flag })
        }
        (None, None) => data_directory
            .map(CertificateChoice::SelfSigned)
            .ok_or(ConfigError::NoDataDirectory("the self-signed certificate")),
    }
}

// === impl ConfigError ===

impl ConfigError {
    /// What the program ends with: 64 for a mistake, 0 when help or the version was asked for.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Flags(error) if !error.use_stderr() => 0,
            _ => EXIT_USAGE,
        }
    }

    /// Tells the user: help and version on standard output, mistakes on standard error.
    ///
    /// # Errors
    /// When the stream cannot be written.
    pub fn report(&self) -> io::Result<()> {
        match self {
            Self::Flags(error) => error.print(),
            other => {
                writeln!(io::stderr(), "error: {other}\n\nFor more information, try '--help'.")
            }
        }
    }
}

#[cfg(test)]
mod tests;
