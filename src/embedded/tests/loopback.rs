//! The store behind a plain HTTP listener on loopback, for real clients such as kubectl.
//!
//! Ignored: it serves until it is killed or its hour is over. The first line of its output is the
//! address. kubectl sends no credential over plain HTTP, so a request without one gets it here,
//! unless `WATCHGATE_TEST_STRICT` is set.

use std::time::Duration;

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;

#[tokio::test]
#[ignore = "serves a real client by hand"]
async fn serve() {
    let server = server();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let strict = std::env::var_os("WATCHGATE_TEST_STRICT").is_some();
    let verbose = std::env::var_os("WATCHGATE_TEST_VERBOSE").is_some();
    let accepting = async {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let server = server.clone();
            let service = service_fn(move |mut request: Request<hyper::body::Incoming>| {
                let server = server.clone();
                if verbose {
                    println!("{} {} {:?}", request.method(), request.uri(), request.headers());
                }
                let headers = request.headers_mut();
                if !strict && !headers.contains_key("authorization") {
                    headers.insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
                }
                async move { Ok::<_, std::convert::Infallible>(server.call(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(3600), accepting).await;
}
