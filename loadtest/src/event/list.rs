//! A list as it arrives: its own metadata, and each item if someone wants them, without the rest.
//!
//! Built-in types have the metadata before the items, custom resources behind them. Never holds more
//! than one item, or the metadata, however long the list is.

use serde::Deserialize;

use super::{BadEvent, Scanned, frames::LONGEST, json, protobuf};

/// A part of a list.
#[derive(Debug)]
pub enum Part<'a> {
    /// One object.
    Item(Scanned<'a>),
    /// The list's own.
    Metadata(ListMetadata),
}

/// A list's own metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ListMetadata {
    /// The state's resource version.
    #[serde(default, rename = "resourceVersion")]
    pub revision: String,
    /// For the next page; empty at the end.
    #[serde(default, rename = "continue")]
    pub token: String,
}

/// Reads a list in JSON or Protobuf.
#[derive(Debug)]
pub struct ListReader {
    form: Form,
    items: bool,
    kept: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    Json(JsonPlace),
    Protobuf(protobuf::ListPlace),
}

/// Where in a list in JSON the reader is.
#[derive(Debug, Default)]
struct JsonPlace {
    depth: u32,
    /// In a string, or behind a backslash in one.
    quoted: bool,
    escaped: bool,
    /// Behind the colon of a member of the list itself.
    valued: bool,
    member: Vec<u8>,
    /// What is being kept ends when this depth is reached again.
    until: Option<u32>,
}

// === impl ListReader ===

impl ListReader {
    /// For a list in Protobuf or JSON, with its items or without.
    pub fn new(binary: bool, items: bool) -> Self {
        let form = if binary {
            Form::Protobuf(protobuf::ListPlace::default())
        } else {
            Form::Json(JsonPlace::default())
        };
        Self { form, items, kept: Vec::new() }
    }

