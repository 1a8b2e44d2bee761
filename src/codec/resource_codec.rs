//! The codec of one shard: reads what its upstream sends.
//!
//! Knows the constant bytes of one resource in one representation, and which fields of it can be
//! selected by. Decoding never builds the object: it scans once and cuts the core out of the bytes
//! it was given. What does not look exactly as the API server writes it is an error, upon which
//! the shard gives up and its requests are forwarded; nothing is repaired.
//!
//! Writing is in [`super::event_frames`] and [`super::list_frames`], as further methods.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use super::{
    bookmark_template::{BookmarkTemplate, TemplateParts},
    decode_error::DecodeError,
    field_plan::FieldPlan,
    frame_decoder::WireFrame,
    item_join::ItemJoin,
    json::{
        self,
        object::{ObjectShape, TypeMember},
    },
    label_sets::LabelSets,
    object::{Object, ObjectAttributes, Representation},
    protobuf::{self, envelope::Envelope, object::MessageShape},
    scanned::ScannedEvent,
    watch_event::{EventKind, Form, ListPage, ReceivedEvent, WatchEvent},
};
use crate::api::{
    resource::{Origin, ResourceType},
    selector::field_schema::FieldSchema,
};

/// Kinds whose annotations differ between the stored object and the served version: the API server
/// takes `PartialObjectMetadata` from the former, so it cannot be cut out of the latter (seen on
/// kube-apiserver 1.36.3, whose `endpoints/handlers/response.go` transforms before it converts; the
/// kinds are those whose conversion to a served version writes annotations).
const ANNOTATED_BY_CONVERSION: [(&str, &str); 3] =
    [("apps", "daemonsets"), ("apps", "deployments"), ("autoscaling", "horizontalpodautoscalers")];

const METADATA_KIND: &str = "PartialObjectMetadata";
const METADATA_LIST_KIND: &str = "PartialObjectMetadataList";
const METADATA_API_VERSION: &str = "meta.k8s.io/v1";

/// Reads and writes the bytes of one resource in one representation.
#[derive(Clone, Debug)]
pub struct ResourceCodec {
    pub(super) representation: Representation,
    pub(super) origin: Origin,
    offers_metadata: bool,
    pub(super) format: Format,
    label_sets: LabelSets,
}

/// The constants of either format.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Json(JsonConstants),
    Protobuf(ProtobufConstants),
}

#[derive(Clone, Debug)]
pub(super) struct JsonConstants {
    pub(super) shape: ObjectShape,
    /// What a single object begins with, up to its core.
    pub(super) object_prefix: String,
    /// What an item of a list begins with: only those of a metadata list carry their kind.
    pub(super) item_prefix: String,
    pub(super) list_kind: String,
    pub(super) api_version: String,
}

#[derive(Clone, Debug)]
pub(super) struct ProtobufConstants {
    shape: MessageShape,
    /// Around an object or list as the shard holds it.
    pub(super) object: Envelope,
    pub(super) list: Envelope,
    /// Around metadata made from a fuller object.
    pub(super) metadata: Envelope,
    pub(super) metadata_list: Envelope,
}

// === impl ResourceCodec ===

impl ResourceCodec {
    /// The codec for `resource` as a shard of this `representation` holds it.
    pub fn new(resource: &ResourceType, representation: Representation) -> Self {
        let api_version = resource.gvr.api_version();
        let offers_metadata = Self::can_offer(resource, representation, Form::Metadata);
        let format = match representation {
            Representation::Json => Format::Json(JsonConstants::new(resource, &api_version)),
            Representation::JsonMetadata => Format::Json(JsonConstants::metadata(resource)),
            Representation::Protobuf => {
                let plan = FieldPlan::new(&resource.fields, |source| &source.protobuf);
                Format::Protobuf(ProtobufConstants::new(
                    MessageShape { plan, scope: resource.scope },
                    Envelope::new(&resource.kind, &api_version),
                    Envelope::new(&resource.list_kind, &api_version),
                ))
            }
            Representation::ProtobufMetadata => {
                // PartialObjectMetadata holds no field of the type itself.
                let plan = FieldPlan::new(&resource.fields, |_| &[]);
                Format::Protobuf(ProtobufConstants::new(
                    MessageShape { plan, scope: resource.scope },
                    Envelope::new(METADATA_KIND, METADATA_API_VERSION),
                    Envelope::new(METADATA_LIST_KIND, METADATA_API_VERSION),
                ))
            }
        };
        let label_sets = LabelSets::default();
        Self { representation, origin: resource.origin, offers_metadata, format, label_sets }
    }

