//! Object events: what is read from them, and that they are written as they came.

use bytes::Bytes;

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    decode_error::DecodeError,
    object::{Object, Representation},
    watch_event::{EventKind, Form, WatchEvent},
};

const PARTIAL: &str =
    r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#;

fn text(bytes: &Bytes) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn reads_a_built_in_object() {
    let (codec, pod) = json_pod();
    let attributes = &pod.attributes;
    assert_eq!(attributes.key.as_str(), "default/a");
    assert_eq!(attributes.resource_version, version(811));
    assert_eq!(attributes.label("a"), Some("<1>"));
    assert_eq!(attributes.label("B"), Some("2"));
    assert_eq!(attributes.fields[..], ["n1", "false", "10.0.0.1", "", "Running"]);
    assert!(pod.metadata().starts_with(br#"{"name":"a","#));
    assert!(pod.metadata().ends_with(br#""f:metadata":{}}}]}"#));
    assert!(pod.core.starts_with(br#""metadata":"#));
    assert!(codec.offers(Form::Full) && codec.offers(Form::Metadata));
}

#[test]
fn reads_a_custom_object_and_keeps_its_numbers() {
    let (codec, widget) = json_widget();
    assert_eq!(widget.attributes.key.as_str(), "x/w");
    assert_eq!(widget.attributes.fields[..], ["3"]);
    assert_eq!(text(&codec.single(&widget, Form::Full)), format!("{WIDGET}\n"));
    assert!(codec.offers(Form::Full) && !codec.offers(Form::Metadata));
}

#[test]
fn reads_protobuf_fields() {
    let (_, pod) = protobuf_pod_object();
    assert_eq!(pod.attributes.key.as_str(), "default/a");
    assert_eq!(pod.attributes.resource_version, version(99));
    assert_eq!(pod.attributes.label("tier"), Some(""));
    assert_eq!(pod.attributes.fields[..], ["n1", "true", "10.0.0.1", "", "Running"]);
    assert_eq!(pod.metadata(), protobuf_metadata("99"));
    assert_eq!(pod.core, protobuf_pod("99"));
}

#[test]
fn writes_json_events_as_they_came() {
    for ((codec, object), source) in [(json_pod(), POD), (json_widget(), WIDGET)] {
        for kind in [EventKind::Added, EventKind::Modified, EventKind::Deleted] {
            let frame = codec.frame_event(kind, &object, Form::Full);
            assert_eq!(text(&frame), json_event(kind.as_str(), source));
            assert_eq!(object_of(&codec, frame), object);
        }
    }
}

#[test]
fn writes_json_metadata() {
    let (codec, pod) = json_pod();
    let metadata = pod.metadata();
    let expected = format!("{PARTIAL}{}}}", text(&metadata));
    assert_eq!(
        text(&codec.frame_event(EventKind::Modified, &pod, Form::Metadata)),
        json_event("MODIFIED", &expected)
    );
    assert_eq!(text(&codec.single(&pod, Form::Metadata)), format!("{expected}\n"));
    assert_eq!(text(&codec.metadata_item(&pod)), expected);
}

/// The length prefix and the frame.
fn prefixed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

#[test]
fn writes_protobuf_events_as_they_came() {
    let (codec, pod) = protobuf_pod_object();
    let frame = codec.frame_event(EventKind::Modified, &pod, Form::Full);
    let single = envelope("v1", "Pod", &protobuf_pod("99"));
    assert_eq!(frame, prefixed(&protobuf_event("MODIFIED", &single)));
    assert_eq!(object_of(&codec, frame.slice(4..)), pod);
    assert_eq!(codec.single(&pod, Form::Full), single);
}

#[test]
fn protobuf_metadata_made_from_a_full_object_is_that_of_a_metadata_watch() {
    let (codec, pod) = protobuf_pod_object();
    let raw = message(1, &protobuf_metadata("99"));
    let single = envelope("meta.k8s.io/v1", "PartialObjectMetadata", &raw);
    let expected = protobuf_event("DELETED", &single);
    let made = codec.frame_event(EventKind::Deleted, &pod, Form::Metadata);
    assert_eq!(made, prefixed(&expected));
    assert_eq!(codec.metadata_item(&pod), message(2, &raw));

    let watch = ResourceCodec::new(&pods(), Representation::ProtobufMetadata);
    let partial = object_of(&watch, expected);
    assert_eq!(watch.frame_event(EventKind::Deleted, &partial, Form::Metadata), made);
    assert_eq!(watch.single(&partial, Form::Metadata), codec.single(&pod, Form::Metadata));
    assert_eq!(watch.metadata_item(&partial), codec.metadata_item(&pod));
    assert!(!watch.offers(Form::Full) && watch.offers(Form::Metadata));
}

fn assert_departs(codec: &ResourceCodec, object: &Object) {
    for number in [1, 99, 100, 812, 18_446_744_073_709_551_615] {
        let frame = codec.frame_departure(object, version(number), Form::Full);
        let body = if codec.item_join() == crate::codec::item_join::ItemJoin::Json {
            frame.clone()
        } else {
            assert_eq!(frame[..4], (frame.len() as u32 - 4).to_be_bytes());
            frame.slice(4..)
        };
        let WatchEvent::Deleted(read) = codec.decode_watch_event(body).unwrap() else {
            panic!("not DELETED");
        };
        assert_eq!(read, codec.with_resource_version(object, version(number)));
        assert_eq!(read.resource_version(), version(number));
        // Nothing else has changed.
        assert_eq!(codec.with_resource_version(&read, object.resource_version()), *object);
    }
}

#[test]
fn a_departure_carries_the_previous_object_at_the_new_version() {
    let (codec, pod) = json_pod();
    assert_departs(&codec, &pod);
    let frame = codec.frame_departure(&pod, version(10_000), Form::Full);
    let expected = POD.replace(r#""resourceVersion":"811""#, r#""resourceVersion":"10000""#);
    assert_eq!(text(&frame), json_event("DELETED", &expected));

    let (codec, widget) = json_widget();
    assert_departs(&codec, &widget);
    let (codec, pod) = protobuf_pod_object();
    assert_departs(&codec, &pod);
    let moved = codec.with_resource_version(&pod, version(10_000));
    assert_eq!(moved.core, protobuf_pod("10000"));
}

/// ObjectMeta grows past 127 bytes, so its own length takes a byte more.
#[test]
fn a_departure_recomputes_protobuf_lengths() {
    for padding in 0..140 {
        let metadata = [
            message(1, b"a"),
            message(3, b"default"),
            message(6, b"9"),
            message(12, &[message(1, b"k"), message(2, &vec![b'v'; padding])].concat()),
        ]
        .concat();
        let codec = ResourceCodec::new(&config_maps(), Representation::Protobuf);
        let core = [message(1, &metadata), message(2, b"")].concat();
        let frame = protobuf_event("MODIFIED", &envelope("v1", "ConfigMap", &core));
        assert_departs(&codec, &object_of(&codec, frame));
    }
}

#[test]
fn reads_and_writes_errors() {
    let status = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 5 (640)","reason":"Expired","code":410}"#;
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    let frame = codec.frame_error(format!("{status}\n").as_bytes());
    assert_eq!(text(&frame), json_event("ERROR", status));
    let WatchEvent::Error(read) = codec.decode_watch_event(frame).unwrap() else { panic!() };
    assert_eq!((read.code, read.reason.as_str()), (410, "Expired"));
    assert_eq!(read.message, "too old resource version: 5 (640)");

    let golden = hex("00000063 0a05 'ERROR' 125a 0a58 6b387300 0a0c 0a02 'v1' 1206 'Status' 1240 \
         0a06 0a00 1200 1a00 1207 'Failure' 1a21 'too old resource version: 1 (840)' \
         2207 'Expired' 309a03 1a00 2200");
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    assert_eq!(codec.frame_error(&golden[4 + 11..]), golden);
    let read = codec.decode_watch_event(golden[4..].to_vec().into()).unwrap();
    let WatchEvent::Error(read) = read else { panic!() };
    assert_eq!((read.code, read.reason.as_str()), (410, "Expired"));
    assert_eq!(read.message, "too old resource version: 1 (840)");
}

#[test]
fn rejects_what_is_not_of_the_resource() {
    let json = ResourceCodec::new(&pods(), Representation::Json);
    let wrong =
        |object: String| json.decode_watch_event(json_event("ADDED", &object).into()).unwrap_err();
    let other_kind = POD.replacen("\"Pod\"", "\"Node\"", 1);
    assert_eq!(wrong(other_kind), DecodeError::WrongType { at: 25 });
    let swapped =
        POD.replacen(r#""kind":"Pod","apiVersion":"v1""#, r#""apiVersion":"v1","kind":"Pod""#, 1);
    assert_eq!(wrong(swapped), DecodeError::WrongType { at: 25 });
    let again = POD.replacen(r#""status":"#, r#""kind":"Pod","status":"#, 1);
    assert!(matches!(wrong(again), DecodeError::WrongType { .. }));

    let custom = ResourceCodec::new(&widgets(), Representation::Json);
    let event = json_event("ADDED", &WIDGET.replacen("com/v1", "com/v2", 1));
    let found = custom.decode_watch_event(event.into());
    assert!(matches!(found, Err(DecodeError::WrongType { .. })));

    let protobuf = ResourceCodec::new(&pods(), Representation::Protobuf);
    let event = protobuf_event("ADDED", &envelope("v1", "Node", &protobuf_pod("9")));
    let found = protobuf.decode_watch_event(event.into());
    assert!(matches!(found, Err(DecodeError::WrongType { .. })));
}

#[test]
fn rejects_protobuf_that_is_not_text_where_text_is_due() {
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    let metadata = [message(1, b"a\xff"), message(3, b"d"), message(6, b"9")].concat();
    let frame = protobuf_event("ADDED", &envelope("v1", "Pod", &message(1, &metadata)));
    let found = codec.decode_watch_event(frame.into());
    assert!(matches!(found, Err(DecodeError::NotUtf8 { .. })), "{found:?}");
}

/// With leading zeros its length could take more than the one byte that a departure rewrites.
#[test]
fn rejects_versions_that_are_spelled_otherwise() {
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    for zeros in [1, 130] {
        let version = [vec![b'0'; zeros], b"9".to_vec()].concat();
        let metadata = [message(1, b"a"), message(3, b"d"), message(6, &version)].concat();
        let frame = protobuf_event("ADDED", &envelope("v1", "Pod", &message(1, &metadata)));
        let expected = "a resourceVersion";
        let found = codec.decode_watch_event(frame.into());
        assert!(matches!(found, Err(DecodeError::Expected { expected: it, .. }) if it == expected));
    }
}

#[test]
fn daemon_set_metadata_is_not_cut_out() {
    // Their served annotations are not those of the stored object.
    let codec = ResourceCodec::new(&daemon_sets(), Representation::Json);
    assert!(codec.offers(Form::Full) && !codec.offers(Form::Metadata));
}

#[test]
fn rejects_control_bytes_and_broken_text_in_json() {
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    let event = json_event("ADDED", POD);
    let place = event.find("Running").unwrap();
    let read = |byte: u8| {
        let mut changed = event.clone().into_bytes();
        changed[place] = byte;
        codec.decode_watch_event(changed.into())
    };
    assert!(read(b'r').is_ok());
    assert_eq!(read(b'\n'), Err(DecodeError::ControlByte { at: place }));
    assert_eq!(read(0), Err(DecodeError::ControlByte { at: place }));
    assert_eq!(read(0xff), Err(DecodeError::NotUtf8 { at: place }));
}

#[test]
fn the_core_shares_the_frame() {
    let (codec, _) = json_pod();
    let frame = Bytes::from(json_event("ADDED", POD));
    let pod = object_of(&codec, frame.clone());
    assert!(frame.as_ptr_range().contains(&pod.core.as_ptr()));
}

#[test]
fn a_metadata_shard_reads_no_fields() {
    let codec = ResourceCodec::new(&pods(), Representation::ProtobufMetadata);
    let raw = message(1, &protobuf_metadata("99"));
    let single = envelope("meta.k8s.io/v1", "PartialObjectMetadata", &raw);
    let partial = object_of(&codec, protobuf_event("ADDED", &single));
    assert_eq!(partial.attributes.fields[..], ["", "false", "", "", ""]);
}
