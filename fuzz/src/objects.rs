//! What upstream sends: objects, lists and bookmarks, in both formats.

use std::sync::LazyLock;

use bytes::Bytes;
use watchgate::{
    api::{
        resource::{GroupVersionResource, Origin, ResourceType, Scope},
        selector::{
            built_in::field_schema_for,
            field_schema::{FieldSchema, FieldSource, Scalar, SelectableField},
        },
        version::ResourceVersion,
    },
    codec::{
        ResourceCodec,
        item_join::ItemJoin,
        object::{Object, Representation},
        watch_event::{EventKind, Form, ListMetadata, ListPage, WatchEvent},
    },
};

/// Pods: the built-in type with most selectable fields.
fn pods() -> ResourceType {
    let gvr = GroupVersionResource::new("", "v1", "pods");
    ResourceType {
        fields: field_schema_for(&gvr),
        gvr,
        kind: "Pod".into(),
        list_kind: "PodList".into(),
        scope: Scope::Namespaced,
        origin: Origin::BuiltIn,
    }
}

/// A custom type with a selectable field.
fn widgets() -> ResourceType {
    let source = FieldSource {
        json: vec!["spec".into(), "size".into()],
        protobuf: Vec::new(),
        scalar: Scalar::Integer,
    };
    let size =
        SelectableField { label: "spec.size".into(), sources: vec![source], default: "".into() };
    ResourceType {
        gvr: GroupVersionResource::new("example.com", "v1", "widgets"),
        kind: "Widget".into(),
        list_kind: "WidgetList".into(),
        scope: Scope::Namespaced,
        origin: Origin::Custom,
        fields: FieldSchema { fields: vec![size], accepts_namespace: true, aliases: Vec::new() },
    }
}

fn codecs(representations: [Representation; 2]) -> Vec<ResourceCodec> {
    let mut codecs = Vec::new();
    for resource in [pods(), widgets()] {
        for representation in representations {
            // Custom resources have no protobuf of their own.
            if resource.origin == Origin::BuiltIn || representation != Representation::Protobuf {
                codecs.push(ResourceCodec::new(&resource, representation));
            }
        }
    }
    codecs
}

static JSON_CODECS: LazyLock<Vec<ResourceCodec>> = LazyLock::new(|| codecs(JSON));
static PROTOBUF_CODECS: LazyLock<Vec<ResourceCodec>> = LazyLock::new(|| codecs(PROTOBUF));

const JSON: [Representation; 2] = [Representation::Json, Representation::JsonMetadata];
const PROTOBUF: [Representation; 2] = [Representation::Protobuf, Representation::ProtobufMetadata];

/// A line of a JSON watch. What is taken leaves as the same line, and means what serde_json finds.
pub fn json_event(input: &[u8]) {
    for codec in JSON_CODECS.iter() {
        let Ok(event) = codec.decode_watch_event(Bytes::copy_from_slice(input)) else { continue };
        let line = input.strip_suffix(b"\n").unwrap_or(input);
        if let Some((kind, object)) = object_of(&event) {
            let frame = codec.frame_event(kind, object, Form::Full);
            assert_eq!(frame.strip_suffix(b"\n"), Some(line), "leaves as it came");
            agrees_with_serde_json(object, line);
        }
        check_event(codec, &event, |frame| frame.slice(..frame.len() - 1));
    }
}

/// A frame of a protobuf watch, without its length. The object leaves with the bytes it came with;
/// around them only the order and unknown parts of envelopes may have been put right.
pub fn protobuf_event(input: &[u8]) {
    for codec in PROTOBUF_CODECS.iter() {
        let Ok(event) = codec.decode_watch_event(Bytes::copy_from_slice(input)) else { continue };
        if let Some((kind, object)) = object_of(&event) {
            let frame = codec.frame_event(kind, object, Form::Full);
            assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
            let core = &object.core[..];
            assert!(input.windows(core.len()).any(|window| window == core));
            assert!(frame.windows(core.len()).any(|window| window == core));
        }
        check_event(codec, &event, |frame| frame.slice(4..));
    }
}

fn object_of(event: &WatchEvent) -> Option<(EventKind, &Object)> {
    match event {
        WatchEvent::Added(object) => Some((EventKind::Added, object)),
        WatchEvent::Modified(object) => Some((EventKind::Modified, object)),
        WatchEvent::Deleted(object) => Some((EventKind::Deleted, object)),
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => None,
    }
}

