//! The naive model, and the comparison of a map with it.

use std::{
    collections::BTreeMap,
    io::Read,
    ops::{Bound, ControlFlow},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use compact_str::{CompactString, format_compact};
use flate2::read::GzDecoder;

use super::super::{Column, OrderedMap, Term};
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
    let turn = (CompactString::from("turn"), format_compact!("{}", version % 5));
    Object {
        attributes: Arc::new(ObjectAttributes {
            key: ObjectKey::new(namespace, name),
            resource_version: ResourceVersion::new(version).unwrap(),
            labels: if version.is_multiple_of(3) {
                Arc::new([label])
            } else {
                Arc::new([label, turn])
            },
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

/// Makes what a reader leaves behind in a map: it must not outlive a change.
pub(super) fn read(map: &OrderedMap, deflater: &mut BlockDeflater) {
    map.pending_pages(..).for_each(|run| drop(run.compress(deflater)));
    for term in terms() {
        search(map, &term, (Bound::Unbounded, Bound::Unbounded));
    }
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

    for term in terms() {
        let found: Vec<&Object> = search(map, &term, range);
        let holds = |object: &&Object| term.column.value(&object.attributes) == Some(&term.value);
        assert!(found.into_iter().eq(expected.iter().copied().filter(holds)), "{term:?}");
    }
    check_fronts(map, range, &expected);

    let joined = naive_join(map.join(), expected.into_iter());
    assert_eq!(map.bytes_in(range), joined.len() as u64);
    let (identity, gzip) = bodies(map, range);
    assert!(identity == joined, "identity bodies differ");
    assert!(gzip == joined, "gzip bodies differ");
}

/// Terms that none, few or many objects have.
fn terms() -> impl Iterator<Item = Term> {
    let label = |key: &str| Column::Label(key.into());
    [
        (label("turn"), "3"),
        (label("turn"), ""),
        (label("app"), "name-17"),
        (label("none"), "3"),
        (Column::Name, "name-18"),
        (Column::Namespace, "ns-2"),
        (Column::Field(0), ""),
        (Column::Field(0), "x"),
    ]
    .into_iter()
    .map(|(column, value)| Term { column, value: value.into() })
}

/// All objects of the range that have the term, and the first of them alone.
pub(super) fn search<'a>(
    map: &'a OrderedMap,
    term: &Term,
    range: (Bound<&str>, Bound<&str>),
) -> Vec<&'a Object> {
    let (mut found, mut first) = (Vec::new(), None);
    let searched = map.search(term, range, usize::MAX, |rank, object| {
        assert_eq!(rank, map.count((Bound::Unbounded, Bound::Excluded(object.key().as_str()))));
        found.push(object);
        ControlFlow::Continue(())
    });
    assert_eq!(searched, Ok(()));
    let searched = map.search(term, range, usize::MAX, |rank, object| {
        assert_eq!(rank, map.count((Bound::Unbounded, Bound::Excluded(object.key().as_str()))));
        assert!(first.replace(object).is_none(), "shown after the visitor had enough");
        ControlFlow::Break(())
    });
    assert_eq!((searched, first), (Ok(()), found.first().copied()));
    found
}

/// Compares beginnings of a range.
fn check_fronts(map: &OrderedMap, range: (Bound<&str>, Bound<&str>), expected: &[&Object]) {
    for limit in [1, 7, expected.len(), usize::MAX] {
        let front = map.front(range, limit);
        let shown = limit.min(expected.len());
        assert_eq!(front.pages.map(|run| run.count()).sum::<usize>(), shown);
        let rest = front.rest.map(|rest| (rest.after, rest.count));
        let left = expected.len() - shown;
        let after = expected[..shown].last().filter(|_| left > 0);
        assert_eq!(rest, after.map(|last| (last.key().clone(), left)));
    }
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
