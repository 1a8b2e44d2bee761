//! One rebuild for all who want a state, few at a time, and what becomes of it.

use std::time::{Duration, Instant};

use super::*;
use crate::{
    cache::{
        fixture::{Pod, pods, version},
        log::LogBudget,
    },
    codec::object::Representation,
};

fn shard() -> Arc<Shard> {
    let budget = LogBudget { bytes: 1 << 30, age: Duration::from_secs(600) };
    let shard = Shard::new(ShardId(1), pods(), 1, Representation::Json, budget, Arc::from([]));
    shard.fill_with(vec![Pod::new("ns", "a", 5).object()], version(10), Instant::now(), 0).unwrap();
    for at in 11..=20 {
        shard.apply(vec![Pod::new("ns", "a", at).event("MODIFIED")], Instant::now()).unwrap();
    }
    Arc::new(shard)
}

fn shown(state: &Snapshot) -> (u64, u64) {
    let object = state.objects.get("ns/a").unwrap();
    (state.resource_version.get(), object.resource_version().get())
}

#[tokio::test]
async fn a_state_is_rebuilt_once_for_all_who_want_it_and_kept() {
    let (shard, rebuilds) = (shard(), Rebuilds::new());
    let wanted = || rebuilds.state_at(&shard, version(15));
    let (first, second, third) = tokio::join!(wanted(), wanted(), wanted());
    let first = first.unwrap();
    assert_eq!(shown(&first), (15, 15));
    for other in [second, third, wanted().await] {
        assert!(Arc::ptr_eq(&first, &other.unwrap()));
    }
    // Nothing of the sharing is left but a trace, and the next one clears it.
    assert_eq!(shown(&rebuilds.state_at(&shard, version(12)).await.unwrap()), (12, 12));
    assert_eq!(rebuilds.under_way.lock().len(), 1);
}

#[tokio::test]
async fn what_the_log_does_not_cover_is_not_made_up() {
    let (shard, rebuilds) = (shard(), Rebuilds::new());
    assert!(rebuilds.state_at(&shard, version(9)).await.is_none());
    assert!(rebuilds.state_at(&shard, version(21)).await.is_none());
    assert_eq!(shown(&rebuilds.state_at(&shard, version(20)).await.unwrap()), (20, 20));
    assert_eq!(shown(&rebuilds.state_at(&shard, version(10)).await.unwrap()), (10, 5));
    shard.clear(false);
    assert!(rebuilds.state_at(&shard, version(10)).await.is_none());
}

#[tokio::test]
async fn who_gets_no_turn_is_not_kept_waiting() {
    let (shard, rebuilds) = (shard(), Rebuilds::new());
    let permits = u32::try_from(rebuilds.turns.available_permits()).unwrap();
    let all = rebuilds.turns.acquire_many(permits).await.unwrap();
    let begun = Instant::now();
    assert!(rebuilds.state_at(&shard, version(15)).await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(3));
    // What needs no rebuild is there all the same.
    assert!(rebuilds.state_at(&shard, version(20)).await.is_some());
    drop(all);
    assert!(rebuilds.state_at(&shard, version(15)).await.is_some());
}

#[tokio::test]
async fn a_rebuild_that_nobody_waits_for_is_kept() {
    let (shard, rebuilds) = (shard(), Rebuilds::new());
    {
        let mut gone = Box::pin(rebuilds.state_at(&shard, version(15)));
        assert!(futures_util::poll!(&mut gone).is_pending());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(shard.state_at(version(15)), Past::Held(_)) {
        assert!(Instant::now() < deadline, "the rebuild was lost");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn kept_states_are_let_go_of_when_memory_is_short() {
    let (shard, rebuilds) = (shard(), Rebuilds::new());
    rebuilds.state_at(&shard, version(15)).await.unwrap();
    assert!(shard.figures().past_bytes > 0);
    assert!(matches!(shard.state_at(version(15)), Past::Held(_)));
    shard.drop_past();
    assert_eq!(shard.figures().past_bytes, 0);
    assert!(matches!(shard.state_at(version(15)), Past::Rebuild(_)));
}
