//! Resources, objects and small builders shared by the codec's tests.

use bytes::Bytes;

use crate::{
    api::{
        resource::{GroupVersionResource, Origin, ResourceType, Scope},
        selector::field_schema::{FieldSchema, FieldSource, Scalar, SelectableField},
        version::ResourceVersion,
    },
    codec::{
        ResourceCodec,
        object::{Object, Representation},
        watch_event::WatchEvent,
    },
};

pub(super) fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).unwrap()
}

fn field(
    label: &str,
    sources: &[(&str, &[u32])],
    scalar: Scalar,
    default: &str,
) -> SelectableField {
    let sources = sources.iter().map(|(json, protobuf)| FieldSource {
        json: json.split('.').map(Into::into).collect(),
        protobuf: protobuf.to_vec(),
        scalar,
    });
    SelectableField { label: label.into(), sources: sources.collect(), default: default.into() }
}

fn resource(
    (group, version, plural): (&str, &str, &str),
    kind: &str,
    origin: Origin,
    fields: Vec<SelectableField>,
) -> ResourceType {
    ResourceType {
        gvr: GroupVersionResource::new(group, version, plural),
        kind: kind.into(),
        list_kind: format!("{kind}List").into(),
        scope: Scope::Namespaced,
        origin,
        fields: FieldSchema { fields, accepts_namespace: true, aliases: Vec::new() },
    }
}

pub(super) fn pods() -> ResourceType {
    let fields = vec![
        field("spec.nodeName", &[("spec.nodeName", &[2, 10])], Scalar::String, ""),
        field("spec.hostNetwork", &[("spec.hostNetwork", &[2, 11])], Scalar::Bool, "false"),
        field(
            "status.podIP",
            &[("status.podIP", &[3, 6]), ("status.podIPs.ip", &[3, 12, 1])],
            Scalar::String,
            "",
        ),
        field("status.podIPs", &[], Scalar::String, ""),
        field("status.phase", &[("status.phase", &[3, 1])], Scalar::String, ""),
    ];
    resource(("", "v1", "pods"), "Pod", Origin::BuiltIn, fields)
}

pub(super) fn config_maps() -> ResourceType {
    resource(("", "v1", "configmaps"), "ConfigMap", Origin::BuiltIn, Vec::new())
}

pub(super) fn daemon_sets() -> ResourceType {
    resource(("apps", "v1", "daemonsets"), "DaemonSet", Origin::BuiltIn, Vec::new())
}

pub(super) fn widgets() -> ResourceType {
    let fields = vec![field("spec.size", &[("spec.size", &[])], Scalar::Integer, "")];
    resource(("example.com", "v1", "widgets"), "Widget", Origin::Custom, fields)
}

pub(super) const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"default","uid":"u","resourceVersion":"811","labels":{"B":"2","a":"\u003c1\u003e"},"managedFields":[{"fieldsV1":{"f:metadata":{}}}]},"spec":{"containers":[{"name":"c","resources":{}}],"nodeName":"n1"},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"},{"ip":"::1"}]}}"#;

pub(super) const WIDGET: &str = r#"{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"creationTimestamp":"2026-11-21T00:00:00Z","name":"w","namespace":"x","resourceVersion":"99"},"spec":{"big":12345678901234567000,"size":3,"small":1e-7}}"#;

pub(super) fn json_event(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

/// The object of an ADDED, MODIFIED or DELETED event.
pub(super) fn object_of(codec: &ResourceCodec, frame: impl Into<Bytes>) -> Object {
    match codec.decode_watch_event(frame.into()).unwrap() {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            object
        }
        other => panic!("not an object's event: {other:?}"),
    }
}

pub(super) fn json_pod() -> (ResourceCodec, Object) {
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    let object = object_of(&codec, json_event("ADDED", POD));
    (codec, object)
}

pub(super) fn json_widget() -> (ResourceCodec, Object) {
    let codec = ResourceCodec::new(&widgets(), Representation::Json);
    let object = object_of(&codec, json_event("ADDED", WIDGET));
    (codec, object)
}

/// Bytes from hexadecimal digits and `'text'`, spaces ignored.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            bytes.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> =
            part.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        bytes.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    bytes
}

/// A length-delimited protobuf field.
pub(super) fn message(number: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 16_384 && number < 16);
    let mut field = vec![number << 3 | 2];
    if content.len() >= 128 {
        field.push((content.len() & 0x7f) as u8 | 0x80);
        field.push((content.len() >> 7) as u8);
    } else {
        field.push(content.len() as u8);
    }
    field.extend_from_slice(content);
    field
}

/// ObjectMeta as the API server writes it: empty strings included.
pub(super) fn protobuf_metadata(resource_version: &str) -> Vec<u8> {
    [
        message(1, b"a"),
        message(2, b""),
        message(3, b"default"),
        message(4, b""),
        message(5, b"uid"),
        message(6, resource_version.as_bytes()),
        vec![0x38, 0x00],
        message(8, b""),
        message(11, &[message(1, b"app"), message(2, b"web")].concat()),
        message(11, &[message(1, b"tier"), message(2, b"")].concat()),
    ]
    .concat()
}

/// A Pod with a node, host network, and two addresses.
pub(super) fn protobuf_pod(resource_version: &str) -> Vec<u8> {
    let spec = [message(10, b"n1"), vec![0x58, 0x01]].concat();
    let status = [
        message(1, b"Running"),
        message(6, b""),
        message(12, &message(1, b"10.0.0.1")),
        message(12, &message(1, b"::1")),
    ]
    .concat();
    [message(1, &protobuf_metadata(resource_version)), message(2, &spec), message(3, &status)]
        .concat()
}

pub(super) fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [message(1, api_version.as_bytes()), message(2, kind.as_bytes())].concat();
    [&b"k8s\0"[..], &message(1, &types), &message(2, raw), &[0x1a, 0, 0x22, 0]].concat()
}

/// A frame without its length prefix.
pub(super) fn protobuf_event(kind: &str, enveloped: &[u8]) -> Vec<u8> {
    [message(1, kind.as_bytes()), message(2, &message(1, enveloped))].concat()
}

pub(super) fn protobuf_pod_object() -> (ResourceCodec, Object) {
    let codec = ResourceCodec::new(&pods(), Representation::Protobuf);
    let frame = protobuf_event("ADDED", &envelope("v1", "Pod", &protobuf_pod("99")));
    let object = object_of(&codec, frame);
    (codec, object)
}
