//! Runs of events: the bytes of single frames, with those of long objects shared.

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    event_frames::EventRun,
    object::Object,
    watch_event::{EventKind, Form},
};

const KINDS: [EventKind; 3] = [EventKind::Added, EventKind::Modified, EventKind::Deleted];

/// The run's frames in pieces, which must read as the single frames do.
fn run(codec: &ResourceCodec, objects: &[&Object], form: Form) -> Vec<bytes::Bytes> {
    let mut run = EventRun::default();
    let mut expected = Vec::new();
    for object in objects {
        for kind in KINDS {
            run.push(codec, kind, object, form);
            expected.extend_from_slice(&codec.frame_event(kind, object, form));
        }
    }
    let segments = run.finish();
    let pieces: Vec<_> = segments.iter().cloned().collect();
    assert_eq!(pieces.concat(), expected);
    pieces
}

#[test]
fn short_objects_are_joined() {
    for (codec, object) in [json_pod(), json_widget(), protobuf_pod_object()] {
        for form in [Form::Full, Form::Metadata].into_iter().filter(|form| codec.offers(*form)) {
            assert_eq!(run(&codec, &[&object, &object], form).len(), 1);
        }
    }
    assert!(EventRun::default().finish().is_empty());
}

#[test]
fn long_objects_are_shared() {
    let (codec, short) = json_pod();
    let named = format!(r#""name":"a","generateName":"{}","#, "x".repeat(3000));
    let long = POD.replacen(r#""name":"a","#, &named, 1);
    let long = object_of(&codec, json_event("ADDED", &long));
    for form in [Form::Full, Form::Metadata] {
        let pieces = run(&codec, &[&short, &long, &short], form);
        assert_eq!(pieces.len(), 7, "three times the object, and what stands around them");
        let core = long.core.as_ptr_range();
        for piece in pieces.iter().skip(1).step_by(2) {
            assert!(core.contains(&piece.as_ptr()) && piece.len() > 3000);
        }
    }
}
