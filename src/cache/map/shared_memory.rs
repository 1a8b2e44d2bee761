//! [`bytes_apart`]: what further versions of a map hold beyond one that is there anyway.
//!
//! Versions share branches, pages, the buffers of pages, and objects; each is counted once, with the
//! first version that has it. What readers made of them is not counted here: the map knows the sum of
//! all its versions.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;

use super::{OrderedMap, node::Node, page::Page};
use crate::codec::object::Object;

/// For each of `versions`, the memory that neither `present` nor those before it hold. Costs what
/// they don't share, and one walk over `present`.
pub fn bytes_apart<'a>(
    present: &'a OrderedMap,
    versions: impl IntoIterator<Item = &'a OrderedMap>,
) -> Vec<u64> {
    let mut counted = Counted::default();
    counted.add(present);
    versions.into_iter().map(|version| counted.add(version)).collect()
}

/// Addresses of what was counted; all of it is borrowed, so that none can be used anew.
#[derive(Default)]
struct Counted {
    addresses: HashSet<usize>,
}

impl Counted {
    fn add(&mut self, version: &OrderedMap) -> u64 {
        version.root.as_ref().map_or(0, |root| self.add_node(root))
    }

    fn add_node(&mut self, node: &Node) -> u64 {
        match node {
            Node::Branch(branch) if self.addresses.insert(Arc::as_ptr(branch) as usize) => {
                branch.nodes().map(|node| self.add_node(node)).sum::<u64>()
            }
            Node::Page(page) if self.addresses.insert(Arc::as_ptr(page) as usize) => {
                let objects: u64 =
                    page.objects().iter().map(|one| self.add_object(page, one)).sum();
                objects + self.add_buffer(page.buffer())
            }
            Node::Branch(_) | Node::Page(_) => 0,
        }
    }

    /// An object's attributes, and its bytes where they are not part of the page's buffer.
    fn add_object(&mut self, page: &Page, object: &Object) -> u64 {
        if !self.addresses.insert(Arc::as_ptr(&object.attributes) as usize) {
            return 0;
        }
        let is_apart = page.position(&object.core).is_none();
        let core = if is_apart { object.core.len() as u64 } else { 0 };
        core + object.bytes_beside_core()
    }

    fn add_buffer(&mut self, buffer: &Bytes) -> u64 {
        let is_new = !buffer.is_empty() && self.addresses.insert(buffer.as_ptr() as usize);
        if is_new { buffer.len() as u64 } else { 0 }
    }
}