    /// Whether a shard of `resource` in this `representation` could offer `form`; see
    /// [`ResourceCodec::offers`].
    pub fn can_offer(resource: &ResourceType, representation: Representation, form: Form) -> bool {
        let gvr = (resource.gvr.group.as_str(), resource.gvr.resource.as_str());
        match (representation, form) {
            (Representation::JsonMetadata | Representation::ProtobufMetadata, form) => {
                form == Form::Metadata
            }
            (Representation::Json | Representation::Protobuf, Form::Full) => true,
            (Representation::Json | Representation::Protobuf, Form::Metadata) => {
                resource.origin == Origin::BuiltIn && !ANNOTATED_BY_CONVERSION.contains(&gvr)
            }
        }
    }

    /// Whether the shard's objects can be served in `form` with the API server's very bytes.
    ///
    /// Metadata cannot be cut out of custom resources in JSON (their keys are sorted, those of
    /// `PartialObjectMetadata` are not), nor out of types whose annotations depend on the served
    /// version. A metadata shard holds nothing but metadata. The other methods must not be asked
    /// for a form that is not offered: they would write a valid object whose bytes are not exactly
    /// the API server's.
    pub fn offers(&self, form: Form) -> bool {
        match form {
            Form::Full => !self.holds_metadata_only(),
            Form::Metadata => self.offers_metadata,
        }
    }

    /// Whether the items of a list in `form` are the objects just as pages hold them. Those of a JSON
    /// metadata list carry their kind, which the cores of a JSON shard leave out.
    pub fn lists_as_held(&self, form: Form) -> bool {
        form == Form::Full || self.representation == Representation::ProtobufMetadata
    }

    fn holds_metadata_only(&self) -> bool {
        matches!(
            self.representation,
            Representation::JsonMetadata | Representation::ProtobufMetadata
        )
    }

    /// How list items are joined.
    pub fn item_join(&self) -> ItemJoin {
        self.representation.item_join()
    }

    /// Reads one watch event: a JSON line, or a protobuf frame without its length prefix. The
    /// object's core shares `frame`.
    ///
    /// # Errors
    /// When the frame is not a watch event of the resource, in the API server's own layout.
    #[allow(clippy::needless_pass_by_value, reason = "an event takes over its frame")]
    pub fn decode_watch_event(&self, frame: Bytes) -> Result<WatchEvent, DecodeError> {
        let scanned = match &self.format {
            Format::Json(constants) => json::watch_event::scan_watch_event(
                &frame,
                &constants.object_prefix,
                &constants.shape,
            )?,
            Format::Protobuf(constants) => protobuf::watch_event::scan_watch_event(
                &frame,
                &constants.object,
                &constants.shape,
            )?,
        };
        Ok(match scanned {
            ScannedEvent::Object(kind, attributes, core) => {
                let object = self.cut(&frame, attributes, core);
                match kind {
                    EventKind::Added => WatchEvent::Added(object),
                    EventKind::Modified => WatchEvent::Modified(object),
                    EventKind::Deleted => WatchEvent::Deleted(object),
                }
            }
            ScannedEvent::Bookmark(bookmark) => WatchEvent::Bookmark(bookmark),
            ScannedEvent::Error(status) => WatchEvent::Error(status),
        })
    }

    /// As [`Self::decode_watch_event`], keeping the frame if watchers get the same.
    ///
    /// # Errors
    /// As there.
    #[allow(clippy::needless_pass_by_value, reason = "an event takes over its frame")]
    pub fn decode_frame(&self, frame: WireFrame) -> Result<ReceivedEvent, DecodeError> {
        let event = self.decode_watch_event(frame.content())?;
        let (kind, object) = match &event {
            WatchEvent::Added(object) => (EventKind::Added, object),
            WatchEvent::Modified(object) => (EventKind::Modified, object),
            WatchEvent::Deleted(object) => (EventKind::Deleted, object),
            WatchEvent::Bookmark(_) | WatchEvent::Error(_) => return Ok(event.into()),
        };
        let same = self.is_framed_as(kind, object, &frame.bytes);
        Ok(ReceivedEvent { event, frame: same.then_some(frame.bytes) })
    }

    /// The form in which the shard's objects are held.
    pub fn held_form(&self) -> Form {
        if self.holds_metadata_only() { Form::Metadata } else { Form::Full }
    }

