//! An HTTP/1.1 connection whose bytes are the test's own.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};

/// Bytes out, answers in.
pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    buffer: BytesMut,
}

/// TLS or not.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The head of an answer.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

const PATIENCE: Duration = Duration::from_secs(15);

impl Wire {
    /// Connects to `https://HOST:PORT`.
    pub(crate) async fn connect(url: &str, ca_pem: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self::connect_with(url, tls).await
    }

    /// Connects with TLS settings of the test's own.
    pub(crate) async fn connect_with(url: &str, tls: ClientConfig) -> Result<Self> {
        let address = url.strip_prefix("https://").context("not https")?;
        let (host, _) = address.rsplit_once(':').context("no port")?;
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await?;
        Ok(Self::over(stream))
    }

    /// Connects to `HOST:PORT` in the clear.
    pub(crate) async fn plain(address: &str) -> Result<Self> {
        Ok(Self::over(TcpStream::connect(address).await?))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next head, interim ones included.
    pub(crate) async fn head(&mut self) -> Result<Head> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                return Head::parse(&head);
            }
            ensure!(self.more().await?, "the connection ended before a head: {:?}", self.buffer);
        }
    }

    /// The body behind a head, to its end.
    pub(crate) async fn body(&mut self, head: &Head) -> Result<Bytes> {
        let encoding = head.headers.get("transfer-encoding");
        if encoding.is_some_and(|encoding| encoding == "chunked") {
            return self.chunks().await.map(|(body, _)| body);
        }
        match head.headers.get("content-length") {
            Some(length) => self.exactly(length.to_str()?.parse()?).await,
            None => {
                while self.more().await? {}
                Ok(self.buffer.split().freeze())
            }
        }
    }

    /// A chunked body to its end, and its trailers.
    pub(crate) async fn chunks(&mut self) -> Result<(Bytes, BTreeMap<String, String>)> {
        let mut body = BytesMut::new();
        loop {
            let size = self.line().await?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16)?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&self.exactly(size).await?);
            ensure!(self.line().await?.is_empty(), "a chunk without its end");
        }
        let mut trailers = BTreeMap::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(": ") else { break };
            trailers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        Ok((body.freeze(), trailers))
    }

    /// A line without its end.
    pub(crate) async fn line(&mut self) -> Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return Ok(String::from_utf8(line.to_vec())?);
            }
            ensure!(self.more().await?, "the connection ended within a line");
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> Result<Bytes> {
        while self.buffer.len() < count {
            ensure!(
                self.more().await?,
                "the connection ended {} bytes early",
                count - self.buffer.len()
            );
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// That nothing comes for a while.
    pub(crate) async fn ensure_silent(&mut self, during: Duration) -> Result<()> {
        ensure!(self.buffer.is_empty(), "{:?}", self.buffer);
        match timeout(during, self.stream.read_buf(&mut self.buffer)).await {
            Err(_) => Ok(()),
            Ok(read) => bail!("{read:?}: {:?}", self.buffer),
        }
    }

    /// Reads once; `false` at the end of the connection.
    pub(crate) async fn more(&mut self) -> Result<bool> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        Ok(read.context("nothing comes")?? > 0)
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(mut self, request: impl AsRef<[u8]>) -> Result<(Head, Bytes)> {
        self.send(request).await?;
        let head = self.head().await?;
        let body = self.body(&head).await?;
        Ok((head, body))
    }
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes)?;
        let mut lines = text.split("\r\n");
        let first = lines.next().context("no status line")?;
        let status = first.split(' ').nth(1).context("no status")?.parse()?;
        let mut headers = HeaderMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').with_context(|| line.to_owned())?;
            let name: HeaderName = name.parse()?;
            headers.append(name, HeaderValue::from_str(value.trim())?);
        }
        Ok(Self { status, headers })
    }
}
