//! Continue tokens: where the next page of a list starts, and at which version.
//!
//! Written in the form that kube-apiserver's own cache writes, so any replica of it can continue a
//! list that the gateway began, and the other way round (semantics §3.3). A token is relative to the
//! scope of its request: inside one namespace it holds names, else whole keys. Selectors and limits
//! are not part of it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use compact_str::{CompactString, format_compact};
use serde::Deserialize;

use super::{go_json, object_key::ObjectKey, version::ResourceVersion};

const VERSION: &str = "meta.k8s.io/v1";

/// A place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContinueToken {
    /// The version whose state is being listed; `None` means the latest.
    pub resource_version: Option<ResourceVersion>,
    /// The first key of the page, relative to the request's scope and without a leading slash. It
    /// is a bound, not necessarily a key: the last key of the page before, followed by a NUL.
    pub start: CompactString,
}

/// A text that the API server would refuse as a continue token, or that only it should judge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidContinueToken {
    /// Not unpadded URL-safe base64.
    #[error("the continue token is not URL-safe base64")]
    Base64,
    /// Not the JSON object that tokens are made of.
    #[error("the continue token does not hold a list position")]
    Json,
    /// Of a version of tokens that is not known.
    #[error("the continue token is not of version {VERSION}")]
    Version,
    /// Resource version 0 is no state.
    #[error("the continue token names no resource version")]
    ResourceVersion,
    /// No start key, or one that would lead outside the scope.
    #[error("the continue token names no usable start key")]
    Start,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: String,
    rv: i64,
    start: String,
}

// === impl ContinueToken ===

impl ContinueToken {
    /// The token of the page after the one that ends with `last`. `namespaced` says whether the
    /// request is about one namespace, by its path or by a `metadata.namespace` selector.
    pub fn after(resource_version: ResourceVersion, last: &ObjectKey, namespaced: bool) -> Self {
        let relative = if namespaced { last.name() } else { last.as_str() };
        Self { resource_version: Some(resource_version), start: format_compact!("{relative}\0") }
    }

    /// Reads a token of either form, with or without a leading slash in its start key.
    pub fn decode(text: &str) -> Result<Self, InvalidContinueToken> {
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidContinueToken::Base64)?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| InvalidContinueToken::Json)?;
        if wire.v != VERSION {
            return Err(InvalidContinueToken::Version);
        }
        // Any negative version means the latest state.
        let resource_version = match u64::try_from(wire.rv) {
            Err(_) => None,
            Ok(number) => {
                Some(ResourceVersion::new(number).ok_or(InvalidContinueToken::ResourceVersion)?)
            }
        };
        if wire.start.is_empty() {
            return Err(InvalidContinueToken::Start);
        }
        let start = wire.start.strip_prefix('/').unwrap_or(&wire.start);
        if !is_clean(start) {
            return Err(InvalidContinueToken::Start);
        }
        Ok(Self { resource_version, start: start.into() })
    }

    /// The token's text.
    pub fn encode(&self) -> String {
        let mut json = format!(r#"{{"v":"{VERSION}","rv":"#).into_bytes();
        let version = self.resource_version.map_or_else(|| "-1".into(), |rv| rv.to_string());
        json.extend_from_slice(version.as_bytes());
        json.extend_from_slice(br#","start":"#);
        go_json::write_string(&mut json, &format_compact!("/{}", self.start));
        json.push(b'}');
        URL_SAFE_NO_PAD.encode(json)
    }

    /// The first key of the page among all keys of the resource; `namespace` is the one that the
    /// request is about, empty when it is about all or the resource has none.
    pub fn start_key(&self, namespace: &str) -> CompactString {
        if namespace.is_empty() {
            self.start.clone()
        } else {
            format_compact!("{namespace}/{}", self.start)
        }
    }
}

/// Whether cleaning the path `/` + `relative` as Go's `path.Clean` does would leave it as it is.
fn is_clean(relative: &str) -> bool {
    relative.is_empty() || relative.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u64) -> ResourceVersion {
        ResourceVersion::new(number).unwrap()
    }

    fn encoded(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn writes_the_bytes_that_kube_apiserver_writes() {
        let token = ContinueToken::after(version(812), &ObjectKey::new("default", "a"), false);
        let text = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6ODEyLCJzdGFydCI6Ii9kZWZhdWx0L2FcdTAwMDAifQ";
        assert_eq!(token.encode(), text);
        assert_eq!(ContinueToken::decode(text), Ok(token));

        let token = ContinueToken::after(version(5), &ObjectKey::new("ns", "foo"), true);
        assert_eq!(
            token.encode(),
            encoded(r#"{"v":"meta.k8s.io/v1","rv":5,"start":"/foo\u0000"}"#)
        );
        assert_eq!(token.start_key("ns"), "ns/foo\0");
        assert_eq!(token.start_key(""), "foo\0");
    }

    #[test]
    fn reads_every_form_of_kube_apiserver() {
        for (json, resource_version, start) in [
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"ns/a\u0000"}"#, Some(7), "ns/a\0"),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"/ns/a\u0000"}"#, Some(7), "ns/a\0"),
            (r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"/a\u0000"}"#, None, "a\0"),
            (r#"{"v":"meta.k8s.io/v1","rv":-5,"start":"a"}"#, None, "a"),
            (r#"{"start":"/", "rv":7, "v":"meta.k8s.io/v1"}"#, Some(7), ""),
        ] {
            let expected = ContinueToken {
                resource_version: resource_version.map(version),
                start: start.into(),
            };
            assert_eq!(ContinueToken::decode(&encoded(json)), Ok(expected), "{json}");
        }
        let latest = ContinueToken { resource_version: None, start: "a\0".into() };
        assert_eq!(ContinueToken::decode(&latest.encode()), Ok(latest));
    }

    #[test]
    fn refuses_what_kube_apiserver_refuses() {
        use InvalidContinueToken::{Base64, Json, ResourceVersion, Start, Version};
        for text in ["*", "abc=", "a b"] {
            assert_eq!(ContinueToken::decode(text), Err(Base64), "{text}");
        }
        for (json, expected) in [
            ("", Json),
            ("[]", Json),
            ("{}", Json),
            (r#"{"v":"meta.k8s.io/v1","rv":"7","start":"a"}"#, Json),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"a","rv":8}"#, Json),
            (r#"{"v":"meta.k8s.io/v1","rv":9223372036854775808,"start":"a"}"#, Json),
            (r#"{"v":"meta.k8s.io/v2","rv":7,"start":"a"}"#, Version),
            (r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#, ResourceVersion),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":""}"#, Start),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"a/"}"#, Start),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"//a"}"#, Start),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"../a"}"#, Start),
            (r#"{"v":"meta.k8s.io/v1","rv":7,"start":"/a/./b"}"#, Start),
        ] {
            assert_eq!(ContinueToken::decode(&encoded(json)), Err(expected), "{json}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(
            number in 1..=i64::MAX.unsigned_abs(),
            namespace in "([a-z]{1,3})?",
            name in "[a-z<é]{1,5}",
            any in ".*",
        ) {
            let key = ObjectKey::new(&namespace, &name);
            for namespaced in [false, true] {
                let token = ContinueToken::after(version(number), &key, namespaced);
                prop_assert_eq!(&ContinueToken::decode(&token.encode()), &Ok(token.clone()));
                let scope = if namespaced { namespace.as_str() } else { "" };
                prop_assert_eq!(token.start_key(scope), format!("{key}\0"));
            }
            let _ = ContinueToken::decode(&any);
            let _ = ContinueToken::decode(&encoded(&any));
        }
    }
}