    /// Reads the body of a LIST response, or of one page of it. The objects' cores share `body`.
    ///
    /// # Errors
    /// When the body is not a list of the resource, or any object in it is not understood.
    #[allow(clippy::needless_pass_by_value, reason = "a page takes over its body")]
    pub fn decode_list_page(&self, body: Bytes) -> Result<ListPage, DecodeError> {
        let scanned = match &self.format {
            Format::Json(constants) => json::list::scan_list(
                &body,
                &constants.list_kind,
                &constants.api_version,
                &constants.item_prefix,
                &constants.shape,
            )?,
            Format::Protobuf(constants) => {
                protobuf::list::scan_list(&body, &constants.list, &constants.shape)?
            }
        };
        let objects = scanned.objects.into_iter();
        Ok(ListPage {
            resource_version: scanned.resource_version,
            continue_token: scanned.continue_token,
            objects: objects.map(|(attributes, core)| self.cut(&body, attributes, core)).collect(),
        })
    }

    /// A template for bookmarks that need none of the upstream's: those of custom resources and of
    /// metadata shards. `None` for built-in types, whose zero values only the upstream knows.
    pub fn synthesise_bookmark_template(&self) -> Option<BookmarkTemplate> {
        match &self.format {
            Format::Json(constants) => {
                let member = &constants.shape.type_member;
                let TypeMember::InCore { kind, api_version } = member else { return None };
                let (api_version, kind) = (json::quoted(api_version), json::quoted(kind));
                let before = format!(r#""apiVersion":{api_version},"kind":{kind},"metadata":"#);
                Some(BookmarkTemplate::new(TemplateParts {
                    before: before.into_bytes(),
                    plain: json::bookmark::bare_metadata(member, false),
                    marked: json::bookmark::bare_metadata(member, true),
                    after: b"}".to_vec(),
                }))
            }
            Format::Protobuf(_) if self.representation == Representation::ProtobufMetadata => {
                Some(BookmarkTemplate::new(TemplateParts {
                    before: Vec::new(),
                    plain: protobuf::bookmark::bare_metadata(false),
                    marked: protobuf::bookmark::bare_metadata(true),
                    after: Vec::new(),
                }))
            }
            Format::Protobuf(_) => None,
        }
    }

    fn cut(&self, bytes: &Bytes, attributes: ObjectAttributes, core: Range<usize>) -> Object {
        let labels = self.label_sets.share(attributes.labels);
        let attributes = Arc::new(ObjectAttributes { labels, ..attributes });
        Object { attributes, core: bytes.slice(core) }
    }
}

// === impl JsonConstants ===

impl JsonConstants {
    /// Of a shard that holds `PartialObjectMetadata`, which is written like a built-in type.
    fn metadata(resource: &ResourceType) -> Self {
        let fields = FieldSchema::metadata_only(resource.fields.accepts_namespace);
        let metadata = ResourceType {
            kind: METADATA_KIND.into(),
            list_kind: METADATA_LIST_KIND.into(),
            origin: Origin::BuiltIn,
            fields,
            ..resource.clone()
        };
        let mut constants = Self::new(&metadata, METADATA_API_VERSION);
        constants.item_prefix.clone_from(&constants.object_prefix);
        // One empty value for each field, as the type's schema has them.
        constants.shape.plan = FieldPlan::new(&resource.fields, |_| &[]);
        constants
    }

    fn new(resource: &ResourceType, api_version: &str) -> Self {
        let (type_member, object_prefix) = match resource.origin {
            Origin::BuiltIn => {
                let (kind, version) = (json::quoted(&resource.kind), json::quoted(api_version));
                let prefix = format!(r#"{{"kind":{kind},"apiVersion":{version},"#);
                (TypeMember::BeforeCore, prefix)
            }
            Origin::Custom => {
                let (kind, api_version) = (resource.kind.clone(), api_version.into());
                (TypeMember::InCore { kind, api_version }, "{".to_owned())
            }
        };
        Self {
            shape: ObjectShape {
                plan: FieldPlan::new(&resource.fields, |source| &source.json),
                scope: resource.scope,
                type_member,
            },
            object_prefix,
            item_prefix: "{".to_owned(),
            list_kind: resource.list_kind.to_string(),
            api_version: api_version.to_owned(),
        }
    }
}

// === impl ProtobufConstants ===

impl ProtobufConstants {
    fn new(shape: MessageShape, object: Envelope, list: Envelope) -> Self {
        let metadata = Envelope::new(METADATA_KIND, METADATA_API_VERSION);
        let metadata_list = Envelope::new(METADATA_LIST_KIND, METADATA_API_VERSION);
        Self { shape, object, list, metadata, metadata_list }
    }
}
