use std::collections::BTreeSet;

use super::{definition::Kind, *};

fn definitions() -> impl Iterator<Item = &'static Definition> {
    CATALOGUE.iter().copied().flatten().copied()
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
