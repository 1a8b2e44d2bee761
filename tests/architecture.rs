//! The shape of the source tree: which module may use which, what the pure core may name, how large
//! files may be. It reads text, not types: paths that begin with `crate::` or climb to the root with
//! `super::`, outside of tests and of what follows `//` on a line. It does not see through names
//! that are exported again elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each top-level module and those that it may use. A change here is a change of the architecture:
/// say why in `docs/architecture.md`.
const EDGES: &str = "
    api       :
    runtime   :
    sync      :
    telemetry :
    codec     : api
    config    : telemetry
    embedded  : api
    net       : runtime telemetry
    cache     : api codec
    shards    : api cache codec sync telemetry
    upstream  : api cache codec shards sync telemetry
    identity  : telemetry upstream
    gateway   : api cache codec config identity net shards telemetry upstream
    app       : api cache codec config embedded gateway identity net runtime shards telemetry upstream
";

/// Beginnings of the paths of the core: values in, values out.
const PURE: [&str; 6] = [
    "src/api",
    "src/cache",
    "src/codec",
    "src/gateway/decide.rs",
    "src/upstream/reflector/machine.rs",
    "src/upstream/reflector/machine/",
];

/// What the core must not name: runtimes, sockets, files, clocks, logs, metrics.
const IMPURE: [&str; 9] = [
    "tokio",
    "hyper",
    "std::net",
    "std::fs",
    "Instant::now",
    "SystemTime",
    "tracing",
    "prometheus",
    "thread::sleep",
];

const MAX_LINES: usize = 600;
const NAMELESS: [&str; 6] = ["utils", "util", "common", "helpers", "types", "manager"];

