use super::{constructors::GroupResource, *};
use crate::api::version::ResourceVersion;

const PODS: GroupResource<'_> = GroupResource::new("", "pods");
const DEPLOYMENTS: GroupResource<'_> = GroupResource::new("apps", "deployments");

fn at(number: u64) -> ResourceVersion {
    ResourceVersion::new(number).unwrap()
}

/// The body of a failure: what stands between the common beginning and the newline.
fn body(status: &Status) -> String {
    let json = String::from_utf8(status.to_json()).unwrap();
    json.strip_prefix(r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#)
        .and_then(|json| json.strip_suffix("}\n"))
        .unwrap_or_else(|| panic!("{json}"))
        .to_owned()
}

#[test]
fn words_what_kube_apiserver_words() {
    for (status, expected) in [
        (
            Status::watch_expired(at(5), at(640)),
            r#""message":"too old resource version: 5 (640)","reason":"Expired","code":410"#,
        ),
        (
            Status::not_found(PODS, "x"),
            r#""message":"pods \"x\" not found","reason":"NotFound","details":{"name":"x","kind":"pods"},"code":404"#,
        ),
        (
            Status::not_found(DEPLOYMENTS, "x"),
            r#""message":"deployments.apps \"x\" not found","reason":"NotFound","details":{"name":"x","group":"apps","kind":"deployments"},"code":404"#,
        ),
        (
            Status::unknown_resource(),
            r#""message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404"#,
        ),
        (
            Status::bad_request("field label not supported: spec.foo"),
            r#""message":"field label not supported: spec.foo","reason":"BadRequest","code":400"#,
        ),
        (
            Status::too_large_resource_version(at(1_000_000_000), 710),
            r#""message":"Timeout: Too large resource version: 1000000000, current: 710","reason":"Timeout","details":{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}],"retryAfterSeconds":1},"code":504"#,
        ),
        (
            Status::list_expired(),
            r#""message":"The resourceVersion for the provided list is too old.","reason":"Expired","code":410"#,
        ),
        (
            Status::method_not_allowed(),
            r#""message":"the server does not allow this method on the requested resource","reason":"MethodNotAllowed","details":{},"code":405"#,
        ),
    ] {
        assert_eq!(body(&status), expected);
    }
}

#[test]
fn words_what_filters_and_stores_say() {
    for (status, expected) in [
        (
            Status::storage_initializing(1),
            r#""message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429"#,
        ),
        (
            Status::forbidden(
                PODS,
                "",
                r#"User "u" cannot list resource "pods" in API group "" in the namespace "default""#,
            ),
            r#""message":"pods is forbidden: User \"u\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"","reason":"Forbidden","details":{"kind":"pods"},"code":403"#,
        ),
        (
            Status::forbidden(DEPLOYMENTS, "<x>", "no"),
            r#""message":"deployments.apps \"\u003cx\u003e\" is forbidden: no","reason":"Forbidden","details":{"name":"\u003cx\u003e","group":"apps","kind":"deployments"},"code":403"#,
        ),
        (
            Status::forbidden_path(r#"User "system:anonymous" cannot get path "/""#),
            r#""message":"forbidden: User \"system:anonymous\" cannot get path \"/\"","reason":"Forbidden","details":{},"code":403"#,
        ),
        (Status::unauthorized(), r#""message":"Unauthorized","reason":"Unauthorized","code":401"#),
        (
            Status::not_acceptable(&["application/json", "application/yaml"]),
            r#""message":"only the following media types are accepted: application/json, application/yaml","reason":"NotAcceptable","code":406"#,
        ),
        (
            Status::already_exists(PODS, "x"),
            r#""message":"pods \"x\" already exists","reason":"AlreadyExists","details":{"name":"x","kind":"pods"},"code":409"#,
        ),
        (
            Status::conflict(DEPLOYMENTS, "x", "try again"),
            r#""message":"Operation cannot be fulfilled on deployments.apps \"x\": try again","reason":"Conflict","details":{"name":"x","group":"apps","kind":"deployments"},"code":409"#,
        ),
        (
            Status::internal_error("boom"),
            r#""message":"Internal error occurred: boom","reason":"InternalError","details":{"causes":[{"message":"boom"}]},"code":500"#,
        ),
        (
            Status::service_unavailable("no endpoint answers"),
            r#""message":"no endpoint answers","reason":"ServiceUnavailable","code":503"#,
        ),
    ] {
        assert_eq!(body(&status), expected);
    }
}

#[test]
fn words_validation_errors() {
    let text = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
    let cause = StatusCause::field("resourceVersionMatch", "FieldValueForbidden", text);
    let kind = GroupResource::new("meta.k8s.io", "ListOptions");
    let expected = format!(
        r#""message":"ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: {text}","reason":"Invalid","details":{{"group":"meta.k8s.io","kind":"ListOptions","causes":[{{"reason":"FieldValueForbidden","message":"{text}","field":"resourceVersionMatch"}}]}},"code":422"#
    );
    assert_eq!(body(&Status::invalid(kind, "", vec![cause])), expected);

    let causes =
        ["a", "b"].map(|field| StatusCause::field(field, "FieldValueRequired", "Required value"));
    let status = Status::invalid(GroupResource::new("", "Pod"), "x", causes.to_vec());
    assert_eq!(status.message, r#"Pod "x" is invalid: [a: Required value, b: Required value]"#);
}

#[test]
fn writes_success_and_metadata() {
    let details = StatusDetails {
        name: "x".into(),
        kind: "pods".into(),
        uid: "u".into(),
        ..StatusDetails::default()
    };
    assert_eq!(
        Status::success(details).to_json(),
        br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","details":{"name":"x","kind":"pods","uid":"u"}}
"#
    );
    let json = String::from_utf8(Status::continue_expired("abc".into()).to_json()).unwrap();
    assert!(json.contains(r#""metadata":{"continue":"abc"},"status":"Failure","message":"The provided continue parameter is too old to display a consistent list result. You"#), "{json}");
    assert_eq!(
        Status::default().to_json(),
        b"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{}}\n"
    );
}

#[test]
fn indents_for_readers() {
    let expected = r#"{
  "kind": "Status",
  "apiVersion": "v1",
  "metadata": {},
  "status": "Failure",
  "message": "Timeout: \"x\": {1, 2}",
  "reason": "Timeout",
  "details": {
    "causes": [
      {
        "message": "m"
      }
    ]
  },
  "code": 504
}"#;
    let mut status = Status::timeout("\"x\": {1, 2}", 0);
    status
        .details
        .as_mut()
        .unwrap()
        .causes
        .push(StatusCause { message: "m".into(), ..StatusCause::default() });
    assert_eq!(String::from_utf8(status.to_indented_json()).unwrap(), expected);
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn writes_the_golden_protobuf() {
    let unauthorized = [
        hex("6b387300 0a0c 0a02 7631 1206"),
        b"Status".to_vec(),
        hex("1230 0a06 0a00 1200 1a00 1207"),
        b"Failure".to_vec(),
        hex("1a0c"),
        b"Unauthorized".to_vec(),
        hex("220c"),
        b"Unauthorized".to_vec(),
        hex("309103 1a00 2200"),
    ];
    assert_eq!(Status::unauthorized().to_protobuf(), unauthorized.concat());

    let expired = [
        hex("6b387300 0a0c 0a02 7631 1206"),
        b"Status".to_vec(),
        hex("1240 0a06 0a00 1200 1a00 1207"),
        b"Failure".to_vec(),
        hex("1a21"),
        b"too old resource version: 1 (840)".to_vec(),
        hex("2207"),
        b"Expired".to_vec(),
        hex("309a03 1a00 2200"),
    ];
    let status = Status::watch_expired(at(1), at(840));
    assert_eq!(status.to_protobuf(), expired.concat());
    // The frame of §15 has 0x5a bytes here: this, its tag and its length.
    assert_eq!(status.to_protobuf().len(), 0x58);
}

#[test]
fn writes_every_detail_in_protobuf() {
    let status = Status::failure(404, "", "").with_details(StatusDetails {
        name: "x".into(),
        causes: vec![StatusCause { message: "m".into(), ..StatusCause::default() }],
        ..StatusDetails::default()
    });
    let message = hex(
        "0a06 0a00 1200 1a00 1207 4661696c757265 1a00 2200 2a 14 0a01 78 1200 1a00 2207 0a00 1201 6d 1a00 2800 3200 309403",
    );
    let bytes = status.to_protobuf();
    assert!(bytes.windows(message.len()).any(|window| window == message), "{bytes:x?}");
}

#[test]
fn reads_what_it_writes() {
    for status in [
        Status::too_large_resource_version(at(9), 3),
        Status::continue_expired("t".into()),
        Status::not_found(DEPLOYMENTS, "x"),
        Status::success(StatusDetails::default()),
        Status::default(),
    ] {
        assert_eq!(Status::from_json(&status.to_json()).unwrap(), status);
    }
    assert_eq!(Status::storage_initializing(7).retry_after(), Some(7));
    assert_eq!(Status::unauthorized().retry_after(), None);
    assert!(matches!(Status::from_json(b"{}"), Err(NotAStatus::Kind(_))));
    assert!(matches!(
        Status::from_json(br#"{"kind":"Pod","status":{}}"#),
        Err(NotAStatus::Kind(_))
    ));
    assert!(matches!(Status::from_json(b"404 page not found"), Err(NotAStatus::Json(_))));
}
