//! The fan-out of the limit server: one prepared event, and how often it has happened to an audience.
//!
//! A watch is a count of what it has sent. When it is behind by several events it gets them joined, in blocks prepared once,
//! each at most one TLS record's worth of frames: more than that a server can't do with hyper.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};

/// How many events one block holds at most.
const BLOCK: usize = 12;

/// The prepared event: `blocks[n]` holds it n + 1 times.
#[derive(Default)]
pub(super) struct Blocks(RefCell<Vec<Bytes>>);

/// The events of one audience on one core.
pub(super) struct Feed {
    blocks: Rc<Blocks>,
    happened: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

/// One watch.
pub(super) struct Cursor {
    feed: Rc<Feed>,
    sent: Cell<u64>,
}

// === impl Blocks ===

impl Blocks {
    /// Sets what an event looks like.
    pub(super) fn prepare(&self, event: &Bytes) {
        let mut block = BytesMut::new();
        let mut blocks = Vec::with_capacity(BLOCK);
        for _ in 0..BLOCK {
            block.extend_from_slice(event);
            blocks.push(Bytes::copy_from_slice(&block));
        }
        *self.0.borrow_mut() = blocks;
    }
}

// === impl Feed ===

impl Feed {
    pub(super) fn new(blocks: &Rc<Blocks>) -> Self {
        Self { blocks: Rc::clone(blocks), happened: Cell::new(0), waiting: RefCell::default() }
    }

    /// So many more events have happened.
    pub(super) fn happen(&self, count: u64) {
        self.happened.set(self.happened.get() + count);
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for waker in waiting {
            waker.wake();
        }
    }
}

// === impl Cursor ===

impl Cursor {
    /// From now on.
    pub(super) fn new(feed: Rc<Feed>) -> Self {
        let sent = Cell::new(feed.happened.get());
        Self { feed, sent }
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Bytes> {
        let behind = self.feed.happened.get() - self.sent.get();
        let blocks = self.feed.blocks.0.borrow();
        let joined = usize::try_from(behind).unwrap_or(usize::MAX).min(blocks.len());
        if joined == 0 {
            self.feed.waiting.borrow_mut().push(cx.waker().clone());
            return Poll::Pending;
        }
        self.sent.set(self.sent.get() + joined as u64);
        Poll::Ready(blocks[joined - 1].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_gets_each_event_once_and_joined_when_behind() {
        let blocks = Rc::new(Blocks::default());
        blocks.prepare(&Bytes::from_static(b"event\n"));
        let feed = Rc::new(Feed::new(&blocks));
        let cursor = Cursor::new(Rc::clone(&feed));
        let cx = Context::from_waker(Waker::noop());
        assert!(cursor.poll(&cx).is_pending());
        feed.happen(1);
        assert_eq!(cursor.poll(&cx), Poll::Ready(Bytes::from_static(b"event\n")));
        assert!(cursor.poll(&cx).is_pending());
        feed.happen(BLOCK as u64 + 2);
        let sizes: Vec<_> = std::iter::from_fn(|| match cursor.poll(&cx) {
            Poll::Ready(block) => Some(block.len() / 6),
            Poll::Pending => None,
        })
        .collect();
        assert_eq!(sizes, [BLOCK, 2]);
    }
}
