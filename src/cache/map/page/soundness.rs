//! What must hold of every page, checked by the map's tests.

use std::sync::Arc;

use super::{Page, totals_of};
use crate::{
    cache::map::totals::Totals,
    codec::{item_join::ItemJoin, object::Object},
};

impl Page {
    /// Panics if an invariant of the page is broken.
    pub(in super::super) fn assert_sound(&self, join: ItemJoin) {
        self.objects.assert_sound();
        let objects: Vec<&Object> = self.objects.iter().collect();
        let sums: Totals = objects.iter().map(|object| totals_of(join, object)).sum();
        assert_eq!(self.sums, sums);
        let overlay: Vec<_> =
            objects.iter().filter(|object| self.position(&object.core).is_none()).collect();
        assert_eq!(self.overlay.count, overlay.len());
        let bytes: usize = overlay.iter().map(|object| join.item_length(object.core.len())).sum();
        assert_eq!(self.overlay.item_bytes, bytes as u64);
        let dead = self.buffer.len() as u64
            - (sums.item_bytes - self.overlay.item_bytes).min(self.buffer.len() as u64);
        assert!(dead * super::DEAD_PART <= sums.item_bytes, "{dead} bytes of the buffer are dead");
    }

    /// See the node's function of this name; a page's buffer is shown by itself.
    pub(in super::super) fn for_each_allocation(
        self: &Arc<Self>,
        visit: &mut impl FnMut(usize, usize),
    ) {
        visit(Arc::as_ptr(self) as usize, size_of::<Self>() + self.objects.list_bytes());
        for group in self.objects.groups() {
            visit(group.as_ptr() as usize, size_of_val(&group[..]));
        }
    }
}
