use super::{quantity::Size, *};

const GOOD: &str = "
name: example
protocol: http2
time-limit: 5m
fill:
  - {resource: pods, count: 10, object-size: 2KiB}
phases:
  - {name: calm, duration: 10s}
  - {name: storm, duration: 20s}
workloads:
  - watchers: {name: agents, count: 50, resource: pods, field-selector: 'spec.nodeName=node-{i}'}
  - informers: {count: 5, resource: pods, page-size: 100, from: storm}
  - churn: {resource: pods, rate: 20, node: 'node-{i%50}', labels: {app: 'a-{i%3}'}}
  - list-storm: {resource: pods, clients: 2, gzip: true, phases: [storm]}
  - gets: {resource: pods, object: 'pod-{i}', rate: 5}
  - reconnect-herd: {workload: agents, share: 0.5, phase: storm}
";

fn problem(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    let text = GOOD.replacen(from, to, 1);
    match Scenario::parse("file.yaml", &text) {
        Ok(_) => panic!("{from} → {to} is taken"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_scenario_is_read() {
    let scenario = Scenario::parse("file.yaml", GOOD).unwrap();
    let names: Vec<&str> = scenario.workloads.iter().map(Workload::name).collect();
    assert_eq!(names, ["agents", "informers", "churn", "list-storm", "gets", "reconnect-herd"]);
    assert_eq!(scenario.duration(), Duration::from_secs(30));
    let storm = scenario.span(&["storm".to_owned()]);
    assert_eq!(storm, (Duration::from_secs(10), Duration::from_secs(30)));
    assert_eq!(scenario.span(&[]), (Duration::ZERO, Duration::from_secs(30)));
    assert_eq!(scenario.fill[0].object_size, Size(2048));
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_what_is_allowed() {
    for (from, to, line, said) in [
        ("count: 50", "count: 0", 11, "allowed is a whole number from 1 to 100000"),
        ("count: 50", "count: 100001", 11, "allowed is a whole number from 1 to 100000"),
        ("rate: 20", "rate: -20", 13, "allowed is a number from 0.01 to 100000"),
        ("rate: 20", "rate: .nan", 13, "allowed is a number"),
        ("duration: 10s", "duration: 10", 8, "allowed is a whole number and ms, s, m or h"),
        ("duration: 10s", "duration: 10min", 8, "allowed is a whole number and ms, s, m or h"),
        ("2KiB", "250001", 6, "allowed is at most 250000 for pods"),
        ("2KiB", "2KB", 6, "allowed is a whole number of bytes, or with KiB or MiB"),
        ("clients: 2", "client: 2", 14, "unknown field `client`"),
        ("list-storm:", "lists:", 14, "unknown variant `lists`"),
        ("resource: pods, rate", "resource: pod, rate", 13, "allowed are configmaps"),
        ("spec.nodeName=node-{i}", "spec.nodeName", 11, "no operator"),
        ("spec.nodeName=node-{i}", "spec.nodName=x", 11, "not a selectable field"),
        ("spec.nodeName=node-{i}", "status.phase=x", 11, "allowed are metadata.name"),
        ("spec.nodeName=node-{i}", "spec.nodeName=node-{j}", 11, "allowed are {i}"),
        ("phases: [storm]", "phases: [strom]", 14, "allowed are calm, storm"),
        ("workload: agents", "workload: agent", 16, "allowed is agents, informers"),
        ("share: 0.5", "share: 1.5", 16, "allowed is a number from 0.0001 to 1"),
        ("from: storm", "connections: 2, streams-per-connection: 3", 12, "give one of them"),
        ("time-limit: 5m", "time-limit: 30s", 4, "must be within 30s"),
        ("time-limit: 5m", "time-limit: 9h", 4, "allowed is at most 4h"),
        ("object: 'pod-{i}', ", "", 15, "allowed is the name of an object"),
        ("name: agents, ", "name: churn, ", 13, "two are called"),
    ] {
        let text = problem(from, to);
        assert!(text.starts_with(&format!("file.yaml:{line}:")), "{from} → {to}: {text}");
        assert!(text.contains(said), "{from} → {to}: {text}");
    }
    assert!(problem("phases:\n", "phasen:\n").contains("unknown field `phasen`"));
}

#[test]
fn watches_that_select_more_than_fits_into_memory_are_refused() {
    let selector = ", field-selector: 'spec.nodeName=node-{i}'";
    let many = |count: u32, objects: u32, selector: &str| {
        GOOD.replace("count: 50,", &format!("count: {count},"))
            .replace(", field-selector: 'spec.nodeName=node-{i}'", selector)
            .replace("rate: 20,", &format!("rate: 20, objects: {objects},"))
    };
    let check = |text: String| Scenario::parse("file.yaml", &text).map_err(|it| it.to_string());
    let refusal = check(many(50_000, 100_000, "")).unwrap_err();
    assert!(refusal.contains("5000500000 objects of churns"), "{refusal}");
    assert!(check(many(50_000, 100_000, selector)).is_ok());
    assert!(check(many(2_000, 100_000, "")).is_ok());
}

#[test]
fn two_fields_that_exclude_each_other_are_refused() {
    for (from, to, field) in [
        ("page-size: 100", "page-size: 100, start: watch-list", "start"),
        ("page-size: 100", "start: now", "start"),
        ("clients: 2", "object: x", "object"),
        ("object: 'pod-{i}'", "object: x, limit: 5", "object"),
        (
            "count: 5,",
            "count: 5, protocol: http1, streams-per-connection: 2,",
            "streams-per-connection",
        ),
        ("count: 5,", "count: 5, slow: {share: 0.1, bytes-per-second: 0},", "slow"),
        (
            "resource: pods, clients: 2",
            "resource: samples, representation: protobuf",
            "representation",
        ),
        ("resource: pods, rate: 20", "resource: configmaps, rate: 20", "node"),
        ("resource: pods, rate: 20", "resource: pods, rate: 90000, objects: 7", "rate"),
    ] {
        let text = if field == "rate" {
            let text = GOOD.replace("rate: 20,", "rate: 90000,").replace("20s}", "200s}");
            Scenario::parse("file.yaml", &text).unwrap_err().to_string()
        } else {
            problem(from, to)
        };
        assert!(text.contains(&format!("{field}: ")), "{from} → {to}: {text}");
    }
}

#[test]
fn the_scenarios_that_come_with_the_program_are_allowed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let scenario = Scenario::read(&path).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(scenario.name.as_str()));
        count += 1;
    }
    assert_eq!(count, 7);
}
