//! [`Items`]: the items of a list, which become bytes one piece after the other.
//!
//! Guarantees: the length of all is known before any of them is made. A piece is a page of the map
//! or one object; of what was changed since it was written, a page has several segments per object
//! (`docs/decisions/0014`), so they are not made before they are asked for.
//!
//! Hot path: the bytes of every list come from here.

use std::{slice, vec};

use bytes::Bytes;

use crate::{
    cache::map::PageRun,
    codec::{item_join::ItemJoin, segments::Segments},
};

/// Items in order, with what stands before and between them.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Items {
    pieces: Pieces,
    /// What stands before the next one.
    pub(super) before: &'static [u8],
    pub(super) separator: &'static [u8],
    /// The length of all that there were at first.
    length: usize,
    /// Of that, what is parts of pages: they have no compressed form that is kept.
    parts: u64,
}

#[derive(Clone, Debug)]
enum Pieces {
    /// Pages of the map; separators stand between them, too.
    Pages(vec::IntoIter<PageRun>),
    /// Objects as they are held.
    Cores(vec::IntoIter<Bytes>, ItemJoin),
    /// What was made for this list.
    Made(vec::IntoIter<Bytes>),
}

// === impl Items ===

impl Items {
    /// A range, page by page.
    pub(super) fn of_pages(
        pages: Vec<PageRun>,
        lead: &'static [u8],
        separator: &'static [u8],
    ) -> Self {
        let (mut inside, mut parts) = (0, 0);
        for page in &pages {
            let length = page.length();
            inside += length;
            parts += if page.is_whole() { 0 } else { length };
        }
        let sums = (pages.len(), usize::try_from(inside).unwrap_or(usize::MAX));
        let items = Self::new(Pieces::Pages(pages.into_iter()), sums, lead, separator);
        Self { parts, ..items }
    }

    /// These cores, joined as their map joins them.
    pub(super) fn of_cores(cores: Vec<Bytes>, join: ItemJoin) -> Self {
        let (lead, separator) = (join.lead(), join.separator());
        let item = |core: &Bytes| join.item_length(core.len()) - separator.len();
        let sums = (cores.len(), cores.iter().map(item).sum());
        Self::new(Pieces::Cores(cores.into_iter(), join), sums, lead, separator)
    }

    /// Items that were made for this list.
    pub(super) fn made(items: Vec<Bytes>, lead: &'static [u8], separator: &'static [u8]) -> Self {
        let sums = (items.len(), items.iter().map(Bytes::len).sum());
        Self::new(Pieces::Made(items.into_iter()), sums, lead, separator)
    }

    fn new(
        pieces: Pieces,
        (count, inside): (usize, usize),
        lead: &'static [u8],
        separator: &'static [u8],
    ) -> Self {
        let length = match count {
            0 => 0,
            count => lead.len() + inside + separator.len() * (count - 1),
        };
        Self { pieces, before: lead, separator, length, parts: 0 }
    }

    /// The bytes of all items with what stands before and between them.
    pub(in crate::gateway) const fn length(&self) -> usize {
        self.length
    }

    /// The bytes of runs that are parts of pages.
    pub(super) const fn parts(&self) -> u64 {
        self.parts
    }

    /// Whether they are the map's own bytes.
    pub(super) const fn are_as_held(&self) -> bool {
        match self.pieces {
            Pieces::Pages(_) | Pieces::Cores(..) => true,
            Pieces::Made(_) => false,
        }
    }

    /// The pages, if there are such.
    pub(super) fn pages(&self) -> Option<slice::Iter<'_, PageRun>> {
        match &self.pieces {
            Pieces::Pages(pages) => Some(pages.as_slice().iter()),
            Pieces::Cores(..) | Pieces::Made(_) => None,
        }
    }

    /// Appends the next piece; `false` when there is none.
    pub(in crate::gateway) fn make_next(&mut self, into: &mut Segments) -> bool {
        let before = Bytes::from_static(self.before);
        match &mut self.pieces {
            Pieces::Pages(pages) => {
                let Some(page) = pages.next() else { return false };
                into.push(before);
                page.for_each_segment(|segment| into.push(segment));
            }
            Pieces::Cores(cores, join) => {
                let Some(core) = cores.next() else { return false };
                into.push(before);
                into.push(join.header(core.len()));
                into.push(core);
            }
            Pieces::Made(items) => {
                let Some(item) = items.next() else { return false };
                into.push(before);
                into.push(item);
            }
        }
        self.before = self.separator;
        true
    }
}
