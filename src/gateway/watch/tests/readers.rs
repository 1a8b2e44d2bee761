//! While a watch keeps more alive than the present it is enrolled, and no longer.

use super::*;
use crate::{
    net::cutter::Cutter,
    shards::readers::{Readers, SILENCE},
};

/// A world with three pods, and a watch that is enrolled.
fn enrolled(readers: &Arc<Readers>, cutter: &Cutter) -> (World, Limits) {
    let world = World::new(&["a", "b", "c"].map(|name| Pod::new("ns", name, 5)), 10);
    let enrolment = Some(Enrolment::new(Arc::clone(readers), cutter.clone()));
    // Every event is a frame of its own, or several.
    let limits = Limits { enrolment, ..world.limits(600, 64) };
    (world, limits)
}

#[tokio::test(start_paused = true)]
async fn a_state_is_held_until_it_is_read() {
    let (readers, cutter) = (Arc::<Readers>::default(), Cutter::default());
    let (world, limits) = enrolled(&readers, &cutter);
    let mut client = world.with_state(everything(), limits);
    let turnover = Arc::clone(world.shard.turnover());
    let since = turnover.replaced();
    client.body.hold(Holding::State { turnover, since, part: 1 << 30, whole: 1 << 30 });
    assert_eq!((readers.len(), readers.pinned()), (1, 0), "nothing has changed");
    world.apply(&Pod::new("ns", "a", 11), "MODIFIED");
    assert!(readers.pinned() > 0);

    assert!(client.poll().is_some());
    let now = Instant::now();
    readers.relieve(u64::MAX, u64::MAX, now);
    readers.relieve(u64::MAX, u64::MAX, now + SILENCE);
    assert!(cutter.is_cut(), "it read no further");

    assert_eq!(client.taken(), ["ADDED 5", "ADDED 5", "ADDED 5", "END 10", "MODIFIED 11"]);
    assert_eq!((readers.len(), readers.pinned()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_holds_events_until_it_has_caught_up() {
    let (readers, cutter) = (Arc::<Readers>::default(), Cutter::default());
    let (world, limits) = enrolled(&readers, &cutter);
    let mut client = world.after(everything(), 10, limits).unwrap();
    client.read();
    assert!(readers.is_empty());
    for version in 11..1200 {
        world.apply(&Pod::new("ns", "a", version), "MODIFIED");
    }
    assert!(client.poll().is_some());
    assert_eq!(readers.len(), 1, "it reads the log");
    world.shard.limit_log(0, Instant::now());
    assert!(readers.pinned() > 0, "which the log has let go");
    assert_eq!(client.taken().len(), 1189);
    assert_eq!((readers.len(), readers.pinned()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_a_stalled_watch_has_not_taken_is_the_logs_alone() {
    let (readers, cutter) = (Arc::<Readers>::default(), Cutter::default());
    let (world, limits) = enrolled(&readers, &cutter);
    let mut client = world.after(everything(), 10, limits).unwrap();
    client.read();
    for version in 11..20 {
        world.apply(&Pod::new("ns", "a", version), "MODIFIED");
    }
    world.ticks(4);
    assert!(client.poll().is_some());
    assert_eq!(readers.len(), 1, "its feed has forgotten, and it can be cut off");
    assert_eq!(client.taken().len(), 9);
    world.apply(&Pod::new("ns", "a", 20), "MODIFIED");
    assert_eq!((client.taken(), readers.len()), (vec!["MODIFIED 20".to_owned()], 0));
}
