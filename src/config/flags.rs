//! The command line as the user writes it. The first paragraph of each comment is the flag's help.

use std::{net::IpAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::byte_size::ByteSize;
use crate::telemetry::logging::LogFormat;

/// A watch cache and proxy gateway for the Kubernetes API.
///
/// Serves reads and watches from memory exactly as kube-apiserver would, and forwards everything
/// else. The upstream is the one that --kubeconfig or --server names; in a pod without these
/// flags, the pod's own cluster; otherwise a small embedded store, for trying, on loopback only.
/// The KUBECONFIG variable is not used: give --kubeconfig.
#[derive(Debug, Parser)]
#[command(name = "watchgate", version, args_conflicts_with_subcommands = true)]
pub(super) struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeFlags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the Kubernetes API; the default.
    Serve(Box<ServeFlags>),
}

#[derive(Debug, Args)]
pub(super) struct ServeFlags {
    /// Kubeconfig file that names the upstream and the gateway's own credentials.
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// URL of the upstream API server; needs --token-file and --certificate-authority.
    // Checked later: an error of the parser would show the value, and with it a password.
    #[arg(
        long,
        value_name = "URL",
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        help_heading = "Upstream"
    )]
    pub(super) server: Option<String>,

    /// File with the gateway's bearer token for --server; read again when it changes.
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    pub(super) token_file: Option<PathBuf>,

    /// File with the CA certificates that --server is checked against, in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    pub(super) certificate_authority: Option<PathBuf>,

    /// Keep the embedded store in memory only.
    #[arg(long, help_heading = "Upstream")]
    pub(super) in_memory: bool,

    /// IP address to serve on [default: 0.0.0.0; 127.0.0.1 with the embedded store]
    #[arg(long, value_name = "IP", help_heading = "Serving")]
    pub(super) bind_address: Option<IpAddr>,

    /// Port to serve HTTPS on; 0 takes any free one.
    #[arg(long, value_name = "PORT", default_value_t = 6443, help_heading = "Serving")]
    pub(super) secure_port: u16,

    /// Serving certificate in PEM, with intermediates after it; a self-signed one is made if none
    /// is given.
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub(super) tls_cert_file: Option<PathBuf>,

    /// Private key of --tls-cert-file in PEM.
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub(super) tls_private_key_file: Option<PathBuf>,

    /// Directory for the self-signed certificate and the embedded store
    /// [default: $XDG_STATE_HOME/watchgate or ~/.local/state/watchgate]
    #[arg(long, value_name = "DIRECTORY", help_heading = "Serving")]
    pub(super) data_dir: Option<PathBuf>,

    /// When a resource is cached: RESOURCE=off, on-demand or eager. Repeatable.
    ///
    /// RESOURCE is a plural name with its group, such as pods or deployments.apps, or * for all
    /// others. Not named: on-demand, but secrets off.
    #[arg(long, value_name = "RESOURCE=POLICY", help_heading = "Caching")]
    pub(super) resource_policy: Vec<String>,

    /// Memory for the objects of all resources together.
    ///
    /// Beyond it requests are forwarded: for resources that nobody watches first, and where that is
    /// not enough for watched ones, whose watches end.
    #[arg(long, value_name = "SIZE", default_value = "4Gi", help_heading = "Caching")]
    pub(super) cache_max_bytes: ByteSize,

    /// Memory for the objects of one resource: RESOURCE=SIZE. Repeatable.
    ///
    /// RESOURCE as for --resource-policy, but not *; all versions and forms of it count together.
    /// Within --cache-max-bytes.
    #[arg(long, value_name = "RESOURCE=SIZE", help_heading = "Caching")]
    pub(super) resource_max_bytes: Vec<String>,

    /// Memory for the watch histories of all resources together.
    #[arg(long, value_name = "SIZE", default_value = "512Mi", help_heading = "Caching")]
    pub(super) history_max_bytes: ByteSize,

    /// Log verbosity from 0 to 10: 2 adds dependencies, 4 details, 6 everything.
    #[arg(
        short = 'v',
        long = "v",
        value_name = "LEVEL",
        default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=10),
        help_heading = "Logging"
    )]
    pub(super) verbosity: u8,

    /// Form of log lines.
    #[arg(long, value_name = "FORMAT", default_value = "text", help_heading = "Logging")]
    pub(super) logging_format: LogFormat,
}

// === impl CommandLine ===

impl CommandLine {
    /// The flags of `serve`, said or not.
    pub(super) fn into_serve(self) -> ServeFlags {
        match self.command {
            Some(Command::Serve(flags)) => *flags,
            None => self.serve,
        }
    }
}
