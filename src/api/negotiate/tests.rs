use proptest::prelude::*;

use super::*;

const JSON: Result<Negotiated, ForwardReason> =
    Ok(Negotiated { media_type: MediaType::Json, transform: Transform::None, indented: false });
const PROTOBUF: Result<Negotiated, ForwardReason> =
    Ok(Negotiated { media_type: MediaType::Protobuf, transform: Transform::None, indented: false });
const JSON_METADATA: Result<Negotiated, ForwardReason> = Ok(Negotiated {
    media_type: MediaType::Json,
    transform: Transform::PartialObjectMetadata,
    indented: false,
});
const PROTOBUF_METADATA: Result<Negotiated, ForwardReason> = Ok(Negotiated {
    media_type: MediaType::Protobuf,
    transform: Transform::PartialObjectMetadata,
    indented: false,
});

use AnswerKind::{List, Object, Watch};
use ForwardReason::{NotAcceptable, Unusual, Yaml};
use Origin::{BuiltIn, Custom};

#[test]
fn chooses_plain_forms() {
    for (accept, built_in, custom) in [
        ("", JSON, JSON),
        ("application/json", JSON, JSON),
        ("application/json, */*", JSON, JSON),
        ("*/*", JSON, JSON),
        ("*", Err(NotAcceptable), JSON),
        ("*, application/json", JSON, JSON),
        ("application/vnd.kubernetes.protobuf", PROTOBUF, Err(NotAcceptable)),
        ("application/vnd.kubernetes.protobuf,application/json", PROTOBUF, JSON),
        ("application/vnd.kubernetes.protobuf, */*", PROTOBUF, JSON),
        ("application/json;q=0.1,application/vnd.kubernetes.protobuf", PROTOBUF, JSON),
        ("application/json;q=0", JSON, JSON),
        ("application/json;charset=utf-8", JSON, JSON),
        ("application/json;stream=watch", JSON, JSON),
        ("application/json;stream=x", Err(NotAcceptable), Err(NotAcceptable)),
        (
            "application/json;stream=x,application/vnd.kubernetes.protobuf",
            PROTOBUF,
            Err(NotAcceptable),
        ),
        ("application/yaml", Err(Yaml), Err(Yaml)),
        ("application/yaml,application/json", Err(Yaml), Err(Yaml)),
        ("application/json,application/yaml", JSON, JSON),
        ("application/yaml;stream=watch,application/json", JSON, JSON),
        // The order of an inconsistent comparison: both verified against kube-apiserver.
        ("*/*;q=1,application/yaml;q=0.5", Err(Yaml), Err(Yaml)),
        ("application/yaml;q=0.5,*/*;q=1", JSON, JSON),
        ("application/*", Err(NotAcceptable), JSON),
        ("application/*, */*", JSON, JSON),
        ("APPLICATION/JSON", Err(NotAcceptable), Err(NotAcceptable)),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", JSON, JSON),
        ("text/html", Err(NotAcceptable), Err(NotAcceptable)),
        ("application/cbor", Err(NotAcceptable), Err(NotAcceptable)),
        ("application/cbor,application/json", JSON, JSON),
        ("application/json/x", Err(NotAcceptable), Err(NotAcceptable)),
        ("application", Err(NotAcceptable), Err(NotAcceptable)),
        (",,application/json,", JSON, JSON),
        ("application/json;q=1e-1", Err(Unusual), Err(Unusual)),
        ("application/json;q=", JSON, JSON),
        ("application/json;sv=v1", Err(Unusual), Err(Unusual)),
    ] {
        assert_eq!(negotiate(Some(accept), List, BuiltIn), built_in, "built-in {accept}");
        assert_eq!(negotiate(Some(accept), List, Custom), custom, "custom {accept}");
    }
    assert_eq!(negotiate(None, Object, BuiltIn), JSON);
    let long = vec!["application/json"; 13].join(",");
    assert_eq!(negotiate(Some(&long), List, BuiltIn), Err(Unusual));
    assert_eq!(negotiate(Some(&long[17..]), List, BuiltIn), JSON);
}

fn metadata_informer(kind: &str) -> String {
    let transform = format!("as={kind};g=meta.k8s.io;v=v1");
    format!(
        "application/vnd.kubernetes.protobuf;{transform},application/json;{transform},application/json"
    )
}

