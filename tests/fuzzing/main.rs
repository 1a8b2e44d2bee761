//! The fuzz targets of `fuzz/` as ordinary tests: over the committed corpus, over bytes that
//! kube-apiserver wrote, over crafted nasties, and over mutations of all of them.
//!
//! Mutations are chosen from a seed. How many there are is a matter of time:
//! `WATCHGATE_FUZZ_SECONDS=300` gives every target that long, `WATCHGATE_FUZZ_SEED` begins elsewhere.
//! An input that breaks a property is written to a file, whose name is printed; put it into
//! `fuzz/corpus/<target>` and this test repeats it. Every input is tried on a thread with a small stack,
//! so that recursion without a bound shows.

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a library of its own for cargo-fuzz")]
mod bodies;
mod mutation;
mod nasty;
mod seeds;

use std::{
    env, fs,
    panic::catch_unwind,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use self::{
    bodies::{TARGETS, Target},
    mutation::Mutator,
    seeds::Seed,
};

/// What a connection's thread has left at the very least; debug builds use most.
const STACK: usize = 512 << 10;

/// For each target, and no longer than needed to notice plain mistakes.
const SECONDS: u64 = 1;

/// Mutations are not made of inputs beyond this: most would change nothing that is looked at.
const MAX_MUTATED: usize = 16 << 10;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

/// Runs one input; on failure says how to repeat it.
fn check(name: &str, target: Target, what: &str, input: &[u8]) {
    if catch_unwind(|| target(input)).is_err() {
        let file = env::temp_dir().join(format!("watchgate-fuzz-{name}-{:08x}", checksum(input)));
        fs::write(&file, input).expect("a writable directory for the input");
        panic!("{name}: {what}: the input of {} bytes is kept in {}", input.len(), file.display());
    }
}

/// Tells inputs apart in file names.
fn checksum(input: &[u8]) -> u32 {
    input.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Runs `work` for every target, each on a thread of its own.
fn for_each_target(work: impl Fn(&'static str, Target, Vec<Seed>) + Send + Copy + 'static) {
    let threads = TARGETS.map(|(name, target)| {
        let thread = thread::Builder::new().name(name.into()).stack_size(STACK);
        thread.spawn(move || work(name, target, seeds::of(name))).expect("a thread")
    });
    let failed: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().err()).collect();
    assert!(failed.is_empty(), "{} targets failed", failed.len());
}

#[test]
fn every_seed_holds() {
    for_each_target(|name, target, seeds| {
        assert!(seeds.len() >= 5, "{name}: only {} seeds", seeds.len());
        for Seed { what, input } in &seeds {
            check(name, target, what, input);
        }
    });
}

#[test]
fn mutations_of_seeds_hold() {
    for_each_target(|name, target, seeds| {
        let small = seeds.into_iter().filter(|seed| seed.input.len() <= MAX_MUTATED);
        let seed = number("WATCHGATE_FUZZ_SEED", 1);
        let mut mutator = Mutator::new(seed, small.map(|seed| seed.input).collect());
        let time = Duration::from_secs(number("WATCHGATE_FUZZ_SECONDS", SECONDS));
        let (began, mut tried) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            for _ in 0..64 {
                check(name, target, "a mutation", mutator.next_input());
                tried += 1;
            }
        }
        println!("{name}: {tried} inputs");
    });
}

/// cargo-fuzz's list, the corpora and the targets are one.
#[test]
fn every_target_has_a_binary_and_a_corpus() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |directory: &str, suffix: &str| -> Vec<String> {
        let entries = fs::read_dir(fuzz.join(directory)).expect(directory);
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a name");
        let mut names: Vec<_> = entries
            .map(|entry| name(entry.expect("an entry")).trim_end_matches(suffix).to_owned())
            .collect();
        names.sort();
        names
    };
    let mut targets: Vec<_> = TARGETS.map(|(name, _)| name.to_owned()).into();
    targets.sort();
    assert_eq!(names("fuzz_targets", ".rs"), targets);
    assert_eq!(names("corpus", ""), targets);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("the manifest");
    for name in targets {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is no [[bin]]");
    }
}
