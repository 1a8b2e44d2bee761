//! Bodies written by hand, and every kind as the Go types of Kubernetes write it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;

use super::*;
use crate::embedded::built_in::{BUILT_INS, REVIEWS};

fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        out.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap());
    [&out, content].concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), bytes(1, &types), bytes(2, raw), vec![0x1a, 0, 0x22, 0]].concat()
}

fn read_value(api_version: &str, kind: &str, raw: &[u8]) -> Value {
    Value::Object(read(&body(api_version, kind, raw)).unwrap())
}

#[test]
fn reads_a_config_map_as_go_writes_it() {
    let label = [bytes(1, b"a"), bytes(2, b"b")].concat();
    let metadata =
        [bytes(1, b"x"), bytes(2, b""), bytes(3, b"n"), bytes(8, b""), bytes(11, &label)].concat();
    let data = [bytes(1, b"k"), bytes(2, b"")].concat();
    let raw = [bytes(1, &metadata), bytes(2, &data), vec![0x20, 0]].concat();
    assert_eq!(
        read_value("v1", "ConfigMap", &raw),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "immutable": false,
               "metadata": {"name": "x", "namespace": "n", "labels": {"a": "b"}},
               "data": {"k": ""}})
    );
}

#[test]
fn zeros_that_are_meant_stay() {
    let max_unavailable = bytes(3, &[0x08, 0, 0x10, 0, 0x1a, 0]);
    let spec = [max_unavailable, bytes(2, b"")].concat();
    let budget = read_value("policy/v1", "PodDisruptionBudget", &bytes(2, &spec));
    assert_eq!(budget["spec"], json!({"maxUnavailable": 0, "selector": {}}));
    let deployment = read_value("apps/v1", "Deployment", &bytes(2, &[0x08, 0, 0x28, 0, 0x38, 0]));
    assert_eq!(deployment["spec"], json!({"replicas": 0}));
}

/// The `additionalProperties` of the schema of a definition's only version.
fn additional_properties(choice: &[u8]) -> Value {
    let kind = "CustomResourceDefinition";
    // The field's number is 30, which makes a tag of two bytes.
    let schema = [&[0xf2, 0x01], &bytes(0, choice)[1..]].concat();
    let version = bytes(4, &bytes(1, &schema));
    let raw = bytes(2, &bytes(7, &version));
    let mut definition = read_value("apiextensions.k8s.io/v1", kind, &raw);
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["additionalProperties"].take()
}

#[test]
fn the_forms_that_json_has_of_its_own_are_read() {
    let quota = [bytes(1, b"cpu"), bytes(2, &bytes(1, b"1500m"))].concat();
    let quota = read_value("v1", "ResourceQuota", &bytes(2, &bytes(1, &quota)));
    assert_eq!(quota["spec"]["hard"], json!({"cpu": "1500m"}));
    // Two groups in the packed form, as other writers than Go may send them.
    let packed = bytes(2, &bytes(14, &bytes(4, &[0x01, 0xac, 0x02])));
    let pod = read_value("v1", "Pod", &packed);
    assert_eq!(pod["spec"]["securityContext"], json!({"supplementalGroups": [1, 300]}));
    assert_eq!(additional_properties(&[0x08, 0]), json!(false));
    assert_eq!(additional_properties(&bytes(2, &bytes(5, b"string"))), json!({"type": "string"}));
    assert_eq!(number(2.0), json!(2));
    assert_eq!(number(-1.5), json!(-1.5));
    assert_eq!(time(b"", true), Ok(Value::Null));
    assert_eq!(time(&[0x08, 1, 0x10, 0xd0, 0x0f], true), Ok("1970-01-01T00:00:01.000002Z".into()));
    assert_eq!(time(&[&[0x08][..], &[0xff; 9], &[1]].concat(), false), Err(Malformed));
}

#[test]
fn refuses_rather_than_drops() {
    let unknown = read(&body("v1", "ConfigMap", &bytes(9, b"")));
    let message = "ConfigMap".to_owned();
    assert_eq!(unknown, Err(UnreadableProtobuf::Field { number: 9, message }));
    let kind = read(&body("apps/v1beta1", "Deployment", b"")).unwrap_err().to_string();
    assert!(kind.contains("Deployment of \"apps/v1beta1\""), "{kind}");
    assert_eq!(read(b"{}"), Err(UnreadableProtobuf::Malformed));
    let whole = body("v1", "Namespace", &bytes(1, &bytes(1, b"x")));
    for end in 0..whole.len() - 4 {
        assert!(read(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn endless_nesting_is_refused() {
    let kind = "CustomResourceDefinition";
    let definition = |levels| {
        // `not` in `not` in `not`: field 28 of JSONSchemaProps has a tag of two bytes.
        let mut schema = Vec::new();
        for _ in 0..levels {
            let framed = bytes(0, &schema);
            schema = [&[0xe2, 0x01], &framed[1..]].concat();
        }
        let version = bytes(4, &bytes(1, &schema));
        read(&body("apiextensions.k8s.io/v1", kind, &bytes(2, &bytes(7, &version))))
    };
    assert!(definition(100).is_ok());
    assert_eq!(definition(100_000), Err(UnreadableProtobuf::TooDeep));
}

/// The samples that `k8s.io/api` keeps of every kind, each field set; the error says what is missing.
/// Only in CI they are downloaded.
fn samples() -> Result<PathBuf, String> {
    let mut go = Command::new("go");
    go.args(["mod", "download", "-json", "k8s.io/api"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/protobuf-schema"));
    if !in_ci() {
        go.env("GOPROXY", "off");
    }
    let output = go.output().map_err(|error| format!("go: {error}"))?;
    let module: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let directory = module["Dir"].as_str().ok_or_else(|| module["Error"].to_string())?;
    Ok(Path::new(directory).join("testdata/HEAD"))
}

fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true")
}

#[test]
fn every_field_of_every_kind_is_read_as_go_writes_it() {
    let samples = match samples() {
        Ok(samples) => samples,
        Err(missing) => {
            assert!(!in_ci(), "CI must run this test: {missing}");
            eprintln!("not run: {missing}");
            return;
        }
    };
    let kinds = BUILT_INS.iter().map(|row| (row.group, row.version, row.kind));
    let reviews = REVIEWS.iter().map(|&(group, _, kind, _)| (group, "v1", kind));
    let mut compared = 0;
    for (group, version, kind) in kinds.chain(reviews) {
        // These two live in other modules, which have no samples.
        if matches!(kind, "CustomResourceDefinition" | "APIService") {
            continue;
        }
        let group = if group.is_empty() { "core" } else { group };
        let sample = |form| fs::read(samples.join(format!("{group}.{version}.{kind}.{form}")));
        let (Ok(protobuf), Ok(text)) = (sample("pb"), sample("json")) else {
            panic!("no samples of {group}.{version}.{kind}");
        };
        let expected: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(Value::Object(read(&protobuf).unwrap()), expected, "{kind}");
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}
