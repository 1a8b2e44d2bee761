//! How long connections are kept, and which of them are given out.

use super::*;
use crate::upstream::{
    connection::Windows,
    endpoint::Endpoint,
    transport::fixture::{raw, read_to_end},
};

/// A pool of up to `limit` connections to a server that keeps them for as long as it is let.
async fn pool(limit: usize) -> Arc<Pool> {
    let address = raw(|_, mut socket| async move {
        read_to_end(&mut socket).await;
    })
    .await;
    let endpoint = Endpoint::parse(&format!("http://{address}")).unwrap();
    let connector = Connector::new(endpoint, None, Windows::CLIENT_READER);
    Pool::new("client", limit, Affinity::OwnRuntime, connector)
}

async fn settled() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Takes a connection and gives it back; whether it had been used before.
async fn used(pool: &Arc<Pool>) -> bool {
    let Lease::Http1 { sender, reused, keeper } = pool.lease().await.unwrap() else {
        panic!("a server without TLS speaks HTTP/1.1");
    };
    drop(keeper.after(sender));
    settled().await;
    reused
}

#[tokio::test]
async fn idle_connections_are_closed_in_time_and_retired_ones_not_given_out() {
    let pool = pool(4).await;
    assert!(!used(&pool).await && used(&pool).await);
    let now = Instant::now();
    assert!(!pool.close_idle(now + Duration::from_secs(25)));
    assert!(used(&pool).await, "still kept");
    pool.retire();
    settled().await;
    assert_eq!(pool.connections(), 0);
    assert!(!used(&pool).await, "a retired connection is not given out");
    pool.close_idle(now + Duration::from_secs(35));
    settled().await;
    assert_eq!(pool.connections(), 0);
    assert!(pool.close_idle(now), "an empty pool needs no more sweeping");
    assert_eq!(*pool.opened().borrow(), 2, "each connection once");
}

/// The sweep comes every 15 s; until then it is the age that counts.
#[tokio::test]
async fn a_connection_that_upstream_may_be_closing_is_taken_only_where_nothing_else_is_left() {
    let pool = pool(1).await;
    assert!(!used(&pool).await);
    let home = Choice::Of(pool.home());
    let kept = Instant::now();
    let take = |choice, age| {
        let mut state = pool.state.lock();
        let taken = state.idle.take(choice, kept + Duration::from_secs(age));
        if let Some(Idle { sender, home, .. }) = taken {
            state.idle.keep(sender, home);
            return true;
        }
        false
    };
    assert!(take(home, 25));
    assert!(!take(home, 31), "another is opened instead");
    assert!(take(Choice::Any, 31), "none can be opened");
}
