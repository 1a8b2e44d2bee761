//! [`MapBuilder`]: a map made from objects as they arrive.
//!
//! Upstream sends the objects of a fill in key order, so pages can be written while it goes on: an
//! object's own buffer is let go of as soon as its page is full, and no more than one page stands
//! in memory twice. Objects that come out of order are taken, too, at the price of an insertion
//! each. Whoever fills can ask at any time how much is held.

use std::sync::Arc;

use super::{
    OrderedMap,
    derived::Derived,
    node::Node,
    page::{PAGE_MAX_OBJECTS, PAGE_TARGET_BYTES, Page},
    totals::Totals,
};
use crate::{
    api::object_key::ObjectKey,
    codec::{item_join::ItemJoin, object::Object},
};

/// Objects on their way into a map.
#[derive(Debug)]
pub struct MapBuilder {
    join: ItemJoin,
    derived: Arc<Derived>,
    /// Written pages, in key order.
    pages: Vec<Node>,
    written: Totals,
    /// The objects of the page to be written next, in key order and after all of `pages`.
    open: Vec<Object>,
    open_item_bytes: u64,
    last: Option<ObjectKey>,
    /// Objects that did not come in order.
    stragglers: Vec<Object>,
    straggler_bytes: u64,
}

// === impl MapBuilder ===

impl MapBuilder {
    /// No objects yet.
    pub fn new(join: ItemJoin) -> Self {
        Self {
            join,
            derived: Arc::default(),
            pages: Vec::new(),
            written: Totals { count: 0, item_bytes: 0, resident_bytes: 0 },
            open: Vec::new(),
            open_item_bytes: 0,
            last: None,
            stragglers: Vec::new(),
            straggler_bytes: 0,
        }
    }

    /// Takes the next object; of two with the same key the last wins. Its bytes are copied, sooner
    /// or later: until then it keeps the buffer alive that they are a part of.
    pub fn push(&mut self, object: Object) {
        if self.last.as_ref().is_some_and(|last| object.key() <= last) {
            self.straggler_bytes += object.core.len() as u64;
            self.stragglers.push(object);
            return;
        }
        let length = self.join.item_length(object.core.len()) as u64;
        let is_full = self.open_item_bytes + length > PAGE_TARGET_BYTES
            || self.open.len() >= PAGE_MAX_OBJECTS / 2;
        if is_full && !self.open.is_empty() {
            self.close_page();
        }
        self.open_item_bytes += length;
        self.last = Some(object.key().clone());
        self.open.push(object);
    }

    /// The number of objects taken.
    pub fn len(&self) -> usize {
        self.written.count + self.open.len() + self.stragglers.len()
    }

    /// Whether no object was taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About the memory that the objects hold by now.
    pub fn resident_bytes(&self) -> u64 {
        self.written.resident_bytes + self.open_item_bytes + self.straggler_bytes
    }

    /// Copies what is still part of a buffer that came from elsewhere.
    pub fn let_go_of_buffers(&mut self) {
        if !self.open.is_empty() {
            self.close_page();
        }
        for straggler in &mut self.stragglers {
            straggler.core = bytes::Bytes::copy_from_slice(&straggler.core);
        }
    }

    /// The map of all objects.
    pub fn finish(mut self) -> OrderedMap {
        if !self.open.is_empty() {
            self.close_page();
        }
        let root = Node::above(self.pages);
        let mut map = OrderedMap { join: self.join, root, derived: self.derived };
        for straggler in self.stragglers {
            map.insert(straggler);
        }
        map
    }

    fn close_page(&mut self) {
        let objects = std::mem::take(&mut self.open);
        self.open_item_bytes = 0;
        let page = Page::write(self.join, &self.derived, objects);
        self.written += page.totals();
        self.pages.push(Node::Page(Arc::new(page)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::fixture::Pod;

    fn pods(numbers: impl IntoIterator<Item = u64>) -> Vec<Object> {
        let padding = "p".repeat(700);
        let pod = |number| Pod::new("ns", &format!("{number:05}"), 1 + number).node(&padding);
        numbers.into_iter().map(|number| pod(number).object()).collect()
    }

    fn built(objects: Vec<Object>) -> OrderedMap {
        let mut builder = MapBuilder::new(ItemJoin::Json);
        objects.into_iter().for_each(|object| builder.push(object));
        builder.finish()
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let expected: Vec<_> = pods(0..700);
        let orders = [
            pods(0..700),
            pods((0..700).rev()),
            pods((0..700).map(|step| step * 611 % 701 % 700).chain(0..700)),
        ];
        for objects in orders {
            let map = built(objects);
            map.root.as_ref().unwrap().assert_sound(ItemJoin::Json);
            assert!(map.range(..).eq(&expected));
        }
        assert!(built(Vec::new()).is_empty());
    }

    #[test]
    fn of_two_objects_with_one_key_the_last_wins() {
        let [older, newer] = [5, 9].map(|version| Pod::new("ns", "a", version).object());
        let map = built(vec![older, newer.clone()]);
        assert_eq!(map.range(..).collect::<Vec<_>>(), [&newer]);
    }

    #[test]
    fn what_is_held_is_known_all_the_time() {
        let mut builder = MapBuilder::new(ItemJoin::Json);
        let mut before = 0;
        for object in pods(0..300) {
            builder.push(object);
            assert!(builder.resident_bytes() > before, "{}", builder.len());
            before = builder.resident_bytes();
        }
        let map = builder.finish();
        let held = map.resident_bytes();
        assert!(held >= before && held - before < before / 4, "{before} {held}");
    }

    #[test]
    fn no_buffer_that_came_from_elsewhere_is_kept() {
        let mut builder = MapBuilder::new(ItemJoin::Json);
        let objects = pods([1, 2, 0]);
        let places: Vec<_> = objects.iter().map(|object| object.core.as_ptr()).collect();
        objects.into_iter().for_each(|object| builder.push(object));
        builder.let_go_of_buffers();
        let map = builder.finish();
        assert_eq!(map.len(), 3);
        assert!(map.range(..).all(|object| !places.contains(&object.core.as_ptr())));
    }
}
