//! Lists and watches taken apart, in every form in which they come.

use crate::essence::{List, Stream, version_place, without_present};
use crate::protobuf;

fn list(body: &str) -> (String, Option<u64>, Option<String>) {
    let List { bytes, version, token } = List::of(body.as_bytes());
    (String::from_utf8(bytes).expect("UTF-8"), version, token)
}

#[test]
fn a_list_loses_its_own_version_and_token_alone() {
    let item = r#"{"metadata":{"resourceVersion":"9","continue":"y"}}"#;
    for (body, bare, version, token) in [
        (
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"12","continue":"x","remainingItemCount":3}},"items":[{item}]}}"#),
            format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"","continue":"","remainingItemCount":3}},"items":[{item}]}}"#),
            Some(12),
            Some("x"),
        ),
        (
            format!(r#"{{"apiVersion":"g/v1","items":[{item}],"kind":"FooList","metadata":{{"continue":"","resourceVersion":"12"}}}}"#),
            format!(r#"{{"apiVersion":"g/v1","items":[{item}],"kind":"FooList","metadata":{{"continue":"","resourceVersion":""}}}}"#),
            Some(12),
            None,
        ),
        (
            "{\n  \"kind\": \"PodList\",\n  \"metadata\": {\n    \"resourceVersion\": \"12\"\n  },\n  \"items\": []\n}".to_owned(),
            "{\n  \"kind\": \"PodList\",\n  \"metadata\": {\n    \"resourceVersion\": \"\"\n  },\n  \"items\": []\n}".to_owned(),
            Some(12),
            None,
        ),
        (
            "apiVersion: v1\nitems:\n- metadata:\n    resourceVersion: \"9\"\nkind: PodList\nmetadata:\n  continue: x\n  resourceVersion: \"12\"\n".to_owned(),
            "apiVersion: v1\nitems:\n- metadata:\n    resourceVersion: \"9\"\nkind: PodList\nmetadata:\n  continue: \n  resourceVersion: \"\"\n".to_owned(),
            Some(12),
            Some("x"),
        ),
        (
            r#"{"kind":"Table","metadata":{"resourceVersion":"12"},"columnDefinitions":[],"rows":[]}"#.to_owned(),
            r#"{"kind":"Table","metadata":{"resourceVersion":""},"columnDefinitions":[],"rows":[]}"#.to_owned(),
            Some(12),
            None,
        ),
    ] {
        assert_eq!(list(&body), (bare, version, token.map(str::to_owned)), "{body}");
        let place = version_place(body.as_bytes()).unwrap();
        assert_eq!(&body[place], "12");
    }
}

#[test]
fn an_object_loses_nothing() {
    for body in [
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"9"},"spec":{}}"#,
        r#"{"apiVersion":"g/v1","kind":"Foo","metadata":{"resourceVersion":"9"}}"#,
        "apiVersion: v1\nkind: Pod\nmetadata:\n  resourceVersion: \"9\"\n",
        "404 page not found\n",
        "",
    ] {
        assert_eq!(list(body), (body.to_owned(), None, None));
    }
}

#[test]
fn a_protobuf_list_loses_them_with_the_lengths_around_them() {
    let field = |number: u8, content: &[u8]| {
        [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
    };
    let body = |kind: &[u8], version: &[u8], token: &[u8]| {
        let metadata = [field(1, b""), field(2, version), field(3, token)].concat();
        let raw = [field(1, &metadata), field(2, b"item")].concat();
        let of = [field(1, b"v1"), field(2, kind)].concat();
        [b"k8s\0".to_vec(), field(1, &of), field(2, &raw), field(3, b"")].concat()
    };
    let (a, b) = (body(b"PodList", b"12", b"token"), body(b"PodList", b"1234", b""));
    let (first, second) = (List::of(&a), List::of(&b));
    assert_eq!((first.version, first.token.as_deref()), (Some(12), Some("token")));
    assert_eq!((second.version, second.token.as_deref()), (Some(1234), None));
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(&b[version_place(&b).unwrap()], b"1234");
    // The fields of an object's metadata have the same numbers.
    let object = body(b"Pod", b"12", b"ns");
    assert_eq!(List::of(&object).bytes, object);
}

#[test]
fn a_watch_is_taken_event_by_event() {
    let bookmark = |version: &str| {
        format!(
            "{{\"type\":\"BOOKMARK\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"{version}\"}}}}}}\n"
        )
    };
    let end = "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"12\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n";
    let event = "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\"}}}\n";
    let body = format!("{event}{end}{}", bookmark("15"));
    let stream = Stream::of(body.as_bytes(), Some("application/json")).unwrap();
    let bare = end.replace("\"12\"", "\"\"");
    assert_eq!(stream.events, [event.as_bytes(), bare.as_bytes()]);
    assert_eq!(stream.bookmarks, [bookmark("").as_bytes()]);
    assert_eq!(stream.initial, Some(12));
    assert_eq!(Stream::of(b"{\"kind\":\"Status\"}", Some("application/json")), None);
}

#[test]
fn frames_are_cut_at_their_lengths() {
    let body = [&[0, 0, 0, 2], &b"ab"[..], &[0, 0, 0, 0], &[0, 0, 0, 9], b"c"].concat();
    let frames = protobuf::frames(&body);
    assert_eq!(frames, [b"ab".to_vec(), Vec::new(), [&[0, 0, 0, 9], &b"c"[..]].concat()]);
}

#[test]
fn only_the_present_version_of_a_refusal_is_made_equal() {
    let refusal = |asked: u32, current: u32| {
        let text = format!("Timeout: Too large resource version: {asked}, current: {current}\"}}");
        without_present(text.as_bytes())
    };
    assert_eq!(refusal(999, 710), refusal(999, 712));
    assert_ne!(refusal(999, 710), refusal(998, 710));
    assert_ne!(refusal(999, 710), refusal(999, 7100), "protobuf would have other lengths");
}
