//! What the gateway makes of requests beside what Kubernetes' own code made of them: selectors, continue
//! tokens, durations, `Accept`, paths, list options.
//!
//! `corpus/` holds the answers of the Go code of the release that the test cluster runs; the command
//! that writes it again is in `tests/cluster/components/agreement/main.go`. The rule is the same
//! everywhere: what the gateway understands, it understands as Kubernetes does; what Kubernetes refuses,
//! the gateway never serves; and what it forwards though Kubernetes takes it must be a case that is
//! listed here, with a reason.

mod negotiation;
mod requests;
mod selectors;
mod tokens;

use std::{fs, path::Path};

use serde::de::DeserializeOwned;

/// All cases of a corpus file.
fn cases<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agreement/corpus").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let read = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"))
    };
    let cases: Vec<T> = text.lines().map(read).collect();
    assert!(cases.len() >= 500, "{name} has {} cases", cases.len());
    cases
}

/// Fails with all disagreements, of which there should be none.
fn assert_none(disagreements: &[String]) {
    let shown: Vec<&str> = disagreements.iter().take(20).map(String::as_str).collect();
    assert!(disagreements.is_empty(), "{} disagree:\n{}", disagreements.len(), shown.join("\n"));
}
