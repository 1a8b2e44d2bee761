//! Where mutations begin: the committed corpus, what kube-apiserver wrote, and crafted nasties.

use std::{fs, path::Path};

use bytes::Bytes;
use watchgate::codec::{frame_decoder::FrameDecoder, object::Representation};

use crate::nasty;

/// An input, and where it is from.
pub(super) struct Seed {
    pub(super) what: String,
    pub(super) input: Vec<u8>,
}

/// All inputs of a target, in an order that does not change.
pub(super) fn of(target: &str) -> Vec<Seed> {
    let mut seeds = files(&format!("fuzz/corpus/{target}"));
    seeds.extend(captured(target));
    seeds.extend(nasty::of(target));
    seeds
}

fn files(directory: &str) -> Vec<Seed> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(directory));
    let mut paths: Vec<_> = entries
        .unwrap_or_else(|error| panic!("{directory}: {error}"))
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| Seed {
        what: path.display().to_string(),
        input: fs::read(path).expect("a readable file"),
    };
    paths.iter().map(read).collect()
}

/// The codec's own fixtures, which are answers of kube-apiserver.
fn captured(target: &str) -> Vec<Seed> {
    let all = ["pods", "configmaps", "daemonsets", "widgets"]
        .into_iter()
        .flat_map(|resource| files(&format!("src/codec/fixtures/{resource}")));
    let named = |seed: &Seed, format: &str, part: &str| {
        let name = seed.what.rsplit('/').next().unwrap_or_default();
        let (prefix, suffix) = name.split_once('.').unwrap_or((name, ""));
        prefix.ends_with(format) && part.split('|').any(|part| part == suffix)
    };
    let list = "list|page|empty";
    match target {
        "json_list" => all.filter(|seed| named(seed, "json", list)).collect(),
        "protobuf_list" => all.filter(|seed| named(seed, "pb", list)).collect(),
        "json_event" => all
            .filter(|seed| named(seed, "json", "watch"))
            .flat_map(|seed| frames(&seed, Representation::Json))
            .collect(),
        "protobuf_event" => all
            .filter(|seed| named(seed, "pb", "watch"))
            .flat_map(|seed| frames(&seed, Representation::Protobuf))
            .collect(),
        "frames" => all
            .filter(|seed| named(seed, "json", "watch") || named(seed, "pb", "watch"))
            .map(|seed| {
                let first = u8::from(seed.what.ends_with("pb.watch"));
                Seed { input: [&[first], &seed.input[..]].concat(), ..seed }
            })
            .collect(),
        "gzip_join" => all.filter(|seed| named(seed, "json", "list")).collect(),
        _ => Vec::new(),
    }
}

fn frames(seed: &Seed, representation: Representation) -> Vec<Seed> {
    let mut decoder = FrameDecoder::new(representation, 1 << 20);
    decoder.push(Bytes::from(seed.input.clone()));
    let mut frames = Vec::new();
    while let Some(frame) = decoder.next_frame().expect("captured frames") {
        let what = format!("{}, frame {}", seed.what, frames.len());
        frames.push(Seed { what, input: frame.to_vec() });
    }
    frames
}
