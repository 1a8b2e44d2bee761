//! The credential that a request carries, as far as the gateway may act on it.
//!
//! Only one form counts: exactly one `Authorization: Bearer` header and nothing that could make the
//! API server see somebody else. Whatever is unusual is [`Credential::Unclear`]: upstream decides
//! about it, never memory (semantics §12.1).

use std::{fmt, sync::Arc};

use aws_lc_rs::{hmac, rand::SystemRandom};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

/// What a request presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Exactly one bearer token, nothing else.
    Bearer(BearerToken),
    /// Nothing that could be a credential.
    Nothing,
    /// Something else, for upstream to judge.
    Unclear,
}

/// A bearer token. Its text is wiped from memory with the last copy and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken {
    text: Arc<Zeroizing<String>>,
}

/// Turns secrets into cache keys that say nothing about them.
pub struct KeyedHash {
    key: hmac::Key,
}

/// 32 bytes that stand for a token and what was asked with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The operating system gave no randomness; nothing can be cached safely.
#[derive(Debug, thiserror::Error)]
#[error("the operating system's random generator failed")]
pub struct NoRandomness;

// === impl Credential ===

impl Credential {
    /// Reads a request's headers.
    pub fn of(headers: &HeaderMap) -> Self {
        if headers.keys().any(speaks_for_another) {
            return Self::Unclear;
        }
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => bearer(value).map_or(Self::Unclear, Self::Bearer),
            (Some(_), Some(_)) => Self::Unclear,
        }
    }
}

/// Impersonation and front-proxy headers: the asker may not be the token's owner.
fn speaks_for_another(name: &HeaderName) -> bool {
    name.as_str().starts_with("impersonate-") || name.as_str().starts_with("x-remote-")
}

/// The token of `Bearer <token>`: one space, no further words, no control characters. Other forms
/// mean something else to the API server, or nothing.
fn bearer(value: &HeaderValue) -> Option<BearerToken> {
    let text = value.to_str().ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let plain = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    (scheme.eq_ignore_ascii_case("bearer") && plain).then(|| BearerToken::new(token))
}

// === impl BearerToken ===

impl BearerToken {
    /// A token of this text.
    pub fn new(text: &str) -> Self {
        Self { text: Arc::new(Zeroizing::new(text.to_owned())) }
    }

    /// The header that presents it, marked so that no log prints it.
    pub fn header(&self) -> Option<HeaderValue> {
        let text = Zeroizing::new(format!("Bearer {}", self.text.as_str()));
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(…)")
    }
}

// === impl KeyedHash ===

impl KeyedHash {
    /// A hash under a key that lives as long as the process.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new() -> Result<Self, NoRandomness> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map(|key| Self { key })
            .map_err(|_| NoRandomness)
    }

    /// The fingerprint of a token together with `parts`; different parts never collide.
    pub fn fingerprint<'a>(
        &self,
        token: &'a BearerToken,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        for part in std::iter::once(token.text.as_str()).chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(context.sign().as_ref());
        Fingerprint(bytes)
    }
}

impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> Credential {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        Credential::of(&map)
    }

    #[test]
    fn one_plain_bearer_token_counts() {
        let expected = Credential::Bearer(BearerToken::new("abc"));
        assert_eq!(of(&[("Authorization", "Bearer abc")]), expected);
        assert_eq!(of(&[("authorization", "bEARER abc")]), expected);
        assert_eq!(of(&[("accept", "application/json")]), Credential::Nothing);
    }

    #[test]
    fn everything_unusual_is_unclear() {
        for headers in [
            &[("Authorization", "Bearer abc"), ("Authorization", "Bearer abc")][..],
            &[("Authorization", "Bearer abc"), ("Impersonate-User", "admin")],
            &[("Authorization", "Bearer abc"), ("Impersonate-Extra-x", "y")],
            &[("Authorization", "Bearer abc"), ("X-Remote-User", "admin")],
            &[("Authorization", "Bearer abc"), ("X-Remote-Extra-foo", "bar")],
            &[("Authorization", "Bearer  abc")],
            &[("Authorization", "Bearer abc def")],
            &[("Authorization", "Bearer ")],
            &[("Authorization", "Bearer")],
            &[("Authorization", "Basic YTpi")],
            &[("X-Remote-Group", "system:masters")],
        ] {
            assert_eq!(of(headers), Credential::Unclear, "{headers:?}");
        }
    }

    #[test]
    fn nothing_prints_a_token() {
        let token = BearerToken::new("very-secret");
        let header = token.header().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer very-secret");
        assert!(!format!("{token:?} {header:?}").contains("secret"));
    }

    #[test]
    fn fingerprints_keep_parts_apart() {
        let hash = KeyedHash::new().unwrap();
        let token = BearerToken::new("t");
        assert_eq!(hash.fingerprint(&token, ["a", "b"]), hash.fingerprint(&token, ["a", "b"]));
        assert_ne!(hash.fingerprint(&token, ["a", "b"]), hash.fingerprint(&token, ["ab", ""]));
        let other = KeyedHash::new().unwrap();
        assert_ne!(hash.fingerprint(&token, ["a"]), other.fingerprint(&token, ["a"]));
    }
}
