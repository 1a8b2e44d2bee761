//! An informer's first list: page after page, of which only the list's own metadata is kept.
//!
//! Built-in types have it before the items, so that only the beginning of a page is decompressed and
//! looked into; custom resources have it behind them.

use std::{io::Write as _, time::Duration};

use bytes::Bytes;
use flate2::write::GzDecoder;
use http::{Method, StatusCode, header};
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{WatchError, Watcher};
use crate::{
    event::{BadEvent, json, protobuf},
    transport::{Answer, Connection, TransportError, refused},
};

/// Longest for one page.
const PATIENCE: Duration = Duration::from_secs(120);
/// Looked into first; then at every doubling.
const BEGINNING: usize = 4 << 10;
/// Longest page whose metadata may come last.
const LONGEST: usize = 1 << 30;
const DEFAULT_PAGE: u32 = 500;

/// The beginning of a page, until it holds the list's metadata.
struct Beginning {
    plain: Vec<u8>,
    decoder: Option<GzDecoder<Vec<u8>>>,
    binary: bool,
    next_look: usize,
    found: Option<(u64, String)>,
}

impl Watcher {
    /// Lists all pages; gives the resource version to watch from.
    pub(super) async fn list(&self, connection: &dyn Connection) -> Result<u64, WatchError> {
        let spec = &self.identity.group.spec;
        let limit = spec.page_size.unwrap_or(DEFAULT_PAGE);
        let mut token = String::new();
        loop {
            let call = self.reading().list(Some(limit), &token, spec.resource_version.as_deref());
            let path = call.target.clone();
            let page = async {
                let answer = connection.send(call).await?;
                if answer.status() != StatusCode::OK {
                    return match refused(Method::GET, path, answer).await? {
                        TransportError::Status { status, message, .. } => {
                            Err(WatchError::Ended(status.as_u16(), message))
                        }
                        error => Err(error.into()),
                    };
                }
                self.page(answer).await
            };
            let page = timeout(PATIENCE, page).await;
            let (revision, next) =
                page.unwrap_or_else(|_| Err(TransportError::Timeout(PATIENCE).into()))?;
            if next.is_empty() {
                return Ok(revision);
            }
            token = next;
        }
    }

    /// Reads a page to its end; gives its resource version and the token of the next one.
    async fn page(&self, answer: Answer) -> Result<(u64, String), WatchError> {
        let gzip = match answer.headers().get(header::CONTENT_ENCODING) {
            None => false,
            Some(encoding) if encoding == "gzip" && self.identity.group.spec.gzip => true,
            Some(other) => return Err(WatchError::Encoding(format!("{other:?}"))),
        };
        let binary = self.identity.group.spec.representation.binary();
        let mut beginning = Beginning {
            plain: Vec::new(),
            decoder: gzip.then(|| GzDecoder::new(Vec::new())),
            binary,
            next_look: BEGINNING,
            found: None,
        };
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(WatchError::from)?.into_data() else { continue };
            self.identity.group.bytes.add(data.len() as u64);
            beginning.push(&data)?;
        }
        beginning.end()
    }
}

// === impl Beginning ===

impl Beginning {
    fn push(&mut self, data: &Bytes) -> Result<(), WatchError> {
        if self.found.is_some() {
            return Ok(());
        }
        match &mut self.decoder {
            Some(decoder) => {
                decoder.write_all(data).map_err(|it| WatchError::Encoding(it.to_string()))?;
            }
            None => self.plain.extend_from_slice(data),
        }
        if self.text().len() > LONGEST {
            return Err(BadEvent::TooLong.into());
        }
        if self.text().len() >= self.next_look {
            self.next_look = self.text().len() * 2;
            // Not there yet is no error before the end.
            self.found = self.look().ok();
        }
        Ok(())
    }

    fn end(mut self) -> Result<(u64, String), WatchError> {
        if let Some(found) = self.found.take() {
            return Ok(found);
        }
        if let Some(decoder) = self.decoder.take() {
            self.plain = decoder.finish().map_err(|it| WatchError::Encoding(it.to_string()))?;
        }
        Ok(self.look()?)
    }

    fn text(&self) -> &[u8] {
        match &self.decoder {
            Some(decoder) => decoder.get_ref(),
            None => &self.plain,
        }
    }

    fn look(&self) -> Result<(u64, String), BadEvent> {
        let text = self.text();
        let (revision, token) = if self.binary { protobuf::list(text)? } else { json::list(text)? };
        let number = revision.parse().map_err(|_| BadEvent::Revision(revision.to_owned()))?;
        Ok((number, token.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(page: &str, gzip: bool) -> (u64, String) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(page.as_bytes()).unwrap();
        let bytes = if gzip { encoder.finish().unwrap() } else { page.as_bytes().to_vec() };
        let decoder = gzip.then(|| GzDecoder::new(Vec::new()));
        let mut beginning =
            Beginning { plain: Vec::new(), decoder, binary: false, next_look: 64, found: None };
        for chunk in bytes.chunks(50) {
            beginning.push(&Bytes::copy_from_slice(chunk)).unwrap();
        }
        beginning.end().unwrap()
    }

    #[test]
    fn finds_a_lists_metadata_before_and_behind_the_items() {
        let items = "{\"a\":\"0123456789abcdef\"},".repeat(2000);
        let items = items.trim_end_matches(',');
        let first =
            format!(r#"{{"metadata":{{"resourceVersion":"9","continue":"t"}},"items":[{items}]}}"#);
        let last =
            format!(r#"{{"items":[{items}],"metadata":{{"resourceVersion":"9","continue":"t"}}}}"#);
        for page in [first, last] {
            for gzip in [false, true] {
                assert_eq!(read(&page, gzip), (9, "t".to_owned()));
            }
        }
    }
}
