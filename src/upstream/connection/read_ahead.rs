//! Reads more from a socket at once than its reader asks for.
//!
//! rustls asks for 4 KiB at a time, a quarter of a record, so that a body of 10 MB took 2,600 system
//! calls to read. This stands between it and the socket. Guarantees the order of bytes, and that a
//! connection on which nothing is waiting to be read owns no buffer. Writes pass untouched.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_util::io::poll_read_buf;

/// Most bytes read at once: two TLS records and what is left of a third.
const AHEAD: usize = 40 * 1024;

/// A socket with what was read ahead from it.
#[derive(Debug)]
pub(super) struct ReadAhead {
    socket: TcpStream,
    ahead: BytesMut,
}

// === impl ReadAhead ===

impl ReadAhead {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, ahead: BytesMut::new() }
    }

    /// Whether there is something to read without asking the socket.
    pub(super) fn has_more(&self) -> bool {
        !self.ahead.is_empty()
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            if into.remaining() >= AHEAD {
                return Pin::new(&mut this.socket).poll_read(cx, into);
            }
            // Before there is a buffer: most polls find nothing.
            ready!(this.socket.poll_read_ready(cx))?;
            this.ahead.reserve(AHEAD);
            let read = poll_read_buf(Pin::new(&mut this.socket), cx, &mut this.ahead);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                this.ahead = BytesMut::new();
                return read.map_ok(drop);
            }
        }
        let count = into.remaining().min(this.ahead.len());
        into.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        if this.ahead.is_empty() {
            this.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn small_reads_give_every_byte_in_order_and_leave_no_buffer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let sending = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(&sent).await.unwrap();
        });
        let mut reader = ReadAhead::new(TcpStream::connect(address).await.unwrap());
        let (mut got, mut ahead) = (Vec::new(), 0);
        let mut part = [0; 4096];
        loop {
            let count = reader.read(&mut part).await.unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&part[..count]);
            ahead = ahead.max(reader.ahead.len());
        }
        sending.await.unwrap();
        assert_eq!(got, expected);
        assert!(ahead > 0 && ahead <= AHEAD, "{ahead} bytes read ahead");
        assert_eq!(reader.ahead.capacity(), 0);
    }
}
