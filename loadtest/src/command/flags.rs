//! Flags that several subcommands share, and how their values are read.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use watchgate_loadtest::{
    resource::{Kind, Resource},
    scenario::{
        most_bytes,
        quantity::{Period, Size},
        workload::MAX_OBJECTS,
    },
};

use super::EndpointFlags;

#[derive(Debug, Args)]
pub(super) struct TargetFlags {
    /// File with a bearer token.
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Allow a server that is not on this machine. A load test can bring a cluster down.
    #[arg(long)]
    pub(super) allow_remote: bool,
}

/// The two endpoints of a comparison.
#[derive(Debug, Args)]
pub(super) struct Sides {
    /// Kubeconfig of A.
    #[arg(long, value_name = "FILE", required_unless_present = "server_a")]
    kubeconfig_a: Option<PathBuf>,
    /// URL of A.
    #[arg(long, value_name = "URL")]
    server_a: Option<String>,
    /// CA certificates of A.
    #[arg(long, value_name = "FILE")]
    certificate_authority_a: Option<PathBuf>,
    /// Process id of A. Repeatable: there are ratios of the first, and of all together.
    #[arg(long, value_name = "PID")]
    server_pid_a: Vec<u32>,
    /// Kubeconfig of B.
    #[arg(long, value_name = "FILE", required_unless_present = "server_b")]
    kubeconfig_b: Option<PathBuf>,
    /// URL of B.
    #[arg(long, value_name = "URL")]
    server_b: Option<String>,
    /// CA certificates of B.
    #[arg(long, value_name = "FILE")]
    certificate_authority_b: Option<PathBuf>,
    /// Process id of B. Repeatable: there are ratios of the first, and of all together. Of a gateway
    /// give two, its own and that of the kube-apiserver behind it, which does the writes' work: A's
    /// figures contain that work too, so that only the ratio of all together is fair where much is
    /// written.
    #[arg(long, value_name = "PID")]
    server_pid_b: Vec<u32>,
}

/// `RESOURCE=COUNT[:SIZE]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    pub(super) count: u32,
    pub(super) size: Option<Size>,
}

// === impl Sides ===

impl Sides {
    /// A and B.
    pub(super) fn split(&self) -> [EndpointFlags; 2] {
        let a = EndpointFlags {
            kubeconfig: self.kubeconfig_a.clone(),
            server: self.server_a.clone(),
            certificate_authority: self.certificate_authority_a.clone(),
            server_pid: self.server_pid_a.clone(),
        };
        let b = EndpointFlags {
            kubeconfig: self.kubeconfig_b.clone(),
            server: self.server_b.clone(),
            certificate_authority: self.certificate_authority_b.clone(),
            server_pid: self.server_pid_b.clone(),
        };
        [a, b]
    }
}

// === impl Part ===

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = || "allowed is RESOURCE=COUNT or RESOURCE=COUNT:SIZE, as in pods=500:5KiB";
        let (resource, rest) = text.split_once('=').ok_or_else(allowed)?;
        let resource: Resource = resource.parse()?;
        let kind = resource.kind.ok_or_else(|| format!("{resource} cannot be made"))?;
        let (count, size) = match rest.split_once(':') {
            Some((count, size)) => (count, Some(Size::parse(size)?)),
            None => (rest, None),
        };
        let count = count.parse().ok().filter(|count| (1..=MAX_OBJECTS).contains(count));
        let count =
            count.ok_or_else(|| format!("{text}: allowed are 1 to {MAX_OBJECTS} objects"))?;
        let most = most_bytes(&resource);
        if size.is_some_and(|size| size.0 > most) {
            return Err(format!("{text}: allowed are at most {most} bytes"));
        }
        Ok(Self { kind, count, size })
    }
}

/// A run's name is part of objects' names and the value of a label.
pub(super) fn run_name(text: &str) -> Result<String, String> {
    let plain = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    let edge = text.starts_with('-') || text.ends_with('-');
    if (1..=32).contains(&text.len()) && text.bytes().all(plain) && !edge {
        Ok(text.to_owned())
    } else {
        Err("allowed are 1 to 32 lower-case letters, digits and -, which is not at an end"
            .to_owned())
    }
}

/// `30`, `30s`, `5m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let with_unit = if text.bytes().all(|it| it.is_ascii_digit()) {
        format!("{text}s")
    } else {
        text.to_owned()
    };
    Ok(Period::parse(&with_unit)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for text in ["", "s", "1d", "-1s", "1.5m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
