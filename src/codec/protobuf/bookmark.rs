//! A protobuf bookmark: its meaning, and the template it leaves behind.

use std::ops::Range;

use super::{
    object::{ANNOTATIONS, METADATA, RESOURCE_VERSION, map_entry, read_resource_version},
    wire::{self, MessageReader},
};
use crate::codec::{
    bookmark_template::{
        BookmarkTemplate, INITIAL_EVENTS_END, INITIAL_EVENTS_END_VALUE, INITIAL_LIST,
        MetadataParts, TemplateParts,
    },
    decode_error::DecodeError,
    watch_event::Bookmark,
};

/// A zero ObjectMeta up to the tag of `resourceVersion`: name, generateName, namespace, selfLink
/// and uid are written even when empty.
const ZERO_HEAD: &[u8] = &[0x0a, 0, 0x12, 0, 0x1a, 0, 0x22, 0, 0x2a, 0, 0x32];

/// What follows it: generation 0, and a creationTimestamp without content.
const ZERO_TAIL: &[u8] = &[0x38, 0, 0x42, 0];

/// Reads the bookmark's object that stands at `core` in `frame`.
pub(super) fn scan_bookmark(frame: &[u8], core: Range<usize>) -> Result<Bookmark, DecodeError> {
    let mut fields = MessageReader::new(frame, core.clone());
    let first = fields.next()?.filter(|field| field.number == METADATA);
    let first = first.ok_or(DecodeError::Missing { field: "metadata", at: core.start })?;
    let metadata = first.bytes()?;
    while let Some(field) = fields.next()? {
        if field.number == METADATA {
            return Err(DecodeError::Repeated { field: "metadata", at: field.at });
        }
    }
    let after = frame[metadata.end..core.end].to_vec();

    let (mut version, mut marked) = (None, false);
    let (mut plain, mut with_mark) = (PartsWriter::default(), PartsWriter::default());
    let mut fields = MessageReader::new(frame, metadata.clone());
    let mut following = fields.next()?;
    while let Some(field) = following {
        following = fields.next()?;
        let end = following.as_ref().map_or(metadata.end, |next| next.at);
        let written = &frame[field.at..end];
        if field.number == RESOURCE_VERSION {
            if version.replace(read_resource_version(frame, &field)?).is_some() {
                let field_name = "metadata.resourceVersion";
                return Err(DecodeError::Repeated { field: field_name, at: field.at });
            }
            plain.open_gap();
            with_mark.open_gap();
            continue;
        }
        let mut is_past_mark = field.number > ANNOTATIONS;
        if field.number == ANNOTATIONS {
            let (key, value) = map_entry(frame, &field)?;
            if key == INITIAL_EVENTS_END {
                marked = value == INITIAL_EVENTS_END_VALUE;
                continue;
            }
            if key == INITIAL_LIST {
                continue;
            }
            is_past_mark = key > INITIAL_EVENTS_END;
        }
        if is_past_mark {
            with_mark.place_mark();
        }
        plain.written.extend_from_slice(written);
        with_mark.written.extend_from_slice(written);
    }
    with_mark.place_mark();
    let missing = DecodeError::Missing { field: "metadata.resourceVersion", at: metadata.end };
    let template = BookmarkTemplate::new(TemplateParts {
        before: Vec::new(),
        plain: plain.finish(),
        marked: with_mark.finish(),
        after,
    });
    Ok(Bookmark { resource_version: version.ok_or(missing)?, initial_events_end: marked, template })
}

/// The metadata of a bookmark that carries nothing but its version.
pub(in crate::codec) fn bare_metadata(marked: bool) -> MetadataParts {
    let mut tail = ZERO_TAIL.to_vec();
    if marked {
        append_mark(&mut tail);
    }
    MetadataParts { head: ZERO_HEAD.to_vec(), tail }
}

fn append_mark(buffer: &mut Vec<u8>) {
    let mut entry = Vec::new();
    wire::append_bytes(&mut entry, 1, INITIAL_EVENTS_END.as_bytes());
    wire::append_bytes(&mut entry, 2, INITIAL_EVENTS_END_VALUE.as_bytes());
    wire::append_bytes(buffer, ANNOTATIONS as u8, &entry);
}

/// ObjectMeta while it is copied around the gap.
#[derive(Default)]
struct PartsWriter {
    head: Vec<u8>,
    written: Vec<u8>,
    has_mark: bool,
}

// === impl PartsWriter ===

impl PartsWriter {
    fn open_gap(&mut self) {
        self.head = std::mem::take(&mut self.written);
        self.head.push(wire::tag_of_bytes(RESOURCE_VERSION as u8));
    }

    fn place_mark(&mut self) {
        if !std::mem::replace(&mut self.has_mark, true) {
            append_mark(&mut self.written);
        }
    }

    fn finish(self) -> MetadataParts {
        MetadataParts { head: self.head, tail: self.written }
    }
}
