//! The command lines of etcd and kube-apiserver.

use std::path::Path;

use crate::options::Builder;
use crate::secrets::Secrets;

/// etcd's arguments: one member, plain HTTP, and no waiting for the disk, since the data die with the test.
pub(crate) fn etcd(data_directory: &Path, client_port: u16, peer_port: u16) -> Vec<String> {
    let client = format!("http://127.0.0.1:{client_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    vec![
        format!("--data-dir={}", data_directory.display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

/// kube-apiserver's arguments.
pub(crate) fn api_server(
    directory: &Path,
    secrets: &Secrets,
    options: &Builder,
    (port, etcd_port): (u16, u16),
) -> Vec<String> {
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--secure-port={port}"),
        format!("--authorization-mode={}", options.authorization_mode),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        // The endpoints of the service "kubernetes" may not be loopback addresses.
        "--endpoint-reconciler-type=none".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-uid-headers=X-Remote-Uid".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        "--requestheader-allowed-names=front-proxy-client".to_owned(),
        "--audit-log-maxsize=10000".to_owned(),
        // Without it, an orderly end waits up to a minute for clients to leave their watches.
        "--shutdown-watch-termination-grace-period=1s".to_owned(),
    ];
    let files = [
        ("cert-dir", directory.to_owned()),
        ("tls-cert-file", secrets.server.certificate.clone()),
        ("tls-private-key-file", secrets.server.key.clone()),
        ("client-ca-file", secrets.authority.certificate()),
        ("token-auth-file", secrets.token_file.clone()),
        ("service-account-key-file", secrets.service_account_public.clone()),
        ("service-account-signing-key-file", secrets.service_account_private.clone()),
        ("requestheader-client-ca-file", secrets.front_proxy_authority.certificate()),
        ("proxy-client-cert-file", secrets.front_proxy.certificate.clone()),
        ("proxy-client-key-file", secrets.front_proxy.key.clone()),
        ("kubelet-client-certificate", secrets.kubelet_client.certificate.clone()),
        ("kubelet-client-key", secrets.kubelet_client.key.clone()),
        ("kubelet-certificate-authority", secrets.authority.certificate()),
        ("audit-policy-file", directory.join("audit-policy.json")),
        ("audit-log-path", directory.join("audit.log")),
    ];
    arguments.extend(files.iter().map(|(flag, path)| format!("--{flag}={}", path.display())));
    if !options.service_account_admission {
        arguments.push("--disable-admission-plugins=ServiceAccount".to_owned());
    }
    if !options.feature_gates.is_empty() {
        let gates: Vec<String> = options
            .feature_gates
            .iter()
            .map(|(name, enabled)| format!("{name}={enabled}"))
            .collect();
        arguments.push(format!("--feature-gates={}", gates.join(",")));
    }
    arguments.extend(options.extra_args.iter().cloned());
    arguments
}
