//! The naive model, and the comparison of a map with it.

use std::{collections::BTreeMap, io::Read, ops::Bound, sync::Arc};

use bytes::{Buf, Bytes};
use compact_str::CompactString;
use flate2::read::GzDecoder;

use super::super::OrderedMap;
use crate::{
    api::{object_key::ObjectKey, version::ResourceVersion},
    codec::{
        gzip::{BlockDeflater, GzipJoin},
        item_join::ItemJoin,
        object::{Object, ObjectAttributes},
        segments::Segments,
    },
};

/// What the map must be indistinguishable from.
pub(super) type Model = BTreeMap<String, Object>;

/// An object of this key whose core has this length and tells its version.
pub(super) fn object(key: &str, length: usize, version: u64) -> Object {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    let text = format!("\"{key}@{version}\":");
    let core: Vec<u8> = text.bytes().cycle().take(length).collect();
    let label = (CompactString::from("app"), CompactString::from(name));
    Object {
        attributes: Arc::new(ObjectAttributes {
            key: ObjectKey::new(namespace, name),
            resource_version: ResourceVersion::new(version).unwrap(),
            labels: Arc::new([label]),
            fields: Box::default(),
            metadata: 0..0,
            resource_version_span: 0..0,
        }),
        core: Bytes::from(core),
    }
}

/// The items as a list has them, written down without any of the map's code.
fn naive_join<'a>(join: ItemJoin, objects: impl Iterator<Item = &'a Object>) -> Vec<u8> {
    let mut joined = Vec::new();
    for (index, object) in objects.enumerate() {
        match join {
            ItemJoin::Json if index > 0 => joined.extend_from_slice(b",{"),
            ItemJoin::Json => {}
            ItemJoin::Protobuf => {
                joined.push(0x12);
                let mut rest = object.core.len();
                while rest > 127 {
                    joined.push((rest % 128) as u8 + 128);
                    rest /= 128;
                }
                joined.push(rest as u8);
            }
        }
        joined.extend_from_slice(&object.core);
    }
    joined
}

/// Compares everything that does not take a range.
pub(super) fn check(map: &OrderedMap, model: &Model) {
    if let Some(root) = &map.root {
        root.assert_sound(map.join());
    }
    assert_eq!(map.len(), model.len());
    assert_eq!(map.is_empty(), model.is_empty());
    for (key, object) in model {
        assert_eq!(map.get(key), Some(object));
        assert_eq!(map.get(&format!("{key}-")), None);
    }
    assert_eq!(map.item_bytes(), naive_join(map.join(), model.values()).len() as u64);
    assert!(map.resident_bytes() >= map.item_bytes());
    check_range(map, model, Bound::Unbounded, Bound::Unbounded);
}

/// Compares everything that takes a range.
pub(super) fn check_range(
    map: &OrderedMap,
    model: &Model,
    start: Bound<&String>,
    end: Bound<&String>,
) {
    let range = (start.map(String::as_str), end.map(String::as_str));
    let inside = |key: &str| std::ops::RangeBounds::<str>::contains(&range, key);
    let expected: Vec<&Object> =
        model.iter().filter(|(key, _)| inside(key)).map(|(_, object)| object).collect();

    assert_eq!(map.range(range).len(), expected.len());
    assert!(map.range(range).eq(expected.iter().copied()));
    assert_eq!(map.count(range), expected.len());

    let mut owned = map.owned_range(range);
    let mut taken = Vec::new();
    while owned.remaining() > 0 {
        let batch = owned.next_batch(10_000);
        assert!(!batch.is_empty());
        assert!(
            batch.len() == 1 || batch.iter().map(|one| one.core.len()).sum::<usize>() <= 10_000
        );
        taken.extend(batch);
    }
    assert!(owned.next_batch(10_000).is_empty());
    assert!(taken.iter().eq(expected.iter().copied()));

    let joined = naive_join(map.join(), expected.into_iter());
    assert_eq!(map.bytes_in(range), joined.len() as u64);
    let (identity, gzip) = bodies(map, range);
    assert!(identity == joined, "identity bodies differ");
    assert!(gzip == joined, "gzip bodies differ");
}

/// The range as a reader of either body sees it.
fn bodies(map: &OrderedMap, range: (Bound<&str>, Bound<&str>)) -> (Vec<u8>, Vec<u8>) {
    let separator = map.join().separator();
    let (mut identity, mut gzip) = (Segments::new(), GzipJoin::new());
    let mut deflater = BlockDeflater::new();
    for (index, run) in map.pages(range).enumerate() {
        if index > 0 {
            identity.push(Bytes::from_static(separator));
            gzip.push_stored(separator);
        }
        let segments = run.segments();
        assert!(run.count() > 0 && segments.iter().all(|segment| !segment.is_empty()));
        assert_eq!(segments.iter().map(|segment| segment.len() as u64).sum::<u64>(), run.length());
        identity.extend(segments);
        gzip.push(&run.compress(&mut deflater));
        assert_eq!(run.deflated().is_some(), run.is_whole());
    }
    let mut inflated = Vec::new();
    GzDecoder::new(gzip.finish().reader()).read_to_end(&mut inflated).unwrap();
    (identity.copy_to_bytes(identity.len()).into(), inflated)
}
