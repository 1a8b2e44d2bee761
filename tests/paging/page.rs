//! One page of a list, in whatever form: its version and where it goes on.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::StatusCode;
use serde_json::Value;
use watchgate_cluster::{Client, Response};

use crate::form::Form;
use crate::varint::varint;

/// An answer to a list.
#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) body: Bytes,
    pub(crate) version: u64,
    /// `None` on the last page.
    pub(crate) token: Option<String>,
    pub(crate) is_hit: bool,
    cache_status: Option<String>,
}

impl std::fmt::Debug for Page {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, token, cache_status, body, .. } = self;
        write!(
            f,
            "{cache_status:?} at {version}, token {token:?}: {}",
            String::from_utf8_lossy(body)
        )
    }
}

/// The start of a protobuf object.
const MAGIC: &[u8] = b"k8s\0";

impl Page {
    /// Asks for a page.
    pub(crate) async fn of(client: &Client, target: &str, form: Form) -> Result<Self> {
        let answer = client.get(target).header("accept", &form.accept(true)).send().await?;
        ensure!(answer.status == StatusCode::OK, "{target}: {answer:?}");
        Self::read(answer).with_context(|| target.to_owned())
    }

    fn read(answer: Response) -> Result<Self> {
        let (version, token) = match answer.body.strip_prefix(MAGIC) {
            Some(unknown) => {
                // Unknown.raw, then the list's metadata.
                let metadata = field(field(unknown, 2)?.context("no raw")?, 1)?;
                let metadata = metadata.context("no metadata")?;
                let text = |number| -> Result<String> {
                    let bytes = field(metadata, number)?.unwrap_or_default();
                    Ok(std::str::from_utf8(bytes)?.to_owned())
                };
                (text(2)?, text(3)?)
            }
            None => {
                let list: Value = serde_json::from_slice(&answer.body)?;
                let metadata = &list["metadata"];
                let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
                (text("resourceVersion"), text("continue"))
            }
        };
        let cache_status = answer.header("cache-status").map(str::to_owned);
        Ok(Self {
            version: version.parse().with_context(|| format!("version {version:?}"))?,
            token: Some(token).filter(|token| !token.is_empty()),
            is_hit: cache_status.as_deref() == Some("watchgate; hit"),
            cache_status,
            body: answer.body,
        })
    }
}

/// The content of the first field with this number that has a length.
fn field(mut message: &[u8], wanted: u64) -> Result<Option<&[u8]>> {
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        let (value, rest) = varint(rest)?;
        message = rest;
        if tag & 7 == 2 {
            let length = usize::try_from(value)?;
            ensure!(length <= rest.len(), "a field longer than its message");
            let (content, after) = rest.split_at(length);
            if tag >> 3 == wanted {
                return Ok(Some(content));
            }
            message = after;
        } else {
            ensure!(tag & 7 == 0, "wire type {}", tag & 7);
        }
    }
    Ok(None)
}

/// A token of this content.
pub(crate) fn token(version: i64, start: &str) -> String {
    let start = serde_json::to_string(start).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(format!(r#"{{"v":"meta.k8s.io/v1","rv":{version},"start":{start}}}"#))
}
