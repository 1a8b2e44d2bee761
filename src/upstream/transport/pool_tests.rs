//! Which connection a request takes: of its own runtime first, and of another lane never but where
//! brief requests overflow.

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use tokio::runtime::{Builder, Runtime};

use super::{
    fixture::{Answer, Authority, Server, get, text},
    *,
};

/// A runtime beside the test's, as each core has one.
fn elsewhere() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Sends from that runtime and reads the answer to its end.
async fn fetch(runtime: &Runtime, upstream: &KubeApiserver, lane: Lane) {
    let upstream = upstream.clone();
    let fetching = runtime.spawn(async move {
        let answer = upstream.send(lane, get("/")).await.unwrap();
        answer.into_body().collect().await.unwrap();
        // An HTTP/1.1 connection is ready again a moment after the last byte.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    });
    fetching.await.unwrap();
}

#[tokio::test]
async fn a_runtime_uses_its_own_connections_and_at_the_bound_those_of_others() {
    let authority = Authority::new();
    for lane in [Lane::Client, Lane::ClientBrief, Lane::Unproven] {
        let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { text("ok") }).await;
        let limits = ConnectionLimits { brief: 2, client: 2, unproven: 2, ..Default::default() };
        let upstream = KubeApiserver::new(authority.access(server.address), limits).unwrap();
        let runtimes = [elsewhere(), elsewhere(), elsewhere()];
        for runtime in [0, 1, 0, 1, 2] {
            fetch(&runtimes[runtime], &upstream, lane).await;
        }
        let used: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
        assert_eq!(used[..4], [0, 1, 0, 1], "{lane:?}");
        assert!(used[4] < 2, "{lane:?}: the third runtime shares, as both places are taken");
        assert_eq!(upstream.connections(lane), 2, "{lane:?}");
        runtimes.into_iter().for_each(Runtime::shutdown_background);
    }
}

#[tokio::test]
async fn the_gateways_own_lane_is_one_for_all_runtimes() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2"], |_| async { text("ok") }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let runtimes = [elsewhere(), elsewhere()];
    for runtime in &runtimes {
        fetch(runtime, &upstream, Lane::Gateway).await;
    }
    assert_eq!(upstream.connections(Lane::Gateway), 1);
    assert_eq!(*upstream.connections_opened().borrow(), 1);
    runtimes.into_iter().for_each(Runtime::shutdown_background);
}

/// An answer that goes on after its first byte.
fn endless() -> Answer {
    let first =
        futures_util::stream::once(async { Ok(http_body::Frame::data(Bytes::from_static(b"x"))) });
    let frames = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
}

#[tokio::test]
async fn brief_requests_beyond_their_connections_join_the_streams_of_proven_clients() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { endless() }).await;
    let limits = ConnectionLimits { brief: 2, client: 1, ..ConnectionLimits::default() };
    let upstream = KubeApiserver::new(authority.access(server.address), limits).unwrap();
    let mut answers = Vec::new();
    for _ in 0..102 {
        answers.push(upstream.send(Lane::ClientBrief, get("/")).await.unwrap());
    }
    let over_http2 = server.seen().iter().filter(|seen| seen.http2).count();
    assert_eq!(over_http2, 100);
    let full = upstream.send(Lane::ClientBrief, get("/")).await.map(drop).unwrap_err();
    assert!(matches!(full, UpstreamError::Exhausted { .. }), "{full}");
    // A connection whose answer was cut short closes, and its place is free.
    drop(answers.swap_remove(0));
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    answers.push(upstream.send(Lane::ClientBrief, get("/")).await.unwrap());
    assert_eq!(server.seen().iter().filter(|seen| !seen.http2).count(), 3);
}

/// What upstream may have acted on is not sent again, so it does not go where upstream closes without
/// saying what it has seen.
#[tokio::test]
async fn only_reads_go_where_connections_close_without_a_word() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["h2", "http/1.1"], |_| async { text("ok") }).await;
    let access = authority.access(server.address);
    let upstream = KubeApiserver::new(access, ConnectionLimits::default()).unwrap();
    let (safe, unsafe_) = (["GET", "HEAD", "OPTIONS"], ["POST", "PUT", "PATCH", "DELETE", "PURGE"]);
    for method in safe.into_iter().chain(unsafe_) {
        let mut request = get("/");
        *request.method_mut() = method.parse().unwrap();
        let lane = Lane::Client.for_brief(request.method());
        upstream.send(lane, request).await.unwrap();
    }
    let over_http2: Vec<_> = server.seen().iter().map(|seen| seen.http2).collect();
    assert_eq!(over_http2, [false, false, false, true, true, true, true, true]);
    for lane in [Lane::Unproven, Lane::Gateway] {
        assert_eq!(lane.for_brief(&http::Method::GET), lane);
    }
}
