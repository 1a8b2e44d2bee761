use std::fs;

use super::*;

fn pair_in(directory: &Path, name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let (certificate, key) =
        (directory.join(format!("{name}.crt")), directory.join(format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

fn error_of(certificate: &Path, key: &Path) -> String {
    PemPair::read(certificate, key)
        .and_then(|pair| Tls::new(&pair))
        .expect_err("refused")
        .to_string()
}

#[test]
fn a_good_pair_offers_both_protocols_and_can_be_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = pair_in(directory.path(), "serving");
    let pair = PemPair::read(&certificate, &key).expect("readable");
    let tls = Tls::new(&pair).expect("usable");
    let first = tls.current();
    assert_eq!(first.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    tls.replace(&pair).expect("usable");
    assert!(!Arc::ptr_eq(&first, &tls.current()));
    assert!(Arc::ptr_eq(&first.ticketer, &tls.current().ticketer), "tickets stay valid");
}

#[test]
fn errors_name_the_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let (certificate, key) = pair_in(directory.path(), "a");
    let (_, other_key) = pair_in(directory.path(), "b");
    let missing = directory.path().join("missing.crt");
    assert!(error_of(&missing, &key).contains("missing.crt"));
    let text = directory.path().join("text.crt");
    fs::write(&text, "not PEM").expect("written");
    assert!(error_of(&text, &key).contains("text.crt holds no usable certificate"));
    assert!(error_of(&certificate, &text).contains("text.crt holds no usable private key"));
    let mixed = error_of(&certificate, &other_key);
    assert!(mixed.contains("a.crt") && mixed.contains("b.key"), "{mixed}");
}
