//! Digests: the same object has the same one in an event, in a list and under another version, and no other has.

use crate::checker::record::Version;
use crate::form::Form;
use crate::forms::{Frame, Object};

fn json(version: Version, data: &str) -> String {
    let metadata = format!(
        r#""metadata":{{"name":"x","namespace":"a","resourceVersion":"{version}","labels":{{"tier":"front"}}}}"#
    );
    format!(r#"{{"kind":"ConfigMap","apiVersion":"v1",{metadata},"data":{{"k":"{data}"}}}}"#)
}

fn object(form: Form, frame: &[u8]) -> Object {
    match form.frame(frame).expect("a frame") {
        Frame::Object { object, .. } => object,
        Frame::Error(code) => panic!("{code}"),
    }
}

#[test]
fn of_json_objects() {
    let event = |version, data| {
        let frame = format!(r#"{{"type":"ADDED","object":{}}}"#, json(version, data));
        object(Form::Json, frame.as_bytes())
    };
    let one = event(9, "v");
    assert_eq!((&*one.namespace, &*one.name, one.version), ("a", "x", 9));
    assert_eq!(one.labels.get("tier").map(String::as_str), Some("front"));
    assert_eq!(one.content, event(1_000, "v").content);
    assert_ne!(one.content, event(9, "w").content);
    let item = json(9, "v").replace(r#""kind":"ConfigMap","apiVersion":"v1","#, "");
    let list =
        format!(r#"{{"metadata":{{"resourceVersion":"12","continue":"c"}},"items":[{item}]}}"#);
    let page = Form::Json.page(list.as_bytes()).unwrap();
    assert_eq!((page.version, &*page.rest, page.objects[0].content), (12, "c", one.content));
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn raw(version: Version, data: &[u8]) -> Vec<u8> {
    let version = version.to_string();
    let metadata = [field(1, b"x"), field(3, b"a"), field(6, version.as_bytes())].concat();
    [field(1, &metadata), field(2, data)].concat()
}

fn wrapped(raw: &[u8]) -> Vec<u8> {
    [&b"k8s\0"[..], &field(1, &field(2, b"ConfigMap")), &field(2, raw)].concat()
}

#[test]
fn of_protobuf_objects() {
    let event = |version, data: &[u8]| {
        let object = field(1, &wrapped(&raw(version, data)));
        self::object(Form::Protobuf, &[field(1, b"MODIFIED"), field(2, &object)].concat())
    };
    let one = event(9, b"v");
    assert_eq!((&*one.namespace, &*one.name, one.version), ("a", "x", 9));
    assert_eq!(one.content, event(1_000, b"v").content);
    assert_ne!(one.content, event(9, b"w").content);
    let list = [field(1, &field(2, b"12")), field(2, &raw(9, b"v"))].concat();
    let page = Form::Protobuf.page(&wrapped(&list)).unwrap();
    assert_eq!((page.version, &*page.rest, page.objects[0].content), (12, "", one.content));
}

#[test]
fn errors_and_the_end_of_the_state() {
    let error = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410}}"#;
    assert!(matches!(Form::Json.frame(error).unwrap(), Frame::Error(410)));
    let end = r#"{"metadata":{"resourceVersion":"7","annotations":{"k8s.io/initial-events-end":"true"}}}"#;
    let frame = format!(r#"{{"type":"BOOKMARK","object":{end}}}"#);
    let bookmark = object(Form::Json, frame.as_bytes());
    assert!(bookmark.initial_end && bookmark.version == 7);
}
