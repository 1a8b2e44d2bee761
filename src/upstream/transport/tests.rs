//! Lanes, budgets and replays against servers on real sockets.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, StreamBody};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{
    fixture::{
        Answer, Authority, Server, answer_heads, body_of, get, is_switched, plain, raw,
        read_to_end, read_until, text,
    },
    *,
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An answer whose body never ends.
fn endless() -> Answer {
    let first = Ok(http_body::Frame::data(Bytes::from_static(b"x")));
    let frames = futures_util::stream::once(async { first });
    let frames = futures_util::StreamExt::chain(frames, futures_util::stream::pending());
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn only_the_gateways_lane_presents_its_credential() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { text("ok") }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    // The gateway's lane first and between, so that a shared connection or session would show.
    for target in ["/a", "/b"] {
        for lane in [Lane::Gateway, Lane::Client, Lane::ClientBrief, Lane::Unproven] {
            let target = format!("{target}-{}", lane.name());
            let mut request = get(&target);
            let own = HeaderValue::from_static("Bearer client-token");
            request.headers_mut().insert(AUTHORIZATION, own);
            upstream.send(lane, request).await.unwrap().into_body().collect().await.unwrap();
        }
    }
    let upgrade = Request::get("/upgrade")
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .body(RequestBody::empty())
        .unwrap();
    assert!(!is_switched(&upstream.send_upgrade(upgrade).await.unwrap()));

    let seen = server.seen();
    assert_eq!(seen.len(), 9);
    for seen in &seen {
        let gateway = seen.target.ends_with("-gateway");
        assert_eq!(seen.client_certificate, gateway, "{seen:?}");
        let token = seen.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        let expected = match seen.target.as_str() {
            "/upgrade" => None,
            _ if gateway => Some(&b"Bearer gateway-token"[..]),
            _ => Some(&b"Bearer client-token"[..]),
        };
        assert_eq!(token, expected, "{seen:?}");
        assert_eq!(seen.http2, gateway || seen.target.ends_with("-client"), "{seen:?}");
    }
    let connections: std::collections::HashSet<_> =
        seen.iter().map(|seen| seen.connection).collect();
    assert_eq!(connections.len(), 5, "one connection a lane: {seen:?}");
}

#[tokio::test]
async fn one_connection_carries_100_streams_and_the_next_opens_another() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2"], |_| async { endless() }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let sends = (0..101).map(|n| {
        let upstream = upstream.clone();
        async move { upstream.send(Lane::Client, get(&format!("/{n}"))).await.unwrap() }
    });
    let mut answers = futures_util::future::join_all(sends).await;
    assert_eq!(upstream.connections(Lane::Client), 2);
    let first = server.seen().iter().filter(|seen| seen.connection == 0).count();
    assert!((1..=100).contains(&first), "{first} streams on the first connection");

    // A place given back is used before another connection is opened.
    answers.truncate(50);
    for n in 0..50 {
        answers.push(upstream.send(Lane::Client, get(&format!("/again-{n}"))).await.unwrap());
    }
    assert_eq!(upstream.connections(Lane::Client), 2);
}

#[tokio::test]
async fn a_cancelled_request_gives_its_stream_back() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2"], |_| std::future::pending()).await;
    let limits = ConnectionLimits { client: 1, ..ConnectionLimits::default() };
    let upstream = KubeApiserver::new(authority.access(server.address), limits).unwrap();
    for _ in 0..3 {
        let sends = (0..100).map(|_| upstream.send(Lane::Client, get("/")));
        let all = futures_util::future::join_all(sends);
        assert!(timeout(Duration::from_millis(300), all).await.is_err());
    }
    assert_eq!(server.seen().len(), 300, "every round found 100 places on one connection");
}

#[tokio::test]
async fn at_the_bound_the_error_says_so() {
    let address = raw(|_, mut socket| async move {
        read_to_end(&mut socket).await;
    })
    .await;
    let access = ClusterAccess::from_flags(&format!("http://{address}"), None, None).unwrap();
    let limits = ConnectionLimits { unproven: 1, ..ConnectionLimits::default() };
    let upstream = KubeApiserver::new(access, limits).unwrap();
    let first = upstream.clone();
    let held = tokio::spawn(async move { first.send(Lane::Unproven, get("/")).await });
    eventually("the first is connected", || upstream.connections(Lane::Unproven) == 1).await;
    let error = upstream.send(Lane::Unproven, get("/")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("all 1 connections to {address} for unproven requests are in use")
    );
    held.abort();
    eventually("the place is free", || upstream.connections(Lane::Unproven) == 0).await;
}

