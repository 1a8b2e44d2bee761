//! Failures that memory words itself, byte for byte as upstream would for the same request.
//!
//! A [`Status`] goes out in the form that the request's headers choose for failures, apart from
//! the form of an answer (semantics §6.1): compact JSON, indented JSON or protobuf. One that wants
//! YAML is forwarded. Who may refuse, and when, is decided elsewhere; a refusal says of the
//! contents of memory what an answer would, and takes the same permission.

use http::{HeaderValue, Response, StatusCode, header, request::Parts};

use crate::api::{
    negotiate::{StatusForm, is_pretty, negotiate_status},
    query::Query,
    status::Status,
};

use super::{
    answer::{self, Circumstances},
    body::ResponseBody,
    read::{Read, first_line},
    reason::ForwardReason,
};

/// The refusal of a read.
///
/// # Errors
/// Its form is one that only upstream writes.
pub(super) fn refuse(
    read: &Read,
    status: &Status,
    circumstances: &Circumstances<'_>,
) -> Result<Response<ResponseBody>, ForwardReason> {
    let mut response = worded(status, form(circumstances.head).ok_or(ForwardReason::Accept)?);
    answer::complete(response.headers_mut(), read.served.warning.clone(), circumstances);
    Ok(response)
}

/// The form of a request's failures; `None` for one that only upstream writes. An answer has no use for
/// it, so it is read when there is a failure.
pub(super) fn form(head: &Parts) -> Option<StatusForm> {
    let query = Query::parse(head.uri.query()).ok()?;
    let accept = first_line(&head.headers, header::ACCEPT).ok()?;
    let user_agent = first_line(&head.headers, header::USER_AGENT).ok()?;
    negotiate_status(accept, is_pretty(&query, user_agent)).ok()
}

/// A status in a form, with the headers that are its own.
pub(super) fn worded(status: &Status, form: StatusForm) -> Response<ResponseBody> {
    let bytes = match form {
        StatusForm::Json => status.to_json(),
        StatusForm::Indented => status.to_indented_json(),
        StatusForm::Protobuf => status.to_protobuf(),
    };
    let mut response = answer::typed(ResponseBody::text(bytes), form.content_type());
    *response.status_mut() =
        StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(seconds) = status.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::api::{status::GroupResource, version::ResourceVersion};

    fn text(headers: &HeaderMap, name: &str) -> Option<String> {
        Some(headers.get(name)?.to_str().unwrap().to_owned())
    }

    async fn body(response: Response<ResponseBody>) -> Vec<u8> {
        let mut bytes = response.into_body().collect().await.unwrap().aggregate();
        bytes.copy_to_bytes(bytes.remaining()).to_vec()
    }

    #[tokio::test]
    async fn words_a_missing_object_in_every_form() {
        let status = Status::not_found(GroupResource::new("apps", "deployments"), "x");
        let compact = concat!(
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","#,
            r#""message":"deployments.apps \"x\" not found","reason":"NotFound","#,
            r#""details":{"name":"x","group":"apps","kind":"deployments"},"code":404}"#,
            "\n"
        );
        let response = worded(&status, StatusForm::Json);
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(text(response.headers(), "content-type").unwrap(), "application/json");
        assert_eq!(text(response.headers(), "retry-after"), None);
        assert_eq!(String::from_utf8(body(response).await).unwrap(), compact);

        let response = worded(&status, StatusForm::Indented);
        assert_eq!(text(response.headers(), "content-type").unwrap(), "application/json");
        let indented = String::from_utf8(body(response).await).unwrap();
        assert!(indented.starts_with("{\n  \"kind\": \"Status\",\n"), "{indented}");
        assert!(indented.ends_with("\n  \"code\": 404\n}"), "{indented}");

        let response = worded(&status, StatusForm::Protobuf);
        let content_type = "application/vnd.kubernetes.protobuf";
        assert_eq!(text(response.headers(), "content-type").unwrap(), content_type);
        assert!(body(response).await.starts_with(b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status"));
    }

    #[test]
    fn the_form_is_chosen_apart_from_the_answers() {
        const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
        const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        let protobuf_behind = format!("{METADATA},{PROTOBUF}");
        let yaml_behind = format!("{METADATA},application/yaml");
        for (accept, agent, query, expected) in [
            ("application/json", "kubectl", "", Some(StatusForm::Json)),
            ("*/*", "curl/8.5.0", "", Some(StatusForm::Indented)),
            ("application/json", "curl/8.5.0", "?pretty=false", Some(StatusForm::Json)),
            ("application/json", "", "?pretty=1", Some(StatusForm::Indented)),
            ("application/json;pretty=1", "", "?pretty=0", Some(StatusForm::Indented)),
            (PROTOBUF, "curl/8.5.0", "?pretty=1", Some(StatusForm::Protobuf)),
            (METADATA, "", "", Some(StatusForm::Indented)),
            (&protobuf_behind, "", "", Some(StatusForm::Protobuf)),
            (&yaml_behind, "", "", None),
        ] {
            let request = http::Request::get(format!("/api/v1/namespaces/ns/pods/a{query}"))
                .header("accept", accept)
                .header("user-agent", agent);
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(form(&head), expected, "{accept} for {agent}{query}");
        }
    }

    #[tokio::test]
    async fn says_when_to_try_again() {
        let version = ResourceVersion::new(999).unwrap();
        let response = worded(&Status::too_large_resource_version(version, 7), StatusForm::Json);
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(text(response.headers(), "retry-after").unwrap(), "1");
    }
}
