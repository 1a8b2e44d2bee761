//! Damaged input: every prefix of what is valid is an error, and no change panics.

use bytes::Bytes;
use proptest::prelude::*;

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    object::Representation,
    watch_event::{EventKind, Form},
};

/// Valid frames, each with its codec and whether it is a list.
fn valid() -> Vec<(ResourceCodec, Bytes, bool)> {
    let (json, pod) = json_pod();
    let (custom, widget) = json_widget();
    let (protobuf, binary) = protobuf_pod_object();
    let bookmark = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"785","annotations":{"a":"b"}},"status":{}}"#;
    let status =
        r#"{"kind":"Status","apiVersion":"v1","message":"m","reason":"Expired","code":410}"#;
    let list = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"metadata":{"name":"a","namespace":"b","resourceVersion":"1"}}]}"#;
    let binary_list = envelope(
        "v1",
        "PodList",
        &[message(1, &message(2, b"783")), message(2, &protobuf_pod("99"))].concat(),
    );
    let metadata = ResourceCodec::new(&pods(), Representation::ProtobufMetadata);
    let template = metadata.synthesise_bookmark_template().unwrap();
    let marked = metadata.frame_bookmark(&template, version(9), true, Form::Metadata).slice(4..);
    let line = |bytes: Bytes| bytes.slice(..bytes.len() - 1);
    let frame = protobuf.frame_event(EventKind::Added, &binary, Form::Full).slice(4..);
    vec![
        (json.clone(), line(json.frame_event(EventKind::Added, &pod, Form::Full)), false),
        (json.clone(), line(json_event("BOOKMARK", bookmark).into()), false),
        (json.clone(), line(json_event("ERROR", status).into()), false),
        (json, list.into(), true),
        (custom.clone(), line(custom.frame_event(EventKind::Deleted, &widget, Form::Full)), false),
        (protobuf.clone(), frame, false),
        (protobuf, binary_list.into(), true),
        (metadata, marked, false),
    ]
}

fn is_read(codec: &ResourceCodec, bytes: Bytes, is_list: bool) -> bool {
    if is_list {
        codec.decode_list_page(bytes).is_ok()
    } else {
        codec.decode_watch_event(bytes).is_ok()
    }
}

#[test]
fn every_prefix_of_a_valid_frame_is_an_error() {
    for (codec, bytes, is_list) in valid() {
        assert!(is_read(&codec, bytes.clone(), is_list));
        // In protobuf, a prefix that ends between two fields of the outermost message is itself a
        // message: the envelope's trailing empty strings, or a whole event before its object.
        let spared = if bytes.starts_with(b"k8s\0") { bytes.len() - 4 } else { bytes.len() };
        for length in 0..spared {
            assert!(!is_read(&codec, bytes.slice(..length), is_list), "{length} of {bytes:?}");
        }
    }
}

#[test]
fn no_changed_byte_makes_it_panic() {
    for (codec, bytes, is_list) in valid() {
        for position in 0..bytes.len() {
            for value in [0, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'}', b'[', b',', b'1'] {
                let mut changed = bytes.to_vec();
                changed[position] = value;
                is_read(&codec, changed.into(), is_list);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (codec, _, is_list) in valid() {
            is_read(&codec, bytes.clone().into(), is_list);
        }
    }

    /// As above, past the envelope.
    #[test]
    fn no_protobuf_object_makes_it_panic(
        metadata in prop::collection::vec(any::<u8>(), 0..60),
        rest in prop::collection::vec(any::<u8>(), 0..60),
        kind in prop::sample::select(vec!["ADDED", "BOOKMARK", "ERROR"]),
    ) {
        let core = [message(1, &metadata), rest].concat();
        let of = if kind == "ERROR" { "Status" } else { "Pod" };
        let frame = protobuf_event(kind, &envelope("v1", of, &core));
        is_read(&ResourceCodec::new(&pods(), Representation::Protobuf), frame.into(), false);
    }
}

#[test]
fn errors_do_not_show_content() {
    let codec = ResourceCodec::new(&config_maps(), Representation::Json);
    let frame = json_event(
        "ADDED",
        r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"hush","resourceVersion":"hush"}}"#,
    );
    let error = codec.decode_watch_event(frame.into()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
    assert_eq!(error.to_string(), "expected a resourceVersion at byte 107");
}
