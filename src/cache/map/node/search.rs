//! Finding objects by a term: a descent to where its value stands.
//!
//! Nodes tell which of their children or objects may have the value ([`Places`]). Subtrees of more
//! than [`KNOWN_OBJECTS`] objects keep nothing of that kind and are descended into: after a change
//! only what is small is made anew. So a search costs a look at each such subtree, and at each object
//! that is found; after changes, also a look at every object of the changed pages.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use super::{Branch, Node};
use crate::{
    cache::map::{
        column::{self, Term},
        derived::Derived,
        page::Page,
        places::Places,
    },
    codec::object::Object,
};

/// The largest subtree that keeps places. To join those of its children takes about 50 µs.
const KNOWN_OBJECTS: usize = 4096;

/// Joining this many entries takes about as long as a look at an object.
const ENTRIES_LIKE_A_LOOK: usize = 16;

/// A search takes longer than it was allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A search under way.
pub(in crate::cache::map) struct Search<'a, 's, V> {
    term: &'s Term,
    hash: u64,
    /// The ranks looked at.
    ranks: Range<usize>,
    /// Looks at objects, or at things that take as long, that are still allowed.
    looks: usize,
    visit: V,
    root: &'a Node,
    /// Counts what is learned.
    derived: &'a Arc<Derived>,
}

/// Why a search ends before the end of its range.
enum End {
    /// Whoever searched has enough.
    Enough,
    TooLong,
}

impl<'a, 's, V: FnMut(usize, &'a Object) -> ControlFlow<()>> Search<'a, 's, V> {
    /// A search of those with these ranks, which may look at so many objects. All that have the
    /// term are shown with their ranks, in key order.
    pub(in crate::cache::map) fn new(
        root: &'a Node,
        derived: &'a Arc<Derived>,
        term: &'s Term,
        ranks: Range<usize>,
        looks: usize,
        visit: V,
    ) -> Self {
        Self { term, hash: column::hash(&term.value), ranks, looks, visit, root, derived }
    }

    /// Searches. What was found out of places by a search that took too long helps the next one.
    pub(in crate::cache::map) fn run(mut self) -> Result<(), TooLong> {
        match self.descend(self.root, 0) {
            ControlFlow::Break(End::TooLong) => Err(TooLong),
            ControlFlow::Break(End::Enough) | ControlFlow::Continue(()) => Ok(()),
        }
    }

    /// `before` is the rank of the node's first object.
    fn descend(&mut self, node: &'a Node, before: usize) -> ControlFlow<End> {
        match node {
            Node::Page(page) => self.look_at(page, before),
            Node::Branch(branch) => {
                let count = node.totals().count;
                let within = self.ranks.end.min(before + count) - self.ranks.start.max(before);
                // For a small part of a subtree it does not pay to learn all of it.
                if count > KNOWN_OBJECTS || within < count / 2 {
                    return self.descend_into(branch, before, 0..branch.children.len());
                }
                let places = self.places_of_branch(branch)?;
                self.descend_into(branch, before, places.of(self.hash))
            }
        }
    }

    /// Descends into those children, given in order, that have ranks to look at.
    fn descend_into(
        &mut self,
        branch: &'a Branch,
        mut before: usize,
        children: impl Iterator<Item = usize>,
    ) -> ControlFlow<End> {
        let mut passed = 0;
        for place in children {
            let between = &branch.children[passed..place];
            before += between.iter().map(|child| child.totals.count).sum::<usize>();
            passed = place;
            let child = &branch.children[place];
            if before >= self.ranks.end {
                break;
            }
            if before + child.totals.count > self.ranks.start {
                self.spend(1)?;
                self.descend(&child.node, before)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn look_at(&mut self, page: &'a Arc<Page>, before: usize) -> ControlFlow<End> {
        let places = self.places_of_page(page)?;
        for place in places.of(self.hash) {
            if !self.ranks.contains(&(before + place)) {
                continue;
            }
            self.spend(1)?;
            let object = page.objects().slice(place, place + 1).next();
            if let Some(object) = object.filter(|object| self.term.holds(&object.attributes)) {
                (self.visit)(before + place, object).map_break(|()| End::Enough)?;
            }
        }
        ControlFlow::Continue(())
    }

    fn places_of_branch(&mut self, branch: &Branch) -> ControlFlow<End, Arc<Places>> {
        if let Some(places) = branch.places.get(&self.term.column) {
            return ControlFlow::Continue(places);
        }
        let mut below = Vec::with_capacity(branch.children.len());
        for child in &branch.children {
            let places = match &child.node {
                Node::Page(page) => self.places_of_page(page)?,
                Node::Branch(branch) => self.places_of_branch(branch)?,
            };
            self.spend(places.len() / ENTRIES_LIKE_A_LOOK)?;
            below.push(places);
        }
        let places = Places::of_children(&self.term.column, below.into_iter(), self.derived);
        let places = Arc::new(places);
        branch.places.keep(&places);
        ControlFlow::Continue(places)
    }

    fn places_of_page(&mut self, page: &Page) -> ControlFlow<End, Arc<Places>> {
        let column = &self.term.column;
        if let Some(places) = page.places().get(column) {
            return ControlFlow::Continue(places);
        }
        self.spend(page.totals().count)?;
        let values = page.objects().iter().map(|object| column.value(&object.attributes));
        let places = Arc::new(Places::of_objects(column, values, self.derived));
        page.places().keep(&places);
        ControlFlow::Continue(places)
    }

    fn spend(&mut self, looks: usize) -> ControlFlow<End> {
        match self.looks.checked_sub(looks) {
            Some(left) => {
                self.looks = left;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(End::TooLong),
        }
    }
}
