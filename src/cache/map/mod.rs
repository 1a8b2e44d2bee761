//! [`OrderedMap`]: a persistent, ordered map from key to object, made to be listed.
//!
//! A clone is a version: it costs one reference count, never changes, and never stands in the way
//! of the writer. A change after a clone copies one path of small nodes (a few KiB), no object
//! bytes. Neighbouring objects share a page whose buffer holds their items joined, and each page
//! keeps its items deflated from the first request for them until it is changed. See `page` for
//! how changes are taken in, and `docs/decisions/0001-pages-with-overlay.md` for why all this.
//!
//! The map knows no resource versions, heads or tails, and of selectors only that objects are looked
//! up by equal values. A key range costs O(log n).
//!
//! | | |
//! |---|---|
//! | `totals` | sums that branches keep |
//! | `derived` | the count of what readers made |
//! | `leaves` | the objects of a page in small groups |
//! | `page` | joined bytes, overlay, deflated form |
//! | `deflated` | a page's items as a DEFLATE block |
//! | `node` | the copy-on-write tree, and searches in it |
//! | `column` | what objects can be searched by |
//! | `places` | where below a node the values of a column stand |
//! | `iteration` | walking over objects |
//! | `runs` | walking over the bytes of a list |
//! | `shared_memory` | what several versions hold together |

mod builder;
mod column;
mod deflated;
mod derived;
mod iteration;
mod key_range;
mod leaves;
mod node;
mod page;
mod places;
mod runs;
mod shared_memory;
mod totals;

#[cfg(test)]
mod tests;

use std::{
    ops::{Bound, ControlFlow, RangeBounds},
    sync::Arc,
};

use derived::Derived;
use node::{Node, Search};
use page::Page;
use totals::Totals;

pub use self::{
    builder::MapBuilder,
    column::{Column, Term},
    iteration::{Iter, OwnedRange},
    key_range::KeyRange,
    node::TooLong,
    runs::{Front, PageRun, PageRuns, Rest, RunSegments},
    shared_memory::bytes_apart,
};
use crate::codec::{item_join::ItemJoin, object::Object};

/// A persistent ordered map of objects (see the module). `Clone` is O(1). It is meant to have one
/// writer, whose clones are read.
#[derive(Clone, Debug)]
pub struct OrderedMap {
    join: ItemJoin,
    /// `None` when empty.
    root: Option<Node>,
    /// One for all versions.
    derived: Arc<Derived>,
}

// === impl OrderedMap ===

impl OrderedMap {
    /// An empty map whose lists are joined in this way.
    pub fn new(join: ItemJoin) -> Self {
        Self { join, root: None, derived: Arc::default() }
    }

    /// A map of these objects in any order; of two with the same key the last wins. Their bytes
    /// are copied into pages, so nothing of the buffers they came in is kept.
    pub fn from_objects(join: ItemJoin, mut objects: Vec<Object>) -> Self {
        objects.reverse();
        objects.sort_by(|left, right| left.key().cmp(right.key()));
        objects.dedup_by(|later, kept| later.key() == kept.key());
        let mut builder = MapBuilder::new(join);
        objects.into_iter().for_each(|object| builder.push(object));
        builder.finish()
    }

