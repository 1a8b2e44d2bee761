//! What a kept version costs: small nodes, not buffers.

use std::collections::{HashMap, HashSet};

use super::{super::OrderedMap, model::object};
use crate::codec::item_join::ItemJoin;

/// What a history of updates allocated when every version was kept.
struct Cost {
    /// Bytes of new branches, pages and groups per update.
    node_bytes: usize,
    /// Bytes of new page buffers per update.
    buffer_bytes: usize,
    /// Updates that made a page buffer, of a hundred.
    rewrites_percent: usize,
}

/// Updates objects in an order that meets all of them, keeps every version, and counts.
fn keep_every_version(count: usize, length: usize, updates: usize) -> Cost {
    let key = |number: usize| format!("{number:06}");
    let objects = (0..count).map(|number| object(&key(number), length, 1)).collect();
    let mut map = OrderedMap::from_objects(ItemJoin::Json, objects);
    let mut versions = vec![map.clone()];
    let (mut nodes, mut buffers) = (allocations(&map), HashSet::new());
    map.root.as_ref().unwrap().for_each_page(&mut |page| {
        buffers.insert(page.buffer().as_ptr() as usize);
    });
    let (mut node_bytes, mut buffer_bytes, mut rewrites) = (0, 0, 0);
    for update in 0..updates {
        map.insert(object(&key(update * 7_919 % count), length, 2));
        for (address, size) in allocations(&map) {
            if nodes.insert(address, size).is_none() {
                node_bytes += size;
            }
        }
        map.root.as_ref().unwrap().for_each_page(&mut |page| {
            if !page.buffer().is_empty() && buffers.insert(page.buffer().as_ptr() as usize) {
                buffer_bytes += page.buffer().len();
                rewrites += 1;
            }
        });
        // Kept alive, so that no address is used twice.
        versions.push(map.clone());
    }
    Cost {
        node_bytes: node_bytes / updates,
        buffer_bytes: buffer_bytes / updates,
        rewrites_percent: 100 * rewrites / updates,
    }
}

fn allocations(map: &OrderedMap) -> HashMap<usize, usize> {
    let mut found = HashMap::new();
    map.root.as_ref().unwrap().for_each_allocation(&mut |address, size| {
        found.insert(address, size);
    });
    found
}

#[test]
fn a_kept_version_of_large_objects_costs_one_path_of_small_nodes() {
    let cost = keep_every_version(2_000, 5_000, 3_000);
    println!("nodes {} B, buffers {} B per update", cost.node_bytes, cost.buffer_bytes);
    assert!(cost.node_bytes < 2_500, "{} bytes of nodes per update", cost.node_bytes);
    assert!(cost.buffer_bytes < 2 * 5_000, "{} bytes of buffers per update", cost.buffer_bytes);
    assert!(cost.rewrites_percent < 15, "{} % of the updates wrote a page", cost.rewrites_percent);
}

#[test]
fn a_kept_version_of_small_objects_costs_one_path_of_small_nodes() {
    let cost = keep_every_version(6_000, 500, 4_000);
    println!("nodes {} B, buffers {} B per update", cost.node_bytes, cost.buffer_bytes);
    assert!(cost.node_bytes < 3_500, "{} bytes of nodes per update", cost.node_bytes);
    assert!(cost.buffer_bytes < 5 * 500, "{} bytes of buffers per update", cost.buffer_bytes);
    assert!(cost.rewrites_percent < 5, "{} % of the updates wrote a page", cost.rewrites_percent);
}