/// What holds in both formats; `unframed` takes off what delimits a frame.
fn check_event(codec: &ResourceCodec, event: &WatchEvent, unframed: fn(Bytes) -> Bytes) {
    let read = |frame: Bytes| codec.decode_watch_event(unframed(frame)).expect("its own frame");
    if let WatchEvent::Bookmark(bookmark) = event {
        let form = if codec.offers(Form::Full) { Form::Full } else { Form::Metadata };
        for marked in [true, false] {
            let frame = codec.frame_bookmark(&bookmark.template, version(77), marked, form);
            let WatchEvent::Bookmark(again) = read(frame) else { panic!("no bookmark") };
            assert_eq!((again.resource_version, again.initial_events_end), (version(77), marked));
            let frame = codec.frame_bookmark(&again.template, version(77), marked, form);
            let WatchEvent::Bookmark(last) = read(frame) else { panic!("no bookmark") };
            assert_eq!(last, again);
        }
    }
    let Some((kind, object)) = object_of(event) else { return };
    assert_eq!(&read(codec.frame_event(kind, object, Form::Full)), event);
    for number in [1, 99_999, u64::MAX] {
        let moved = codec.with_resource_version(object, version(number));
        assert_eq!(codec.with_resource_version(&moved, object.resource_version()), *object);
        let departure = codec.frame_departure(object, version(number), Form::Full);
        assert_eq!(read(departure), WatchEvent::Deleted(moved));
    }
    // Metadata cut out of it is what a metadata shard takes.
    if codec.offers(Form::Metadata) && codec.offers(Form::Full) {
        // The second of either is that of Pods; only their metadata can be cut out.
        let is_json = codec.item_join() == ItemJoin::Json;
        let partial = if is_json { &JSON_CODECS[1] } else { &PROTOBUF_CODECS[1] };
        let frame = unframed(codec.frame_event(kind, object, Form::Metadata));
        let event = partial.decode_watch_event(frame).expect("metadata");
        let (_, read) = object_of(&event).expect("an object");
        assert_eq!((read.key(), read.metadata()), (object.key(), object.metadata()));
        assert_eq!(read.attributes.labels, object.attributes.labels);
    }
}

fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).expect("above zero")
}

/// Compares what was found in an object with what a general parser finds, where that can read it:
/// it bounds nesting and numbers more than the API server does.
fn agrees_with_serde_json(object: &Object, line: &[u8]) {
    let Ok(whole) = serde_json::from_slice::<serde_json::Value>(line) else { return };
    let metadata = &whole["object"]["metadata"];
    let attributes = &object.attributes;
    assert_eq!(metadata["name"], attributes.key.name());
    assert_eq!(metadata["namespace"], attributes.key.namespace());
    assert_eq!(metadata["resourceVersion"], attributes.resource_version.to_string());
    let labels = metadata["labels"].as_object();
    assert_eq!(labels.map_or(0, serde_json::Map::len), attributes.labels.len());
    for (key, value) in attributes.labels.iter() {
        assert_eq!(metadata["labels"][key.as_str()], value.as_str());
    }
    let inner: serde_json::Value = serde_json::from_slice(&object.metadata()).expect("JSON");
    assert_eq!(&inner, metadata);
}

/// A page of a JSON list.
pub fn json_list(input: &[u8]) {
    JSON_CODECS.iter().for_each(|codec| list(codec, input));
}

/// A page of a protobuf list.
pub fn protobuf_list(input: &[u8]) {
    PROTOBUF_CODECS.iter().for_each(|codec| list(codec, input));
}

/// What is taken lies in the body byte for byte, and is the same list when it is put together again.
fn list(codec: &ResourceCodec, input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    let Ok(page) = codec.decode_list_page(body.clone()) else { return };
    let inside = body.as_ptr_range();
    for object in &page.objects {
        assert!(object.core.is_empty() || inside.contains(&object.core.as_ptr()), "copied");
    }
    let again = codec.decode_list_page(put_together(codec, &page).into()).expect("its own list");
    if codec.offers(Form::Full) {
        assert_eq!(again.objects, page.objects);
    } else {
        // What stands beside the metadata is not shown by a codec that shows nothing else.
        let shown = |object: &Object| (object.attributes.key.clone(), object.metadata());
        let pairs = again.objects.iter().zip(&page.objects);
        assert_eq!(again.objects.len(), page.objects.len());
        pairs.for_each(|(again, found)| assert_eq!(shown(again), shown(found)));
    }
    assert_eq!(again.resource_version, page.resource_version);
    assert_eq!(again.continue_token, page.continue_token);
}

fn put_together(codec: &ResourceCodec, page: &ListPage) -> Vec<u8> {
    let metadata = ListMetadata {
        resource_version: page.resource_version,
        continue_token: page.continue_token.as_deref(),
        remaining_item_count: None,
    };
    let form = if codec.offers(Form::Full) { Form::Full } else { Form::Metadata };
    let mut items = Vec::new();
    for (index, object) in page.objects.iter().enumerate() {
        if codec.lists_as_held(form) {
            let lead = if index == 0 { codec.item_lead(form) } else { b"" };
            items.extend_from_slice(lead);
            codec.item_join().append(&mut items, index == 0, &object.core);
        } else {
            let before =
                if index == 0 { codec.item_lead(form) } else { codec.item_separator(form) };
            items.extend_from_slice(before);
            items.extend_from_slice(&codec.metadata_item(object));
        }
    }
    let head = codec.list_head(form, &metadata, items.len());
    let tail = codec.list_tail(form, &metadata, items.len());
    [&head[..], &items, &tail].concat()
}
