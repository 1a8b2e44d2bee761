//! The whole way from the socket to the handler and back, with real clients on loopback.

use std::{
    net::Ipv4Addr,
    num::NonZeroUsize,
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use ::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::TokioExecutor;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{net::tls::PemPair, runtime::Cores};

/// Says how many header lines came and by which protocol; `/upgrade` echoes, `/wait` answers only
/// when the connection is told to finish, `/panic` does.
#[derive(Clone, Debug, Default)]
struct Echo {
    /// Requests for `/wait` that have arrived.
    waiting: Arc<AtomicUsize>,
}

impl Handler for Echo {
    type Body = Full<Bytes>;

    async fn handle(
        &self,
        mut request: Request<Incoming>,
        connection: &Arc<ConnectionInfo>,
    ) -> Response<Full<Bytes>> {
        match request.uri().path() {
            "/upgrade" => {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    let mut tunnel = TokioIo::new(upgrade.await.expect("upgraded"));
                    let mut four = [0; 4];
                    tunnel.read_exact(&mut four).await.expect("read");
                    tunnel.write_all(&four).await.expect("written");
                    tunnel.shutdown().await.expect("closed");
                });
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(header::UPGRADE, "echo".parse().expect("valid"));
                response
                    .headers_mut()
                    .insert(header::CONNECTION, "Upgrade".parse().expect("valid"));
                response
            }
            "/wait" => {
                self.waiting.fetch_add(1, Ordering::Relaxed);
                connection.draining.cancelled().await;
                Response::new(Full::from("drained"))
            }
            "/panic" => panic!("on purpose"),
            _ => {
                let protocol = connection.protocol.name();
                Response::new(Full::from(format!("{protocol} {}", request.headers().len())))
            }
        }
    }
}

/// A server on one core, and what its clients trust.
struct Fixture {
    address: SocketAddr,
    cores: Cores,
    waiting: Arc<AtomicUsize>,
    trusted: CertificateDer<'static>,
}

impl Fixture {
    fn start(encrypted: bool) -> Self {
        Self::start_with(encrypted, |_| ())
    }

    fn start_with(encrypted: bool, change: impl FnOnce(&mut ServerOptions)) -> Self {
        let cores = Cores::start(NonZeroUsize::MIN).expect("starts");
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = listener.address();
        let directory = tempfile::tempdir().expect("a directory");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let file = |name, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let certificate = file("serving.crt", made.cert.pem());
        let key = file("serving.key", made.signing_key.serialize_pem());
        let pair = PemPair::read(&certificate, &key).expect("readable");
        let tls = encrypted.then(|| Tls::new(&pair).expect("usable"));
        let mut options = ServerOptions::new(tls);
        change(&mut options);
        let stop = cores.draining().clone();
        let echo = Echo::default();
        let waiting = Arc::clone(&echo.waiting);
        let serving = serve(listener, cores.placer().clone(), options, echo, stop);
        cores.spawn_background("accept", serving);
        Self { address, cores, waiting, trusted: made.cert.der().clone() }
    }

    async fn connect_tls(&self, alpn: &[u8]) -> tokio_rustls::client::TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.trusted.clone()).expect("valid");
        let mut config = rustls::ClientConfig::builder_with_provider(crate::net::tls::provider())
            .with_safe_default_protocol_versions()
            .expect("supported")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.address).await.expect("connects");
        let name = ServerName::try_from("localhost").expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.expect("shakes hands")
    }

    async fn http1(&self) -> http1::SendRequest<Empty<Bytes>> {
        let stream = TokioIo::new(self.connect_tls(b"http/1.1").await);
        let (sender, connection) = http1::handshake(stream).await.expect("speaks");
        tokio::spawn(connection.with_upgrades());
        sender
    }

    async fn http2(&self) -> http2::SendRequest<Empty<Bytes>> {
        let stream = TokioIo::new(self.connect_tls(b"h2").await);
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), stream).await.expect("speaks");
        tokio::spawn(connection);
        sender
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://localhost{path}")).body(Empty::new()).expect("valid")
}

/// A request with so many header lines of so many bytes each.
fn with_headers(lines: usize, bytes: usize) -> Request<Empty<Bytes>> {
    let mut request = get("/");
    let value = ::http::HeaderValue::from_bytes(&vec![b'x'; bytes]).expect("valid");
    for _ in 0..lines {
        request.headers_mut().append("impersonate-group", value.clone());
    }
    request
}

