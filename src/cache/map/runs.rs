//! [`PageRuns`]: a range of one version as the bytes of a list, page by page.
//!
//! Item bytes are never copied: what stands together in a page's buffer leaves as one segment,
//! what was changed since leaves as its own. Between two runs the caller writes the separator.
//!
//! Hot path: an identity LIST is this walk. [`PageRun::compress`] is the exception: it takes
//! 0.1–0.2 ms for a full page and belongs on the pool for such work.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{OrderedMap, page::Page, totals::Totals};
use crate::{
    api::object_key::ObjectKey,
    codec::{
        gzip::{BlockDeflater, DeflatedBlock},
        item_join::ItemJoin,
    },
};

/// The segments of one run; most pages were changed in few places, if at all.
pub type RunSegments = SmallVec<[Bytes; 8]>;

/// The pages of a range in key order; holds the version.
#[derive(Clone, Debug)]
pub struct PageRuns {
    version: OrderedMap,
    next: usize,
    end: usize,
}

/// The beginning of a range.
#[derive(Clone, Debug)]
pub struct Front {
    /// Its objects as bytes.
    pub pages: PageRuns,
    /// What follows, unless nothing does.
    pub rest: Option<Rest>,
}

/// What follows the beginning of a range.
#[derive(Clone, Debug)]
pub struct Rest {
    /// The key of the last object before it.
    pub after: ObjectKey,
    /// The number of its objects.
    pub count: usize,
}

/// Items of one page that follow one another; never empty.
#[derive(Clone, Debug)]
pub struct PageRun {
    page: Arc<Page>,
    join: ItemJoin,
    objects: Range<usize>,
}

/// A stretch of a page's buffer that is being extended.
type Stretch = Option<Range<usize>>;

// === impl PageRuns ===

impl PageRuns {
    pub(super) const fn new(version: OrderedMap, next: usize, end: usize) -> Self {
        Self { version, next, end }
    }
}

impl Iterator for PageRuns {
    type Item = PageRun;

    fn next(&mut self) -> Option<PageRun> {
        let root = self.version.root.as_ref().filter(|_| self.next < self.end)?;
        let located = root.locate_rank(self.next);
        let first = self.next - located.before.count;
        let count = (located.page.totals().count - first).min(self.end - self.next);
        self.next += count;
        let page = Arc::clone(located.page);
        Some(PageRun { page, join: self.version.join, objects: first..first + count })
    }
}

// === impl PageRun ===

impl PageRun {
    /// One object of a page.
    pub(super) fn of_one(page: &Arc<Page>, join: ItemJoin, index: usize) -> Self {
        Self { page: Arc::clone(page), join, objects: index..index + 1 }
    }

    /// Whether the object with this index is the page's next.
    pub(super) const fn goes_on_at(&self, index: usize) -> bool {
        self.objects.end == index
    }

    /// Takes the page's next object in; there must be one.
    pub(super) const fn extend(&mut self) {
        self.objects.end += 1;
    }

    /// The number of objects.
    pub fn count(&self) -> usize {
        self.objects.len()
    }

    /// The length of the joined items: that of all segments together.
    pub fn length(&self) -> u64 {
        self.totals().joined_bytes(self.join)
    }

    /// The joined items, separators between them included.
    pub fn segments(&self) -> RunSegments {
        let mut segments = RunSegments::new();
        self.for_each_segment(|segment| segments.push(segment));
        segments
    }

    /// Shows each of [`Self::segments`], none of them empty.
    pub fn for_each_segment(&self, mut show: impl FnMut(Bytes)) {
        if self.is_whole() && self.page.is_as_written(self.join) {
            return show(self.page.buffer().clone());
        }
        let mut show = |segment: Bytes| {
            if !segment.is_empty() {
                show(segment);
            }
        };
        let separator = Bytes::from_static(self.join.separator());
        let mut stretch = Stretch::None;
        let objects = self.page.objects().slice(self.objects.start, self.objects.end);
        for (index, object) in objects.enumerate() {
            let length = object.core.len();
            let header = self.join.item_length(length) - length - separator.len();
            if let Some(position) = self.page.position(&object.core) {
                let item = position - header..position + length;
                match &mut stretch {
                    // Items this far apart were written next to each other.
                    Some(open) if open.end + separator.len() == item.start => open.end = item.end,
                    _ => {
                        self.close(stretch.replace(item), &mut show);
                        if index > 0 {
                            show(separator.clone());
                        }
                    }
                }
            } else {
                self.close(stretch.take(), &mut show);
                if index > 0 {
                    show(separator.clone());
                }
                show(self.join.header(length));
                show(object.core.clone());
            }
        }
        self.close(stretch, &mut show);
    }

    /// The items as a ready block; `None` if they were not compressed yet, or never are because
    /// the run covers the page in part.
    pub fn deflated(&self) -> Option<DeflatedBlock> {
        self.is_whole().then(|| self.page.deflated().get()).flatten()
    }

    /// Whether [`Self::deflated`] has something to give.
    pub fn is_deflated(&self) -> bool {
        self.is_whole() && self.page.deflated().is_there()
    }

    /// Whether [`Self::compress`] would wait for another thread.
    pub fn is_being_deflated(&self) -> bool {
        self.is_whole() && self.page.deflated().is_being_made()
    }

    /// The items as a block: the ready one, or one that is made now and, if the run covers the
    /// page, kept for the next reader until the page is changed. What is not kept should be
    /// compressed by a deflater of [that kind](BlockDeflater::for_one).
    pub fn compress(&self, deflater: &mut BlockDeflater) -> DeflatedBlock {
        let mut make = || deflater.block(self.segments().iter().map(|segment| &segment[..]));
        if self.is_whole() {
            let derived = self.page.derived();
            self.page.deflated().get_or_make(|| derived.count_block(make()))
        } else {
            make()
        }
    }

    /// Whether the run covers the page.
    pub fn is_whole(&self) -> bool {
        self.objects.len() == self.page.totals().count
    }

    fn totals(&self) -> Totals {
        if self.is_whole() {
            return self.page.totals();
        }
        let objects = self.page.objects().slice(self.objects.start, self.objects.end);
        let lengths = objects.map(|object| self.join.item_length(object.core.len()) as u64);
        Totals { count: self.count(), item_bytes: lengths.sum(), resident_bytes: 0 }
    }

    fn close(&self, stretch: Stretch, show: &mut impl FnMut(Bytes)) {
        if let Some(stretch) = stretch {
            show(self.page.buffer().slice(stretch));
        }
    }
}
