//! The proxy between raw sockets: what a client sends, what upstream gets, and what comes back.

use std::time::{Duration, Instant};

use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    telemetry::metrics::{Metrics, resource::NONE},
    upstream::transport::fixture::{plain, raw, read_to_end, read_until},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A gateway before an upstream, and a client's connection to it.
async fn client(upstream: SocketAddr) -> TcpStream {
    TcpStream::connect(gateway(upstream, 1).await).await.unwrap()
}

async fn gateway(upstream: SocketAddr, tunnels: usize) -> SocketAddr {
    let tunnels = Tunnels::new(tunnels, CancellationToken::new());
    let forwarder = Forwarder::new(plain(upstream).into(), tunnels);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, peer) = listener.accept().await.unwrap();
            let forwarder = forwarder.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let forwarder = forwarder.clone();
                async move {
                    let answer = forwarder.forward(request, Lane::Client, peer).await;
                    Ok::<_, std::convert::Infallible>(answer)
                }
            });
            tokio::spawn(async move {
                let mut builder = hyper::server::conn::http1::Builder::new();
                builder.timer(TokioTimer::new());
                let served = builder.serve_connection(TokioIo::new(socket), service);
                let _ = served.with_upgrades().await;
            });
        }
    });
    address
}

/// An upstream that tells what it read up to `until` and gives one answer.
async fn answering(
    until: &'static str,
    answer: &'static str,
) -> (SocketAddr, mpsc::Receiver<String>) {
    let (tell, told) = mpsc::channel(8);
    let address = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            tell.send(read_until(&mut socket, until).await).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
            // What comes until the gateway closes.
            tell.send(read_to_end(&mut socket).await).await.unwrap();
        }
    })
    .await;
    (address, told)
}

async fn next(told: &mut mpsc::Receiver<String>) -> String {
    timeout(Duration::from_secs(5), told.recv()).await.expect("upstream tells").unwrap()
}

#[tokio::test]
async fn heads_pass_without_what_concerns_the_connection() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Secret, keep-alive\r\nKeep-Alive: timeout=5\r\n\
                  X-Secret: 1\r\nAudit-Id: a\r\nWarning: 299 - \"w1\"\r\nWarning: 299 - \"w2\"\r\n\
                  Content-Length: 2\r\n\r\nok";
    let (upstream, mut told) = answering("\r\n\r\n", answer).await;
    let mut client = client(upstream).await;
    let request = "GET //api/v1/../%2Fx?a=%20&&b= HTTP/1.1\r\nHost: gate:1\r\n\
                   Connection: x-mine, authorization\r\nX-Mine: 1\r\nTE: trailers, gzip\r\n\
                   Authorization: Bearer t\r\nX-Remote-User: admin\r\nX-Remote-Extra-A: b\r\n\
                   X-Forwarded-For: 192.0.2.1\r\nImpersonate-User: jane\r\nRange: bytes=0-1\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let seen = next(&mut told).await;
    assert!(seen.starts_with("GET //api/v1/../%2Fx?a=%20&&b= HTTP/1.1\r\n"), "{seen}");
    for kept in [
        "host: gate:1\r\n",
        "te: trailers\r\n",
        "authorization: Bearer t\r\n",
        "x-forwarded-for: 192.0.2.1, 127.0.0.1\r\n",
        "via: 1.1 watchgate\r\n",
        "impersonate-user: jane\r\n",
        "range: bytes=0-1\r\n",
    ] {
        assert!(seen.contains(kept), "{kept} in {seen}");
    }
    for dropped in ["x-remote", "x-mine", "connection", "gzip"] {
        assert!(!seen.contains(dropped), "{dropped} in {seen}");
    }
    let answer = read_until(&mut client, "\r\n\r\nok").await;
    for kept in ["audit-id: a\r\n", "warning: 299 - \"w1\"\r\nwarning: 299 - \"w2\"\r\n"] {
        assert!(answer.contains(kept), "{kept} in {answer}");
    }
    assert!(!answer.contains("x-secret") && !answer.contains("keep-alive"), "{answer}");
}