#[tokio::test]
async fn after_goaway_new_requests_go_elsewhere_and_old_ones_finish() {
    let authority = Authority::new();
    let (release, held) = watch::channel(false);
    let server = Server::start(&authority, &["h2"], move |request| {
        let mut held = held.clone();
        async move {
            if request.uri().path() == "/slow" {
                held.wait_for(|released| *released).await.unwrap();
            }
            text("ok")
        }
    })
    .await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let slow = tokio::spawn({
        let upstream = upstream.clone();
        async move { body_of(&upstream, Lane::Client, "/slow").await }
    });
    eventually("the slow request arrived", || server.seen().len() == 1).await;
    std::mem::take(&mut *server.go_away.lock()).cancel();
    for _ in 0..20 {
        assert_eq!(body_of(&upstream, Lane::Client, "/fast").await, "ok");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(server.seen().iter().any(|seen| seen.connection == 1));
    release.send_replace(true);
    assert_eq!(slow.await.unwrap(), "ok");
}

/// A server that answers one request per connection and closes it at the second.
async fn closes_at_the_second(requests: &'static AtomicUsize) -> KubeApiserver {
    plain(
        raw(move |_, mut socket| async move {
            read_until(&mut socket, "\r\n\r\n").await;
            requests.fetch_add(1, Ordering::SeqCst);
            socket.write_all(OK.as_bytes()).await.unwrap();
            read_until(&mut socket, "\r\n\r\n").await;
            requests.fetch_add(1, Ordering::SeqCst);
        })
        .await,
    )
}

#[tokio::test]
async fn a_read_on_a_connection_found_closed_is_sent_again() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let upstream = closes_at_the_second(&REQUESTS).await;
    assert_eq!(body_of(&upstream, Lane::Unproven, "/1").await, "ok");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(body_of(&upstream, Lane::Unproven, "/2").await, "ok");
    assert_eq!(REQUESTS.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_write_that_may_have_acted_is_not_sent_again() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let upstream = closes_at_the_second(&REQUESTS).await;
    assert_eq!(body_of(&upstream, Lane::Unproven, "/1").await, "ok");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut request = get("/2");
    *request.method_mut() = Method::DELETE;
    let error = upstream.send(Lane::Unproven, request).await.unwrap_err();
    assert!(matches!(error, UpstreamError::ClosedBeforeAnswer { .. }), "{error}");
    assert!(!error.may_repeat(&Method::DELETE));
    assert_eq!(REQUESTS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_read_whose_body_has_left_is_not_sent_again() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let upstream = closes_at_the_second(&REQUESTS).await;
    assert_eq!(body_of(&upstream, Lane::Unproven, "/1").await, "ok");
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut request = get("/2");
    *request.body_mut() = RequestBody::full(Bytes::from_static(b"query"));
    assert!(upstream.send(Lane::Unproven, request).await.is_err());
    assert_eq!(REQUESTS.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_dropped_body_closes_the_http1_connection() {
    let (closed, mut seen) = tokio::sync::mpsc::channel(1);
    let address = raw(move |_, mut socket: TcpStream| {
        let closed = closed.clone();
        async move {
            read_until(&mut socket, "\r\n\r\n").await;
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
            socket.write_all(head.as_bytes()).await.unwrap();
            read_to_end(&mut socket).await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let upstream = plain(address);
    let mut answer = upstream.send(Lane::Client, get("/watch")).await.unwrap();
    assert!(answer.body_mut().frame().await.unwrap().unwrap().is_data());
    drop(answer);
    assert_eq!(timeout(Duration::from_secs(2), seen.recv()).await, Ok(Some(())));
    eventually("its place is free", || upstream.connections(Lane::Client) == 0).await;
}

/// Tells when it is dropped.
struct Dropped(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|tell| tell.send(()));
    }
}

#[tokio::test]
async fn dropping_a_request_or_its_answer_resets_the_http2_stream_and_nothing_else() {
    let authority = Authority::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(&authority, &["h2"], move |request| {
        let (dropped, when) = tokio::sync::oneshot::channel();
        tell.send(when).unwrap();
        let dropped = Dropped(Some(dropped));
        async move {
            match request.uri().path() {
                "/quick" => return text("ok"),
                "/silent" => std::future::pending::<()>().await,
                _ => {}
            }
            let frames = futures_util::stream::once(async move {
                let _until_the_body_is_dropped = dropped;
                std::future::pending::<()>().await;
                Ok(http_body::Frame::data(Bytes::new()))
            });
            Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
        }
    })
    .await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    drop(upstream.send(Lane::Client, get("/endless")).await.unwrap());
    let ended = timeout(Duration::from_secs(2), told.recv().await.unwrap()).await;
    ended.expect("the answer is cancelled").unwrap();
    let silent = timeout(Duration::from_millis(50), upstream.send(Lane::Client, get("/silent")));
    assert!(silent.await.is_err());
    let ended = timeout(Duration::from_secs(2), told.recv().await.unwrap()).await;
    let _ = ended.expect("the request is cancelled");
    assert_eq!(body_of(&upstream, Lane::Client, "/quick").await, "ok");
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn requests_that_wait_for_a_connection_share_its_failure() {
    // Takes connections and never shakes hands.
    let address = raw(|_, mut socket| async move {
        read_to_end(&mut socket).await;
    })
    .await;
    let authority = Authority::new();
    let upstream =
        KubeApiserver::new(authority.access(address), ConnectionLimits::default()).unwrap();
    let sends: Vec<_> = (0..50)
        .map(|_| {
            let upstream = upstream.clone();
            tokio::spawn(async move { upstream.send(Lane::Client, get("/")).await.map(drop) })
        })
        .collect();
    eventually("one connects", || upstream.connections(Lane::Client) == 1).await;
    // The one that opens leaves; another takes over.
    sends[0].abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(upstream.connections(Lane::Client), 1);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
    for send in sends.into_iter().skip(1) {
        let error = timeout(Duration::from_secs(2), send).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, UpstreamError::Timeout { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_head_of_1_mib_passes_over_both_protocols() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { text("ok") }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let long = HeaderValue::from_str(&"a".repeat(1 << 20)).unwrap();
    for lane in [Lane::Client, Lane::Unproven] {
        let mut request = get("/");
        request.headers_mut().insert("x-long", long.clone());
        assert_eq!(upstream.send(lane, request).await.unwrap().status(), 200);
    }
    assert!(server.seen().iter().all(|seen| seen.headers["x-long"].len() == 1 << 20));
}

#[tokio::test]
async fn targets_and_hosts_arrive_as_sent() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { text("ok") }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let target = "//api/..%2Fv1/a?b=%20&&c={d}";
    for lane in [Lane::Client, Lane::Unproven] {
        let mut request = get(target);
        request.headers_mut().insert(HOST, HeaderValue::from_static("gate.example:8443"));
        upstream.send(lane, request).await.unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen[0].target, format!("https://gate.example:8443{target}"));
    assert_eq!(
        (&*seen[1].target, &seen[1].headers[HOST]),
        (target, &HeaderValue::from_static("gate.example:8443"))
    );
}

#[tokio::test]
async fn a_refused_connection_names_the_host_and_may_be_repeated() {
    let address = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = plain(address).send(Lane::Client, get("/")).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to {address}: ")), "{error}");
    assert!(error.may_repeat(&Method::POST));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_an_error_and_never_a_connection() {
    let (theirs, ours) = (Authority::new(), Authority::new());
    let server = Server::start(&theirs, &["h2"], |_| async { text("ok") }).await;
    let upstream =
        KubeApiserver::new(ours.access(server.address), ConnectionLimits::default()).unwrap();
    let error = upstream.send(Lane::Gateway, get("/")).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Tls { .. }), "{error}");

    let mut access = ours.access(server.address);
    access.trust = crate::upstream::tls::Trust::Anyone;
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    assert_eq!(body_of(&upstream, Lane::Client, "/").await, "ok");
}

#[tokio::test]
async fn http1_connections_are_kept_and_reused() {
    let address = raw(|_, socket| answer_heads(socket, 6, OK)).await;
    let upstream = plain(address);
    for _ in 0..5 {
        assert_eq!(body_of(&upstream, Lane::Client, "/").await, "ok");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(upstream.connections(Lane::Client), 1);
}
