use std::{mem, sync::atomic::AtomicUsize};

use super::*;

const MIB: u64 = 1 << 20;

/// Readers whose cuts are counted, and leave as bodies do.
struct Stage {
    readers: Arc<Readers>,
    turnover: Arc<Turnover>,
    cuts: Arc<Mutex<Vec<usize>>>,
    next: AtomicUsize,
}

impl Stage {
    fn new() -> Self {
        Self {
            readers: Arc::default(),
            turnover: Arc::default(),
            cuts: Arc::default(),
            next: AtomicUsize::new(0),
        }
    }

    fn enrol(&self, holding: Holding) -> Reader {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let cuts = Arc::clone(&self.cuts);
        self.readers.enrol(holding, move || cuts.lock().push(number))
    }

    /// A reader of the whole present state, which is `whole` long.
    fn state(&self, whole: u64) -> Reader {
        self.part(whole, whole)
    }

    fn part(&self, part: u64, whole: u64) -> Reader {
        let turnover = Arc::clone(&self.turnover);
        let since = turnover.replaced();
        self.enrol(Holding::State { turnover, since, part, whole })
    }

    fn events(&self) -> Reader {
        let turnover = Arc::clone(&self.turnover);
        let since = turnover.forgotten();
        self.enrol(Holding::Events { turnover, since })
    }

    fn cuts(&self) -> Vec<usize> {
        mem::take(&mut *self.cuts.lock())
    }
}

#[test]
fn readers_of_one_version_count_once_and_only_what_changed() {
    let stage = Stage::new();
    let first: Vec<_> = (0..1000).map(|_| stage.state(50 * MIB)).collect();
    assert_eq!(stage.readers.pinned(), 0, "nothing changed yet");
    stage.turnover.add(3 * MIB, 0);
    assert_eq!(stage.readers.pinned(), 3 * MIB);
    let second = stage.state(50 * MIB);
    stage.turnover.add(4 * MIB, 0);
    assert_eq!(stage.readers.pinned(), 7 * MIB);
    stage.turnover.add(100 * MIB, 0);
    assert_eq!(stage.readers.pinned(), (3 + 50) * MIB, "no version is longer than it is");
    drop(second);
    assert_eq!(stage.readers.pinned(), 50 * MIB);
    drop(first);
    assert_eq!((stage.readers.pinned(), stage.readers.len()), (0, 0));
}

#[test]
fn a_small_reader_hides_nothing_of_a_large_one_before_it() {
    let stage = Stage::new();
    let mut readers = vec![stage.state(50 * MIB)];
    stage.turnover.add(1, 0);
    readers.push(stage.part(MIB, 50 * MIB));
    stage.turnover.add(50 * MIB, 0);
    assert_eq!(stage.readers.pinned(), 50 * MIB + 1);
    // Versions that have nothing in common, each with a small reader after it.
    for _ in 0..4 {
        readers.push(stage.state(50 * MIB));
        stage.turnover.add(1, 0);
        readers.push(stage.part(MIB, 50 * MIB));
        stage.turnover.add(50 * MIB, 0);
    }
    assert_eq!(stage.readers.pinned(), 5 * (50 * MIB + 1));
    let begun = Instant::now();
    let held = stage.readers.relieve(110 * MIB, u64::MAX, begun);
    assert_eq!(held, 5 * (50 * MIB + 1), "none is slow yet");
    let later = begun + SLOW;
    assert_eq!(stage.readers.relieve(110 * MIB, u64::MAX, later), 2 * (50 * MIB + 1) + MIB);
    assert_eq!(stage.cuts(), [0, 1, 2, 3, 4], "and no more than had to");
}

#[test]
fn small_readers_of_many_versions_are_no_more_than_their_sizes() {
    let stage = Stage::new();
    let readers: Vec<_> = (0..100)
        .map(|_| {
            let reader = stage.part(MIB, 50 * MIB);
            stage.turnover.add(20 * MIB, 0);
            reader
        })
        .collect();
    assert_eq!(stage.readers.pinned(), 100 * MIB);
    let _whole = stage.state(50 * MIB);
    stage.turnover.add(200 * MIB, 0);
    assert_eq!(stage.readers.pinned(), 150 * MIB);
    drop(readers);
    assert_eq!(stage.readers.pinned(), 50 * MIB);
}

#[test]
fn parts_events_and_copies_count_as_what_they_are() {
    let stage = Stage::new();
    let _parts = [stage.part(MIB, 50 * MIB), stage.part(2 * MIB, 50 * MIB)];
    stage.turnover.add(10 * MIB, 0);
    assert_eq!(stage.readers.pinned(), 3 * MIB);
    let lagging = stage.events();
    stage.turnover.add(0, 5 * MIB);
    assert_eq!(stage.readers.pinned(), 8 * MIB);
    let _copy = stage.enrol(Holding::Alone(7));
    drop(lagging);
    assert_eq!(stage.readers.pinned(), 3 * MIB + 7);
}

#[test]
fn whoever_takes_nothing_is_cut_in_time() {
    let stage = Stage::new();
    let begun = Instant::now();
    let (_silent, moving) = (stage.state(MIB), stage.state(MIB));
    assert_eq!(stage.readers.relieve(u64::MAX, u64::MAX, begun), 0);
    let at = |seconds| begun + Duration::from_secs(seconds);
    for second in [20, 40, 59] {
        moving.moved();
        stage.readers.relieve(u64::MAX, u64::MAX, at(second));
        assert!(stage.cuts().is_empty(), "{second}");
    }
    stage.readers.relieve(u64::MAX, u64::MAX, at(60));
    assert_eq!(stage.cuts(), [0]);
    stage.readers.relieve(u64::MAX, u64::MAX, at(62));
    assert!(stage.cuts().is_empty(), "once");
    stage.readers.relieve(u64::MAX, u64::MAX, at(119));
    assert_eq!(stage.cuts(), [1]);
    assert_eq!(stage.readers.cut(), 2);
}

#[test]
fn over_the_room_the_longest_silent_go_until_it_suffices() {
    let stage = Stage::new();
    let begun = Instant::now();
    let at = |seconds| begun + Duration::from_secs(seconds);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let reader = stage.state(50 * MIB);
            stage.turnover.add(10 * MIB, 0);
            reader
        })
        .collect();
    stage.readers.relieve(u64::MAX, u64::MAX, begun);
    // All are silent, the last and the first for a shorter time than the others.
    for (second, reader) in [(1, &readers[0]), (2, &readers[3])] {
        reader.moved();
        stage.readers.relieve(u64::MAX, u64::MAX, at(second));
    }
    assert_eq!(stage.readers.relieve(39 * MIB, u64::MAX, at(4)), 40 * MIB, "none is slow yet");
    assert!(stage.cuts().is_empty());
    // The first keeps what the two after it no longer do.
    assert_eq!(stage.readers.relieve(25 * MIB, u64::MAX, at(6)), 10 * MIB);
    assert_eq!(stage.cuts(), [1, 2, 0], "of the equally silent the older first");
    assert_eq!(stage.readers.relieve(0, 10 * MIB, at(6)), 10 * MIB);
    assert!(stage.cuts().is_empty());
    readers[3].moved();
    assert_eq!(stage.readers.relieve(0, MIB, at(7)), 0, "never more than the most");
    assert_eq!(stage.cuts(), [3]);
}