#[tokio::test]
async fn absolute_form_becomes_origin_form() {
    let (upstream, mut told) = answering("\r\n\r\n", OK).await;
    let mut client = client(upstream).await;
    let request = "GET http://other:2/api?x HTTP/1.1\r\nHost: gate\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let seen = next(&mut told).await;
    assert!(seen.starts_with("GET /api?x HTTP/1.1\r\n") && seen.contains("host: other:2\r\n"));
}

#[tokio::test]
async fn head_and_304_keep_their_headers_and_have_no_body() {
    for (request, answer, expected) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "content-length: 99\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n", "etag: \"e\"\r\n"),
        ("OPTIONS", "HTTP/1.1 204 No Content\r\nAllow: GET\r\n\r\n", "allow: GET\r\n"),
    ] {
        let (upstream, _told) = answering("\r\n\r\n", answer).await;
        let mut client = client(upstream).await;
        let request = format!("{request} / HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let all = read_to_end(&mut client).await;
        assert!(all.contains(expected) && all.ends_with("\r\n\r\n"), "{all}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                  2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    let (upstream, mut told) = answering("x-up: 8\r\n\r\n", answer).await;
    let mut client = client(upstream).await;
    let request = "POST / HTTP/1.1\r\nHost: g\r\nTE: trailers\r\nTrailer: x-up\r\n\
                   Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-up: 8\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    assert!(next(&mut told).await.contains("2\r\nhi\r\n0\r\nx-up: 8\r\n\r\n"));
    read_until(&mut client, "2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n").await;
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_continue_when_upstream_is() {
    let (tell, mut told) = mpsc::channel(8);
    let upstream = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            let head = read_until(&mut socket, "\r\n\r\n").await;
            tell.send(head).await.unwrap();
            socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
            tell.send(read_until(&mut socket, "hello").await).await.unwrap();
            socket.write_all(OK.as_bytes()).await.unwrap();
            read_to_end(&mut socket).await;
        }
    })
    .await;
    let mut client = client(upstream).await;
    let started = Instant::now();
    let request = "PUT / HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "\r\n\r\nok").await;
    assert!(started.elapsed() < Duration::from_millis(900), "not after the wait's end");
    assert!(next(&mut told).await.contains("expect: 100-continue"));
    assert_eq!(next(&mut told).await, "hello");
}

#[tokio::test]
async fn a_client_that_waits_is_not_told_to_continue_when_upstream_refuses() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let (upstream, mut told) = answering("\r\n\r\n", refusal).await;
    let mut client = client(upstream).await;
    let request = "PUT / HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let all = read_to_end(&mut client).await;
    assert!(all.starts_with("HTTP/1.1 401 ") && all.ends_with("\r\n\r\nno"), "{all}");
    assert!(!next(&mut told).await.contains("hello"));
    assert_eq!(next(&mut told).await, "", "no body was sent and the connection was closed");
}

#[tokio::test]
async fn a_client_that_waits_before_a_silent_upstream_is_told_after_a_second() {
    let (upstream, mut told) = answering("hello", OK).await;
    let mut client = client(upstream).await;
    let request = "PUT / HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.write_all(b"hello").await.unwrap();
    read_until(&mut client, "\r\n\r\nok").await;
    assert!(next(&mut told).await.ends_with("hello"));
}

#[tokio::test]
async fn an_early_413_reaches_a_client_that_is_still_sending() {
    let refusal = "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let upstream = raw(move |_, mut socket| async move {
        // As Go's server: answers at its bound, stops reading, lingers, closes.
        let mut left = 3 << 20;
        let mut bytes = vec![0; 64 << 10];
        while left > 0 {
            left -= socket.read(&mut bytes).await.unwrap().min(left);
        }
        socket.write_all(refusal.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    })
    .await;
    let client = client(upstream).await;
    let (mut read, mut write) = client.into_split();
    let sending = tokio::spawn(async move {
        write
            .write_all(b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await
            .unwrap();
        let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
        let mut sent = 0_usize;
        while sent < 64 << 20 && write.write_all(chunk.as_bytes()).await.is_ok() {
            sent += 0x10000;
        }
        sent
    });
    let mut all = Vec::new();
    let reading = async {
        while !all.ends_with(b"\r\n\r\nbig") {
            let count = read.read_buf(&mut all).await.unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&all));
        }
    };
    timeout(Duration::from_secs(5), reading).await.unwrap();
    assert!(all.starts_with(b"HTTP/1.1 413 "));
    let sent = timeout(Duration::from_secs(5), sending).await.unwrap().unwrap();
    assert!(sent < 64 << 20, "the rest was not taken: {sent}");
}

