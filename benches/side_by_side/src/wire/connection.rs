//! One connection: TLS, the frames on it, and the windows.

use std::{
    cell::RefCell,
    future::poll_fn,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    frame::{FrameReader, Sink, Status},
    request::{self, Ask, CONNECTION_WINDOW, RequestWriter, STREAM_WINDOW},
};

const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
/// Longest silence within an answer. A LIST of 100,000 objects takes kube-apiserver a while before it says anything.
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// One for all connections of a thread: an idle connection holds none.
const BUFFER: usize = 128 * 1024;

thread_local! {
    static SHARED: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// A server, and who we are there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    authority: String,
    token: Option<String>,
    tls: TlsConnector,
}

/// An open connection.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    reader: FrameReader,
    writer: RequestWriter,
    next_stream: u32,
}

/// A complete answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    /// Of the body, as they came.
    pub(crate) bytes: u64,
    pub(crate) elapsed: Duration,
}

/// What one answer needs to know of.
struct One {
    stream: u32,
    status: Option<Status>,
    bytes: u64,
    ended: bool,
    reset: Option<u32>,
    owed: u32,
}

// === impl Endpoint ===

impl Endpoint {
    /// `https://ADDRESS:PORT` with the authority of its certificate.
    pub(crate) fn new(url: &str, ca_pem: &str, token: Option<&str>) -> Result<Self> {
        let authority =
            url.strip_prefix("https://").with_context(|| format!("{url}: not https"))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            address: authority
                .parse()
                .with_context(|| format!("{url}: not an address with port"))?,
            authority: authority.to_owned(),
            token: token.map(str::to_owned),
            tls: TlsConnector::from(Arc::new(tls)),
        })
    }

    pub(crate) async fn connect(&self, ask: &Ask) -> Result<Connection> {
        self.connect_from(ask, None).await
    }

    /// From a certain address of this machine: each has its own 28,000 ports.
    pub(crate) async fn connect_from(&self, ask: &Ask, from: Option<IpAddr>) -> Result<Connection> {
        let connected = timeout(CONNECT_PATIENCE, self.open(ask, from)).await;
        connected
            .with_context(|| {
                format!("{}: no connection within {CONNECT_PATIENCE:?}", self.authority)
            })?
            .with_context(|| format!("connecting to {}", self.authority))
    }

    async fn open(&self, ask: &Ask, from: Option<IpAddr>) -> Result<Connection> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::from(self.address.ip());
        let mut stream = self.tls.connect(name, stream).await?;
        ensure!(
            stream.get_ref().1.alpn_protocol() == Some(b"h2"),
            "the server does not speak HTTP/2"
        );
        let mut out = Vec::with_capacity(128);
        request::preface(&mut out);
        stream.write_all(&out).await?;
        stream.flush().await?;
        let writer = RequestWriter::new(ask, &self.authority, self.token.as_deref());
        Ok(Connection { stream, reader: FrameReader::default(), writer, next_stream: 1 })
    }
}

// === impl Connection ===

impl Connection {
    /// Asks and reads the whole answer.
    ///
    /// # Errors
    /// When the status is not 200 or the body is cut off.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Answered> {
        let started = Instant::now();
        let stream = self.open_stream(path).await?;
        let mut one = One { stream, status: None, bytes: 0, ended: false, reset: None, owed: 0 };
        while !one.ended {
            let read = timeout(ANSWER_PATIENCE, self.pump(&mut one)).await;
            read.with_context(|| format!("{path}: silence for {ANSWER_PATIENCE:?}"))??;
            if one.owed >= STREAM_WINDOW / 4 && !one.ended {
                self.grant(stream, std::mem::take(&mut one.owed)).await?;
            }
        }
        if let Some(code) = one.reset {
            bail!("{path}: the server cut the answer off with code {code}");
        }
        ensure!(one.status == Some(Status::Ok), "{path}: the status is not 200");
        Ok(Answered { bytes: one.bytes, elapsed: started.elapsed() })
    }

    /// Asks, and leaves the answer to [`Self::pump`].
    pub(crate) async fn open_stream(&mut self, path: &str) -> Result<u32> {
        Ok(self.open_streams(std::iter::once(path)).await?.start)
    }

    /// Asks for several at once; their numbers are every second of the range.
    pub(crate) async fn open_streams<'a>(
        &mut self,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<std::ops::Range<u32>> {
        let first = self.next_stream;
        let mut out = Vec::with_capacity(512);
        for path in paths {
            self.writer.get(self.next_stream, path, &mut out);
            self.next_stream += 2;
        }
        self.send(&out).await?;
        Ok(first..self.next_stream)
    }

    /// Reads once and hands on what came.
    pub(crate) async fn pump(&mut self, sink: &mut impl Sink) -> Result<()> {
        let Self { stream, reader, .. } = self;
        poll_fn(|cx| {
            SHARED.with_borrow_mut(|shared| {
                let mut buffer = ReadBuf::new(shared);
                match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
                    Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                        Poll::Ready(Err(anyhow::anyhow!("the server closed the connection")))
                    }
                    Poll::Ready(Ok(())) => Poll::Ready(reader.feed(buffer.filled(), sink)),
                }
            })
        })
        .await?;
        if self.reader.owed >= CONNECTION_WINDOW / 4 {
            let owed = std::mem::take(&mut self.reader.owed);
            self.grant(0, owed).await?;
        }
        if !self.reader.replies.is_empty() {
            let replies = std::mem::take(&mut self.reader.replies);
            self.send(&replies).await?;
        }
        Ok(())
    }

    /// Gives a stream's window back.
    pub(crate) async fn grant(&mut self, stream: u32, bytes: u32) -> Result<()> {
        let mut out = Vec::with_capacity(13);
        request::window_update(stream, bytes, &mut out);
        self.send(&out).await
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }
}

// === impl One ===

impl Sink for One {
    fn head(&mut self, stream: u32, status: Status) {
        if stream == self.stream && self.status.is_none() {
            self.status = Some(status);
        }
    }

    fn data(&mut self, stream: u32, bytes: &[u8]) {
        if stream == self.stream {
            self.bytes += bytes.len() as u64;
            self.owed += bytes.len() as u32;
        }
    }

    fn end(&mut self, stream: u32, reset: Option<u32>) {
        if stream == self.stream {
            self.ended = true;
            self.reset = reset;
        }
    }
}
