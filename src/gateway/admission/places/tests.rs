use futures_util::{FutureExt, future::join_all};

use super::*;
use crate::api::version::ResourceVersion;

fn pods() -> GroupVersionResource {
    GroupVersionResource::new("", "v1", "pods")
}

fn filling() -> watch::Sender<Progress> {
    watch::Sender::new(Progress::default())
}

fn applicant(
    resource: &GroupVersionResource,
    reason: ForwardReason,
    shard: Option<&watch::Sender<Progress>>,
) -> Applicant<'static> {
    let now = tokio::time::Instant::now().into_std();
    Applicant {
        resource: Box::leak(Box::new(resource.clone())),
        is_watch: false,
        bookmarks: false,
        reason,
        shard: shard.map(watch::Sender::subscribe),
        deadlines: Deadlines::of(now, None),
        asked_again: 0,
    }
}

fn fill(shard: &watch::Sender<Progress>) {
    shard.send_modify(|progress| progress.version = ResourceVersion::new(7));
}

async fn place(places: &Places, reason: ForwardReason) -> Place {
    let asked_again = 2;
    match places.admit(Applicant { asked_again, ..applicant(&pods(), reason, None) }).await {
        Admitted::Forward(Some(place)) => place,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_run_and_the_others_are_refused_in_time() {
    let places = Places::default();
    let mut held = Vec::new();
    for _ in 0..PLACES {
        held.push(place(&places, ForwardReason::NotProven).await);
    }
    let begun = tokio::time::Instant::now();
    let refused = places.admit(applicant(&pods(), ForwardReason::NotProven, None)).await;
    assert!(matches!(refused, Admitted::Refused), "{refused:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(6));
    let other = GroupVersionResource::new("", "v1", "nodes");
    let other = places.admit(applicant(&other, ForwardReason::NotProven, None)).await;
    assert!(matches!(other, Admitted::Forward(Some(_))), "resources don't share places");
    let (first, second) = (place(&places, ForwardReason::Cold), async {
        tokio::task::yield_now().await;
        held.pop();
    });
    tokio::join!(first, second);
}

#[tokio::test(start_paused = true)]
async fn lists_do_not_wait_for_the_end_of_watches() {
    let places = Places::default();
    let resource = pods();
    let watch = || {
        let applicant = applicant(&resource, ForwardReason::Uncovered, None);
        places.admit(Applicant { is_watch: true, ..applicant })
    };
    let mut held = Vec::new();
    for _ in 0..PLACES {
        held.push(watch().await);
    }
    assert!(held.iter().all(|it| matches!(it, Admitted::Forward(Some(_)))));
    assert!(matches!(watch().await, Admitted::Refused));
    let list = places.admit(applicant(&resource, ForwardReason::Exact, None));
    assert!(matches!(list.now_or_never(), Some(Admitted::Forward(Some(_)))));
}

#[tokio::test(start_paused = true)]
async fn watches_wait_for_the_beginning_of_others_only() {
    let places = Places::default();
    let resource = pods();
    let watch = || {
        let applicant = applicant(&resource, ForwardReason::Uncovered, None);
        places.admit(Applicant { is_watch: true, ..applicant })
    };
    let begun = tokio::time::Instant::now();
    let mut running = join_all((0..PLACES).map(|_| watch())).await;
    assert!(matches!(watch().await, Admitted::Refused));
    assert!(begun.elapsed() < BEGINNING);
    running.push(watch().await);
    assert!(running.iter().all(|it| matches!(it, Admitted::Forward(Some(_)))));
    assert_eq!(begun.elapsed(), BEGINNING);
    // One that ends sooner gives its place back at once.
    let mut next = join_all((1..PLACES).map(|_| watch())).await;
    next.pop();
    tokio::task::yield_now().await;
    assert!(matches!(watch().now_or_never(), Some(Admitted::Forward(Some(_)))));
    assert!(watch().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn all_who_wait_for_a_fill_ask_again() {
    let places = Places::default();
    let shard = filling();
    let readers =
        (0..500).map(|_| places.admit(applicant(&pods(), ForwardReason::Cold, Some(&shard))));
    let filled = async {
        sleep(Duration::from_secs(2)).await;
        fill(&shard);
    };
    let (admitted, ()) = tokio::join!(join_all(readers), filled);
    assert!(admitted.iter().all(|it| matches!(it, Admitted::AskAgain)));
}

#[tokio::test(start_paused = true)]
async fn a_long_fill_lets_a_few_past_and_serves_the_rest() {
    let places = Places::default();
    let shard = filling();
    let readers =
        (0..500).map(|_| places.admit(applicant(&pods(), ForwardReason::Cold, Some(&shard))));
    let filled = async {
        sleep(Duration::from_secs(4)).await;
        fill(&shard);
    };
    let (admitted, ()) = tokio::join!(join_all(readers), filled);
    let forwarded = admitted.iter().filter(|it| matches!(it, Admitted::Forward(Some(_))));
    assert_eq!(forwarded.count(), PLACES);
    let again = admitted.iter().filter(|it| matches!(it, Admitted::AskAgain));
    assert_eq!(again.count(), 500 - PLACES);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_shard_that_is_closed_asks_again() {
    let places = Places::default();
    let none = places.admit(applicant(&pods(), ForwardReason::Cold, None)).await;
    assert!(matches!(none, Admitted::AskAgain), "who asks opens it anew: {none:?}");
    for (wait, held) in [(1, 0), (4, PLACES)] {
        let shard = filling();
        let places = Places::default();
        let _held = join_all((0..held).map(|_| place(&places, ForwardReason::Cold))).await;
        let waiting = places.admit(applicant(&pods(), ForwardReason::Cold, Some(&shard)));
        let closed = async {
            sleep(Duration::from_secs(wait)).await;
            shard.send_modify(|progress| progress.closed = true);
        };
        let begun = tokio::time::Instant::now();
        let (admitted, ()) = tokio::join!(waiting, closed);
        assert!(matches!(admitted, Admitted::AskAgain), "{admitted:?}");
        assert_eq!(begun.elapsed(), Duration::from_secs(wait));
    }
    let shard = filling();
    shard.send_modify(|progress| progress.closed = true);
    let applicant = applicant(&pods(), ForwardReason::Cold, Some(&shard));
    let bounded = places.admit(Applicant { asked_again: 2, ..applicant }).await;
    assert!(matches!(bounded, Admitted::Forward(Some(_))), "{bounded:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_with_bookmarks_waits_until_they_are_known() {
    for wait in [1, 4] {
        let shard = filling();
        let places = Places::default();
        let watch = |bookmarks, asked_again| {
            let applicant = applicant(&pods(), ForwardReason::Cold, Some(&shard));
            Applicant { is_watch: true, bookmarks, asked_again, ..applicant }
        };
        fill(&shard);
        let permits = places.resource(&pods());
        let _held = Arc::clone(&permits.watches).try_acquire_many_owned(8).unwrap();
        let learnt = async {
            // Events do not wake it more often than it wants to look.
            for version in 0..wait * 100 {
                sleep(Duration::from_millis(10)).await;
                shard.send_modify(|progress| progress.version = ResourceVersion::new(8 + version));
            }
            shard.send_modify(|progress| progress.bookmarks = true);
            tokio::time::Instant::now()
        };
        let (admitted, learnt) = tokio::join!(places.admit(watch(true, 0)), learnt);
        assert!(matches!(admitted, Admitted::AskAgain), "{admitted:?}");
        assert!(learnt.elapsed() <= BETWEEN_LOOKS);
        let plain = places.admit(watch(false, 2)).await;
        assert!(matches!(plain, Admitted::Refused), "it was warm, and did not answer: {plain:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_apart() {
    let places = Places::default();
    let shard = filling();
    let fails = async {
        sleep(Duration::from_secs(1)).await;
        shard.send_modify(|progress| progress.failure = Some("unreachable".into()));
    };
    let begun = tokio::time::Instant::now();
    let waiting = places.admit(applicant(&pods(), ForwardReason::Cold, Some(&shard)));
    let (admitted, ()) = tokio::join!(waiting, fails);
    assert!(matches!(admitted, Admitted::Forward(Some(_))), "{admitted:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(1), "there is no fill to wait for");
    shard.send_modify(|progress| progress.unfillable = true);
    for _ in 0..100 {
        let admitted = places.admit(applicant(&pods(), ForwardReason::Cold, Some(&shard)));
        assert!(matches!(admitted.await, Admitted::Forward(None)));
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_leaves_nothing_behind() {
    let places = Places::default();
    let shard = filling();
    let resource = pods();
    for _ in 0..3 {
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let applicant = applicant(&resource, ForwardReason::Cold, Some(&shard));
                let mut waiting = Box::pin(places.admit(applicant));
                assert!(waiting.as_mut().now_or_never().is_none());
                waiting
            })
            .collect();
        let refused = places.admit(applicant(&resource, ForwardReason::Cold, Some(&shard)));
        assert!(matches!(refused.now_or_never(), Some(Admitted::Refused)), "at once");
        drop(waiting);
    }
    let held: Vec<_> = join_all((0..PLACES).map(|_| place(&places, ForwardReason::Cold))).await;
    let mut queued = Box::pin(place(&places, ForwardReason::Cold));
    assert!(queued.as_mut().now_or_never().is_none());
    drop(queued);
    drop(held);
    join_all((0..PLACES).map(|_| place(&places, ForwardReason::Cold))).await;
}

#[test]
fn places_that_are_held_are_not_forgotten() {
    let places = Places::default();
    let pods = places.resource(&pods());
    let held = Arc::clone(&pods.watches).try_acquire_many_owned(8).unwrap();
    drop(pods);
    for number in 0..REMEMBERED + 10 {
        places.resource(&GroupVersionResource::new("g", "v1", &format!("r{number}")));
    }
    assert!(places.resources.len() <= REMEMBERED, "{}", places.resources.len());
    assert_eq!(places.resource(&self::pods()).watches.available_permits(), 0);
    drop(held);
}
