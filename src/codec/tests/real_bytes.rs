//! What kube-apiserver 1.36.3 answered (`fixtures/capture.sh`), read and written again.

use std::{fs, path::PathBuf};

use bytes::Bytes;

use super::samples::*;
use crate::{
    api::resource::ResourceType,
    codec::{
        ResourceCodec,
        frame_decoder::FrameDecoder,
        object::{Object, Representation},
        watch_event::{EventKind, Form, ListMetadata, WatchEvent},
    },
};

fn fixture(resource: &ResourceType, name: &str) -> Bytes {
    let plural: &str = &resource.gvr.resource;
    let path: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "src/codec/fixtures", plural, name].iter().collect();
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).into()
}

/// Every representation that was captured, with the name of its form's files and those of the
/// metadata form that can be made from it.
fn captured() -> Vec<(ResourceType, ResourceCodec, &'static str, Option<&'static str>)> {
    let mut all = Vec::new();
    for resource in [pods(), config_maps(), daemon_sets(), widgets()] {
        for (representation, name, metadata) in [
            (Representation::Json, "json", "mjson"),
            (Representation::Protobuf, "pb", "mpb"),
            (Representation::ProtobufMetadata, "mpb", "mpb"),
        ] {
            if resource.kind == "Widget" && representation == Representation::Protobuf {
                continue;
            }
            let codec = ResourceCodec::new(&resource, representation);
            let metadata = codec.offers(Form::Metadata).then_some(metadata);
            all.push((resource.clone(), codec, name, metadata));
        }
    }
    all
}

/// The body's frames, read.
fn events(codec: &ResourceCodec, representation: Representation, body: Bytes) -> Vec<WatchEvent> {
    let mut decoder = FrameDecoder::new(representation, 1 << 20);
    decoder.push(body);
    let mut events = Vec::new();
    while let Some(frame) = decoder.next_wire_frame().unwrap() {
        let received = codec.decode_frame(frame.clone()).unwrap();
        let is_object = !matches!(received.event, WatchEvent::Bookmark(_) | WatchEvent::Error(_));
        assert_eq!(received.frame, is_object.then_some(frame.bytes), "sent on as it came");
        events.push(received.event);
    }
    decoder.finish().unwrap();
    events
}

fn framing_of(name: &str) -> Representation {
    if name.ends_with("json") { Representation::Json } else { Representation::Protobuf }
}

/// The whole stream in one form.
fn written(codec: &ResourceCodec, events: &[WatchEvent], form: Form) -> Bytes {
    let mut body = Vec::new();
    for event in events {
        let frame = match event {
            WatchEvent::Added(object) => codec.frame_event(EventKind::Added, object, form),
            WatchEvent::Modified(object) => codec.frame_event(EventKind::Modified, object, form),
            WatchEvent::Deleted(object) => codec.frame_event(EventKind::Deleted, object, form),
            WatchEvent::Bookmark(bookmark) => codec.frame_bookmark(
                &bookmark.template,
                bookmark.resource_version,
                bookmark.initial_events_end,
                form,
            ),
            WatchEvent::Error(status) => panic!("{status:?}"),
        };
        body.extend_from_slice(&frame);
    }
    body.into()
}

#[test]
fn watches_leave_as_they_came() {
    for (resource, codec, name, metadata) in captured() {
        let what = format!("{} {name}", resource.gvr);
        let body = fixture(&resource, &format!("{name}.watch"));
        let events = events(&codec, framing_of(name), body.clone());
        assert!(events.len() >= 5, "{what}: {}", events.len());
        assert_eq!(written(&codec, &events, Form::Full), body, "{what}");
        if let Some(metadata) = metadata {
            let expected = fixture(&resource, &format!("{metadata}.watch"));
            assert_eq!(written(&codec, &events, Form::Metadata), expected, "{what} as {metadata}");
        }
    }
}

#[test]
fn every_bookmark_makes_every_other() {
    for (resource, codec, name, _) in captured() {
        let body = fixture(&resource, &format!("{name}.watch"));
        let mut bookmarks = events(&codec, framing_of(name), body);
        bookmarks.retain(|event| matches!(event, WatchEvent::Bookmark(_)));
        let mut templates = Vec::from_iter(codec.synthesise_bookmark_template());
        for event in &bookmarks {
            let WatchEvent::Bookmark(bookmark) = event else { continue };
            templates.push(bookmark.template.clone());
        }
        assert!(templates.len() >= 2, "{}: {bookmarks:?}", resource.gvr);
        assert!(templates.iter().all(|template| *template == templates[0]), "{}", resource.gvr);
    }
}

