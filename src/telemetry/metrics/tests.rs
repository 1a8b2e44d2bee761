use std::collections::BTreeSet;

use super::{definition::Kind, *};

fn definitions() -> impl Iterator<Item = &'static Definition> {
    CATALOGUE.iter().flat_map(|(_, definitions)| *definitions).copied()
}

#[test]
fn names_follow_the_habits() {
    let mut names = BTreeSet::new();
    for definition in definitions() {
        let Definition { name, kind, help, labels } = definition;
        assert!(names.insert(name), "{name} twice");
        assert!(name.starts_with("watchgate_"), "{name}");
        assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
        assert!(help.ends_with('.') && help.len() > 20, "{name}: {help}");
        assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        let reserved = ["le", "quantile", "job", "instance"];
        assert!(!labels.iter().any(|label| reserved.contains(label)), "{name}");
    }
}

#[test]
fn an_unused_program_is_exposed() {
    let metrics = Metrics::new(2);
    metrics.read_with(|samples| samples.count(&process::CONNECTIONS, &["0"], 7));
    let text = metrics.exposition().unwrap().render().unwrap();
    for line in [
        "# TYPE watchgate_watch_propagation_seconds histogram",
        "watchgate_watch_propagation_seconds_count 0",
        "watchgate_store_went_back_total 0",
        "watchgate_access_reviews_total{outcome=\"failed\"} 0",
        "watchgate_connections{core=\"0\"} 7",
        "# TYPE process_cpu_seconds_total counter",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // Rendering changes nothing, and values are not added to those of the scrape before.
    let again = metrics.exposition().unwrap().render().unwrap();
    let own = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("watchgate_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(own(&text), own(&again));
}

#[test]
fn what_is_exposed_stands_in_the_catalogue() {
    let known: BTreeSet<&str> = definitions().map(|definition| definition.name).collect();
    let text = Metrics::new(1).exposition().unwrap().render().unwrap();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = line.split(' ').next().unwrap();
        assert!(known.contains(name) || name.starts_with("process_"), "{name}");
    }
}

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
const BEGIN: &str =
    "<!-- Written by the test `the_document_tells_all`: change the definitions. -->\n";
const END: &str = "<!-- End of what is written. -->\n";

/// What `docs/metrics.md` says of the metrics is what the definitions say. With
/// `WATCHGATE_WRITE_DOCS=1` it is written anew.
#[test]
fn the_document_tells_all() {
    let document = std::fs::read_to_string(DOCUMENT).unwrap();
    let (before, rest) = document.split_once(BEGIN).expect("the mark of the beginning");
    let (told, after) = rest.split_once(END).expect("the mark of the end");
    let wanted = tables();
    if told != wanted && std::env::var_os("WATCHGATE_WRITE_DOCS").is_some() {
        std::fs::write(DOCUMENT, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    let hint = "WATCHGATE_WRITE_DOCS=1 cargo test --lib the_document_tells_all writes it";
    assert!(told == wanted, "docs/metrics.md differs from the definitions: {hint}");
}

fn tables() -> String {
    let row = |definition: &&Definition| {
        let Definition { name, kind, help, labels } = definition;
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        format!("| `{name}` | {} | {labels} | {help} |\n", kind.name())
    };
    let section = |(title, definitions): &(&str, &[&Definition])| {
        let rows: String = definitions.iter().map(row).collect();
        format!(
            "\n## {title}\n\n| Name | Type | Labels | Says |\n| --- | --- | --- | --- |\n{rows}"
        )
    };
    CATALOGUE.iter().map(section).chain(["\n".to_owned()]).collect()
}
