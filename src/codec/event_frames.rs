//! Writing single objects and watch events: the core with the bytes around it.
//!
//! Single results are buffers of exactly their own size, made once and shared by all who send them;
//! [`EventRun`] is for frames that are sent once.
//! Hot path: [`ResourceCodec::frame_event`] runs once per event and shard, not per watcher.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    bookmark_template::BookmarkTemplate,
    json::{self, object::TypeMember},
    object::{Object, ObjectAttributes, Representation},
    protobuf::{
        self,
        envelope::Envelope,
        watch_event::{append_head, frame_length},
        wire,
    },
    resource_codec::{Format, ResourceCodec},
    segments::Segments,
    watch_event::{EventKind, Form},
};
use crate::api::version::ResourceVersion;

/// What stands around type and object of an event in JSON.
const OPENING: &str = r#"{"type":""#;
const OBJECT: &str = r#"","object":"#;
const CLOSING: &str = "}\n";

/// Contents of this length and more are shared in a run of events; shorter ones are copied, since
/// an HTTP/2 frame of 16 KiB is written from 16 pieces at most.
const SHARED_FROM: usize = 2 << 10;

const BOOKMARK: &str = "BOOKMARK";
const ERROR: &str = "ERROR";

/// What an object in the metadata form begins with in JSON, up to the value of `metadata`.
const METADATA_PREFIX: &str =
    r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

/// Watch events for one reader of cached state: only what stands around the objects is its own, so a
/// thousand such readers hold the objects once.
#[derive(Debug, Default)]
pub struct EventRun {
    text: Vec<u8>,
    /// Objects' bytes, and before which place of the text they stand.
    shared: Vec<(usize, Bytes)>,
}

/// A single object about to be written, in pieces.
struct SingleObject<'a> {
    /// Before the content: in JSON from the opening brace.
    head: Head<'a>,
    content: &'a [u8],
}

