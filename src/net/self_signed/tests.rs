use super::*;

fn names(host: &str) -> ServingNames {
    ServingNames::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), Some(host))
}

fn content(directory: &Path, name: &str) -> Vec<u8> {
    fs::read(directory.join(name)).expect("the file is there")
}

/// The CA and the serving certificate as stored after a start.
fn start(directory: &Path, names: &ServingNames, now: SystemTime) -> (Vec<u8>, Vec<u8>) {
    let made = ensure(directory, names, now).expect("works");
    Tls::new(&made.pair).expect("serves");
    assert_eq!(made.ca_pem.as_bytes(), content(directory, CA_CERTIFICATE));
    assert!(serves(
        &directory.join(SERVING_CERTIFICATE),
        &directory.join(SERVING_KEY),
        &CertificateDer::from_pem_slice(made.ca_pem.as_bytes()).expect("PEM"),
        names,
        now
    ));
    (content(directory, CA_CERTIFICATE), content(directory, SERVING_CERTIFICATE))
}

#[test]
fn the_certificate_is_reused_until_names_or_time_demand_a_new_one() {
    let temporary = tempfile::tempdir().expect("a directory");
    let directory = temporary.path().join("below/data");
    let now = SystemTime::now();
    let first = start(&directory, &names("one.example"), now);
    assert_eq!(start(&directory, &names("one.example"), now + DAY), first, "reused");

    let renamed = start(&directory, &names("two.example"), now);
    assert_eq!(renamed.0, first.0, "same CA");
    assert_ne!(renamed.1, first.1, "the new name is covered by a new certificate");

    let later = start(&directory, &names("two.example"), now + SERVING_VALIDITY - RENEW_BEFORE / 2);
    assert_eq!(later.0, first.0, "same CA");
    assert_ne!(later.1, renamed.1, "near its end");

    let much_later = start(&directory, &names("two.example"), now + CA_VALIDITY - DAY);
    assert_ne!(much_later.0, first.0, "the CA would not outlive a certificate");
}

#[test]
fn damaged_or_mixed_files_are_replaced() {
    let temporary = tempfile::tempdir().expect("a directory");
    let directory = temporary.path();
    let now = SystemTime::now();
    let first = start(directory, &names("host"), now);
    fs::write(directory.join(SERVING_KEY), "half a ke").expect("written");
    let second = start(directory, &names("host"), now);
    assert_eq!(second.0, first.0);
    assert_ne!(second.1, first.1);
    let other_key = KeyPair::generate().expect("made").serialize_pem();
    fs::write(directory.join(CA_KEY), other_key).expect("written");
    let third = start(directory, &names("host"), now);
    assert_ne!(third.0, second.0, "a CA whose key does not fit cannot sign");
}

#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let temporary = tempfile::tempdir().expect("a directory");
    start(temporary.path(), &names("host"), SystemTime::now());
    for (name, mode) in [
        (CA_KEY, 0o600),
        (SERVING_KEY, 0o600),
        (CA_CERTIFICATE, 0o644),
        (SERVING_CERTIFICATE, 0o644),
    ] {
        let metadata = fs::metadata(temporary.path().join(name)).expect("there");
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
    let files = fs::read_dir(temporary.path()).expect("readable").count();
    assert_eq!(files, 4, "no temporary file is left");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let temporary = tempfile::tempdir().expect("a directory");
    let taken = temporary.path().join("taken");
    fs::write(&taken, "a file").expect("written");
    let error = ensure(&taken, &names("host"), SystemTime::now()).err().expect("refused");
    assert!(error.to_string().contains("taken"), "{error}");
}

#[test]
fn names_are_those_that_can_be_asked_for() {
    let listed = |names: ServingNames| names.iter().map(str::to_owned).collect::<Vec<_>>();
    let unspecified = ServingNames::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), Some("Not A Name"));
    assert_eq!(listed(unspecified), ["127.0.0.1", "::1", "localhost"]);
    let named = names("Host.Example");
    assert_eq!(listed(named), ["127.0.0.1", "192.0.2.7", "::1", "host.example", "localhost"]);
}
