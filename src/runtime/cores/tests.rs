use std::sync::mpsc;

use tokio::sync::oneshot;

use super::*;

fn two_cores() -> Cores {
    Cores::start(NonZeroUsize::new(2).expect("not zero")).expect("runtimes start")
}

#[test]
fn placement_goes_to_the_least_loaded_core_and_is_given_back() {
    let cores = two_cores();
    let hold = |placer: &Placer| {
        let (release, wait) = oneshot::channel::<()>();
        let core = placer.spawn_on_least_loaded("held", |place| async move {
            let _ = wait.await;
            drop(place);
        });
        (core, release)
    };
    let (first, release_first) = hold(cores.placer());
    let (second, _release_second) = hold(cores.placer());
    assert_ne!(first, second);
    drop(release_first);
    cores.block_on(async {
        while cores.placer().cores()[first].load() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(hold(cores.placer()).0, first);
}

#[test]
fn a_task_runs_on_the_thread_of_its_core() {
    let cores = two_cores();
    let (send, receive) = mpsc::channel();
    let index = cores.placer().spawn_on_least_loaded("named", move |_place| async move {
        let _ = send.send(thread::current().name().map(str::to_owned));
    });
    let name = receive.recv_timeout(Duration::from_secs(5)).expect("the task runs");
    assert_eq!(name, Some(format!("core-{index}")));
}

#[test]
fn stop_waits_for_tasks_that_heed_the_drain() {
    let cores = two_cores();
    let (send, receive) = mpsc::channel();
    cores.placer().spawn_on_least_loaded("heeding", move |place| async move {
        place.draining().cancelled().await;
        let _ = send.send("drained");
    });
    let stopping = cores.stopping().clone();
    cores.spawn_background("reflector", async move { stopping.cancelled().await });
    assert_eq!(cores.stop(Duration::from_secs(5)), Drained { unfinished: 0 });
    assert_eq!(receive.try_recv(), Ok("drained"));
}

#[test]
fn stop_is_bounded_and_drops_what_does_not_end() {
    let cores = two_cores();
    let (send, receive) = mpsc::channel::<()>();
    cores.placer().spawn_on_least_loaded("stubborn", move |_place| async move {
        std::future::pending::<()>().await;
        drop(send);
    });
    let started = Instant::now();
    assert_eq!(cores.stop(Duration::from_millis(20)), Drained { unfinished: 1 });
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(receive.recv(), Err(mpsc::RecvError), "the task was dropped with its runtime");
}