/// What stands before an object's content, and with it what stands after.
enum Head<'a> {
    /// JSON: prefix and suffix.
    Json(&'a str, &'a str),
    /// Protobuf: an envelope, around the content itself.
    Enveloped(&'a Envelope),
    /// Protobuf: an envelope, around a message whose only field 1 is the content.
    EnvelopedField(&'a Envelope),
}

// === impl ResourceCodec ===

impl ResourceCodec {
    /// The event that an object came, changed or went, as sent to a watcher.
    pub fn frame_event(&self, kind: EventKind, object: &Object, form: Form) -> Bytes {
        self.single_object(object, form).frame(kind.as_str())
    }

    /// Whether `wire` is what [`Self::frame_event`] would make of the object in the form in which it
    /// is held.
    pub(super) fn is_framed_as(&self, kind: EventKind, object: &Object, wire: &[u8]) -> bool {
        self.single_object(object, self.held_form()).is_framed_as(kind.as_str(), wire)
    }

    /// The DELETED event for an object that left a selector, or is gone: what it was, at the
    /// version of the event (semantics §5.3).
    pub fn frame_departure(
        &self,
        previous: &Object,
        resource_version: ResourceVersion,
        form: Form,
    ) -> Bytes {
        let departed = self.with_resource_version(previous, resource_version);
        self.frame_event(EventKind::Deleted, &departed, form)
    }

    /// The object with another `metadata.resourceVersion`, in its bytes as well.
    pub fn with_resource_version(&self, object: &Object, version: ResourceVersion) -> Object {
        let digits = version.to_string();
        let (old, core) = (&object.attributes, &object.core);
        let metadata = span(&old.metadata);
        let place = span(&old.resource_version_span);
        let mut bytes = Vec::with_capacity(core.len() + 24);
        let (metadata_start, place_start);
        match self.format {
            Format::Json(_) => {
                bytes.extend_from_slice(&core[..place.start]);
                (metadata_start, place_start) = (metadata.start, place.start);
            }
            Format::Protobuf(_) => {
                // Decoding made sure that `metadata` is the core's first field, that lengths are
                // minimal and that a version has at most 20 digits: its length is one byte.
                let length = metadata.len() - place.len() + digits.len();
                wire::append_bytes_header(&mut bytes, 1, length);
                metadata_start = bytes.len();
                bytes.extend_from_slice(&core[metadata.start..place.start - 1]);
                wire::append_varint(&mut bytes, digits.len() as u64);
                place_start = bytes.len();
            }
        }
        bytes.extend_from_slice(digits.as_bytes());
        bytes.extend_from_slice(&core[place.end..]);
        let metadata_end = metadata_start + metadata.len() - place.len() + digits.len();
        let attributes = ObjectAttributes {
            resource_version: version,
            metadata: metadata_start as u32..metadata_end as u32,
            resource_version_span: place_start as u32..(place_start + digits.len()) as u32,
            ..(**old).clone()
        };
        Object { attributes: Arc::new(attributes), core: exact(bytes) }
    }

    /// A bookmark as the API server sends it (semantics §5.4).
    pub fn frame_bookmark(
        &self,
        template: &BookmarkTemplate,
        resource_version: ResourceVersion,
        initial_events_end: bool,
        form: Form,
    ) -> Bytes {
        if form == Form::Metadata && self.representation != Representation::ProtobufMetadata {
            return self.frame_metadata_bookmark(resource_version, initial_events_end);
        }
        let core = template.core(self.item_join(), resource_version, initial_events_end);
        self.full(&core).frame(BOOKMARK)
    }

    /// An ERROR event around a Status that is already written in the representation's format: JSON
    /// with or without the final line break, or protobuf in its envelope.
    pub fn frame_error(&self, status: &[u8]) -> Bytes {
        match &self.format {
            Format::Json(_) => {
                let content = status.strip_suffix(b"\n").unwrap_or(status);
                SingleObject { head: Head::Json("", ""), content }.frame(ERROR)
            }
            Format::Protobuf(_) => {
                let mut frame = Vec::with_capacity(frame_length(ERROR, status.len()));
                append_head(&mut frame, ERROR, status.len());
                frame.extend_from_slice(status);
                exact(frame)
            }
        }
    }

    /// The body of a GET response.
    pub fn single(&self, object: &Object, form: Form) -> Bytes {
        let single = self.single_object(object, form);
        let ending: &[u8] = if matches!(self.format, Format::Json(_)) { b"\n" } else { b"" };
        let mut body = Vec::with_capacity(single.length() + ending.len());
        single.append(&mut body);
        body.extend_from_slice(ending);
        exact(body)
    }

    /// The bookmark of a metadata watch on a shard of full objects: it holds nothing but the
    /// version, so the upstream's is not needed.
    fn frame_metadata_bookmark(&self, version: ResourceVersion, marked: bool) -> Bytes {
        let metadata = match &self.format {
            Format::Json(_) => json::bookmark::bare_metadata(&TypeMember::BeforeCore, marked),
            Format::Protobuf(_) => protobuf::bookmark::bare_metadata(marked),
        };
        let digits = version.to_string();
        let mut content = metadata.head;
        if matches!(self.format, Format::Protobuf(_)) {
            wire::append_varint(&mut content, digits.len() as u64);
        }
        content.extend_from_slice(digits.as_bytes());
        content.extend_from_slice(&metadata.tail);
        self.metadata(&content).frame(BOOKMARK)
    }

    fn single_object<'a>(&'a self, object: &'a Object, form: Form) -> SingleObject<'a> {
        match form {
            Form::Metadata if self.representation != Representation::ProtobufMetadata => {
                self.metadata(&object.core[span(&object.attributes.metadata)])
            }
            Form::Full | Form::Metadata => self.full(&object.core),
        }
    }

    fn full<'a>(&'a self, core: &'a [u8]) -> SingleObject<'a> {
        let head = match &self.format {
            Format::Json(constants) => Head::Json(&constants.object_prefix, ""),
            Format::Protobuf(constants) => Head::Enveloped(&constants.object),
        };
        SingleObject { head, content: core }
    }

    fn metadata<'a>(&'a self, content: &'a [u8]) -> SingleObject<'a> {
        let head = match &self.format {
            Format::Json(_) => Head::Json(METADATA_PREFIX, "}"),
            Format::Protobuf(constants) => Head::EnvelopedField(&constants.metadata),
        };
        SingleObject { head, content }
    }

    /// One item of a `PartialObjectMetadataList`: in JSON a whole object, joined to others by
    /// [`ResourceCodec::item_separator`]; in protobuf with tag and length, no envelope.
    pub fn metadata_item(&self, object: &Object) -> Bytes {
        let metadata = &object.core[span(&object.attributes.metadata)];
        let mut item = Vec::new();
        match &self.format {
            Format::Json(_) => {
                item.reserve_exact(METADATA_PREFIX.len() + metadata.len() + 1);
                self.metadata(metadata).append(&mut item);
            }
            Format::Protobuf(_) => {
                let length = wire::bytes_field_length(metadata.len());
                item.reserve_exact(wire::bytes_field_length(length));
                wire::append_bytes_header(&mut item, 2, length);
                wire::append_bytes(&mut item, 1, metadata);
            }
        }
        exact(item)
    }
}

// === impl SingleObject ===

impl SingleObject<'_> {
    fn length(&self) -> usize {
        let content = self.content.len();
        match self.head {
            Head::Json(prefix, suffix) => prefix.len() + content + suffix.len(),
            Head::Enveloped(envelope) => envelope.length(content),
            Head::EnvelopedField(envelope) => envelope.length(wire::bytes_field_length(content)),
        }
    }

    fn append(&self, buffer: &mut Vec<u8>) {
        self.append_head(buffer);
        buffer.extend_from_slice(self.content);
        self.append_tail(buffer);
    }

    /// What stands before the content.
    fn append_head(&self, buffer: &mut Vec<u8>) {
        let content = self.content.len();
        match self.head {
            Head::Json(prefix, _) => buffer.extend_from_slice(prefix.as_bytes()),
            Head::Enveloped(envelope) => envelope.append_head(buffer, content),
            Head::EnvelopedField(envelope) => {
                envelope.append_head(buffer, wire::bytes_field_length(content));
                wire::append_bytes_header(buffer, 1, content);
            }
        }
    }

    /// What stands after the content.
    fn append_tail(&self, buffer: &mut Vec<u8>) {
        match self.head {
            Head::Json(_, suffix) => buffer.extend_from_slice(suffix.as_bytes()),
            Head::Enveloped(_) | Head::EnvelopedField(_) => Envelope::append_tail(buffer),
        }
    }

    /// Whether `wire` is what [`Self::frame`] would make. A content that is a part of `wire` is not
    /// looked at.
    fn is_framed_as(&self, event_type: &str, wire: &[u8]) -> bool {
        let mut head = Vec::with_capacity(128);
        self.append_frame_head(&mut head, event_type);
        let mut tail = Vec::with_capacity(8);
        self.append_frame_tail(&mut tail);
        let inside = wire.strip_prefix(&head[..]).and_then(|rest| rest.strip_suffix(&tail[..]));
        inside.is_some_and(|inside| std::ptr::eq(inside, self.content) || inside == self.content)
    }

    /// The object in a watch event, as it goes over the wire.
    fn frame(&self, event_type: &str) -> Bytes {
        let length = self.length();
        let length = match self.head {
            Head::Json(..) => {
                OPENING.len() + event_type.len() + OBJECT.len() + length + CLOSING.len()
            }
            _ => frame_length(event_type, length),
        };
        let mut frame = Vec::with_capacity(length);
        self.append_frame_head(&mut frame, event_type);
        frame.extend_from_slice(self.content);
        self.append_frame_tail(&mut frame);
        exact(frame)
    }

    /// What stands before the content in a watch event.
    fn append_frame_head(&self, frame: &mut Vec<u8>, event_type: &str) {
        if matches!(self.head, Head::Json(..)) {
            for text in [OPENING, event_type, OBJECT] {
                frame.extend_from_slice(text.as_bytes());
            }
        } else {
            append_head(frame, event_type, self.length());
        }
        self.append_head(frame);
    }

    /// What stands after the content in a watch event.
    fn append_frame_tail(&self, frame: &mut Vec<u8>) {
        self.append_tail(frame);
        if matches!(self.head, Head::Json(..)) {
            frame.extend_from_slice(CLOSING.as_bytes());
        }
    }
}

// === impl EventRun ===

impl EventRun {
    /// Adds what [`ResourceCodec::frame_event`] would give.
    pub fn push(&mut self, codec: &ResourceCodec, kind: EventKind, object: &Object, form: Form) {
        let single = codec.single_object(object, form);
        single.append_frame_head(&mut self.text, kind.as_str());
        if single.content.len() < SHARED_FROM {
            self.text.extend_from_slice(single.content);
        } else {
            self.shared.push((self.text.len(), object.core.slice_ref(single.content)));
        }
        single.append_frame_tail(&mut self.text);
    }

    /// All frames, in order.
    pub fn finish(self) -> Segments {
        let mut text = exact(self.text);
        let mut segments = Segments::with_capacity(2 * self.shared.len() + 1);
        let mut taken = 0;
        for (place, content) in self.shared {
            segments.push(text.split_to(place - taken));
            segments.push(content);
            taken = place;
        }
        segments.push(text);
        segments
    }
}

fn span(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Shared bytes that keep no spare capacity alive.
fn exact(bytes: Vec<u8>) -> Bytes {
    Bytes::from(bytes.into_boxed_slice())
}
