//! Objects at the limits: kept byte for byte, or refused so that the shard's requests are forwarded.

use bytes::Bytes;

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    decode_error::DecodeError,
    object::Representation,
    watch_event::{EventKind, Form, WatchEvent},
};

/// A Pod with these members of its metadata and at its top level, as an event.
fn json_with(metadata: &str, rest: &str) -> Bytes {
    let named = r#""name":"a","namespace":"b","resourceVersion":"7""#;
    let pod =
        format!(r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{{named}{metadata}}}{rest}}}"#);
    json_event("ADDED", &pod).into()
}

fn read_json(frame: &Bytes) -> Result<WatchEvent, DecodeError> {
    let line = frame.slice(..frame.len() - 1);
    ResourceCodec::new(&pods(), Representation::Json).decode_watch_event(line)
}

/// Reads an event, and writes it again.
fn assert_kept(frame: &Bytes) -> usize {
    let WatchEvent::Added(object) = read_json(frame).unwrap() else { panic!("not ADDED") };
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    assert!(codec.frame_event(EventKind::Added, &object, Form::Full) == frame, "not as it came");
    object.attributes.labels.len()
}

#[test]
fn large_json_objects_are_kept() {
    // What etcd takes by default, and ten times as much.
    for length in [3 << 19, 15 << 20] {
        assert_kept(&json_with("", &format!(r#","data":"{}""#, "x".repeat(length))));
    }
    let labels: Vec<_> = (0..10_000).map(|number| format!(r#""k{number}":"{number}""#)).collect();
    assert_eq!(
        assert_kept(&json_with(&format!(r#","labels":{{{}}}"#, labels.join(",")), "")),
        10_000
    );
}

#[test]
fn spellings_of_json_are_kept() {
    for value in [
        "9007199254740993",
        "-9223372036854775809",
        "123456789012345678901234567890.000",
        "1e999",
        "-0",
        "0.1E-7",
        r#""\u00e9\ud83d\ude00\/""#,
        r#""\ud800""#,
        "\"\u{10ffff}\u{7f}\u{2028}\"",
        r#"{"":{"":[]},"a":1,"a":2}"#,
        "[ 1 , 2 ]",
    ] {
        assert_kept(&json_with("", &format!(r#","data":{value}"#)));
    }
}

/// The API server stores ten times as deep. It needs no stack to find out.
#[test]
fn deep_json_is_kept_up_to_a_bound() {
    let nested = |open: &str, close: &str, depth: usize| {
        json_with("", &format!(r#","data":{}0{}"#, open.repeat(depth), close.repeat(depth)))
    };
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        assert_kept(&nested(open, close, 999));
        for depth in [1_000, 10_000, 1_000_000] {
            let found = read_json(&nested(open, close, depth));
            assert!(matches!(found, Err(DecodeError::TooDeep { .. })), "{depth}: {found:?}");
        }
    }
}

#[test]
fn json_that_is_not_text_is_refused() {
    for bytes in [&b"\xff"[..], b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        let frame = [&b"{\"type\":\"ADDED\",\"object\":\""[..], bytes, b"\"}"].concat();
        let codec = ResourceCodec::new(&pods(), Representation::Json);
        let found = codec.decode_watch_event(frame.into());
        assert!(matches!(found, Err(DecodeError::NotUtf8 { .. })), "{bytes:x?}: {found:?}");
    }
}

/// Go writes any bytes as a protobuf string. Those that are looked at must be text; the others pass.
#[test]
fn protobuf_strings_that_are_not_text_are_kept_where_nobody_looks() {
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    let event = |field: u8, key: &[u8]| {
        let entry = [message(1, key), message(2, b"\xfe")].concat();
        let named = [message(1, b"a"), message(3, b"b"), message(6, b"7"), message(field, &entry)];
        let pod = [message(1, &named.concat()), message(9, b"\xff\xff")].concat();
        Bytes::from(protobuf_event("ADDED", &envelope("v1", "Pod", &pod)))
    };
    let annotated = event(12, b"\xff");
    let WatchEvent::Added(object) = codec.decode_watch_event(annotated.clone()).unwrap() else {
        panic!("not ADDED")
    };
    assert_eq!(codec.frame_event(EventKind::Added, &object, Form::Full).slice(4..), annotated);
    let labelled = codec.decode_watch_event(event(11, b"k"));
    assert!(matches!(labelled, Err(DecodeError::NotUtf8 { .. })), "{labelled:?}");
}