#[tokio::test]
async fn an_answer_that_is_complete_ends_the_upload_upstream() {
    let refusal = "HTTP/1.1 413 Request Entity Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let (upstream, mut told) = answering("hel", refusal).await;
    let mut client = client(upstream).await;
    let head = "POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    next(&mut told).await;
    read_until(&mut client, "\r\n\r\nbig").await;
    // The client neither sends more nor leaves.
    let rest = next(&mut told).await;
    assert!(!rest.contains("0\r\n\r\n"), "cut off, not ended: {rest:?}");
}

#[tokio::test]
async fn a_client_that_leaves_in_a_watch_cancels_it_upstream() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
    let (upstream, mut told) = answering("\r\n\r\n", answer).await;
    let mut client = client(upstream).await;
    client.write_all(b"GET /w?watch=1 HTTP/1.1\r\nHost: g\r\n\r\n").await.unwrap();
    next(&mut told).await;
    read_until(&mut client, "{}").await;
    drop(client);
    assert_eq!(next(&mut told).await, "", "upstream's connection is closed");
}

#[tokio::test]
async fn a_client_that_leaves_in_its_body_cancels_it_upstream() {
    let (tell, mut told) = mpsc::channel(8);
    let upstream = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            tell.send(read_until(&mut socket, "hel").await).await.unwrap();
            tell.send(read_to_end(&mut socket).await).await.unwrap();
        }
    })
    .await;
    let mut client = client(upstream).await;
    let head = "POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    next(&mut told).await;
    drop(client);
    let rest = next(&mut told).await;
    assert!(!rest.contains("0\r\n\r\n"), "a broken body looks complete: {rest:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    for head in ["Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", "Content-Length: 9\r\n\r\nhel"] {
        let upstream = raw(move |_, mut socket| async move {
            read_until(&mut socket, "\r\n\r\n").await;
            socket.write_all(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        })
        .await;
        let mut client = client(upstream).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: g\r\n\r\n").await.unwrap();
        let all = read_to_end(&mut client).await;
        assert!(all.contains("hel") && !all.contains("\r\n0\r\n"), "{all:?}");
    }
}

#[tokio::test]
async fn a_watch_ends_in_order_with_the_gateway_and_upstream_is_told() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n";
    let (upstream, mut told) = answering("\r\n\r\n", answer).await;
    let draining = CancellationToken::new();
    let tunnels = Tunnels::new(1, CancellationToken::new());
    let forwarder = Forwarder::new(plain(upstream).into(), tunnels);
    let request = Request::get("/w?watch=1").body(http_body_util::Empty::<Bytes>::new()).unwrap();
    let answer = forwarder.forward(request, Lane::Client, upstream).await;
    let metrics = Metrics::default();
    let counted = metrics.watches.of(NONE).forwarded();
    let mut body = answer.into_body().ending_with(draining.clone(), counted);
    next(&mut told).await;
    let frame = http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "{}");
    draining.cancel();
    assert!(http_body_util::BodyExt::frame(&mut body).await.is_none(), "a clean end");
    assert_eq!(next(&mut told).await, "", "upstream's connection is closed");
}