    /// Takes a chunk in and gives each part that it completes to `take`.
    ///
    /// # Errors
    /// When it is no list, or a part is too long.
    pub fn push(&mut self, chunk: &[u8], mut take: impl FnMut(Part<'_>)) -> Result<(), BadEvent> {
        match &mut self.form {
            Form::Json(place) => place.push(chunk, self.items, &mut self.kept, &mut take)?,
            Form::Protobuf(place) => {
                self.kept.extend_from_slice(chunk);
                place.push(&mut self.kept, self.items, &mut take)?;
            }
        }
        if self.kept.len() > LONGEST { Err(BadEvent::TooLong) } else { Ok(()) }
    }

    /// Whether the list was begun and not ended.
    pub fn within(&self) -> bool {
        match &self.form {
            Form::Json(place) => place.depth > 0,
            Form::Protobuf(place) => place.within() || !self.kept.is_empty(),
        }
    }
}

// === impl JsonPlace ===

impl JsonPlace {
    fn push(
        &mut self,
        chunk: &[u8],
        items: bool,
        kept: &mut Vec<u8>,
        take: &mut impl FnMut(Part<'_>),
    ) -> Result<(), BadEvent> {
        let (mut at, mut begin) = (0, 0);
        while at < chunk.len() {
            if self.quoted {
                at = self.pass_string(chunk, at);
                continue;
            }
            match chunk[at] {
                b'"' => {
                    self.quoted = true;
                    if self.depth == 1 && !self.valued {
                        self.member.clear();
                    }
                }
                b':' if self.depth == 1 => self.valued = true,
                b',' if self.depth == 1 => self.valued = false,
                b'{' | b'[' => {
                    let wanted = match self.depth {
                        1 => self.member == b"metadata",
                        2 => items && self.member == b"items",
                        _ => false,
                    };
                    if wanted && self.until.is_none() && chunk[at] == b'{' {
                        self.until = Some(self.depth);
                        begin = at;
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    let depth = self.depth.checked_sub(1);
                    self.depth = depth.ok_or(BadEvent::Shape("a list that ends twice"))?;
                    if self.until == Some(self.depth) {
                        self.until = None;
                        kept.extend_from_slice(&chunk[begin..=at]);
                        take(self.part(kept)?);
                        kept.clear();
                    }
                }
                _ => {}
            }
            at += 1;
        }
        if self.until.is_some() {
            kept.extend_from_slice(&chunk[begin..]);
        }
        Ok(())
    }

    /// To behind the string's end or the chunk's.
    fn pass_string(&mut self, chunk: &[u8], mut at: usize) -> usize {
        if std::mem::take(&mut self.escaped) {
            return at + 1;
        }
        let rest = &chunk[at..];
        let found = memchr::memchr2(b'"', b'\\', rest);
        let text = &rest[..found.unwrap_or(rest.len())];
        if self.depth == 1 && !self.valued {
            self.member.extend(text.iter().take(64_usize.saturating_sub(self.member.len())));
        }
        at += text.len();
        match found.map(|found| rest[found]) {
            Some(b'"') => self.quoted = false,
            Some(_) => self.escaped = true,
            None => return at,
        }
        at + 1
    }

    fn part<'a>(&self, text: &'a [u8]) -> Result<Part<'a>, BadEvent> {
        if self.depth == 1 {
            Ok(Part::Metadata(serde_json::from_slice(text)?))
        } else {
            Ok(Part::Item(json::object(text)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<(String, Option<String>)>, Option<ListMetadata>);

    pub(in crate::event) fn read(list: &[u8], binary: bool, items: bool, size: usize) -> Read {
        let mut reader = ListReader::new(binary, items);
        let mut read = (Vec::new(), None);
        for chunk in list.chunks(size) {
            let pushed = reader.push(chunk, |part| match part {
                Part::Item(item) => {
                    read.0.push((item.revision.to_owned(), item.mark.map(ToOwned::to_owned)));
                }
                Part::Metadata(metadata) => read.1 = Some(metadata),
            });
            pushed.unwrap();
        }
        assert!(!reader.within());
        read
    }

    fn expected(items: bool) -> Read {
        let items = if items {
            vec![("7".into(), Some("r/1/2".into())), ("8".into(), None)]
        } else {
            vec![]
        };
        (items, Some(ListMetadata { revision: "9".into(), token: "t\"".into() }))
    }

    #[test]
    fn finds_metadata_and_items_however_the_list_arrives() {
        let metadata = r#""metadata":{"resourceVersion":"9","continue":"t\""}"#;
        let items = r#""items":[{"metadata":{"resourceVersion":"7","annotations":
            {"watchgate-loadtest/write":"r/1/2"}},"data":{"metadata":"}]\\\"{"}},
            {"metadata":{"resourceVersion":"8"},"items":[{"metadata":{}}]}]"#;
        for list in [
            format!(r#"{{"kind":"List",{metadata},{items}}}"#),
            format!(r#"{{"kind":"metadata",{items},{metadata}}}"#),
        ] {
            for size in [1, 2, 3, 7, 50, 10_000] {
                for wanted in [true, false] {
                    let read = read(list.as_bytes(), false, wanted, size);
                    assert_eq!(read, expected(wanted), "{size}");
                }
            }
        }
        let empty = read(br#"{"metadata":{"resourceVersion":"9"},"items":null}"#, false, true, 5);
        assert_eq!(empty.0, []);
    }

    #[test]
    fn items_that_nobody_wants_are_not_kept() {
        let mut reader = ListReader::new(false, false);
        let list = format!(r#"{{"items":[{{"a":"{}"}}"#, "x".repeat(10_000));
        reader.push(list.as_bytes(), |_| panic!("a part")).unwrap();
        assert!(reader.kept.is_empty() && reader.within());
        assert!(ListReader::new(false, true).push(b"}", |_| {}).is_err());
    }

    #[test]
    fn an_endless_item_is_refused() {
        let mut reader = ListReader::new(false, true);
        reader.push(br#"{"items":[{"a":""#, |_| {}).unwrap();
        let chunk = vec![b'x'; LONGEST];
        assert!(matches!(reader.push(&chunk, |_| {}), Err(BadEvent::TooLong)));
    }
}
