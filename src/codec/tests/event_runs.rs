//! Runs of events: the bytes of single frames, with the objects' own shared.

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    event_frames::EventRun,
    object::Object,
    watch_event::{EventKind, Form},
};

/// The sample pod with an annotation that makes it long.
fn long(codec: &ResourceCodec) -> Object {
    let pad = "x".repeat(3000);
    let pod =
        POD.replacen(r#""metadata":{"#, &format!(r#""metadata":{{"generateName":"{pad}","#), 1);
    codec.decode_object(pod.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn are_the_frames_one_after_the_other() {
    let forms = [Form::Full, Form::Metadata];
    for (codec, short) in [json_pod(), json_widget(), protobuf_pod_object()] {
        for form in forms.into_iter().filter(|form| codec.offers(*form)) {
            let mut run = EventRun::default();
            let mut expected = Vec::new();
            for kind in [EventKind::Added, EventKind::Modified, EventKind::Deleted] {
                run.push(&codec, kind, &short, form);
                expected.extend_from_slice(&codec.frame_event(kind, &short, form));
            }
            let segments = run.finish();
            assert_eq!(segments.segment_count(), 1, "short objects are joined");
            assert_eq!(segments.iter().flatten().copied().collect::<Vec<_>>(), expected);
        }
    }
    assert!(EventRun::default().finish().is_empty());
}
