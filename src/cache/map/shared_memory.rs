//! [`bytes_apart`]: what further versions of a map hold beyond one that is there anyway.
//!
//! Versions share branches, pages and the buffers of pages; each is counted once, with the first
//! version that has it. Objects outside of a page's buffer are counted with every page that holds
//! them, though copies of a page share them: an upper bound.

use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashSet;

use super::{OrderedMap, node::Node};

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
                let below = branch.nodes().map(|node| self.add_node(node)).sum::<u64>();
                below + branch.places().bytes()
            }
            Node::Page(page) if self.addresses.insert(Arc::as_ptr(page) as usize) => {
                let buffer = page.buffer();
                let apart = page.totals().resident_bytes - buffer.len() as u64;
                let deflated = page.deflated().get().map_or(0, |block| block.bytes.len() as u64);
                apart + deflated + page.places().bytes() + self.add_buffer(buffer)
            }
            Node::Branch(_) | Node::Page(_) => 0,
        }
    }

    fn add_buffer(&mut self, buffer: &Bytes) -> u64 {
        let is_new = !buffer.is_empty() && self.addresses.insert(buffer.as_ptr() as usize);
        if is_new { buffer.len() as u64 } else { 0 }
    }
}
