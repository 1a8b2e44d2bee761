//! [`Node`]: the copy-on-write tree above the pages.
//!
//! All pages stand at the same depth. A branch knows the totals and a lowest key of each child, so
//! that ranks, counts and lengths need one path. Changing a tree of which a version is kept copies
//! the branches on one path and the page's list of groups; changing one that is not shared copies
//! nothing.

mod search;
#[cfg(test)]
mod soundness;

use std::sync::Arc;

pub(super) use self::search::Search;
pub use self::search::TooLong;
use super::{page::Page, places::PlacesByColumn, totals::Totals};
use crate::codec::{
    item_join::ItemJoin,
    object::{Object, ObjectAttributes},
};

/// A branch with more children is split. Sixteen 48-byte children keep the copy of a branch below
/// 1 KiB; three levels of them reach 4,096 pages, 256 MiB.
const MAX_CHILDREN: usize = 16;

/// A branch with fewer children is merged with a neighbour if there is room.
const MIN_CHILDREN: usize = 4;

/// How full branches are that are built from scratch.
const BUILD_CHILDREN: usize = 12;

/// A subtree.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Branch(Arc<Branch>),
    Page(Arc<Page>),
}

/// Subtrees of equal height in key order.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    children: Vec<Child>,
    /// In which children values stand.
    places: PlacesByColumn,
}

/// A subtree and what its branch knows of it.
#[derive(Clone, Debug)]
struct Child {
    /// Attributes whose key is no greater than any key of this child and greater than all keys of
    /// the child before. Shared, because copying a branch must not copy strings.
    lowest: Arc<ObjectAttributes>,
    totals: Totals,
    node: Node,
}

/// What an insertion did.
pub(super) struct Insertion {
    /// The object that had the key.
    pub(super) previous: Option<Object>,
    /// The upper part of the subtree if it had to be split.
    sibling: Option<Node>,
}

/// A page on the path to some rank or key.
pub(super) struct Located<'a> {
    pub(super) page: &'a Arc<Page>,
    /// Totals of all pages before it.
    pub(super) before: Totals,
}

// === impl Node ===

impl Node {
    /// A tree above pages in key order, none of them empty; `None` without pages.
    pub(super) fn above(pages: Vec<Self>) -> Option<Self> {
        let mut level = pages;
        while level.len() > 1 {
            let branches = level.len().div_ceil(BUILD_CHILDREN);
            let size = level.len().div_ceil(branches);
            let mut rest = level.into_iter();
            level = (0..branches)
                .map(|_| Self::branch(rest.by_ref().take(size).map(Child::of).collect()))
                .collect();
        }
        level.pop()
    }

