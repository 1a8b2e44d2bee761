//! The limit: what the same bytes cost a server that only sends them.
//!
//! hyper over rustls, one current-thread runtime and one listening socket per core (`SO_REUSEPORT`), DATA frames that fill
//! one TLS record each, bodies from memory. It keeps what it is given by PUT under the request's path, `Accept` and
//! `Accept-Encoding`, and answers a GET of the same with it. A GET with `watch=` in its query is a stream of prepared events,
//! which POST `/events/N` makes appear to watches of the same `fieldSelector=` (see [`events`]). It authenticates nobody, asks nobody, and looks into nothing.

mod body;
mod events;
mod service;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    rc::Rc,
    sync::Arc,
    thread,
};

use anyhow::{Context as _, Result};
use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use service::{Core, Shared};

/// What its first line of output begins with; the URL follows.
pub(crate) const LISTENING: &str = "limit server listening on ";
/// With its head of 9 bytes a DATA frame fills a TLS record.
const TLS_DATA_FRAME: usize = 16_384 - 9;
const MAX_STREAMS: u32 = 1000;

/// Serves until the process is ended.
///
/// # Errors
/// When the certificate can't be used or no port is free.
pub(crate) fn serve(certificate: &Path, key: &Path) -> Result<()> {
    let acceptor = acceptor(certificate, key)?;
    let cores = thread::available_parallelism()?.get();
    let first = listen(0)?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    for _ in 1..cores {
        listeners.push(listen(port)?);
    }
    println!("{LISTENING}https://127.0.0.1:{port}");
    let shared = Arc::new(Shared::new(cores));
    let threads: Vec<_> = listeners
        .into_iter()
        .enumerate()
        .map(|(core, listener)| {
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            thread::spawn(move || run_core(listener, &acceptor, &shared, core))
        })
        .collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow::anyhow!("a core's thread panicked"))??;
    }
    Ok(())
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain =
        CertificateDer::pem_slice_iter(&fs::read(certificate)?).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?)?;
    let mut tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(tls)))
}

fn listen(port: u16) -> Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn run_core(
    listener: TcpListener,
    acceptor: &TlsAcceptor,
    shared: &Arc<Shared>,
    number: usize,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let core = Rc::new(Core::new(Arc::clone(shared), number));
        core.follow();
        loop {
            let (stream, _) = listener.accept().await.context("accepting")?;
            let (acceptor, core) = (acceptor.clone(), Rc::clone(&core));
            tokio::task::spawn_local(async move {
                let served = async {
                    stream.set_nodelay(true)?;
                    let stream = acceptor.accept(stream).await?;
                    let service = service_fn(move |request| Rc::clone(&core).answer(request));
                    http2::Builder::new(Local)
                        .max_concurrent_streams(MAX_STREAMS)
                        .initial_stream_window_size(64 << 20)
                        .initial_connection_window_size(64 << 20)
                        .serve_connection(TokioIo::new(stream), service)
                        .await?;
                    anyhow::Ok(())
                };
                if let Err(error) = served.await {
                    eprintln!("connection: {error:#}");
                }
            });
        }
    }))
}

/// Streams become tasks of the same thread.
#[derive(Clone, Copy)]
struct Local;

impl<F> Executor<F> for Local
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