    /// Whether both are the same version of the same map, so that no object can differ. Two maps
    /// that were made apart are not, whatever they hold.
    pub fn is_the_very(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Some(root), Some(other)) => root.is_the_very(other),
            (None, None) => true,
            _ => false,
        }
    }

    /// How the items of its lists are joined.
    pub const fn join(&self) -> ItemJoin {
        self.join
    }

    /// The object with this key. A clone of it keeps the whole page's buffer alive.
    pub fn get(&self, key: &str) -> Option<&Object> {
        self.root.as_ref().and_then(|root| root.get(key))
    }

    /// Inserts or replaces; returns the object that had the key (which keeps no page alive).
    ///
    /// The object's core is kept as it is, for minutes: it should not be a small slice of a large
    /// buffer.
    pub fn insert(&mut self, object: Object) -> Option<Object> {
        if let Some(root) = &mut self.root {
            return root.insert_at_root(self.join, object);
        }
        let page = Page::write(self.join, &self.derived, vec![object]);
        self.root = Some(Node::Page(Arc::new(page)));
        None
    }

    /// Takes an object out (the result keeps no page alive).
    pub fn remove(&mut self, key: &str) -> Option<Object> {
        // Looked up first: a key that is not there must not cost copies of shared nodes.
        self.get(key)?;
        let mut root = self.root.take()?;
        let removed = root.remove(self.join, key);
        self.root = Some(root.without_idle_levels()).filter(|root| root.totals().count > 0);
        removed
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.totals().count
    }

    /// Whether there is no object.
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The length of all items joined, separators between them included.
    pub fn item_bytes(&self) -> u64 {
        self.totals().joined_bytes(self.join)
    }

    /// The memory held by this version: page buffers, changed objects and an estimate of the
    /// attributes, without [`Self::deflated_bytes`] and [`Self::place_bytes`]. Versions share most of
    /// it.
    pub fn resident_bytes(&self) -> u64 {
        self.totals().resident_bytes
    }

    /// The memory held by the deflated forms of pages, by all versions of the map and whoever else
    /// has some.
    pub fn deflated_bytes(&self) -> u64 {
        self.derived.deflated()
    }

    /// The memory of what all versions of the map know of where values stand, made by searches.
    pub fn place_bytes(&self) -> u64 {
        self.derived.places()
    }

    /// The objects whose keys are in the range, in key order.
    pub fn range(&self, range: impl RangeBounds<str>) -> Iter<'_> {
        let (start, end) = self.ranks(&range);
        Iter::new(self.root.as_ref(), start, end)
    }

    /// As [`Self::range`], each with its rank: the number of objects before it in the whole map.
    pub fn ranked(
        &self,
        range: impl RangeBounds<str>,
    ) -> impl ExactSizeIterator<Item = (usize, &Object)> {
        let (start, end) = self.ranks(&range);
        Iter::new(self.root.as_ref(), start, end)
            .zip(start..end)
            .map(|(object, rank)| (rank, object))
    }

    /// Shows those objects of the range that have the term, with their ranks, in key order, until
    /// `visit` breaks.
    ///
    /// The first search by a column looks at every object, later ones at those that have the term
    /// and at pages that were changed since.
    ///
    /// # Errors
    /// When it would take longer than looking at `looks` objects. What was shown so far is no answer.
    pub fn search<'a>(
        &'a self,
        term: &Term,
        range: impl RangeBounds<str>,
        looks: usize,
        visit: impl FnMut(usize, &'a Object) -> ControlFlow<()>,
    ) -> Result<(), TooLong> {
        let (start, end) = self.ranks(&range);
        match &self.root {
            Some(root) if start < end => {
                Search::new(root, &self.derived, term, start..end, looks, visit).run()
            }
            _ => Ok(()),
        }
    }

    /// As [`Self::range`], but holding this version, for readers that take their time.
    pub fn owned_range(&self, range: impl RangeBounds<str>) -> OwnedRange {
        let (start, end) = self.ranks(&range);
        OwnedRange::new(self.clone(), start, end)
    }

    /// How many keys are in the range: O(log n).
    pub fn count(&self, range: impl RangeBounds<str>) -> usize {
        let (start, end) = self.ranks(&range);
        end - start
    }

    /// The length of the range's items joined, separators included: O(log n) and two pages.
    pub fn bytes_in(&self, range: impl RangeBounds<str>) -> u64 {
        let (start, end) = self.bounds(&range);
        end.without(start).joined_bytes(self.join)
    }

    /// The range as bytes, page by page.
    pub fn pages(&self, range: impl RangeBounds<str>) -> PageRuns {
        let (start, end) = self.ranks(&range);
        PageRuns::new(self.clone(), start, end)
    }

    /// Objects as bytes, page by page: those with these ranks, which ascend.
    pub fn runs(&self, ranks: impl IntoIterator<Item = usize>) -> Vec<PageRun> {
        let mut runs: Vec<PageRun> = Vec::new();
        // The ranks of the page that the last run is of.
        let mut page = 0..0;
        for rank in ranks {
            match runs.last_mut().filter(|_| page.contains(&rank)) {
                Some(run) if run.goes_on_at(rank - page.start) => run.extend(),
                _ => {
                    let Some(root) = &self.root else { break };
                    let located = root.locate_rank(rank);
                    page = located.before.count..located.before.count + located.page.totals().count;
                    runs.push(PageRun::of_one(located.page, self.join, rank - page.start));
                }
            }
        }
        runs
    }

    /// The first `limit` objects of a range as bytes, and what follows them: O(log n).
    pub fn front(&self, range: impl RangeBounds<str>, limit: usize) -> Front {
        let (start, end) = self.ranks(&range);
        let cut = start.saturating_add(limit).min(end);
        let last = (start < cut && cut < end)
            .then(|| Iter::new(self.root.as_ref(), cut - 1, cut).next())
            .flatten();
        let rest = last.map(|last| Rest { after: last.key().clone(), count: end - cut });
        Front { pages: PageRuns::new(self.clone(), start, cut), rest }
    }

    /// The whole pages in the range that nobody has compressed yet. Calling
    /// [`PageRun::compress`] on each, anywhere, makes a gzip list of this version cheap.
    pub fn pending_pages(&self, range: impl RangeBounds<str>) -> impl Iterator<Item = PageRun> {
        self.pages(range).filter(|run| run.is_whole() && run.deflated().is_none())
    }

    fn totals(&self) -> Totals {
        self.root.as_ref().map(Node::totals).unwrap_or_default()
    }

    fn ranks(&self, range: &impl RangeBounds<str>) -> (usize, usize) {
        let (start, end) = self.bounds(range);
        (start.count, end.count)
    }

    /// Totals of what stands before the range and of what stands before its end.
    fn bounds(&self, range: &impl RangeBounds<str>) -> (Totals, Totals) {
        let start = match range.start_bound() {
            Bound::Unbounded => Totals::default(),
            Bound::Included(key) => self.before(key, false),
            Bound::Excluded(key) => self.before(key, true),
        };
        let end = match range.end_bound() {
            Bound::Unbounded => self.totals(),
            Bound::Included(key) => self.before(key, true),
            Bound::Excluded(key) => self.before(key, false),
        };
        // A range whose end stands before its start is empty.
        if end.count < start.count { (start, start) } else { (start, end) }
    }

    /// Totals of the objects before `key` (or up to it); memory is not counted.
    fn before(&self, key: &str, including_key: bool) -> Totals {
        let Some(root) = &self.root else { return Totals::default() };
        let located = root.locate_key(key);
        let mut before = Totals { resident_bytes: 0, ..located.before };
        for object in located.page.objects().iter() {
            let candidate = object.key().as_str();
            if candidate > key || (candidate == key && !including_key) {
                break;
            }
            before.count += 1;
            before.item_bytes += self.join.item_length(object.core.len()) as u64;
        }
        before
    }
}
