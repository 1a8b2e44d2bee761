//! Lists: golden heads and tails, and pages read back.

use super::samples::*;
use crate::codec::{
    ResourceCodec,
    object::{Object, Representation},
    watch_event::{Form, ListMetadata},
};

fn plain(number: u64) -> ListMetadata<'static> {
    ListMetadata {
        resource_version: version(number),
        continue_token: None,
        remaining_item_count: None,
    }
}

/// A whole list, as the gateway puts it together.
fn list(
    codec: &ResourceCodec,
    form: Form,
    metadata: &ListMetadata<'_>,
    objects: &[&Object],
) -> Vec<u8> {
    let mut items = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        if form == Form::Full {
            if index == 0 {
                items.extend_from_slice(codec.item_lead(form));
            }
            codec.item_join().append(&mut items, index == 0, &object.core);
        } else {
            let before =
                if index == 0 { codec.item_lead(form) } else { codec.item_separator(form) };
            items.extend_from_slice(before);
            items.extend_from_slice(&codec.metadata_item(object));
        }
    }
    let head = codec.list_head(form, metadata, items.len());
    let tail = codec.list_tail(form, metadata, items.len());
    [&head[..], &items, &tail].concat()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn writes_empty_json_lists() {
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    assert_eq!(
        text(list(&codec, Form::Full, &plain(812), &[])),
        "{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"812\"},\"items\":[]}\n"
    );
    assert_eq!(
        text(list(&codec, Form::Metadata, &plain(812), &[])),
        "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"812\"},\"items\":null}\n"
    );
    let codec = ResourceCodec::new(&widgets(), Representation::Json);
    assert_eq!(
        text(list(&codec, Form::Full, &plain(812), &[])),
        "{\"apiVersion\":\"example.com/v1\",\"items\":[],\"kind\":\"WidgetList\",\"metadata\":{\"continue\":\"\",\"resourceVersion\":\"812\"}}\n"
    );
}

#[test]
fn writes_a_page_of_a_built_in_list() {
    let (codec, pod) = json_pod();
    let metadata = ListMetadata {
        resource_version: version(812),
        continue_token: Some("eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ"),
        remaining_item_count: Some(2),
    };
    let item = POD.replacen(r#""kind":"Pod","apiVersion":"v1","#, "", 1);
    let expected = format!(
        "{{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{{\"resourceVersion\":\"812\",\"continue\":\"eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ\",\"remainingItemCount\":2}},\"items\":[{item},{item}]}}\n"
    );
    let body = list(&codec, Form::Full, &metadata, &[&pod, &pod]);
    assert_eq!(text(body.clone()), expected);

    let page = codec.decode_list_page(body.into()).unwrap();
    assert_eq!(page.resource_version, version(812));
    assert_eq!(page.continue_token.as_deref(), metadata.continue_token);
    assert_eq!(page.objects, [pod.clone(), pod]);
}

#[test]
fn writes_a_page_of_a_custom_list() {
    let (codec, widget) = json_widget();
    let metadata = ListMetadata {
        resource_version: version(100),
        continue_token: Some("abc"),
        remaining_item_count: Some(7),
    };
    let body = list(&codec, Form::Full, &metadata, &[&widget, &widget]);
    let expected = format!(
        "{{\"apiVersion\":\"example.com/v1\",\"items\":[{WIDGET},{WIDGET}],\"kind\":\"WidgetList\",\"metadata\":{{\"continue\":\"abc\",\"remainingItemCount\":7,\"resourceVersion\":\"100\"}}}}\n"
    );
    assert_eq!(text(body.clone()), expected);
    let page = codec.decode_list_page(body.into()).unwrap();
    assert_eq!(page.continue_token.as_deref(), Some("abc"));
    assert_eq!(page.objects, [widget.clone(), widget]);
}

#[test]
fn writes_json_metadata_lists() {
    let (codec, pod) = json_pod();
    let metadata = pod.metadata();
    let metadata = std::str::from_utf8(&metadata).unwrap();
    let item = format!(
        r#"{{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{metadata}}}"#
    );
    let expected = format!(
        "{{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{{\"resourceVersion\":\"812\"}},\"items\":[{item},{item}]}}\n"
    );
    let body = list(&codec, Form::Metadata, &plain(812), &[&pod, &pod]);
    assert_eq!(text(body.clone()), expected);

    // What a page of a metadata shard is filled from.
    let shard = ResourceCodec::new(&pods(), Representation::JsonMetadata);
    let page = shard.decode_list_page(body.clone().into()).unwrap();
    assert_eq!(page.resource_version, version(812));
    let objects: Vec<&Object> = page.objects.iter().collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(list(&shard, Form::Metadata, &plain(812), &objects), body);
    let bare =
        expected.replace(r#""kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","#, "");
    shard.decode_list_page(bare.into()).unwrap_err();
}

#[test]
fn writes_protobuf_lists() {
    let codec = ResourceCodec::new(&config_maps(), Representation::Protobuf);
    let golden = hex(
        "6b387300 0a13 0a02 'v1' 120d 'ConfigMapList' 120b 0a09 0a00 1203 '783' 1a00 1a00 2200",
    );
    assert_eq!(list(&codec, Form::Full, &plain(783), &[]), golden);

    let (codec, pod) = protobuf_pod_object();
    let metadata = ListMetadata {
        resource_version: version(783),
        continue_token: Some("abc"),
        remaining_item_count: Some(300),
    };
    let list_meta =
        [message(1, b""), message(2, b"783"), message(3, b"abc"), vec![0x20, 0xac, 0x02]].concat();
    let items = [message(2, &protobuf_pod("99")), message(2, &protobuf_pod("99"))].concat();
    let expected = envelope("v1", "PodList", &[message(1, &list_meta), items].concat());
    let body = list(&codec, Form::Full, &metadata, &[&pod, &pod]);
    assert_eq!(body, expected);
    let page = codec.decode_list_page(body.into()).unwrap();
    assert_eq!(page.continue_token.as_deref(), Some("abc"));
    assert_eq!(page.objects, [pod.clone(), pod]);
}

#[test]
fn protobuf_metadata_lists_are_those_of_a_metadata_shard() {
    let (full, pod) = protobuf_pod_object();
    let body = list(&full, Form::Metadata, &plain(783), &[&pod, &pod]);
    let metadata = ResourceCodec::new(&pods(), Representation::ProtobufMetadata);
    let page = metadata.decode_list_page(body.clone().into()).unwrap();
    assert_eq!(page.objects.len(), 2);
    assert_eq!(page.objects[0].core, message(1, &protobuf_metadata("99")));
    let objects: Vec<&Object> = page.objects.iter().collect();
    assert_eq!(list(&metadata, Form::Metadata, &plain(783), &objects), body);
    assert_eq!(list(&metadata, Form::Full, &plain(783), &objects), body);
}

#[test]
fn rejects_lists_of_something_else() {
    let codec = ResourceCodec::new(&pods(), Representation::Json);
    for body in [
        r#"{"kind":"NodeList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}"#,
        r#"{"kind":"PodList","apiVersion":"v2","metadata":{"resourceVersion":"1"},"items":[]}"#,
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#,
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"}}"#,
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[1]}"#,
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","namespace":"b","resourceVersion":"1"}}]}"#,
        r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]} []"#,
    ] {
        assert!(codec.decode_list_page(body.into()).is_err(), "{body}");
    }
}