async fn text(response: Response<Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let body = response.into_body().collect().await.expect("a whole body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn http1_takes_a_mebibyte_of_headers_and_answers_431_above_it() {
    let fixture = Fixture::start(true);
    let mut client = fixture.http1().await;
    let fits = text(client.send_request(with_headers(1000, 1000)).await.expect("served")).await;
    assert_eq!(fits, (StatusCode::OK, "h1 1000".to_owned()));
    let many = text(client.send_request(with_headers(4000, 1)).await.expect("kept alive")).await;
    assert_eq!(many, (StatusCode::OK, "h1 4000".to_owned()));
    let over = text(client.send_request(with_headers(1100, 1000)).await.expect("answered")).await;
    assert_eq!(over.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut client = fixture.http1().await;
    let over = text(client.send_request(with_headers(5000, 1)).await.expect("answered")).await;
    assert_eq!(over.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
}

#[tokio::test]
async fn http2_takes_a_mebibyte_of_headers_and_answers_431_above_it() {
    let fixture = Fixture::start(true);
    let mut client = fixture.http2().await;
    let fits = text(client.send_request(with_headers(970, 1000)).await.expect("served")).await;
    assert_eq!(fits, (StatusCode::OK, "h2 970".to_owned()));
    let many = text(client.send_request(with_headers(15_000, 1)).await.expect("served")).await;
    assert_eq!(many, (StatusCode::OK, "h2 15000".to_owned()));
    let over = text(client.send_request(with_headers(1100, 1000)).await.expect("answered")).await;
    assert_eq!(over.0, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let after = text(client.send_request(get("/")).await.expect("the connection lives")).await;
    assert_eq!(after, (StatusCode::OK, "h2 0".to_owned()));
}

#[tokio::test]
async fn plain_http1_works_without_tls() {
    let fixture = Fixture::start(false);
    let mut stream = TcpStream::connect(fixture.address).await.expect("connects");
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read to the end");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("h1 2"), "{answer}");
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel_and_keeps_its_place() {
    let fixture = Fixture::start(true);
    let mut client = fixture.http1().await;
    let mut request = get("/upgrade");
    request.headers_mut().insert(header::CONNECTION, "Upgrade".parse().expect("valid"));
    request.headers_mut().insert(header::UPGRADE, "echo".parse().expect("valid"));
    let response = client.send_request(request).await.expect("answered");
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.expect("upgraded"));
    assert_eq!(fixture.cores.placer().cores()[0].load(), 1, "the tunnel still counts");
    tunnel.write_all(b"ping").await.expect("written");
    let mut answer = String::new();
    tunnel.read_to_string(&mut answer).await.expect("read to the end");
    assert_eq!(answer, "ping");
}

#[tokio::test]
async fn a_drain_lets_answers_finish_and_closes_every_connection() {
    let fixture = Fixture::start(true);
    let (mut waiting1, mut waiting2) = (fixture.http1().await, fixture.http2().await);
    let (mut idle1, mut idle2) = (fixture.http1().await, fixture.http2().await);
    for response in [idle1.send_request(get("/")).await, idle2.send_request(get("/")).await] {
        assert_eq!(text(response.expect("served")).await.0, StatusCode::OK);
    }
    // Never asks anything, and never shakes hands.
    let _fresh = fixture.http1().await;
    let _silent = TcpStream::connect(fixture.address).await.expect("connects");
    let answers = tokio::spawn(async move {
        let (one, two) =
            tokio::join!(waiting1.send_request(get("/wait")), waiting2.send_request(get("/wait")));
        (text(one.expect("answered")).await, text(two.expect("answered")).await)
    });
    let started = Instant::now();
    let connections = || fixture.cores.placer().cores()[0].load();
    while fixture.waiting.load(Ordering::Relaxed) < 2 || connections() < 6 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(started.elapsed() < Duration::from_secs(5), "the connections arrive");
    }
    let drained = fixture.cores.drain(Duration::from_secs(5)).await;
    assert_eq!(drained.unfinished, 0);
    assert!(started.elapsed() < Duration::from_secs(5));
    let drained = (StatusCode::OK, "drained".to_owned());
    assert_eq!(answers.await.expect("no panic"), (drained.clone(), drained));
    assert!(idle2.send_request(get("/")).await.is_err(), "told to go away");
    assert!(idle1.send_request(get("/")).await.is_err(), "closed");
}

#[tokio::test]
async fn a_panicking_handler_costs_its_stream_only() {
    let fixture = Fixture::start(true);
    let mut client = fixture.http2().await;
    assert!(client.send_request(get("/panic")).await.is_err());
    assert_eq!(fixture.cores.panics(), 1);
    let after = text(client.send_request(get("/")).await.expect("the connection lives")).await;
    assert_eq!(after.0, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_shakes_no_hands_is_given_up() {
    let quick = |options: &mut ServerOptions| options.handshake_timeout = Duration::from_millis(50);
    let fixture = Fixture::start_with(true, quick);
    let mut silent = TcpStream::connect(fixture.address).await.expect("connects");
    let mut half = TcpStream::connect(fixture.address).await.expect("connects");
    half.write_all(&[22, 3, 1]).await.expect("written");
    for stream in [&mut silent, &mut half] {
        let closed = timeout(Duration::from_secs(5), stream.read_u8()).await.expect("in time");
        assert!(closed.is_err(), "nothing to read but the end");
    }
}