    /// Whether both are one node in memory. While both are held nobody can change it.
    pub(super) fn is_the_very(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Branch(branch), Self::Branch(other)) => Arc::ptr_eq(branch, other),
            (Self::Page(page), Self::Page(other)) => Arc::ptr_eq(page, other),
            _ => false,
        }
    }

    /// Makes a new root above this one if an insertion split it.
    pub(super) fn insert_at_root(&mut self, join: ItemJoin, object: Object) -> Option<Object> {
        let Insertion { previous, sibling } = self.insert(join, object);
        if let Some(sibling) = sibling {
            let lower = Child::of(self.clone());
            *self = Self::branch(vec![lower, Child::of(sibling)]);
        }
        previous
    }

    /// Takes levels off that lead to one child only.
    pub(super) fn without_idle_levels(mut self) -> Self {
        while let Self::Branch(branch) = &self
            && let [only] = &branch.children[..]
        {
            self = only.node.clone();
        }
        self
    }

    /// Inserts or replaces.
    fn insert(&mut self, join: ItemJoin, object: Object) -> Insertion {
        match self {
            Self::Branch(branch) => Arc::make_mut(branch).insert(join, object),
            Self::Page(page) => {
                let page = page.writable();
                let previous = page.insert(join, object);
                let sibling = page.is_overfull().then(|| {
                    let (lower, upper) = page.split(join);
                    *page = lower;
                    Self::Page(Arc::new(upper))
                });
                Insertion { previous, sibling }
            }
        }
    }

    /// Takes an object out.
    pub(super) fn remove(&mut self, join: ItemJoin, key: &str) -> Option<Object> {
        match self {
            Self::Branch(branch) => Arc::make_mut(branch).remove(join, key),
            Self::Page(page) => page.writable().remove(join, key),
        }
    }

    /// The object with this key.
    pub(super) fn get(&self, key: &str) -> Option<&Object> {
        self.locate_key(key).page.get(key)
    }

    /// Sums of everything below.
    pub(super) fn totals(&self) -> Totals {
        match self {
            Self::Branch(branch) => branch.children.iter().map(|child| child.totals).sum(),
            Self::Page(page) => page.totals(),
        }
    }

    /// The page that holds the key if any does.
    pub(super) fn locate_key(&self, key: &str) -> Located<'_> {
        self.locate(|branch, _| branch.child_for(key))
    }

    /// The page that holds the object with this rank (the last page for ranks past the end).
    pub(super) fn locate_rank(&self, rank: usize) -> Located<'_> {
        self.locate(|branch, before| {
            let mut passed = before;
            let past = branch.children.iter().position(|child| {
                passed += child.totals.count;
                rank < passed
            });
            past.unwrap_or(branch.children.len() - 1)
        })
    }

    /// Follows `choose` down to a page; it is given a branch and the count of objects before it.
    fn locate(&self, choose: impl Fn(&Branch, usize) -> usize) -> Located<'_> {
        let (mut node, mut before) = (self, Totals::default());
        loop {
            match node {
                Self::Page(page) => return Located { page, before },
                Self::Branch(branch) => {
                    let index = choose(branch, before.count);
                    for child in &branch.children[..index] {
                        before += child.totals;
                    }
                    node = &branch.children[index].node;
                }
            }
        }
    }

    fn branch(children: Vec<Child>) -> Self {
        Self::Branch(Arc::new(Branch { children, places: PlacesByColumn::default() }))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Branch(branch) => branch.children.is_empty(),
            Self::Page(page) => page.totals().count == 0,
        }
    }

    fn is_underfull(&self) -> bool {
        match self {
            Self::Branch(branch) => branch.children.len() < MIN_CHILDREN,
            Self::Page(page) => page.is_underfull(),
        }
    }

    /// One node of two neighbours of the same height, or `None` if it would be too large.
    fn merge(join: ItemJoin, lower: &Self, upper: &Self) -> Option<Self> {
        match (lower, upper) {
            (Self::Page(lower), Self::Page(upper)) => {
                Page::merge(join, lower, upper).map(|page| Self::Page(Arc::new(page)))
            }
            (Self::Branch(lower), Self::Branch(upper)) => {
                let together = lower.children.len() + upper.children.len();
                (together <= BUILD_CHILDREN).then(|| {
                    Self::branch(lower.children.iter().chain(&upper.children).cloned().collect())
                })
            }
            // Children of one branch have the same height.
            (Self::Page(_), Self::Branch(_)) | (Self::Branch(_), Self::Page(_)) => None,
        }
    }
}

// === impl Branch ===

impl Branch {
    /// The subtrees in key order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.children.iter().map(|child| &child.node)
    }

    /// The child that holds the key if any does.
    fn child_for(&self, key: &str) -> usize {
        self.children.partition_point(|child| child.lowest.key.as_str() <= key).saturating_sub(1)
    }

    fn insert(&mut self, join: ItemJoin, object: Object) -> Insertion {
        self.places.release();
        let index = self.child_for(object.key().as_str());
        let child = &mut self.children[index];
        if *object.key() < child.lowest.key {
            child.lowest = Arc::clone(&object.attributes);
        }
        let Insertion { previous, sibling } = child.node.insert(join, object);
        child.totals = child.node.totals();
        if let Some(sibling) = sibling {
            self.children.insert(index + 1, Child::of(sibling));
        }
        let sibling = (self.children.len() > MAX_CHILDREN)
            .then(|| Node::branch(self.children.split_off(self.children.len() / 2)));
        Insertion { previous, sibling }
    }

    fn remove(&mut self, join: ItemJoin, key: &str) -> Option<Object> {
        self.places.release();
        let index = self.child_for(key);
        let child = &mut self.children[index];
        let removed = child.node.remove(join, key)?;
        child.totals = child.node.totals();
        if child.node.is_empty() {
            self.children.remove(index);
        } else if child.node.is_underfull() {
            self.merge_with_neighbour(join, index);
        }
        Some(removed)
    }

    fn merge_with_neighbour(&mut self, join: ItemJoin, index: usize) {
        for lower in [index.checked_sub(1), Some(index)].into_iter().flatten() {
            let Some([left, right]) = self.children.get(lower..lower + 2) else { continue };
            if let Some(node) = Node::merge(join, &left.node, &right.node) {
                let lowest = Arc::clone(&left.lowest);
                self.children[lower] = Child { lowest, totals: node.totals(), node };
                self.children.remove(lower + 1);
                return;
            }
        }
    }
}

// === impl Child ===

impl Child {
    /// A child of a node that is not empty.
    fn of(node: Node) -> Self {
        let lowest = match &node {
            Node::Branch(branch) => Arc::clone(&branch.children[0].lowest),
            Node::Page(page) => {
                let first = page.objects().first().expect("only nodes with objects are built");
                Arc::clone(&first.attributes)
            }
        };
        Self { lowest, totals: node.totals(), node }
    }
}
