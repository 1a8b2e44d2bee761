//! [`Gather`]: connections that can hold several large writes and send them as one.
//!
//! Over TLS each write of a DATA frame becomes one record and, by tokio-rustls, one write to the
//! socket. rustls keeps records that it can't write yet; here it is given a few before it may write:
//! a list leaves in a quarter of the system calls and packets, and is copied no more often.

use std::io::{self, IoSlice, Write as _};

use hyper::rt::Write;
use hyper_util::rt::TokioIo;
use rustls::ServerConnection;
use tokio_rustls::server::TlsStream;

use super::socket::Socket;

/// Full records that are held: what the kernel takes at once from one whose reader keeps up.
const RECORDS: usize = 4;

/// A record of 2^14 bytes with its head, TLS 1.3's hidden type, and the authentication tag.
const RECORD_LENGTH: usize = (1 << 14) + 5 + 1 + 16;

/// A connection that may hold bytes until it is flushed.
pub trait Gather: Write {
    /// Takes what there is room for and writes nothing. 0 means: to be flushed first, or, if it is,
    /// to be written.
    ///
    /// # Errors
    /// When the connection takes nothing any more.
    fn gather(&mut self, chunks: &[IoSlice<'_>]) -> io::Result<usize> {
        let _ = chunks;
        Ok(0)
    }
}

/// Lets a TLS connection hold as much as is worth a write, but no more.
pub(super) fn hold_records(connection: &mut ServerConnection) {
    connection.set_buffer_limit(Some(RECORDS * RECORD_LENGTH));
}

/// Writes go to the socket; hyper gathers what HTTP/1.1 says.
impl Gather for TokioIo<Socket> {}

impl Gather for TokioIo<TlsStream<Socket>> {
    fn gather(&mut self, chunks: &[IoSlice<'_>]) -> io::Result<usize> {
        let (_, connection) = self.inner_mut().get_mut();
        connection.writer().write_vectored(chunks)
    }
}
