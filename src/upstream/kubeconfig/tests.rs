//! Each way of being configured, and the text of each refusal.

use tempfile::TempDir;

use super::*;
use crate::upstream::transport::fixture::Authority;

const BASE: &str = "
apiVersion: v1
kind: Config
preferences: {colors: true}
x-unknown: [1, 2]
current-context: c
contexts:
- name: c
  context: {cluster: k, user: u, namespace: n, extensions: []}
";

/// A folder with a kubeconfig made of the cluster's and the user's fields.
fn folder(cluster: &str, user: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "{BASE}clusters: [{{name: k, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    );
    std::fs::write(folder.path().join("config"), text).unwrap();
    folder
}

fn load(folder: &TempDir) -> Result<ClusterAccess, AccessError> {
    ClusterAccess::from_kubeconfig(&folder.path().join("config"), None)
}

/// The refusal's text behind `kubeconfig <file>: `.
fn refusal(cluster: &str, user: &str) -> String {
    let folder = folder(cluster, user);
    let text = load(&folder).unwrap_err().to_string();
    let place = format!("kubeconfig {}: ", folder.path().join("config").display());
    let folder = format!("{}/", folder.path().display());
    text.strip_prefix(&place).expect(&text).replace(&folder, "")
}

const SERVER: &str = "server: 'https://api.example:6443'";

#[tokio::test]
async fn reads_embedded_certificate_key_and_authority() {
    let authority = Authority::new();
    let (certificate, key) = &authority.client_pem;
    let cluster = format!(
        "{SERVER}, certificate-authority-data: {}, tls-server-name: kubernetes",
        STANDARD.encode(&authority.pem)
    );
    let user = format!(
        "client-certificate-data: {}, client-key-data: {}, token: ''",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    );
    let access = load(&folder(&cluster, &user)).unwrap();
    assert_eq!(&*access.endpoint.label(), "api.example:6443");
    assert_eq!(access.endpoint.server_name().unwrap().to_str(), "kubernetes");
    assert!(matches!(access.trust, Trust::Authorities(list) if list.len() == 1));
    let presented = access.credential.present().await.unwrap();
    assert!(presented.certificate.is_some() && presented.authorization.is_none());
}

#[tokio::test]
async fn paths_are_relative_to_the_file() {
    let authority = Authority::new();
    let folder = folder(
        &format!("{SERVER}, certificate-authority: pki/ca.crt"),
        "client-certificate: pki/c.crt, client-key: pki/c.key, tokenFile: pki/token",
    );
    let pki = folder.path().join("pki");
    std::fs::create_dir(&pki).unwrap();
    std::fs::write(pki.join("ca.crt"), &authority.pem).unwrap();
    std::fs::write(pki.join("c.crt"), &authority.client_pem.0).unwrap();
    std::fs::write(pki.join("c.key"), &authority.client_pem.1).unwrap();
    std::fs::write(pki.join("token"), "t1\n").unwrap();
    let access = load(&folder).unwrap();
    let presented = access.credential.present().await.unwrap();
    assert!(presented.certificate.is_some());
    assert_eq!(presented.authorization.as_ref().unwrap(), "Bearer t1");
    assert!(presented.authorization.as_ref().unwrap().is_sensitive());
}

#[tokio::test(start_paused = true)]
async fn a_token_file_is_read_again_within_a_minute_and_survives_its_absence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "t1").unwrap();
    let access = ClusterAccess::from_flags("https://api", Some(&path), None).unwrap();
    let token = async || access.credential.present().await.unwrap().authorization.clone().unwrap();
    assert_eq!(token().await, "Bearer t1");
    std::fs::write(&path, "t2").unwrap();
    tokio::time::advance(std::time::Duration::from_secs(59)).await;
    assert_eq!(token().await, "Bearer t1");
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    assert_eq!(token().await, "Bearer t2");
    std::fs::remove_file(&path).unwrap();
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(token().await, "Bearer t2", "the last good one is kept");
    std::fs::write(&path, "t3").unwrap();
    tokio::time::advance(std::time::Duration::from_secs(11)).await;
    assert_eq!(token().await, "Bearer t3", "and replaced soon after");
}

