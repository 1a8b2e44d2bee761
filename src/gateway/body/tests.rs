//! What a long body keeps alive until its last byte is written.

use std::sync::Arc;

use super::*;
use crate::{
    net::cutter::Cutter,
    shards::readers::{Readers, SILENCE},
};

const FRAME: usize = 10_000;

/// Bytes that tell whether anybody has them.
struct Owned(Vec<u8>, #[expect(dead_code, reason = "it is counted")] Arc<()>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn segments(length: usize, held: &Arc<()>) -> Segments {
    let bytes = (0..length).map(|place| place as u8).collect();
    Bytes::from_owner(Owned(bytes, Arc::clone(held))).into()
}

/// A body's frames, of which it has given the last.
fn frames(mut body: ResponseBody) -> Vec<Segments> {
    let ResponseBody::Whole(body) = &mut body else { panic!("a whole body") };
    std::iter::from_fn(|| body.next_frame()).collect()
}

fn flat(frames: &[Segments]) -> Vec<u8> {
    frames.iter().flat_map(Segments::iter).flat_map(|segment| segment.to_vec()).collect()
}

#[test]
fn a_body_is_enrolled_until_its_last_frame_is_written() {
    let (readers, cutter) = (Arc::<Readers>::default(), Cutter::default());
    let enrolment = Enrolment::new(Arc::clone(&readers), cutter.clone());
    for holding in [Holding::Alone(25_000), Holding::Events { turnover: Arc::default(), since: 0 }]
    {
        let body = ResponseBody::whole(segments(25_000, &Arc::default()), FRAME);
        let body = body.enrolled(Some(&enrolment), |_| holding);
        let mut sent = frames(body);
        assert_eq!(sent.iter().map(Segments::len).collect::<Vec<_>>(), [FRAME, FRAME, 5000]);
        assert_eq!(flat(&sent), flat(&[segments(25_000, &Arc::default())]));
        let last = sent.pop();
        drop(sent);
        assert_eq!(readers.len(), 1, "handed over, not written");
        drop(last);
        assert!(readers.is_empty());
    }
    let body = ResponseBody::whole(segments(25_000, &Arc::default()), FRAME);
    let sent = frames(body.enrolled(Some(&enrolment), Holding::Alone));
    let begun = std::time::Instant::now();
    readers.relieve(u64::MAX, u64::MAX, begun);
    readers.relieve(u64::MAX, u64::MAX, begun + SILENCE);
    assert!(cutter.is_cut(), "it can still be cut off");
    drop(sent);
}

#[test]
fn the_last_frame_keeps_no_more_alive_than_itself() {
    let readers = Arc::<Readers>::default();
    let enrolment = Enrolment::new(Arc::clone(&readers), Cutter::default());
    for enrolment in [None, Some(&enrolment)] {
        let held = Arc::new(());
        let body = ResponseBody::whole(segments(25_000, &held), FRAME);
        let last = frames(body.enrolled(enrolment, Holding::Alone)).pop();
        assert_eq!(Arc::strong_count(&held), 1, "the room of a long body is free");
        drop(last);
        let body = ResponseBody::whole(segments(20_000, &held), 20_000);
        let last = frames(body.enrolled(enrolment, Holding::Alone)).pop();
        assert_eq!(Arc::strong_count(&held), 2, "a body of one frame is as long as that");
        drop(last);
    }
}
