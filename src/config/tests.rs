use super::*;

/// A machine of a user.
fn machine() -> Surroundings {
    Surroundings { home: Some("/home/me".into()), ..Surroundings::default() }
}

fn pod() -> Surroundings {
    Surroundings {
        service_host: Some("10.0.0.1".to_owned()),
        service_port: Some("443".to_owned()),
        service_account_token: true,
        ..machine()
    }
}

fn parse(flags: &str, surroundings: &Surroundings) -> Result<Config, ConfigError> {
    let arguments = ["watchgate"].into_iter().chain(flags.split_whitespace());
    Config::from_command_line(arguments, surroundings)
}

fn config(flags: &str, surroundings: &Surroundings) -> Config {
    parse(flags, surroundings).expect("accepted")
}

fn refusal(flags: &str, surroundings: &Surroundings) -> String {
    let error = parse(flags, surroundings).expect_err("refused");
    assert_eq!(error.exit_code(), EXIT_USAGE);
    error.to_string()
}

const SERVER: &str = "--server https://api:6443/k8s --token-file t --certificate-authority ca";

#[test]
fn nothing_given_means_the_embedded_store_on_loopback() {
    let config = config("", &machine());
    let state = PathBuf::from("/home/me/.local/state/watchgate");
    assert_eq!(config.upstream, UpstreamChoice::Embedded(Storage::Directory(state.clone())));
    assert_eq!(config.listen, "127.0.0.1:6443".parse().expect("an address"));
    assert_eq!(config.certificate, CertificateChoice::SelfSigned(state));
    assert_eq!(config.resource_policies, ResourcePolicies::default());
    assert_eq!(
        (config.history_max_bytes.bytes(), config.cache_max_bytes.bytes()),
        (512 << 20, 4 << 30)
    );
    assert_eq!((config.verbosity, config.log_format), (Verbosity(0), LogFormat::Text));
}

#[test]
fn the_subcommand_may_be_said_or_not() {
    let flags = "--secure-port 0 -v 4 --logging-format json --in-memory --data-dir /d";
    let said = config(&format!("serve {flags}"), &machine());
    assert_eq!(said, config(flags, &machine()));
    assert_eq!(said.upstream, UpstreamChoice::Embedded(Storage::InMemory));
    assert_eq!(said.listen.port(), 0);
    assert_eq!((said.verbosity, said.log_format), (Verbosity(4), LogFormat::Json));
    assert_eq!(config("--v=6", &machine()).verbosity, Verbosity(6));
    assert_eq!(config("-v=6", &machine()).verbosity, Verbosity(6));
}

#[test]
fn upstream_flags_win_in_and_outside_of_a_pod() {
    for surroundings in [machine(), pod()] {
        let kubeconfig = config("--kubeconfig /k", &surroundings);
        assert_eq!(kubeconfig.upstream, UpstreamChoice::Kubeconfig("/k".into()));
        assert_eq!(kubeconfig.listen, "0.0.0.0:6443".parse().expect("an address"));
        let UpstreamChoice::Server { server, token_file, certificate_authority } =
            config(SERVER, &surroundings).upstream
        else {
            panic!("a server is named");
        };
        assert_eq!(server, "https://api:6443/k8s");
        assert_eq!((token_file, certificate_authority), ("t".into(), "ca".into()));
    }
}

#[test]
fn a_pod_without_flags_serves_its_own_cluster() {
    let in_cluster = UpstreamChoice::InCluster { host: "10.0.0.1".to_owned(), port: 443 };
    assert_eq!(config("", &pod()).upstream, in_cluster);
}

#[test]
fn half_an_upstream_is_refused_and_what_is_missing_named() {
    assert!(
        refusal("--server https://a", &machine())
            .ends_with("missing: --token-file, --certificate-authority")
    );
    assert!(refusal("--token-file t", &pod()).contains("missing: --server"));
    assert!(refusal("--certificate-authority c --token-file t", &pod()).ends_with("--server"));
    assert!(refusal(&format!("--kubeconfig k {SERVER}"), &machine()).contains("--server exclude"));
    assert!(refusal("--kubeconfig k --token-file t", &machine()).contains("--token-file exclude"));
}

