//! Inputs that are at a limit, or beyond it, and too large to be committed as files.

use crate::seeds::Seed;

/// Those of one target.
pub(super) fn of(target: &str) -> Vec<Seed> {
    let of_text = |texts: Vec<(&str, String)>| -> Vec<Seed> {
        let seed = |(what, text): (&str, String)| Seed { what: what.into(), input: text.into() };
        texts.into_iter().map(seed).collect()
    };
    match target {
        "path" => of_text(vec![
            ("a long path", format!("GET /api/v1{}", "/a".repeat(100_000))),
            ("many parameters", format!("GET /api/v1/pods?{}", "a=b&".repeat(300))),
        ]),
        "options" => of_text(vec![
            ("a long value", format!("labelSelector={}", "a".repeat(100_000))),
            ("many selectors", format!("labelSelector=a{}", "%2Ca".repeat(10_000))),
            ("a long token", format!("continue={}", "ey".repeat(50_000))),
        ]),
        "label_selector" => of_text(vec![
            ("many requirements", vec!["a!=b"; 10_000].join(",")),
            ("a large set", format!("a in ({})", vec!["x"; 20_000].join(","))),
            ("many parentheses", "(".repeat(100_000)),
            ("many negations", "!".repeat(100_000)),
        ]),
        "field_selector" => of_text(vec![
            ("many terms", vec!["metadata.name!=x"; 10_000].join(",")),
            ("many commas", ",".repeat(100_000)),
            ("many backslashes", format!("metadata.name={}", "\\".repeat(99_999))),
        ]),
        "accept" => of_text(vec![
            ("many clauses", vec!["application/json"; 1_000].join(",")),
            ("many parameters", format!("application/json{}", ";a=b".repeat(10_000))),
        ]),
        "json_event" => of_text(json_objects().map(|(what, pod)| (what, event(&pod))).to_vec()),
        "json_list" => of_text(json_objects().map(|(what, pod)| (what, list(&pod))).to_vec()),
        "protobuf_event" => protobuf(|pod| {
            let raw = field(2, &field(1, &enveloped("Pod", pod)));
            [field(1, b"ADDED"), raw].concat()
        }),
        "protobuf_list" => protobuf(|pod| {
            let items = field(2, pod).repeat(3);
            enveloped("PodList", &[field(1, &field(2, b"7")), items].concat())
        }),
        "frames" => vec![
            Seed {
                what: "many lines".into(),
                input: [b"\0".to_vec(), b"\n".repeat(5_000)].concat(),
            },
            Seed { what: "many empty frames".into(), input: [vec![1], vec![0; 20_000]].concat() },
            Seed { what: "a huge length".into(), input: vec![1, 0xff, 0xff, 0xff, 0xff, 1, 2] },
            Seed { what: "a split length".into(), input: vec![1, 0, 0, 1] },
        ],
        "gzip_join" => vec![
            Seed { what: "nothing".into(), input: Vec::new() },
            Seed { what: "much of one".into(), input: vec![0xff; 70_000] },
            Seed { what: "empty parts".into(), input: vec![0; 5_000] },
        ],
        _ => Vec::new(),
    }
}

fn event(pod: &str) -> String {
    format!(r#"{{"type":"ADDED","object":{{"kind":"Pod","apiVersion":"v1",{pod}}}}}"#)
}

fn list(pod: &str) -> String {
    let items = vec![format!("{{{pod}}}"); 3].join(",");
    format!(
        r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"7"}},"items":[{items}]}}"#
    )
}

/// Members of Pods that are hard to take.
fn json_objects() -> [(&'static str, String); 9] {
    let named = r#""name":"a","namespace":"b","resourceVersion":"7""#;
    let with = |spec: &str| format!(r#""metadata":{{{named}}},"spec":{spec}"#);
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let labels: Vec<_> = (0..10_000).map(|number| format!(r#""l{number:05}":"v""#)).collect();
    [
        ("1.5 MiB", with(&format!(r#""{}""#, "x".repeat(3 << 19)))),
        ("10,000 labels", format!(r#""metadata":{{{named},"labels":{{{}}}}}"#, labels.join(","))),
        ("deep", with(&nested(900))),
        ("too deep", with(&nested(5_000))),
        ("open for ever", with(&"[".repeat(1_000_000))),
        ("deep objects", with(&format!("{}1{}", r#"{"a":"#.repeat(990), "}".repeat(990)))),
        (
            "large numbers",
            with("[9007199254740993,-0,1e999,0.1e-999,123456789012345678901234567890]"),
        ),
        ("lone surrogates", with(r#"["\ud800","\udc00\ud800","\uD83D\uDE00"]"#)),
        ("many escapes", with(&format!(r#""{}""#, r"\u0000\\\n".repeat(30_000)))),
    ]
}

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(content);
    field
}

fn enveloped(kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
    [&b"k8s\0"[..], &field(1, &types), &field(2, raw), &[0x1a, 0, 0x22, 0]].concat()
}

/// Pods that are hard to take, inside of something.
fn protobuf(inside: impl Fn(&[u8]) -> Vec<u8>) -> Vec<Seed> {
    let named = |version: &[u8]| [field(1, b"a"), field(3, b"b"), field(6, version)].concat();
    let pod = |more: &[u8], rest: &[u8]| {
        [field(1, &[&named(b"7"), more].concat()), rest.to_vec()].concat()
    };
    let label = |key: &[u8]| field(11, &[field(1, key), field(2, b"v")].concat());
    let labels = (0..10_000).flat_map(|number| label(format!("l{number}").as_bytes()));
    let nested = (0..5_000).fold(Vec::new(), |inner: Vec<u8>, _| field(2, &inner));
    let pods = [
        ("1.5 MiB", pod(b"", &field(2, &vec![b'x'; 3 << 19]))),
        ("10,000 labels", pod(&labels.collect::<Vec<u8>>(), b"")),
        ("deep", pod(b"", &nested)),
        ("invalid UTF-8 in a label", pod(&label(b"\xff\xfe"), b"")),
        ("invalid UTF-8 in an annotation", pod(&field(12, &field(1, b"\xc3\x28")), b"")),
        ("a version of many zeros", field(1, &named(&[b"0".repeat(200), b"7".to_vec()].concat()))),
        ("a truncated varint", pod(b"", &[0x10, 0xff, 0xff])),
        ("a length beyond the end", pod(b"", &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1])),
        ("a length beyond 64 bits", pod(b"", &[&[0x12][..], &[0xff; 9], &[0x7f]].concat())),
    ];
    let seed = |(what, pod): (&str, Vec<u8>)| Seed { what: what.into(), input: inside(&pod) };
    pods.map(seed).into()
}