#[test]
fn chooses_transforms_that_fit_the_answer() {
    let single = metadata_informer("PartialObjectMetadata");
    let list = metadata_informer("PartialObjectMetadataList");
    let older = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1";
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let protobuf_table =
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json";
    let transform = Err(ForwardReason::Transform);
    let indented = JSON.map(|json| Negotiated { indented: true, ..json });
    for (origin, protobuf) in [(BuiltIn, PROTOBUF), (Custom, JSON)] {
        for (accept, object, list, watch) in [
            (single.as_str(), PROTOBUF_METADATA, transform, PROTOBUF_METADATA),
            (&list, transform, PROTOBUF_METADATA, transform),
            (&single[single.find(',').unwrap() + 1..], JSON_METADATA, transform, JSON_METADATA),
            (older, transform, transform, transform),
            (table, transform, transform, transform),
            (protobuf_table, JSON, JSON, JSON),
            ("application/json;as=Other;g=meta.k8s.io;v=v1,application/json", JSON, JSON, JSON),
            ("application/json;as=Table;v=v1,application/json", JSON, JSON, JSON),
            (
                "application/json;as=PartialObjectMetadata;g=x;v=v1,application/json",
                JSON,
                JSON,
                JSON,
            ),
            ("application/json;g=meta.k8s.io;v=v1,application/json", JSON, JSON, JSON),
            (
                "application/json;as=Table;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                JSON_METADATA,
                transform,
                JSON_METADATA,
            ),
            ("application/json;pretty=1", indented, indented, JSON),
            (
                "application/vnd.kubernetes.protobuf;pretty=1,application/json",
                protobuf,
                protobuf,
                protobuf,
            ),
            ("application/json;pretty=true", JSON, JSON, JSON),
        ] {
            assert_eq!(negotiate(Some(accept), Object, origin), object, "object {accept}");
            assert_eq!(negotiate(Some(accept), List, origin), list, "list {accept}");
            assert_eq!(negotiate(Some(accept), Watch, origin), watch, "watch {accept}");
        }
    }
}

#[test]
fn negotiates_errors_apart() {
    use StatusForm::{Indented, Json, Protobuf};
    let only_transforms = "application/json;as=Table;v=v1;g=meta.k8s.io";
    for (accept, plain, pretty) in [
        ("", Ok(Json), Ok(Indented)),
        ("*/*", Ok(Json), Ok(Indented)),
        ("application/*", Ok(Json), Ok(Indented)),
        ("application/vnd.kubernetes.protobuf", Ok(Protobuf), Ok(Protobuf)),
        ("application/yaml", Err(Yaml), Err(Yaml)),
        ("text/html", Ok(Indented), Ok(Indented)),
        (only_transforms, Ok(Indented), Ok(Indented)),
        (&format!("{only_transforms},application/json"), Ok(Json), Ok(Indented)),
        (&format!("{only_transforms};pretty=1,application/json"), Ok(Json), Ok(Indented)),
        (&metadata_informer("PartialObjectMetadata"), Ok(Json), Ok(Indented)),
        ("application/json;stream=watch", Ok(Json), Ok(Indented)),
        ("application/json;pretty=1", Ok(Indented), Ok(Indented)),
        ("application/json;pretty=true", Ok(Json), Ok(Indented)),
        ("application/json;sv=v1", Ok(Indented), Ok(Indented)),
    ] {
        assert_eq!(negotiate_status(Some(accept), false), plain, "{accept}");
        assert_eq!(negotiate_status(Some(accept), true), pretty, "{accept} indented");
    }
    assert_eq!(negotiate_status(None, false), Ok(Json));
}

#[test]
fn knows_who_wants_indented_json() {
    for (query, user_agent, expected) in [
        ("", None, false),
        ("", Some("kubectl/v1.36.3 (linux/amd64) kubernetes/abc"), false),
        ("", Some("curl/8.5.0"), true),
        ("", Some("Wget/1.21"), true),
        ("", Some("Mozilla/5.0 (X11)"), true),
        ("", Some("Mozilla/4.0"), false),
        ("pretty=true", None, true),
        ("pretty=1", None, true),
        ("pretty=false", Some("curl/8"), false),
        ("pretty=abc", Some("curl/8"), false),
        ("pretty=", Some("curl/8"), true),
        ("pretty", None, false),
        // Upstream looks for the word before it decodes anything.
        ("p%72etty=true", None, false),
        ("p%72etty=false", Some("curl/8"), true),
        ("p%72etty=true&x=pretty", None, true),
        ("pretty=false&pretty=true", Some("curl/8"), false),
    ] {
        let query = Query::parse(Some(query)).unwrap();
        assert_eq!(is_pretty(&query, user_agent), expected, "{query:?} {user_agent:?}");
    }
}

#[test]
fn knows_who_wants_gzip() {
    for (header, expected) in [
        (None, false),
        (Some("gzip"), true),
        (Some("deflate, gzip ,br"), true),
        (Some("gzip;q=1"), false),
        (Some("GZIP"), false),
        (Some("*"), false),
    ] {
        assert_eq!(wants_gzip(header), expected, "{header:?}");
    }
}

#[test]
fn names_content_types() {
    assert_eq!(MediaType::Json.content_type(Watch), "application/json");
    assert_eq!(MediaType::Protobuf.content_type(List), "application/vnd.kubernetes.protobuf");
    assert_eq!(
        MediaType::Protobuf.content_type(Watch),
        "application/vnd.kubernetes.protobuf;stream=watch"
    );
}

proptest! {
    #[test]
    fn never_panics(near in "(application/json|[*/;=,q.1 ]|as=Table|é)*", any in ".*") {
        for accept in [&near, &any] {
            let _ = negotiate(Some(accept), List, Custom);
            let _ = negotiate_status(Some(accept), false);
            let _ = wants_gzip(Some(accept));
        }
    }
}
