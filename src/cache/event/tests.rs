//! Which event type a selection sees, and in which bytes (semantics §5.3).

use super::*;
use crate::{
    cache::fixture::{Pod, audience, codec, version},
    codec::{frame_decoder::FrameDecoder, object::Representation},
};

fn set(object: &Pod, previous: Option<&Pod>) -> Event {
    let (object, previous) = (object.object(), previous.map(Pod::object));
    Event::new(Change::Set { object, previous })
}

fn deletion(at: u64, previous: &Pod) -> Event {
    let object = Pod { version: at, ..previous.clone() }.object();
    Event::new(Change::Deleted { object, previous: previous.object() })
}

#[test]
fn a_selection_sees_objects_come_change_and_go() {
    let inside = |number| Pod::new("ns", "a", number).label("app", "web");
    let outside = |number| Pod::new("ns", "a", number);
    let selected = audience("", "app=web", "");
    for (event, expected) in [
        (set(&inside(9), None), Some(EventKind::Added)),
        (set(&outside(9), None), None),
        (set(&inside(9), Some(&outside(5))), Some(EventKind::Added)),
        (set(&inside(9), Some(&inside(5))), Some(EventKind::Modified)),
        (set(&outside(9), Some(&inside(5))), Some(EventKind::Deleted)),
        (set(&outside(9), Some(&outside(5))), None),
        (deletion(9, &inside(5)), Some(EventKind::Deleted)),
        (deletion(9, &outside(5)), None),
    ] {
        assert_eq!(event.seen_through(&selected), expected, "{event:?}");
        assert_eq!(event.resource_version(), version(9));
        assert_eq!(event.seen_through(&audience("other", "", "")), None);
    }
}

#[test]
fn the_last_change_decides_and_not_the_deletion() {
    // Upstream's DELETED carries the last content; were it another, the state before counts.
    let previous = Pod::new("ns", "a", 5);
    let object = Pod::new("ns", "a", 9).label("app", "web").object();
    let event = Event::new(Change::Deleted { object, previous: previous.object() });
    assert_eq!(event.seen_through(&audience("", "app=web", "")), None);
    assert_eq!(event.seen_through(&audience("", "!app", "")), Some(EventKind::Deleted));
}

#[test]
fn a_departure_is_the_previous_object_at_the_version_of_the_event() {
    let codec = codec();
    let previous = Pod::new("ns", "a", 5).label("app", "web").node("n1");
    let event = set(&Pod::new("ns", "a", 1234).node("n2"), Some(&previous));
    let frame = |kind| event.frame(kind, Form::Full, &codec).clone();
    let expected = format!(r#"{{"type":"DELETED","object":{}}}"#, previous.json_at(1234));
    assert_eq!(frame(EventKind::Deleted), expected + "\n");
    let now = Pod::new("ns", "a", 1234).node("n2").json();
    let expected = format!(r#"{{"type":"MODIFIED","object":{now}}}"#);
    assert_eq!(frame(EventKind::Modified), expected + "\n");
    let expected = format!(r#"{{"type":"ADDED","object":{now}}}"#);
    assert_eq!(frame(EventKind::Added), expected + "\n");
    let metadata = event.frame(EventKind::Deleted, Form::Metadata, &codec);
    let metadata = std::str::from_utf8(metadata).unwrap();
    assert!(metadata.contains(r#""kind":"PartialObjectMetadata""#), "{metadata}");
    assert!(metadata.contains(r#""resourceVersion":"1234""#), "{metadata}");
    assert!(metadata.contains(r#""app":"web""#), "{metadata}");
}

#[test]
fn frames_are_made_once() {
    let codec = codec();
    let event = set(&Pod::new("ns", "a", 9), None);
    let first = event.frame(EventKind::Added, Form::Full, &codec).as_ptr();
    assert_eq!(event.frame(EventKind::Added, Form::Full, &codec).as_ptr(), first);
}

#[test]
fn a_creation_asked_for_as_a_departure_is_no_panic() {
    let codec = codec();
    let event = set(&Pod::new("ns", "a", 9), None);
    let frame = event.frame(EventKind::Deleted, Form::Full, &codec);
    assert!(frame.starts_with(br#"{"type":"DELETED""#));
}

#[test]
fn upstreams_own_frame_is_sent_on_and_no_other() {
    let codec = codec();
    let pod = Pod::new("ns", "a", 9);
    let mut decoder = FrameDecoder::new(Representation::Json, 1 << 20);
    let line = format!("{{\"type\":\"MODIFIED\",\"object\":{}}}\n", pod.json());
    decoder.push(Bytes::from(line.clone()));
    let received = codec.decode_frame(decoder.next_wire_frame().unwrap().unwrap()).unwrap();
    let frame = received.frame.expect("just as it would be made");
    let change = Change::Set { object: pod.object(), previous: Some(pod.object()) };
    let event = Event::new(change).framed(EventKind::Modified, Form::Full, frame.clone());
    let sent = event.frame(EventKind::Modified, Form::Full, &codec);
    assert_eq!((sent.as_ptr(), &sent[..]), (frame.as_ptr(), line.as_bytes()));
    for (kind, form) in [(EventKind::Added, Form::Full), (EventKind::Modified, Form::Metadata)] {
        assert_ne!(event.frame(kind, form, &codec).as_ptr(), frame.as_ptr());
    }
}
