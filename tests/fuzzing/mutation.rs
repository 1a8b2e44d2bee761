//! Inputs that are nearly right: seeds with a few things changed, from a seeded generator.

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// Makes mutations of seeds, one after another.
pub(super) struct Mutator {
    random: SmallRng,
    seeds: Vec<Vec<u8>>,
    input: Vec<u8>,
}

/// What formats are made of, and where they are at their limits.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"\\u0000",
    b"\\ud800",
    b"9007199254740993",
    b"18446744073709551616",
    b"\xff",
    b"\xc0\x80",
    b"\xf0\x9f",
    b"\n",
    b"\r",
    b"\t",
    b"\0",
    b" ",
    b"\"metadata\":{}",
    b"\"labels\":{\"a\":\"b\"},",
    b"\"resourceVersion\":\"0\"",
    b"k8s\0",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\x7f",
    b"\x0a\x00",
    b"\x12\x00",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x00\x00\x00\x05",
    b" in (",
    b" notin ",
    b")",
    b"!=",
    b"==",
    b"=",
    b"!",
    b">",
    b"<",
    b"%00",
    b"%2F",
    b"..",
    b"//",
    b"&",
    b";",
    b"+",
    b"?watch=1",
    b"resourceVersion=0",
    b"*/*",
    b";q=0.5",
    b";as=Table;g=meta.k8s.io;v=v1",
    b"metadata.name",
    b"namespaces/",
    b"9223372036854775807",
    b"-1",
    b"007",
    b"application/json",
];

// === impl Mutator ===

impl Mutator {
    pub(super) fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), seeds, input: Vec::new() }
    }

    /// The next one; valid until the next call.
    pub(super) fn next_input(&mut self) -> &[u8] {
        let Self { random, seeds, input } = self;
        input.clear();
        input.extend_from_slice(seeds.choose(random).expect("there are seeds"));
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..=input.len());
            let span = random.random_range(0..=8.min(input.len() - at));
            match random.random_range(0..9) {
                0 => {
                    let token = TOKENS.choose(random).expect("tokens");
                    drop(input.splice(at..at + span, token.iter().copied()));
                }
                1 => input.truncate(at),
                2 => drop(input.drain(at..at + span)),
                3 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
                4 if at < input.len() => input[at] = random.random(),
                5 => {
                    // A part of the same, again.
                    let from = random.random_range(0..=input.len());
                    let end = (from + random.random_range(0..200)).min(input.len());
                    let part = input[from..end].to_vec();
                    drop(input.splice(at..at, part));
                }
                6 => {
                    // The rest of another seed.
                    let other = seeds.choose(random).expect("there are seeds");
                    let from = random.random_range(0..=other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                // Lengths that are off by one.
                7 if at < input.len() => {
                    input[at] = input[at].wrapping_add(random.random_range(0..3)).wrapping_sub(1);
                }
                _ => drop(input.splice(at..at, (0..span).map(|_| random.random::<u8>()))),
            }
        }
        input
    }
}