#[test]
fn modules_use_only_what_they_may() {
    let table = table();
    let mut wrong = Vec::new();
    for (path, text) in sources(&["src"]) {
        let Some(module) = top_module(&path) else { continue };
        let Some(allowed) = table.get(module) else {
            wrong.push(format!("{path}: the module {module} has no row in EDGES"));
            continue;
        };
        for (line, used) in edges(&path, shipped(&path, &text)) {
            let known = table.contains_key(used.as_str());
            if known && used != module && !allowed.contains(used.as_str()) {
                wrong.push(format!("{path}:{line}: {module} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn edges_point_one_way() {
    let mut open = table();
    assert_eq!(open.len(), EDGES.trim().lines().count(), "a module has two rows");
    while !open.is_empty() {
        let left: BTreeSet<&str> = open.keys().copied().collect();
        open.retain(|_, uses| uses.iter().any(|used| left.contains(used)));
        assert!(open.len() < left.len(), "a cycle among {left:?}");
    }
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for (path, text) in sources(&["src"]) {
        if PURE.iter().any(|start| path.starts_with(start)) {
            let found = impure(shipped(&path, &text)).into_iter();
            wrong.extend(found.map(|(line, name)| format!("{path}:{line}: names {name}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_have_a_header_a_name_and_a_bound() {
    let mut wrong = Vec::new();
    for (path, text) in
        sources(&["src", "tests", "benches", "loadtest", "fuzz/src", "fuzz/fuzz_targets"])
    {
        if !is_test(&path) && !text.starts_with("//!") {
            wrong.push(format!("{path}: does not begin with //!, what it is and guarantees"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            wrong.push(format!("{path}: {lines} lines, at most {MAX_LINES} are allowed"));
        }
        let stem = path.trim_end_matches(".rs");
        if stem.split('/').any(|part| NAMELESS.contains(&part)) {
            wrong.push(format!("{path}: is called after nothing in particular"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_scanner_sees_paths_in_all_their_forms() {
    let seen = |path: &str, text: &str| edges(path, shipped(path, text));
    let at = |line: usize, name: &str| (line, name.to_owned());
    let grouped = "use std::fmt;\nuse crate::{\n    api::{version::X, y},\n    cache::Z, net,\n};";
    assert_eq!(seen("src/a/b.rs", grouped), [at(2, "api"), at(2, "cache"), at(2, "net")]);
    assert_eq!(seen("src/a/b.rs", "fn f() -> crate::codec::X"), [at(1, "codec")]);
    assert_eq!(seen("src/a/b.rs", "use super::super::net::X;"), [at(1, "net")]);
    assert_eq!(seen("src/a/b.rs", "use super::net::X; use mycrate::api;"), []);
    assert_eq!(seen("src/a/mod.rs", "use super::{net, api};"), [at(1, "net"), at(1, "api")]);
    assert_eq!(seen("src/a/b.rs", "//! crate::api\nf(); // crate::net"), []);
    assert_eq!(seen("src/a/b.rs", "#[cfg(test)]\nmod tests { use crate::app::X; }"), []);
    assert_eq!(seen("src/a/b.rs", "#[cfg(test)]\nmod tests;\nuse crate::api;"), [at(3, "api")]);
    assert_eq!(seen("src/a/b/tests.rs", "use crate::app::X;"), []);
}

#[test]
fn the_scanner_sees_impure_names_as_whole_words() {
    let text =
        "//! Not tokio.\nlet t = std::time::Instant::now();\nlet tokio_like = 1;\nuse tokio::x;";
    assert_eq!(impure(text), [(2, "Instant::now"), (4, "tokio")]);
}

fn table() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let rows = EDGES.lines().filter_map(|row| row.split_once(':'));
    rows.map(|(module, uses)| (module.trim(), uses.split_whitespace().collect())).collect()
}

/// Every `.rs` file below `roots`, by its path in the repository.
fn sources(roots: &[&str]) -> Vec<(String, String)> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open: Vec<PathBuf> = roots.iter().map(|root| repository.join(root)).collect();
    let mut found = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("a readable directory");
            open.extend(entries.map(|entry| entry.expect("a readable entry").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            let inside = path.strip_prefix(repository).expect("below the repository");
            found.push((inside.to_string_lossy().into_owned(), text));
        }
    }
    assert!(!found.is_empty(), "no sources below {roots:?}");
    found.sort();
    found
}

/// `src/cache/log.rs` belongs to `cache`; the roots of library and program belong to none.
fn top_module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?.trim_end_matches(".rs");
    (!matches!(name, "lib" | "main")).then_some(name)
}

fn is_test(path: &str) -> bool {
    let endings = ["/tests.rs", "_tests.rs", "/soundness.rs"];
    endings.iter().any(|ending| path.ends_with(ending)) || path.contains("/tests/")
}

/// The part of a file that ships: nothing of a test file, and nothing from an inline test module on,
/// which stands last.
fn shipped<'a>(path: &str, text: &'a str) -> &'a str {
    let inline = text.match_indices("#[cfg(test)]\nmod ").find(|(at, mark)| {
        let name = &text[at + mark.len()..];
        name.find(['{', ';']).is_some_and(|end| name[end..].starts_with('{'))
    });
    match inline {
        _ if is_test(path) => "",
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// The names that stand at the root of the crate in a file's paths, with the lines of the paths.
fn edges(path: &str, text: &str) -> Vec<(usize, String)> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let climb = "super::".repeat(inside.split('/').count());
    let mut found = Vec::new();
    for root in ["crate::", &climb] {
        for at in words(text, root) {
            let line = text[..at].matches('\n').count() + 1;
            found.extend(first_names(&text[at + root.len()..]).map(|name| (line, name)));
        }
    }
    found
}

/// `api::X` begins with `api`, `{api::{X, Y}, net}` with `api` and `net`.
fn first_names(path: &str) -> impl Iterator<Item = String> {
    let mut starts = vec![path];
    if let Some(group) = path.strip_prefix('{') {
        let mut depth = 0;
        starts = vec![group];
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts.push(&group[at + 1..]),
                _ => {}
            }
        }
    }
    let name = |start: &str| start.trim_start().chars().take_while(|c| in_word(*c)).collect();
    starts.into_iter().map(name).filter(|name: &String| !name.is_empty())
}

/// The names that pure code must not contain, with their lines.
fn impure(text: &str) -> Vec<(usize, &'static str)> {
    let mut found = Vec::new();
    for name in IMPURE {
        for at in words(text, name) {
            if !text[at + name.len()..].starts_with(in_word) {
                found.push((text[..at].matches('\n').count() + 1, name));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Where a word begins with `start`, outside of comments.
fn words(text: &str, start: &str) -> Vec<usize> {
    let whole = |at: &usize| {
        let line = &text[text[..*at].rfind('\n').map_or(0, |end| end + 1)..*at];
        !line.contains("//") && !line.ends_with(in_word)
    };
    text.match_indices(start).map(|(at, _)| at).filter(whole).collect()
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
