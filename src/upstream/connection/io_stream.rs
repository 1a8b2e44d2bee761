//! The socket of a connection, encrypted or not, and the permit that it holds until it is closed.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
};
use tokio_rustls::client::TlsStream;

use super::read_ahead::ReadAhead;

/// How much plaintext one read gives at most, where records are there already.
const MOST_AT_ONCE: usize = 64 * 1024;

pub(super) struct Stream {
    socket: Socket,
    _permit: OwnedSemaphorePermit,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<ReadAhead>>),
}

// === impl Stream ===

impl Stream {
    pub(super) const fn plain(socket: TcpStream, permit: OwnedSemaphorePermit) -> Self {
        Self { socket: Socket::Plain(socket), _permit: permit }
    }

    pub(super) fn tls(socket: TlsStream<ReadAhead>, permit: OwnedSemaphorePermit) -> Self {
        Self { socket: Socket::Tls(Box::new(socket)), _permit: permit }
    }

    /// Whether ALPN chose HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        match &self.socket {
            Socket::Plain(_) => false,
            Socket::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Reads one record, and those behind it that have been read from the socket already: kube-apiserver
/// sends small ones, and each would be a frame of its own.
fn poll_records(
    stream: &mut TlsStream<ReadAhead>,
    cx: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buffer.filled().len();
    ready!(Pin::new(&mut *stream).poll_read(cx, buffer))?;
    let mut read = buffer.filled().len() - before;
    while read > 0 && read < MOST_AT_ONCE && buffer.remaining() > 0 && stream.get_ref().0.has_more()
    {
        // A failure, or the end, comes again with the next read: TLS tells it as often as asked.
        let Poll::Ready(Ok(())) = Pin::new(&mut *stream).poll_read(cx, buffer) else { break };
        let further = buffer.filled().len() - before - read;
        if further == 0 {
            break;
        }
        read += further;
    }
    Poll::Ready(Ok(()))
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => poll_records(stream, cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(stream) => stream.is_write_vectored(),
            Socket::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