/// The cluster's fields, the user's, and the refusal.
const REFUSALS: &[(&str, &str, &str)] = &[
    (
        "server: 'https://a', proxy-url: 'http://p'",
        "",
        "clusters[k].cluster.proxy-url: is not supported: the gateway connects to the API \
             server directly",
    ),
    ("server: ''", "", "clusters[k].cluster.server: is not set"),
    ("server: 'a:6443'", "", "clusters[k].cluster.server: must begin with https:// or http://"),
    (
        "server: 'https://a', tls-server-name: 'not a name'",
        "",
        "clusters[k].cluster.tls-server-name: is neither a DNS name nor an IP address",
    ),
    (
        "server: 'https://a', certificate-authority: ca.crt",
        "",
        "clusters[k].cluster.certificate-authority: ca.crt: No such file or directory (os \
             error 2)",
    ),
    (
        "server: 'https://a', certificate-authority-data: '!'",
        "",
        "clusters[k].cluster.certificate-authority-data: is not base64",
    ),
    (
        "server: 'https://a', certificate-authority-data: aGVsbG8=",
        "",
        "clusters[k].cluster.certificate-authority-data: holds no PEM certificate",
    ),
    (
        "server: 'https://a', insecure-skip-tls-verify: true, certificate-authority-data: aGk=",
        "",
        "clusters[k].cluster.certificate-authority-data: cannot be given together with \
             insecure-skip-tls-verify",
    ),
    (
        SERVER,
        "username: admin, password: hunter2",
        "users[u].user.username: is not supported; the API server knows no passwords",
    ),
    (
        SERVER,
        "auth-provider: {name: gcp}",
        "users[u].user.auth-provider: is not supported; use exec",
    ),
    (
        SERVER,
        "client-certificate-data: aGVsbG8=",
        "users[u].user.client-key: is not set; a client-certificate needs its client-key",
    ),
    (
        SERVER,
        "client-certificate-data: aGVsbG8=, client-key-data: aHVudGVyMg==",
        "users[u].user.client-certificate-data: holds no PEM certificate",
    ),
    (
        SERVER,
        "tokenFile: none",
        "users[u].user.tokenFile: none: No such file or directory (os error 2)",
    ),
    (
        SERVER,
        "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}",
        "users[u].user.exec.apiVersion: is \"client.authentication.k8s.io/v1alpha1\"; \
             supported are client.authentication.k8s.io/v1 and client.authentication.k8s.io/v1beta1",
    ),
    (
        SERVER,
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: ''}",
        "users[u].user.exec.command: is not set",
    ),
    (
        SERVER,
        "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}",
        "users[u].user.exec.interactiveMode: is Always, but the gateway has no terminal; \
             allowed are Never and IfAvailable",
    ),
];

#[test]
fn refusals_name_the_field() {
    for (cluster, user, expected) in REFUSALS {
        assert_eq!(refusal(cluster, user), *expected);
    }
}

#[test]
fn names_that_lead_nowhere_are_named() {
    let folder = folder(SERVER, "");
    let path = folder.path().join("config");
    let text = |context| {
        let error = ClusterAccess::from_kubeconfig(&path, Some(context)).unwrap_err();
        error.to_string().replace(&format!("kubeconfig {}: ", path.display()), "")
    };
    assert_eq!(text("other"), "--context: contexts has no \"other\"");
    let lines = |extra: &str| std::fs::write(&path, extra).unwrap();
    lines("current-context: c\ncontexts: [{name: c, context: {cluster: gone}}]\n");
    assert_eq!(text("c"), "contexts[c].context.cluster: clusters has no \"gone\"");
    lines("clusters: null\n");
    let error = ClusterAccess::from_kubeconfig(&path, None).unwrap_err().to_string();
    assert!(error.ends_with(": current-context: is not set; it must name one of contexts"));
}

#[test]
fn a_text_that_is_no_kubeconfig_is_placed_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, "users:\n- name: u\n  user:\n    token: [hunter2]\n").unwrap();
    let text = ClusterAccess::from_kubeconfig(&path, None).unwrap_err().to_string();
    assert!(text.contains("is not a kubeconfig: line 4, column "), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let gone = folder.path().join("gone");
    let text = ClusterAccess::from_kubeconfig(&gone, None).unwrap_err().to_string();
    assert_eq!(
        text,
        format!("kubeconfig {}: No such file or directory (os error 2)", gone.display())
    );
}

#[tokio::test]
async fn runs_exec_plugins_beside_the_file() {
    let script = "case $KUBERNETES_EXEC_INFO in *https://api.example:6443*) ;; *) exit 1;; esac\n\
                  printf '{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\
                  \\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{\\\"token\\\":\\\"%s\\\"}}' $TOKEN-$1\n";
    let script = script.replace('\n', "\\n");
    let folder = folder(
        SERVER,
        &format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: ./bin/sh, \
             args: ['-c', \"{script}\", name, a], env: [{{name: TOKEN, value: t9}}], \
             provideClusterInfo: true}}"
        ),
    );
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", folder.path().join("bin/sh")).unwrap();
    let presented = load(&folder).unwrap().credential.present().await.unwrap();
    assert_eq!(presented.authorization.as_ref().unwrap(), "Bearer t9-a");
}

#[tokio::test]
async fn finds_the_service_account_of_its_pod() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), &authority.pem).unwrap();
    std::fs::write(folder.path().join("token"), "pod-token").unwrap();
    let variables = |name: &str| {
        Some(if name.ends_with("HOST") { "fd00::1".to_owned() } else { "443".to_owned() })
    };
    let access = ClusterAccess::from_pod(folder.path(), variables).unwrap();
    assert_eq!(&*access.endpoint.label(), "[fd00::1]:443");
    let presented = access.credential.present().await.unwrap();
    assert_eq!(presented.authorization.as_ref().unwrap(), "Bearer pod-token");

    let text = ClusterAccess::from_pod(folder.path(), |_| None).unwrap_err().to_string();
    assert!(text.starts_with("environment variable KUBERNETES_SERVICE_HOST: is not set"), "{text}");
    std::fs::remove_file(folder.path().join("token")).unwrap();
    let text = ClusterAccess::from_pod(folder.path(), variables).unwrap_err().to_string();
    assert!(text.starts_with("the service account's token "), "{text}");
}

#[test]
fn debug_shows_no_secret() {
    let folder = folder(SERVER, "token: hunter2");
    assert!(!format!("{:?}", load(&folder).unwrap()).contains("hunter2"));
}
