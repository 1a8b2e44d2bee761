//! [`Deflated`]: a page's items as one DEFLATE block, made on first use by one of its readers.
//!
//! The block belongs to the newest version. A writer that replaces the page while older versions
//! keep it releases the block: kept for every old version of a busy resource, blocks would take
//! more memory than the objects (`docs/decisions/0001`). A reader of an old version makes it again.
//! (If two clones of a map are both changed, they release each other's blocks: correct, but slower.)
//!
//! Readers that ask at the same time share the work: the first one compresses, the others wait for
//! it: 0.1–0.2 ms for a full page, or longer where it is made on a thread that others go before. Nothing
//! here makes a writer wait.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::codec::gzip::DeflatedBlock;

/// The place of a block (see the module). A copy is an empty place.
#[derive(Debug, Default)]
pub(super) struct Deflated {
    block: ArcSwapOption<OnceLock<DeflatedBlock>>,
}

// === impl Deflated ===

impl Deflated {
    /// The block if somebody made it already.
    pub(super) fn get(&self) -> Option<DeflatedBlock> {
        self.block.load().as_ref().and_then(|block| block.get().cloned())
    }

    /// Whether somebody made the block already.
    pub(super) fn is_there(&self) -> bool {
        self.block.load().as_ref().is_some_and(|block| block.get().is_some())
    }

    /// Whether somebody is making the block now: [`Self::get_or_make`] would wait for them.
    pub(super) fn is_being_made(&self) -> bool {
        self.block.load().as_ref().is_some_and(|block| block.get().is_none())
    }

    /// The block, made now if nobody did before.
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> DeflatedBlock) -> DeflatedBlock {
        let place = self.block.load_full().unwrap_or_else(|| {
            let mine = Arc::new(OnceLock::new());
            let nothing = None::<Arc<OnceLock<DeflatedBlock>>>;
            let before = self.block.compare_and_swap(&nothing, Some(Arc::clone(&mine)));
            before.as_ref().map_or(mine, Arc::clone)
        });
        place.get_or_init(make).clone()
    }

    /// Drops the block, also one that is being made.
    pub(super) fn release(&self) {
        self.block.store(None);
    }
}

impl Clone for Deflated {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_share_one_block_until_it_is_released() {
        let place = Deflated::default();
        assert_eq!(place.get(), None);
        let first = DeflatedBlock::stored(b"first");
        assert_eq!(place.get_or_make(|| first.clone()), first);
        assert_eq!(place.get_or_make(|| unreachable!("made already")), first);
        let copy = place.clone();
        assert_eq!((place.get(), copy.get()), (Some(first), None));
        assert!(!place.is_being_made() && !copy.is_being_made());
        place.release();
        let second = DeflatedBlock::stored(b"second");
        assert_eq!(place.get_or_make(|| second.clone()), second);
    }

    #[test]
    fn a_block_released_while_it_was_made_is_not_kept() {
        let place = Deflated::default();
        place.get_or_make(|| {
            assert!(place.is_being_made() && !place.is_there());
            place.release();
            DeflatedBlock::stored(b"late")
        });
        assert_eq!(place.get(), None);
    }
}
