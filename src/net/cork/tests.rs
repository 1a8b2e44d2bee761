use std::task::Waker;

use super::*;

/// A sink that records each write and can be told to take only so much.
#[derive(Debug, Default)]
struct Sink {
    writes: Vec<Vec<u8>>,
    flushes: usize,
    shut_down: bool,
    room: Option<usize>,
    gathered: Vec<u8>,
    /// How much it gathers before it has to be flushed.
    gathers: usize,
}

impl Gather for Sink {
    fn gather(&mut self, chunks: &[IoSlice<'_>]) -> io::Result<usize> {
        let room = self.gathers - self.gathered.len();
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.to_vec()).collect();
        let taken = &bytes[..room.min(bytes.len())];
        self.gathered.extend_from_slice(taken);
        Ok(taken.len())
    }
}

impl Write for Sink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = self.room.unwrap_or(usize::MAX).min(bytes.len());
        if count == 0 {
            return Poll::Pending;
        }
        self.room = self.room.map(|room| room - count);
        self.writes.push(bytes[..count].to_vec());
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushes += 1;
        let gathered = std::mem::take(&mut self.gathered);
        if !gathered.is_empty() {
            self.writes.push(gathered);
        }
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
    let large = vec![7; PASS_THROUGH];
    let sink = with_cork(None, |corked, drain| {
        assert_eq!(put(corked, b"head"), Poll::Ready(4));
        assert_eq!(put(corked, &large), Poll::Ready(large.len()));
        assert_eq!(put(corked, b"tail"), Poll::Ready(4));
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [b"head".to_vec(), large, b"tail".to_vec()]);
}

#[test]
fn large_writes_are_gathered_as_far_as_the_connection_does() {
    let gathers = PASS_THROUGH * 2 + 100;
    let large = vec![7; PASS_THROUGH];
    let sink = over(Sink { gathers, ..Sink::default() }, |corked, drain| {
        assert_eq!(put(corked, b"head"), Poll::Ready(4));
        for taken in [large.len(), large.len(), 100, large.len()] {
            assert_eq!(put(corked, &large), Poll::Ready(taken));
        }
        assert!(drain.poll_drain(&mut context()).is_ready());
    });
    assert_eq!(sink.writes, [b"head".to_vec(), vec![7; gathers], large]);
}

#[test]
fn large_writes_leave_a_turn_to_other_connections() {
    let large = vec![7; PASS_THROUGH];
    for gathers in [0, 4 * PASS_THROUGH] {
        let sink = over(Sink { gathers, ..Sink::default() }, |corked, drain| {
            for _ in 0..3 {
                let taken = (0..1000).take_while(|_| put(corked, &large).is_ready()).count();
                assert_eq!(taken, TURN / PASS_THROUGH);
                assert!(drain.poll_drain(&mut context()).is_ready());
            }
        });
        assert_eq!(sink.writes.concat().len(), 3 * TURN);
    }
}

#[test]
fn no_more_is_held_than_the_limit() {
    let frame = vec![1; 10_000];
    let sink = with_cork(Some(0), |corked, _| {
        let taken = (0..10).take_while(|_| put(corked, &frame).is_ready()).count();
        assert_eq!(taken, HOLD / frame.len());
        assert_eq!(put(corked, b"x"), Poll::Ready(1), "what fits is still taken");
    });
    assert!(sink.writes.is_empty());
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
