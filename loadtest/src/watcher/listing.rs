//! An informer's first list, page after page.
//!
//! Informers decode what they are sent, which costs more than a load tester may spend: one informer in
//! [`CHECKED_EVERY`] looks at every item, and checks that the list shows each object of the run as it
//! was. The others only look for the list's own metadata.

use std::{io::Write as _, time::Duration};

use flate2::write::GzDecoder;
use http::header;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::{WatchError, Watcher};
use crate::{
    event::{
        BadEvent, Scanned, Seen,
        list::{ListMetadata, ListReader, Part},
    },
    plan::{Operation, Write},
    transport::{Answer, Connection, TransportError},
};

/// One informer of so many checks its list.
const CHECKED_EVERY: u32 = 16;
/// Longest for one page.
const PATIENCE: Duration = Duration::from_secs(120);
const DEFAULT_PAGE: u32 = 500;

/// A page on its way.
struct Page {
    reader: ListReader,
    decoder: Option<GzDecoder<Vec<u8>>>,
    /// Whether items are looked at, too.
    checked: bool,
    metadata: Option<ListMetadata>,
}

impl Watcher {
    /// Lists all pages; gives the resource version to watch from.
    pub(super) async fn list(&mut self, connection: &dyn Connection) -> Result<u64, WatchError> {
        let spec = &self.identity.group.spec;
        let (limit, version) =
            (spec.page_size.unwrap_or(DEFAULT_PAGE), spec.resource_version.clone());
        let checked = self.identity.number.is_multiple_of(CHECKED_EVERY);
        let mut token = String::new();
        loop {
            let call = self.reading().list(Some(limit), &token, version.as_deref());
            let answer = self.ask(connection, call).await?;
            let page = timeout(PATIENCE, self.page(answer, checked)).await;
            let metadata = page.unwrap_or(Err(TransportError::Timeout(PATIENCE).into()))?;
            token = metadata.token;
            if token.is_empty() {
                let revision = metadata.revision.parse();
                let revision = revision.map_err(|_| BadEvent::Revision(metadata.revision))?;
                if checked {
                    self.history.end_state(revision);
                } else {
                    self.history.begin_at(revision);
                }
                return Ok(revision);
            }
        }
    }

    /// Reads a page to its end.
    async fn page(&mut self, answer: Answer, checked: bool) -> Result<ListMetadata, WatchError> {
        let spec = &self.identity.group.spec;
        let gzip = match answer.headers().get(header::CONTENT_ENCODING) {
            None => false,
            Some(encoding) if encoding == "gzip" && spec.gzip => true,
            Some(other) => return Err(WatchError::Encoding(format!("{other:?}"))),
        };
        let mut page = Page::new(spec.representation.binary(), gzip, checked);
        let (run, history) = (&self.board.run, &mut self.history);
        let mut take = |item: Scanned<'_>| {
            let mark = item.mark.and_then(|mark| Write::from_mark(run, mark));
            if let (Some(mark), Ok(revision)) = (mark, item.revision.parse()) {
                history.see(Seen { mark, operation: Operation::Create, revision });
            }
        };
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(WatchError::from)?.into_data() else { continue };
            self.identity.group.bytes.add(data.len() as u64);
            page.push(&data, &mut take)?;
        }
        page.end(&mut take)
    }
}

// === impl Page ===

impl Page {
    fn new(binary: bool, gzip: bool, checked: bool) -> Self {
        Self {
            reader: ListReader::new(binary, checked),
            decoder: gzip.then(|| GzDecoder::new(Vec::new())),
            checked,
            metadata: None,
        }
    }

    fn push(&mut self, data: &[u8], take: &mut impl FnMut(Scanned<'_>)) -> Result<(), WatchError> {
        if self.metadata.is_some() && !self.checked {
            return Ok(());
        }
        let Some(mut decoder) = self.decoder.take() else { return self.read(data, take) };
        // Some hundred kilobytes at most come of a piece, as its text is taken away each time.
        for piece in data.chunks(1 << 10) {
            decoder.write_all(piece).map_err(|it| WatchError::Encoding(it.to_string()))?;
            self.read(decoder.get_ref(), take)?;
            decoder.get_mut().clear();
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn read(&mut self, plain: &[u8], take: &mut impl FnMut(Scanned<'_>)) -> Result<(), WatchError> {
        let metadata = &mut self.metadata;
        Ok(self.reader.push(plain, |part| match part {
            Part::Item(item) => take(item),
            Part::Metadata(found) => *metadata = Some(found),
        })?)
    }

    fn end(mut self, take: &mut impl FnMut(Scanned<'_>)) -> Result<ListMetadata, WatchError> {
        if self.metadata.is_none() || self.checked {
            if let Some(decoder) = self.decoder.take() {
                let rest = decoder.finish().map_err(|it| WatchError::Encoding(it.to_string()))?;
                self.read(&rest, take)?;
            }
            if self.reader.within() {
                return Err(BadEvent::Shape("the list ends within it").into());
            }
        }
        Ok(self.metadata.ok_or(BadEvent::Shape("a list without metadata"))?)
    }
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(page: &str, gzip: bool, checked: bool) -> (String, usize) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(page.as_bytes()).unwrap();
        let bytes = if gzip { encoder.finish().unwrap() } else { page.as_bytes().to_vec() };
        let (mut reading, mut items) = (Page::new(false, gzip, checked), 0);
        for chunk in bytes.chunks(50) {
            reading.push(chunk, &mut |_| items += 1).unwrap();
        }
        let token = reading.end(&mut |_| items += 1).unwrap().token;
        (token, items)
    }

    #[test]
    fn finds_a_lists_metadata_and_items_compressed_or_not() {
        let items = "{\"metadata\":{\"name\":\"0123456789abcdef\"}},".repeat(2000);
        let items = items.trim_end_matches(',');
        let metadata = r#""metadata":{"resourceVersion":"9","continue":"t"}"#;
        for page in [
            format!(r#"{{{metadata},"items":[{items}]}}"#),
            format!(r#"{{"items":[{items}],{metadata}}}"#),
        ] {
            for gzip in [false, true] {
                assert_eq!(read(&page, gzip, false), ("t".to_owned(), 0));
                assert_eq!(read(&page, gzip, true), ("t".to_owned(), 2000));
            }
        }
    }

    #[test]
    fn a_list_that_is_cut_is_none() {
        let mut page = Page::new(false, false, true);
        page.push(br#"{"metadata":{"resourceVersion":"9"},"items":["#, &mut |_| {}).unwrap();
        assert!(page.end(&mut |_| {}).is_err());
    }
}