/// The last object the stream modified, at the version of its deletion, is what the API server
/// sent as deleted.
#[test]
fn a_departure_is_what_the_api_server_sends_for_a_deletion() {
    for (resource, codec, name, _) in captured() {
        // A pod's deletion changes more than its version.
        if resource.kind == "Pod" {
            continue;
        }
        let body = fixture(&resource, &format!("{name}.watch"));
        let events = events(&codec, framing_of(name), body);
        let last =
            |wanted: fn(&WatchEvent) -> Option<&Object>| events.iter().rev().find_map(wanted);
        let modified = last(|event| match event {
            WatchEvent::Modified(object) => Some(object),
            _ => None,
        });
        let deleted = last(|event| match event {
            WatchEvent::Deleted(object) => Some(object),
            _ => None,
        });
        let (modified, deleted) = (modified.unwrap(), deleted.unwrap());
        let version = deleted.resource_version();
        assert_eq!(
            codec.frame_departure(modified, version, Form::Full),
            codec.frame_event(EventKind::Deleted, deleted, Form::Full),
            "{} {name}",
            resource.gvr
        );
        assert_eq!(codec.with_resource_version(modified, version), *deleted);
    }
}

#[test]
fn lists_leave_as_they_came() {
    for (resource, codec, name, metadata) in captured() {
        for (part, remaining) in [("list", None), ("page", Some(1)), ("empty", None)] {
            let what = format!("{} {name}.{part}", resource.gvr);
            let body = fixture(&resource, &format!("{name}.{part}"));
            let page = codec.decode_list_page(body.clone()).unwrap();
            assert_eq!(page.objects.is_empty(), part == "empty", "{what}");
            let metadata_of_list = ListMetadata {
                resource_version: page.resource_version,
                continue_token: page.continue_token.as_deref(),
                remaining_item_count: remaining.filter(|_| page.continue_token.is_some()),
            };
            let full = |object: &Object| {
                let mut item = Vec::new();
                codec.item_join().append(&mut item, true, &object.core);
                item
            };
            let made = list(&codec, Form::Full, &metadata_of_list, &page.objects, full);
            assert_eq!(made, body, "{what}");
            if let Some(metadata) = metadata {
                let item = |object: &Object| codec.metadata_item(object).to_vec();
                let made = list(&codec, Form::Metadata, &metadata_of_list, &page.objects, item);
                let expected = fixture(&resource, &format!("{metadata}.{part}"));
                assert_eq!(made, expected, "{what} as {metadata}");
            }
        }
    }
}

fn list(
    codec: &ResourceCodec,
    form: Form,
    metadata: &ListMetadata<'_>,
    objects: &[Object],
    item: impl Fn(&Object) -> Vec<u8>,
) -> Vec<u8> {
    let mut items = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        let before = if index == 0 { codec.item_lead(form) } else { codec.item_separator(form) };
        items.extend_from_slice(before);
        items.extend_from_slice(&item(object));
    }
    let head = codec.list_head(form, metadata, items.len());
    let tail = codec.list_tail(form, metadata, items.len());
    [&head[..], &items, &tail].concat()
}

#[test]
fn single_objects_leave_as_they_came() {
    for (resource, codec, name, metadata) in captured() {
        let page = codec.decode_list_page(fixture(&resource, &format!("{name}.list"))).unwrap();
        let object = page.objects.iter().find(|object| object.key().name() == "a").unwrap();
        let expected = fixture(&resource, &format!("{name}.single"));
        assert_eq!(codec.single(object, Form::Full), expected, "{} {name}", resource.gvr);
        if let Some(metadata) = metadata {
            let expected = fixture(&resource, &format!("{metadata}.single"));
            assert_eq!(codec.single(object, Form::Metadata), expected, "{}", resource.gvr);
        }
    }
}

/// Why [`ResourceCodec::offers`] denies some types: their served annotations are added on the way.
#[test]
fn metadata_of_daemon_sets_is_not_that_of_the_served_object() {
    let resource = daemon_sets();
    for (representation, name, metadata) in
        [(Representation::Json, "json", "mjson"), (Representation::Protobuf, "pb", "mpb")]
    {
        let codec = ResourceCodec::new(&resource, representation);
        let page = codec.decode_list_page(fixture(&resource, &format!("{name}.list"))).unwrap();
        let made = codec.single(&page.objects[0], Form::Metadata);
        assert_ne!(made, fixture(&resource, &format!("{metadata}.single")), "{name}");
    }
}

#[test]
fn both_formats_find_the_same_in_pods() {
    let resource = pods();
    let [json, protobuf] = [(Representation::Json, "json"), (Representation::Protobuf, "pb")].map(
        |(representation, name)| {
            let codec = ResourceCodec::new(&resource, representation);
            codec.decode_list_page(fixture(&resource, &format!("{name}.list"))).unwrap()
        },
    );
    assert_eq!(json.objects.len(), 2);
    for (json, protobuf) in json.objects.iter().zip(&protobuf.objects) {
        assert_eq!(json.key(), protobuf.key());
        assert_eq!(json.resource_version(), protobuf.resource_version());
        assert_eq!(json.attributes.labels, protobuf.attributes.labels);
        assert_eq!(json.attributes.fields, protobuf.attributes.fields);
    }
    assert_eq!(json.objects[0].attributes.fields[..2], ["n1", "true"]);
}