#[test]
fn the_embedded_store_is_never_chosen_by_accident() {
    assert!(refusal("--in-memory", &pod()).contains("does not run in a pod"));
    assert!(refusal("--in-memory --kubeconfig k", &machine()).contains("--kubeconfig"));
    assert!(refusal(&format!("--in-memory {SERVER}"), &machine()).contains("--server"));
    let without = |change: fn(&mut Surroundings)| {
        let mut surroundings = pod();
        change(&mut surroundings);
        refusal("", &surroundings)
    };
    assert!(without(|pod| pod.service_host = None).contains("KUBERNETES_SERVICE_HOST"));
    assert!(without(|pod| pod.service_port = None).contains("KUBERNETES_SERVICE_PORT"));
    assert!(without(|pod| pod.service_port = Some("tcp".into())).contains("not a port"));
    assert!(without(|pod| pod.service_account_token = false).contains("token does not exist"));
    for elsewhere in ["0.0.0.0", "::", "192.0.2.1"] {
        let refused = refusal(&format!("--bind-address {elsewhere}"), &machine());
        assert!(refused.contains(elsewhere) && refused.contains("loopback"), "{refused}");
    }
    assert!(config("--bind-address ::1", &machine()).listen.is_ipv6());
    assert_eq!(
        config("--bind-address :: --kubeconfig k", &machine()).listen.to_string(),
        "[::]:6443"
    );
}

#[test]
fn an_empty_value_is_not_an_absent_flag() {
    for flag in ["--kubeconfig=", "--server=", "--token-file=", "--data-dir=", "--tls-cert-file="] {
        let name = flag.trim_end_matches('=');
        assert!(refusal(flag, &machine()).contains(name), "{flag}");
    }
}

#[test]
fn certificate_and_key_go_together() {
    let files = config("--tls-cert-file c --tls-private-key-file k", &machine()).certificate;
    assert_eq!(files, CertificateChoice::Files { certificate: "c".into(), key: "k".into() });
    assert!(refusal("--tls-cert-file c", &machine()).ends_with("needs --tls-private-key-file"));
    assert!(refusal("--tls-private-key-file k", &machine()).ends_with("needs --tls-cert-file"));
}

#[test]
fn state_goes_where_the_user_keeps_it() {
    let stateful = Surroundings { state_home: Some("/state".into()), ..machine() };
    assert_eq!(
        config("", &stateful).certificate,
        CertificateChoice::SelfSigned("/state/watchgate".into())
    );
    assert_eq!(
        config("--data-dir /d", &stateful).certificate,
        CertificateChoice::SelfSigned("/d".into())
    );
    let homeless = Surroundings { state_home: Some("relative".into()), ..Surroundings::default() };
    assert!(refusal("", &homeless).contains("--data-dir"));
    assert!(refusal("--kubeconfig k", &homeless).contains("--data-dir"));
    config("--kubeconfig k --tls-cert-file c --tls-private-key-file k", &homeless);
}

#[test]
fn bad_values_name_their_flag() {
    let with_password = "--server https://u:hunter2@a --token-file t --certificate-authority c";
    assert!(!refusal(with_password, &machine()).contains("hunter2"));
    for (flags, name) in [
        (with_password, "--server"),
        ("--secure-port 65536", "--secure-port"),
        ("--bind-address localhost", "--bind-address"),
        ("-v 11", "--v"),
        ("--logging-format xml", "--logging-format"),
        ("--history-max-bytes 5", "--history-max-bytes"),
        ("--cache-max-bytes lots", "--cache-max-bytes"),
        ("--resource-max-bytes pods", "--resource-max-bytes"),
        ("--resource-policy pods=maybe", "--resource-policy"),
        ("--server http://a --token-file t --certificate-authority c", "--server"),
        ("--server https://a?b --token-file t --certificate-authority c", "--server"),
        ("--nonsense", "--nonsense"),
    ] {
        let refused = refusal(flags, &machine());
        assert!(refused.contains(name), "{flags}: {refused}");
    }
}

#[test]
fn help_and_version_are_no_mistakes() {
    for flag in ["--help", "--version"] {
        let answer = parse(flag, &machine()).expect_err("nothing to serve");
        assert_eq!(answer.exit_code(), 0);
    }
    let help = parse("--help", &machine()).expect_err("help").to_string();
    assert!(help.contains("KUBECONFIG variable is not used"), "{help}");
}
