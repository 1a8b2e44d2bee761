//! The proxy before an HTTP/2 client: what HTTP/1.1 says by closing, HTTP/2 says by RST_STREAM.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, client::conn::http2::SendRequest, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::upstream::transport::fixture::{plain, raw, read_to_end, read_until};

type Sent = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// An HTTP/2 client whose requests a gateway forwards.
async fn client(upstream: SocketAddr) -> SendRequest<Sent> {
    let (near, far) = tokio::io::duplex(1 << 16);
    let tunnels = Tunnels::new(1, CancellationToken::new());
    let forwarder = Forwarder::new(plain(upstream).into(), tunnels);
    let service = service_fn(move |request: Request<Incoming>| {
        let forwarder = forwarder.clone();
        async move {
            let peer = ([192, 0, 2, 7], 1).into();
            let answer = forwarder.forward(request, Lane::Unproven, peer).await;
            Ok::<_, std::convert::Infallible>(answer)
        }
    });
    tokio::spawn(async move {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(far), service).await;
    });
    let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near));
    let (sender, connection) = shaken.await.unwrap();
    tokio::spawn(connection);
    sender
}

fn get(target: &str) -> Request<Sent> {
    let uri = format!("https://gate.example{target}");
    Request::get(uri).body(Empty::new().boxed_unsync()).unwrap()
}

#[tokio::test]
async fn heads_bodies_and_trailers_pass_between_the_versions() {
    let (tell, mut told) = mpsc::channel(1);
    let upstream = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            tell.send(read_until(&mut socket, "x-up: 8\r\n\r\n").await).await.unwrap();
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\
                          Connection: keep-alive\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
            socket.write_all(answer.as_bytes()).await.unwrap();
            read_to_end(&mut socket).await;
        }
    })
    .await;
    let up = http::HeaderMap::from_iter([(
        http::HeaderName::from_static("x-up"),
        HeaderValue::from_static("8"),
    )]);
    let frames = [Frame::data(Bytes::from_static(b"hi")), Frame::trailers(up)];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok))).boxed_unsync();
    let mut request = Request::post("https://gate.example//a?b").body(body).unwrap();
    request.headers_mut().insert("trailer", HeaderValue::from_static("x-up"));
    let answer = client(upstream).await.send_request(request).await.unwrap();
    let seen = told.recv().await.unwrap();
    for kept in [
        "POST //a?b HTTP/1.1\r\n",
        "host: gate.example\r\n",
        "x-forwarded-for: 192.0.2.7\r\n",
        "via: 2.0 watchgate\r\n",
        "2\r\nhi\r\n0\r\nx-up: 8\r\n\r\n",
    ] {
        assert!(seen.contains(kept), "{kept} in {seen}");
    }
    let collected = answer.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "7");
    assert_eq!(collected.to_bytes(), "ok");
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_the_stream() {
    let upstream = raw(|_, mut socket| async move {
        read_until(&mut socket, "\r\n\r\n").await;
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    })
    .await;
    let mut client = client(upstream).await;
    let mut answer = client.send_request(get("/")).await.unwrap().into_body();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "hel");
    assert!(answer.frame().await.unwrap().is_err(), "a clean end would look complete");
    assert!(!client.is_closed(), "other streams are not concerned");
}

#[tokio::test]
async fn a_stream_that_the_client_resets_is_cancelled_upstream() {
    let (tell, mut told) = mpsc::channel(1);
    let upstream = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            read_until(&mut socket, "\r\n\r\n").await;
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            tell.send(read_to_end(&mut socket).await).await.unwrap();
        }
    })
    .await;
    let mut client = client(upstream).await;
    drop(client.send_request(get("/")).await.unwrap());
    let rest = timeout(Duration::from_secs(2), told.recv()).await;
    assert_eq!(rest.expect("upstream's connection is closed").unwrap(), "");
}
