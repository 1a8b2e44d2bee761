use std::task::Waker;

use super::*;

/// A sink that records each write and can be told to take only so much. With `gathers` it holds what
/// it takes until it is flushed, as TLS does.
#[derive(Debug, Default)]
struct Sink {
    writes: Vec<Vec<u8>>,
    flushes: usize,
    shut_down: bool,
    room: Option<usize>,
    gathers: bool,
    gathered: Vec<u8>,
    limit: usize,
}

impl Sink {
    fn take(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = self.room.unwrap_or(usize::MAX).min(bytes.len());
        if count == 0 {
            return Poll::Pending;
        }
        self.room = self.room.map(|room| room - count);
        self.writes.push(bytes[..count].to_vec());
        Poll::Ready(Ok(count))
    }
}

impl Layer for Sink {
    fn gather(&mut self, chunks: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        let room = self.limit.saturating_sub(self.gathered.len());
        let bytes = chunks.iter().flat_map(|chunk| chunk.iter().copied()).take(room);
        let before = self.gathered.len();
        self.gathers.then(|| {
            self.gathered.extend(bytes);
            Ok(self.gathered.len() - before)
        })
    }

    fn hold_at_most(&mut self, bytes: usize) {
        self.limit = bytes;
    }
}

impl Read for Sink {
    fn poll_read(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        _into: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl Write for Sink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.take(bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            let gathered = self.gathered.clone();
            let count = ready!(self.take(&gathered))?;
            self.gathered.drain(..count);
        }
        self.flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

/// Runs one step against a cork over a sink.
fn with_cork(room: Option<usize>, step: impl FnOnce(&mut Cork<Sink>, &CorkDrain<Sink>)) -> Sink {
    over(Sink { room, ..Sink::default() }, step)
}

fn over(sink: Sink, step: impl FnOnce(&mut Cork<Sink>, &CorkDrain<Sink>)) -> Sink {
    let (mut corked, drain) = cork(sink);
    step(&mut corked, &drain);
    drop(drain);
    Arc::into_inner(corked.shared).expect("the last handle").into_inner().inner
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn put(corked: &mut Cork<Sink>, bytes: &[u8]) -> Poll<usize> {
    Pin::new(corked).poll_write(&mut context(), bytes).map(|result| result.expect("no error"))
}

#[test]
fn small_writes_become_one_and_the_buffer_is_freed() {
    let sink = with_cork(None, |corked, drain| {
        for _ in 0..40 {
            assert_eq!(put(corked, b"frame"), Poll::Ready(5));
            assert!(Pin::new(&mut *corked).poll_flush(&mut context()).is_ready());
        }
        assert!(corked.shared.lock().inner.writes.is_empty(), "nothing before the drain");
        assert!(drain.poll_drain(&mut context()).is_ready());
        assert_eq!(corked.shared.lock().held.capacity(), 0);
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [b"frame".repeat(40)]);
    assert_eq!(sink.flushes, 1, "an empty cork does not flush again");
}

#[test]
fn large_writes_pass_through_after_what_is_held() {
    let large = vec![7; WORTH_A_RECORD];
    let sink = with_cork(None, |corked, drain| {
        assert_eq!(put(corked, b"head"), Poll::Ready(4));
        assert_eq!(put(corked, &large), Poll::Ready(large.len()));
        assert_eq!(put(corked, b"tail"), Poll::Ready(4));
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [b"head".to_vec(), large, b"tail".to_vec()]);
}

#[test]
fn no_more_is_held_than_one_record() {
    let frame = vec![1; 3000];
    let sink = with_cork(Some(0), |corked, _| {
        let taken = (0..10).take_while(|_| put(corked, &frame).is_ready()).count();
        assert_eq!(taken, RECORD / frame.len());
        assert_eq!(put(corked, b"x"), Poll::Ready(1), "what fits is still taken");
    });
    assert!(sink.writes.is_empty());
}

#[test]
fn what_tls_can_hold_becomes_one_write() {
    let frame = vec![7; WORTH_A_RECORD];
    let sink = over(Sink { gathers: true, ..Sink::default() }, |corked, drain| {
        assert_eq!(put(corked, b"head"), Poll::Ready(4));
        assert_eq!(put(corked, &frame), Poll::Ready(frame.len()));
        assert_eq!(put(corked, b"tail"), Poll::Ready(4));
        assert!(corked.shared.lock().inner.writes.is_empty(), "nothing before the drain");
        assert!(drain.poll_drain(&mut context()).is_ready());
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [[b"head".as_slice(), &frame, b"tail"].concat()]);
    assert_eq!(sink.flushes, 1, "an empty cork does not flush again");
}

#[test]
fn tls_is_emptied_when_it_is_full_and_not_filled_further_when_it_cannot_be() {
    let frame = vec![7; 10_000];
    let put_all = |room, frames: usize| {
        let mut taken = 0;
        let sink = over(Sink { gathers: true, room, ..Sink::default() }, |corked, _| {
            while taken < frames * frame.len() {
                // As h2 does: the rest of a frame follows in a write of its own.
                let rest = &frame[taken % frame.len()..];
                let Poll::Ready(count) = put(corked, rest) else { return };
                taken += count;
            }
        });
        (taken, sink)
    };
    let (taken, sink) = put_all(Some(0), 100);
    assert!((HOLD..=HOLD + RECORD).contains(&taken), "{taken}");
    assert!(sink.writes.is_empty());
    let (taken, sink) = put_all(None, 100);
    assert_eq!(taken, 100 * frame.len());
    assert!(sink.writes.iter().all(|write| write.len() == HOLD), "full writes");
}

#[test]
fn a_spare_buffer_serves_the_next_cork() {
    let fill = |corked: &mut Cork<Sink>, drain: &CorkDrain<Sink>| {
        assert!(put(corked, b"frame").is_ready());
        let used = corked.shared.lock().held.as_ptr();
        assert!(drain.poll_drain(&mut context()).is_ready());
        used
    };
    let mut used = Vec::new();
    for _ in 0..2 {
        with_cork(None, |corked, drain| used.push(fill(corked, drain)));
    }
    assert_eq!(used[0], used[1]);
}

#[test]
fn a_drain_goes_on_where_the_socket_stopped() {
    let sink = with_cork(Some(3), |corked, drain| {
        assert_eq!(put(corked, b"abcdef"), Poll::Ready(6));
        assert!(drain.poll_drain(&mut context()).is_pending());
        assert_eq!(put(corked, b"gh"), Poll::Ready(2));
        corked.shared.lock().inner.room = None;
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes.concat(), b"abcdefgh");
}

#[test]
fn shutdown_writes_what_is_held_first() {
    let sink = with_cork(None, |corked, _| {
        assert_eq!(put(corked, b"goaway"), Poll::Ready(6));
        assert!(Pin::new(corked).poll_shutdown(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [b"goaway".to_vec()]);
    assert_eq!((sink.flushes, sink.shut_down), (1, true));
}
