//! Walking over the objects of a range: [`Iter`] borrows a map, [`OwnedRange`] holds a version.
//!
//! Both are a pair of ranks: a version never changes, so ranks stay true, and the next group of
//! objects is one descent away. Neither blocks a writer; an [`OwnedRange`] keeps its version's
//! memory for as long as it lives.

use std::iter::FusedIterator;

use super::{OrderedMap, node::Node};
use crate::codec::object::Object;

/// The objects of a range in key order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    root: Option<&'a Node>,
    /// Objects already found but not yielded.
    group: std::slice::Iter<'a, Object>,
    /// The rank after those in `group`.
    next: usize,
    end: usize,
}

/// The objects of a range in one version, for a reader that takes them bit by bit.
#[derive(Clone, Debug)]
pub struct OwnedRange {
    version: OrderedMap,
    next: usize,
    end: usize,
}

// === impl Iter ===

impl<'a> Iter<'a> {
    pub(super) fn new(root: Option<&'a Node>, next: usize, end: usize) -> Self {
        Self { root, group: [].iter(), next, end }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Object;

    fn next(&mut self) -> Option<&'a Object> {
        loop {
            if let Some(object) = self.group.next() {
                return Some(object);
            }
            let root = self.root.filter(|_| self.next < self.end)?;
            let located = root.locate_rank(self.next);
            let group = located.page.objects().group_from(self.next - located.before.count);
            let group = &group[..group.len().min(self.end - self.next)];
            self.next += group.len();
            self.group = group.iter();
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.group.len() + (self.end - self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}

// === impl OwnedRange ===

impl OwnedRange {
    pub(super) const fn new(version: OrderedMap, next: usize, end: usize) -> Self {
        Self { version, next, end }
    }

    /// The next objects in key order, as many as have at most `max_bytes` of cores together, but
    /// at least one; empty at the end.
    pub fn next_batch(&mut self, max_bytes: usize) -> Vec<Object> {
        let mut bytes = 0;
        let batch: Vec<Object> = Iter::new(self.version.root.as_ref(), self.next, self.end)
            .enumerate()
            .take_while(|(index, object)| {
                bytes += object.core.len();
                *index == 0 || bytes <= max_bytes
            })
            .map(|(_, object)| object.clone())
            .collect();
        self.next += batch.len();
        batch
    }

    /// The number of objects not yet taken.
    pub const fn remaining(&self) -> usize {
        self.end - self.next
    }
}
