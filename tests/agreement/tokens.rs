//! Continue tokens and durations.

use std::time::Duration;

use serde::Deserialize;
use watchgate::api::{
    continue_token::ContinueToken,
    options::{GetRequest, OptionsError},
    query::Query,
};

use crate::{assert_none, cases};

#[derive(Deserialize)]
struct Token {
    token: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    key: String,
    #[serde(default)]
    version: i64,
}

/// Tokens that Kubernetes takes and the gateway leaves to it. No server writes one of these.
fn is_unusual(token: &str) -> bool {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let json = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
    let Ok(text) = std::str::from_utf8(&json) else { return true };
    // Go takes members it does not know, repeated ones, names in any case, null for nothing, and lone
    // surrogates.
    let names = ["\"v\":", "\"rv\":", "\"start\":"];
    names.iter().any(|name| text.matches(name).count() != 1)
        || text.matches("\":").count() != 3
        || text.contains("null")
        || text.contains("\\ud800\"")
}

#[test]
fn continue_tokens() {
    let (mut disagreements, mut taken) = (Vec::new(), 0);
    for case in cases::<Token>("continue.jsonl") {
        let found = ContinueToken::decode(&case.token);
        match &found {
            Ok(token) => {
                taken += 1;
                let version = token.resource_version.map_or(-1, |version| version.get() as i64);
                let expected =
                    (case.key.as_str(), if case.version < 0 { -1 } else { case.version });
                if !case.error.is_empty() || (token.start.as_str(), version) != expected {
                    disagreements.push(format!("{}: {token:?}, not {expected:?}", case.token));
                }
            }
            Err(error) if case.error.is_empty() && !is_unusual(&case.token) => {
                disagreements.push(format!("{}: {error}, but Go takes it", case.token));
            }
            Err(_) => {}
        }
    }
    assert_none(&disagreements);
    assert!(taken > 100, "{taken} taken");
}

#[derive(Deserialize)]
struct Length {
    text: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    nanoseconds: i64,
}

/// Lengths that Go reads and the gateway leaves to it: with a sign, or a fraction for which Go's
/// rounding would have to be reproduced.
fn is_left_to_go(text: &str) -> bool {
    let digits = |part: &str| part.bytes().take_while(u8::is_ascii_digit).count();
    text.starts_with(['-', '+']) || text.split('.').skip(1).any(|part| digits(part) > 12)
}

#[test]
fn durations() {
    let (mut disagreements, mut taken) = (Vec::new(), 0);
    for case in cases::<Length>("durations.jsonl") {
        let escaped: String = case.text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let written = format!("timeout={escaped}");
        let query = Query::parse(Some(&written)).expect("UTF-8");
        let found = GetRequest::timeout(&query);
        // No text at all is no timeout, and neither is a length of zero.
        let is_none = case.text.is_empty() || case.nanoseconds == 0 && case.error.is_empty();
        let expected = match u64::try_from(case.nanoseconds) {
            Ok(nanoseconds) if case.error.is_empty() || case.text.is_empty() => {
                Ok((!is_none).then(|| Duration::from_nanos(nanoseconds)))
            }
            _ => Err(OptionsError::Timeout),
        };
        taken += usize::from(found.is_ok());
        if found != expected && !(found.is_err() && is_left_to_go(&case.text)) {
            disagreements.push(format!("{:?}: {found:?}, not {expected:?}", case.text));
        }
    }
    assert_none(&disagreements);
    assert!(taken > 100, "{taken} taken");
}
