//! What must hold of every tree, checked by the map's tests.

use std::sync::Arc;

use super::{Branch, Child, MAX_CHILDREN, Node};
use crate::{cache::map::page::Page, codec::item_join::ItemJoin};

impl Node {
    /// Panics if an invariant of the tree is broken; returns its height.
    pub(in super::super) fn assert_sound(&self, join: ItemJoin) -> usize {
        let branch = match self {
            Self::Page(page) => {
                page.assert_sound(join);
                return 0;
            }
            Self::Branch(branch) => branch,
        };
        assert!((1..=MAX_CHILDREN).contains(&branch.children.len()));
        let heights: Vec<usize> = (branch.children.iter())
            .map(|child| {
                assert_eq!(child.totals, child.node.totals());
                assert!(!child.node.is_empty());
                assert!(child.lowest.key <= Child::of(child.node.clone()).lowest.key);
                child.node.assert_sound(join)
            })
            .collect();
        assert!(heights.iter().all(|height| *height == heights[0]), "pages at unequal depths");
        for pair in branch.children.windows(2) {
            let mut below = Vec::new();
            pair[0].node.for_each_page(&mut |page| {
                below.extend(page.objects().iter().map(|object| object.key().clone()));
            });
            assert!(below.iter().all(|key| *key < pair[1].lowest.key));
        }
        heights[0] + 1
    }

    /// Shows every page.
    pub(in super::super) fn for_each_page<'a>(&'a self, visit: &mut impl FnMut(&'a Arc<Page>)) {
        match self {
            Self::Page(page) => visit(page),
            Self::Branch(branch) => branch.nodes().for_each(|node| node.for_each_page(visit)),
        }
    }

    /// Shows the address and size of every allocation of the tree apart from the objects' bytes
    /// and attributes.
    pub(in super::super) fn for_each_allocation(&self, visit: &mut impl FnMut(usize, usize)) {
        match self {
            Self::Page(page) => page.for_each_allocation(visit),
            Self::Branch(branch) => {
                let size = size_of::<Branch>() + branch.children.capacity() * size_of::<Child>();
                visit(Arc::as_ptr(branch) as usize, size);
                branch.children.iter().for_each(|child| child.node.for_each_allocation(visit));
            }
        }
    }
}
