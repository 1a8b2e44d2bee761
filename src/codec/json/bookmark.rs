//! A JSON bookmark: its meaning, and the template it leaves behind.

use std::ops::Range;

use super::{
    object::{ObjectShape, TypeMember, TypesSeen, scan_resource_version},
    scanner::Scanner,
};
use crate::{
    api::version::ResourceVersion,
    codec::{
        bookmark_template::{
            BookmarkTemplate, INITIAL_EVENTS_END, INITIAL_EVENTS_END_VALUE, INITIAL_LIST,
            MetadataParts, TemplateParts,
        },
        decode_error::DecodeError,
        watch_event::Bookmark,
    },
};

/// The members of a bookmark's metadata, in the order they are written.
struct Members<'a> {
    slots: Vec<Slot<'a>>,
    /// Annotations other than the mark: what they are called and `"key":"value"` as written.
    annotations: Vec<(String, &'a [u8])>,
}

/// One place in the metadata.
enum Slot<'a> {
    ResourceVersion,
    Annotations,
    /// `"key":value` as written.
    Other(&'a [u8]),
}

/// Reads a bookmark's object, whose opening brace (and, for built-in types, whose type) ends where
/// the scanner stands.
pub(super) fn scan_bookmark(
    scanner: &mut Scanner<'_>,
    frame: &[u8],
    shape: &ObjectShape,
) -> Result<Bookmark, DecodeError> {
    let start = scanner.position();
    let mut types = TypesSeen::default();
    let mut metadata = None;
    let mut first = true;
    scanner.resume_object()?;
    while let Some(key) = scanner.next_key(&mut first)? {
        if key.is("metadata") {
            let found = scan_metadata(scanner, frame, &shape.type_member)?;
            if metadata.replace(found).is_some() {
                return Err(DecodeError::Repeated { field: "metadata", at: key.at() });
            }
        } else if !types.take(scanner, key, &shape.type_member)? {
            scanner.skip_value()?;
        }
    }
    let end = scanner.position();
    types.finish(&shape.type_member, end)?;
    let missing = |field| DecodeError::Missing { field, at: end };
    let found = metadata.ok_or_else(|| missing("metadata"))?;
    let resource_version =
        found.resource_version.ok_or_else(|| missing("metadata.resourceVersion"))?;
    let template = BookmarkTemplate::new(TemplateParts {
        before: frame[start..found.span.start].to_vec(),
        plain: found.members.render(false),
        marked: found.members.render(true),
        after: frame[found.span.end..end].to_vec(),
    });
    Ok(Bookmark { resource_version, initial_events_end: found.marked, template })
}

/// The metadata of a bookmark that carries nothing but its version.
pub(in crate::codec) fn bare_metadata(member: &TypeMember, marked: bool) -> MetadataParts {
    let mut members = Members { slots: vec![Slot::ResourceVersion], annotations: Vec::new() };
    members.place_annotations(member);
    members.render(marked)
}

struct FoundBookmark<'a> {
    span: Range<usize>,
    resource_version: Option<ResourceVersion>,
    marked: bool,
    members: Members<'a>,
}

fn scan_metadata<'a>(
    scanner: &mut Scanner<'_>,
    frame: &'a [u8],
    member: &TypeMember,
) -> Result<FoundBookmark<'a>, DecodeError> {
    let mut members = Members { slots: Vec::new(), annotations: Vec::new() };
    let (mut resource_version, mut marked, mut has_annotations) = (None, false, false);
    let mut first = true;
    scanner.open_object()?;
    let start = scanner.position() - 1;
    while let Some(key) = scanner.next_key(&mut first)? {
        let repeated = |field| DecodeError::Repeated { field, at: key.at() };
        if key.is("resourceVersion") {
            let (version, _) = scan_resource_version(scanner)?;
            if resource_version.replace(version).is_some() {
                return Err(repeated("metadata.resourceVersion"));
            }
            members.slots.push(Slot::ResourceVersion);
        } else if key.is("annotations") {
            if std::mem::replace(&mut has_annotations, true) {
                return Err(repeated("metadata.annotations"));
            }
            marked = members.scan_annotations(scanner, frame)?;
            members.slots.push(Slot::Annotations);
        } else {
            scanner.skip_value()?;
            members.slots.push(Slot::Other(&frame[key.at()..scanner.position()]));
        }
    }
    if !has_annotations {
        members.place_annotations(member);
    }
    Ok(FoundBookmark { span: start..scanner.position(), resource_version, marked, members })
}

// === impl Members ===

impl<'a> Members<'a> {
    /// Reads the annotations; true when the mark is among them.
    fn scan_annotations(
        &mut self,
        scanner: &mut Scanner<'_>,
        frame: &'a [u8],
    ) -> Result<bool, DecodeError> {
        let mut marked = false;
        let mut first = true;
        scanner.open_object()?;
        while let Some(key) = scanner.next_key(&mut first)? {
            let value = scanner.string()?;
            if key.is(INITIAL_EVENTS_END) {
                marked = value.is(INITIAL_EVENTS_END_VALUE);
            } else if !key.is(INITIAL_LIST) {
                let written = &frame[key.at()..scanner.position()];
                self.annotations.push((key.text()?.into_owned(), written));
            }
        }
        Ok(marked)
    }

    /// Adds the place where annotations would stand: first among the sorted keys of a custom
    /// resource, last among the members a built-in type's bookmark has.
    fn place_annotations(&mut self, member: &TypeMember) {
        match member {
            TypeMember::InCore { .. } => self.slots.insert(0, Slot::Annotations),
            TypeMember::BeforeCore => self.slots.push(Slot::Annotations),
        }
    }

    fn render(&self, marked: bool) -> MetadataParts {
        let mut head = Vec::new();
        let mut written = b"{".to_vec();
        let mut separator = "";
        for slot in &self.slots {
            if matches!(slot, Slot::Annotations) && !marked && self.annotations.is_empty() {
                continue;
            }
            written.extend_from_slice(separator.as_bytes());
            separator = ",";
            match slot {
                Slot::ResourceVersion => {
                    written.extend_from_slice(br#""resourceVersion":""#);
                    head = std::mem::take(&mut written);
                    written.push(b'"');
                }
                Slot::Annotations => self.render_annotations(marked, &mut written),
                Slot::Other(member) => written.extend_from_slice(member),
            }
        }
        written.push(b'}');
        MetadataParts { head, tail: written }
    }

    /// The annotations with the mark at its sorted place.
    fn render_annotations(&self, marked: bool, written: &mut Vec<u8>) {
        let mark = format!(r#""{INITIAL_EVENTS_END}":"{INITIAL_EVENTS_END_VALUE}""#);
        let mut members: Vec<(&str, &[u8])> =
            self.annotations.iter().map(|(key, member)| (key.as_str(), *member)).collect();
        if marked {
            let place = members.partition_point(|(key, _)| *key < INITIAL_EVENTS_END);
            members.insert(place, (INITIAL_EVENTS_END, mark.as_bytes()));
        }
        let members: Vec<&[u8]> = members.into_iter().map(|(_, member)| member).collect();
        written.extend_from_slice(br#""annotations":{"#);
        written.extend_from_slice(&members.join(&b","[..]));
        written.push(b'}');
    }
}
