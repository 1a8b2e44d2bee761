//! Bookmarks: each template yields both kinds at any version, with the API server's bytes.

use bytes::Bytes;

use super::samples::*;
use crate::{
    api::resource::ResourceType,
    codec::{
        ResourceCodec,
        object::Representation,
        watch_event::{Bookmark, Form, WatchEvent},
    },
};

fn bookmark_of(codec: &ResourceCodec, frame: impl Into<Bytes>) -> Bookmark {
    match codec.decode_watch_event(frame.into()).unwrap() {
        WatchEvent::Bookmark(bookmark) => bookmark,
        other => panic!("not a bookmark: {other:?}"),
    }
}

/// Captures both frames and makes each out of both templates.
fn assert_interchangeable(codec: &ResourceCodec, prefix: usize, plain: &[u8], marked: &[u8]) {
    for (captured, is_marked) in [(plain, false), (marked, true)] {
        let bookmark = bookmark_of(codec, captured[prefix..].to_vec());
        assert_eq!(bookmark.resource_version, version(785));
        assert_eq!(bookmark.initial_events_end, is_marked);
        for (expected, mark) in [(plain, false), (marked, true)] {
            let made = codec.frame_bookmark(&bookmark.template, version(785), mark, Form::Full);
            assert_eq!(made, expected, "from marked={is_marked} to marked={mark}");
        }
        let template = bookmark.template;
        let later = codec.frame_bookmark(&template, version(123_456), true, Form::Full);
        assert_eq!(bookmark_of(codec, later.slice(prefix..)).resource_version, version(123_456));
    }
}

fn json_pair(resource: &ResourceType, plain: &str, marked: &str) {
    let codec = ResourceCodec::new(resource, Representation::Json);
    let (plain, marked) = (json_event("BOOKMARK", plain), json_event("BOOKMARK", marked));
    assert_interchangeable(&codec, 0, plain.as_bytes(), marked.as_bytes());
}

#[test]
fn json_bookmarks_of_built_in_types() {
    json_pair(
        &pods(),
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"785"},"spec":{"containers":null},"status":{}}"#,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"785","annotations":{"k8s.io/initial-events-end":"true"}},"spec":{"containers":null},"status":{}}"#,
    );
    json_pair(
        &daemon_sets(),
        r#"{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"resourceVersion":"785","annotations":{"deprecated.daemonset.template.generation":"0"}},"spec":{"selector":null}}"#,
        r#"{"kind":"DaemonSet","apiVersion":"apps/v1","metadata":{"resourceVersion":"785","annotations":{"deprecated.daemonset.template.generation":"0","k8s.io/initial-events-end":"true"}},"spec":{"selector":null}}"#,
    );
}

#[test]
fn json_bookmarks_of_older_servers_keep_their_members() {
    json_pair(
        &config_maps(),
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"785","creationTimestamp":null}}"#,
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"785","creationTimestamp":null,"annotations":{"k8s.io/initial-events-end":"true"}}}"#,
    );
}

#[test]
fn json_bookmarks_of_custom_resources_need_no_template() {
    let plain =
        r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"resourceVersion":"785"}}"#;
    let marked = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"785"}}"#;
    json_pair(&widgets(), plain, marked);
    let codec = ResourceCodec::new(&widgets(), Representation::Json);
    let template = codec.synthesise_bookmark_template().unwrap();
    for (object, mark) in [(plain, false), (marked, true)] {
        let made = codec.frame_bookmark(&template, version(785), mark, Form::Full);
        assert_eq!(made, json_event("BOOKMARK", object));
    }
    let built_in = ResourceCodec::new(&pods(), Representation::Json);
    assert!(built_in.synthesise_bookmark_template().is_none());
}

#[test]
fn json_bookmarks_of_metadata_watches() {
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    let captured = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"1"},"spec":{"containers":null},"status":{}}"#;
    let template = bookmark_of(&codec, json_event("BOOKMARK", captured)).template;
    assert_eq!(
        codec.frame_bookmark(&template, version(785), true, Form::Metadata),
        json_event(
            "BOOKMARK",
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"785","annotations":{"k8s.io/initial-events-end":"true"}}}"#
        )
    );
}

const POD_REST: &str = "12 1c 1a00 3200 4200 4a00 5200 5800 6000 6800 820100 8a0100 9a0100 c20100 \
     1a 13 0a00 1a00 2200 2a00 3200 4a00 5a00 7200 880100";

#[test]
fn protobuf_bookmarks_of_config_maps() {
    let marked =
        hex("00000061 0a08 'BOOKMARK' 1255 0a53 6b387300 0a0f 0a02 'v1' 1209 'ConfigMap' \
         1238 0a36 0a00 1200 1a00 2200 2a00 3203 '785' 3800 4200 \
         6221 0a19 'k8s.io/initial-events-end' 1204 'true' 1a00 2200");
    let plain = hex("0000003e 0a08 'BOOKMARK' 1232 0a30 6b387300 0a0f 0a02 'v1' 1209 'ConfigMap' \
         1215 0a13 0a00 1200 1a00 2200 2a00 3203 '785' 3800 4200 1a00 2200");
    let codec = ResourceCodec::new(&config_maps(), Representation::Protobuf);
    assert_interchangeable(&codec, 4, &plain, &marked);
}