#[tokio::test]
async fn an_unreachable_upstream_is_a_503_that_names_it() {
    let upstream = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut client = client(upstream).await;
    let request = "POST / HTTP/1.1\r\nHost: g\r\nConnection: close\r\nContent-Length: 2\r\n\
                   Authorization: Bearer hunter2\r\n\r\nhi";
    client.write_all(request.as_bytes()).await.unwrap();
    let all = read_to_end(&mut client).await;
    assert!(all.starts_with("HTTP/1.1 503 ") && all.contains("retry-after: 1\r\n"), "{all}");
    let body = all.split("\r\n\r\n").nth(1).unwrap();
    let status: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((&status["kind"], &status["code"]), (&"Status".into(), &503.into()));
    assert!(status["message"].as_str().unwrap().contains(&upstream.to_string()));
    assert!(!all.contains("hunter2"));
}

#[tokio::test]
async fn a_write_of_unknown_fate_does_not_invite_a_retry() {
    let upstream = raw(|_, mut socket| async move {
        read_until(&mut socket, "\r\n\r\n").await;
    })
    .await;
    let mut client = client(upstream).await;
    let request = "DELETE / HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let all = read_to_end(&mut client).await;
    assert!(all.starts_with("HTTP/1.1 502 ") && !all.contains("retry-after"), "{all}");
}

#[tokio::test]
async fn an_upgrade_carries_bytes_both_ways_with_half_close() {
    let (tell, mut told) = mpsc::channel(8);
    let upstream = raw(move |_, mut socket| {
        let tell = tell.clone();
        async move {
            tell.send(read_until(&mut socket, "\r\n\r\n").await).await.unwrap();
            let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nfirst";
            socket.write_all(head.as_bytes()).await.unwrap();
            let received = read_to_end(&mut socket).await;
            socket.write_all(format!("got {received}").as_bytes()).await.unwrap();
        }
    })
    .await;
    let mut client = client(upstream).await;
    let request = "POST /exec?command=a&command=b HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\n\
                   Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\
                   X-Stream-Protocol-Version: v3.channel.k8s.io\r\nX-Remote-User: admin\r\n\
                   Authorization: Bearer t\r\nContent-Length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let seen = next(&mut told).await;
    for kept in [
        "POST /exec?command=a&command=b HTTP/1.1\r\n",
        "connection: Upgrade\r\n",
        "upgrade: SPDY/3.1\r\n",
        "x-stream-protocol-version: v4.channel.k8s.io\r\n",
        "x-stream-protocol-version: v3.channel.k8s.io\r\n",
        "authorization: Bearer t\r\n",
    ] {
        assert!(seen.contains(kept), "{kept} in {seen}");
    }
    assert!(!seen.contains("x-remote"), "{seen}");
    let head = read_until(&mut client, "first").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: SPDY/3.1\r\n"), "{head}");
    client.write_all(&[b'x'; 200_000]).await.unwrap();
    client.shutdown().await.unwrap();
    let back = read_to_end(&mut client).await;
    assert_eq!(back.len(), 200_004, "the other direction stays open after a half-close");
}

#[tokio::test]
async fn an_upgrade_that_is_refused_is_an_ordinary_answer() {
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let (upstream, _told) = answering("\r\n\r\n", refusal).await;
    let mut client = client(upstream).await;
    let request =
        "GET /exec HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.write_all(request.as_bytes()).await.unwrap();
    let answer = read_until(&mut client, "\r\n\r\nno").await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[tokio::test]
async fn tunnels_are_bounded() {
    let upstream = raw(|_, mut socket| async move {
        read_until(&mut socket, "\r\n\r\n").await;
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: t\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        read_to_end(&mut socket).await;
    })
    .await;
    let gateway = gateway(upstream, 1).await;
    let request = b"GET / HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: t\r\n\r\n";
    let open = async || {
        let mut client = TcpStream::connect(gateway).await.unwrap();
        client.write_all(request).await.unwrap();
        let head = read_until(&mut client, "\r\n\r\n").await;
        (client, head)
    };
    let (first, head) = open().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let (_, head) = open().await;
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("retry-after: 1"), "{head}");
    drop(first);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if open().await.1.starts_with("HTTP/1.1 101 ") {
            return;
        }
    }
    panic!("the tunnel's place never came free");
}
