//! [`Content`]: what a whole body consists of, of which a list's items become bytes when they are due.
//!
//! Guarantees: its length is known from the beginning, and it reads as if all of it had been made at
//! once. What is made ahead is less than one page of the map. So neither the thread that answers, nor
//! the memory of an answer that its client does not take, pays for all of a list's segments at once. It
//! knows nothing of frames' lengths and counts nothing.
//!
//! Hot path: every byte of a whole body passes through here.

use bytes::Bytes;

use super::list::Items;
use crate::codec::segments::Segments;

/// The content of a body (see the module).
#[derive(Clone, Debug, Default)]
pub struct Content {
    made: Segments,
    /// What follows; boxed, since only lists have it and watches are bodies, too.
    due: Option<Box<Due>>,
    /// Bytes of both.
    length: usize,
}

/// The rest of a list.
#[derive(Clone, Debug)]
struct Due {
    items: Items,
    tail: Bytes,
}

// === impl Content ===

impl Content {
    /// A list.
    pub(super) fn of_list(head: Bytes, items: Items, tail: Bytes) -> Self {
        let length = head.len() + items.length() + tail.len();
        Self { made: head.into(), due: Some(Box::new(Due { items, tail })), length }
    }

    /// The number of bytes not yet taken.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether everything is taken, or there never was anything.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes the first `length` bytes off; all of them if there are fewer.
    #[must_use]
    pub fn split_to(&mut self, length: usize) -> Segments {
        while self.made.len() < length
            && let Some(due) = &mut self.due
        {
            if !due.items.make_next(&mut self.made) {
                self.made.push(std::mem::take(&mut due.tail));
                self.due = None;
            }
        }
        let front = if self.made.len() <= length {
            std::mem::take(&mut self.made)
        } else {
            self.made.split_to(length)
        };
        self.length -= front.len();
        front
    }

    /// All of it, made now.
    pub fn into_segments(mut self) -> Segments {
        self.split_to(usize::MAX)
    }
}

impl From<Segments> for Content {
    fn from(made: Segments) -> Self {
        Self { length: made.len(), made, due: None }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::{
        api::{
            options::{ListOptions, ListRequest},
            query::Query,
            resource::Scope,
        },
        cache::{
            fixture::{audience, line, pods, version},
            map::OrderedMap,
            watch_cache::Snapshot,
        },
        codec::{
            ResourceCodec,
            object::{Object, Representation},
            watch_event::{Form, WatchEvent},
        },
        gateway::list::{List, list},
    };

    /// Enough for some pages of objects that are taken apart when they change.
    const PODS: usize = 60;

    fn codec(representation: Representation) -> ResourceCodec {
        ResourceCodec::new(&pods(), representation)
    }

    /// As JSON. A list of any representation takes it for what it is, bytes with attributes.
    fn object(number: usize, fill: &str) -> Object {
        let tier = number % 3;
        let json = format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"p{number:03}","namespace":"a","resourceVersion":"7","labels":{{"tier":"{tier}"}}}},"spec":{{"x":"{}"}}}}"#,
            fill.repeat(5_000 + number)
        );
        match codec(Representation::Json).decode_watch_event(line("ADDED", &json)).unwrap() {
            WatchEvent::Added(object) => object,
            other => panic!("{other:?} is no ADDED"),
        }
    }

    /// Pods, of which every `changed`-th was written again after the pages were.
    fn snapshot(codec: &ResourceCodec, changed: usize) -> Snapshot {
        let all = (0..PODS).map(|number| object(number, "x"));
        let mut objects = OrderedMap::from_objects(codec.item_join(), all.collect());
        for number in (0..PODS).step_by(changed) {
            objects.insert(object(number, "y"));
        }
        Snapshot { objects, resource_version: version(100), generation: 1, template: None }
    }

    fn of(codec: &ResourceCodec, changed: usize, (labels, limit, form): (&str, u64, Form)) -> List {
        let query = format!("labelSelector={labels}&limit={limit}");
        let options = ListOptions::decode(&Query::parse(Some(&query)).unwrap()).unwrap();
        let request = ListRequest::resolve(&options, &pods().fields).unwrap();
        let mut audience = audience("a", "", "");
        (audience.selection, audience.form) = (request.selection.clone(), form);
        list(&snapshot(codec, changed), codec, Scope::Namespaced, &request, &audience)
    }

    const ASKED: [(&str, u64, Form); 7] = [
        ("", 0, Form::Full),
        ("", 31, Form::Full),
        ("tier%3D1", 0, Form::Full),
        ("tier%21%3D1", 7, Form::Full),
        ("tier%3Dnone", 0, Form::Full),
        ("", 0, Form::Metadata),
        ("tier%3D1", 0, Form::Metadata),
    ];

    fn flat(segments: &Segments) -> Vec<u8> {
        segments.iter().flat_map(|segment| segment.to_vec()).collect()
    }

    /// Against the compressed form of the pages, which is joined from other parts.
    #[test]
    fn reads_in_frames_as_it_would_all_at_once() {
        for changed in [1, 5, PODS] {
            for (representation, asked) in [Representation::Json, Representation::Protobuf]
                .into_iter()
                .flat_map(|one| ASKED.map(|asked| (one, asked)))
            {
                let codec = codec(representation);
                let list = of(&codec, changed, asked);
                let whole = flat(&list.clone().plain().into_segments());
                if representation == Representation::Json {
                    let body: serde_json::Value = serde_json::from_slice(&whole).unwrap();
                    let mut items = body["items"].as_array().unwrap().iter();
                    assert!(items.all(|item| item["metadata"]["namespace"] == "a"));
                }
                let mut inflated = Vec::new();
                let compressed = flat(&list.clone().compressed());
                GzDecoder::new(&*compressed).read_to_end(&mut inflated).unwrap();
                assert!(inflated == whole, "{asked:?}");
                for frame in [1_000, 16_375, 65_536, usize::MAX] {
                    let (mut content, mut read) = (list.clone().plain(), Vec::new());
                    while !content.is_empty() {
                        assert_eq!(content.len(), whole.len() - read.len());
                        let front = content.split_to(frame);
                        assert_eq!(front.len(), frame.min(whole.len() - read.len()));
                        read.extend(flat(&front));
                    }
                    assert!(read == whole, "{asked:?} in frames of {frame}");
                    assert!(content.split_to(frame).is_empty());
                }
            }
        }
    }

    /// A list whose objects all changed has two segments for each.
    #[test]
    fn no_more_is_made_than_is_due() {
        let codec = codec(Representation::Json);
        for asked in [("", 0, Form::Full), ("tier", 0, Form::Full)] {
            let mut content = of(&codec, 1, asked).plain();
            assert_eq!(content.made.segment_count(), 1, "the head");
            while content.len() > 200_000 {
                let _taken = content.split_to(16_375);
                assert!(content.made.len() < 96 << 10, "a page");
                assert!(content.made.segment_count() < 40);
            }
            let all = of(&codec, 1, asked).plain().into_segments();
            assert!(all.segment_count() >= 2 * PODS);
        }
    }
}