#[test]
fn protobuf_bookmarks_of_pods_keep_what_follows_metadata() {
    let core = |metadata: Vec<u8>| [message(1, &metadata), hex(POD_REST)].concat();
    let zero = hex("0a00 1200 1a00 2200 2a00 3203 '785' 3800 4200");
    let mark = hex("6221 0a19 'k8s.io/initial-events-end' 1204 'true'");
    let frame = |metadata: Vec<u8>| {
        let event = protobuf_event("BOOKMARK", &envelope("v1", "Pod", &core(metadata)));
        [&(event.len() as u32).to_be_bytes()[..], &event].concat()
    };
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    let (plain, marked) = (frame(zero.clone()), frame([zero, mark].concat()));
    assert_interchangeable(&codec, 4, &plain, &marked);
    assert!(codec.synthesise_bookmark_template().is_none());
}

#[test]
fn protobuf_marks_stand_among_sorted_annotations() {
    let annotation = |key: &str, value: &str| {
        message(12, &[message(1, key.as_bytes()), message(2, value.as_bytes())].concat())
    };
    let zero = hex("0a00 1200 1a00 2200 2a00 3203 '785' 3800 4200");
    let generation = annotation("deprecated.daemonset.template.generation", "0");
    let later = annotation("z", "1");
    let mark = annotation("k8s.io/initial-events-end", "true");
    let finalizer = message(14, b"f");
    let frame = |metadata: &[Vec<u8>]| {
        let core = message(1, &metadata.concat());
        let event = protobuf_event("BOOKMARK", &envelope("apps/v1", "DaemonSet", &core));
        [&(event.len() as u32).to_be_bytes()[..], &event].concat()
    };
    let codec = ResourceCodec::new(&daemon_sets(), Representation::Protobuf);
    let [zero, generation, later, finalizer] = [zero, generation, later, finalizer];
    let plain = frame(&[zero.clone(), generation.clone(), later.clone(), finalizer.clone()]);
    let marked = frame(&[zero, generation, mark, later, finalizer]);
    assert_interchangeable(&codec, 4, &plain, &marked);
}

#[test]
fn metadata_shards_need_no_template() {
    let full = ResourceCodec::new(&pods(), Representation::Protobuf);
    let codec = ResourceCodec::new(&widgets(), Representation::ProtobufMetadata);
    let template = codec.synthesise_bookmark_template().unwrap();
    for mark in [false, true] {
        let made = codec.frame_bookmark(&template, version(785), mark, Form::Metadata);
        let read = bookmark_of(&codec, made.slice(4..));
        assert_eq!((read.resource_version, read.initial_events_end), (version(785), mark));
        assert_eq!(read.template, template);
        assert_eq!(made, full.frame_bookmark(&template, version(785), mark, Form::Metadata));
    }
}

#[test]
fn the_empty_list_that_goes_with_the_mark_in_1_33_is_in_no_template() {
    const LIST: &str = "kubernetes.io/initial-events-list-blueprint";
    let codec = ResourceCodec::new(&config_maps(), Representation::Json);
    let captured = format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"resourceVersion":"7","creationTimestamp":null,"annotations":{{"k8s.io/initial-events-end":"true","{LIST}":"eyJr"}}}}}}"#
    );
    let read = bookmark_of(&codec, json_event("BOOKMARK", &captured));
    assert!(read.initial_events_end);
    let plain = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"785","creationTimestamp":null}}"#;
    let made = codec.frame_bookmark(&read.template, version(785), false, Form::Full);
    assert_eq!(made, json_event("BOOKMARK", plain));

    let annotation = |key: &str, value: &str| {
        message(12, &[message(1, key.as_bytes()), message(2, value.as_bytes())].concat())
    };
    let zero = hex("0a00 1200 1a00 2200 2a00 3203 '785' 3800 4200");
    let mark = annotation("k8s.io/initial-events-end", "true");
    let frame = |metadata: &[Vec<u8>]| {
        let core = [message(1, &metadata.concat()), hex("1a00 2200")].concat();
        protobuf_event("BOOKMARK", &envelope("v1", "ConfigMap", &core))
    };
    let codec = ResourceCodec::new(&config_maps(), Representation::Protobuf);
    let with_list = frame(&[zero.clone(), mark.clone(), annotation(LIST, "azhz")]);
    let read = bookmark_of(&codec, with_list);
    assert!(read.initial_events_end);
    for (expected, marked) in
        [(frame(std::slice::from_ref(&zero)), false), (frame(&[zero, mark]), true)]
    {
        let made = codec.frame_bookmark(&read.template, version(785), marked, Form::Full);
        assert_eq!(made[4..], expected[..]);
    }
}
