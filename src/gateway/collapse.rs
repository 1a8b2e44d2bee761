//! Lists that share one answer of upstream, because memory could not be proven new enough in time.
//!
//! The answer depends on nothing but what stands in the [`ListAsk`]: path, selectors, limit, form
//! and compression. It was read with the gateway's rights, so it goes out like one from memory: to
//! each sharer by an [`Authorized`] of its own, with the headers of a served list.

use http::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tracing::debug;

use crate::{
    api::{
        negotiate::{AnswerKind, MediaType},
        options::ListRequest,
    },
    codec::{object::Representation, segments::Segments, watch_event::Form},
    identity::{access::Authorized, review::Attributes},
    shards::shard::Shard,
    upstream::{
        freshness::shared_list::{ListAsk, MAX_ANSWER, SharedList},
        reflector::machine::accept,
    },
};

use super::{
    answer::{self, Circumstances},
    body::ResponseBody,
    decide::Requirement,
    list,
    read::{Read, What},
    reason::{CACHE_STATUS, COLLAPSED},
};

/// What to ask upstream so that the answer is this read's; `None` for reads that do not share.
pub(super) fn ask(read: &Read, shard: &Shard) -> Option<ListAsk> {
    match &read.what {
        // As good as certainly it would be read in vain, again and again.
        _ if !read.encoding.gzip && is_too_long(read, shard) => None,
        // The rare list that goes on in the latest state is not worth a key.
        What::List(request, _)
            if read.requirement == Requirement::Latest
                && request.start.is_none()
                // Indented answers are for people, who ask one at a time.
                && !read.encoding.indented =>
        {
            let media_type = read.source.representation.media_type();
            Some(ListAsk {
                target: target(&read.attributes, request),
                accept: accept(representation(media_type, read.source.form), false),
                content_type: media_type.content_type(AnswerKind::List),
                gzip: read.encoding.gzip,
            })
        }
        _ => None,
    }
}

/// Whether the list would be too long by what the shard holds.
fn is_too_long(read: &Read, shard: &Shard) -> bool {
    let What::List(request, audience) = &read.what else { return false };
    let Some(snapshot) = shard.snapshot() else { return false };
    let scope = read.served.resource.scope;
    list::length_of_items(&snapshot, shard.codec(), scope, request, audience)
        .is_some_and(|length| length > MAX_ANSWER as u64)
}

/// The response to one sharer.
pub(super) fn shared(
    list: &SharedList,
    read: Read,
    circumstances: &Circumstances<'_>,
    _authorized: Authorized,
) -> Response<ResponseBody> {
    let max_frame = answer::max_frame(circumstances.connection);
    let body = ResponseBody::whole(Segments::from(list.body.clone()), max_frame);
    let media_type = read.source.representation.media_type();
    let mut response = answer::typed(body, media_type.content_type(AnswerKind::List));
    if list.gzip {
        answer::mark_compressed(response.headers_mut());
    }
    answer::complete(response.headers_mut(), read.served.warning, circumstances);
    response.headers_mut().insert(CACHE_STATUS, COLLAPSED);
    debug!(version = %list.version, "a list shared upstream's answer");
    response
}

/// The list's path and query. Selectors as they were sent: their text is what the review was about.
fn target(attributes: &Attributes, request: &ListRequest) -> String {
    let Attributes { group, version, resource, namespace, .. } = attributes;
    let mut target = match &**group {
        "" => format!("/api/{version}"),
        group => format!("/apis/{group}/{version}"),
    };
    if !namespace.is_empty() {
        target.push_str("/namespaces/");
        target.push_str(namespace);
    }
    target.push('/');
    target.push_str(resource);
    let limit = request.limit.map(|limit| limit.to_string()).unwrap_or_default();
    let query = [
        ("fieldSelector", &*attributes.field_selector),
        ("labelSelector", &*attributes.label_selector),
        ("limit", &*limit),
    ];
    let mut separator = '?';
    for (name, value) in query.into_iter().filter(|(_, value)| !value.is_empty()) {
        target.push(separator);
        target.push_str(name);
        target.push('=');
        target.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        separator = '&';
    }
    target
}

const fn representation(media_type: MediaType, form: Form) -> Representation {
    match (media_type, form) {
        (MediaType::Json, Form::Full) => Representation::Json,
        (MediaType::Json, Form::Metadata) => Representation::JsonMetadata,
        (MediaType::Protobuf, Form::Full) => Representation::Protobuf,
        (MediaType::Protobuf, Form::Metadata) => Representation::ProtobufMetadata,
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::api::{options::ListConsistency, selector::Selection};

    fn attributes(group: &str, namespace: &str, fields: &str, labels: &str) -> Attributes {
        Attributes {
            verb: "list",
            group: group.into(),
            version: "v1".into(),
            resource: "widgets".into(),
            subresource: "".into(),
            namespace: namespace.into(),
            name: "".into(),
            field_selector: fields.into(),
            label_selector: labels.into(),
            path: "".into(),
        }
    }

    fn list(limit: u64) -> ListRequest {
        ListRequest {
            consistency: ListConsistency::Latest,
            start: None,
            limit: NonZeroU64::new(limit),
            selection: Selection::default(),
            timeout: None,
        }
    }

    #[test]
    fn asks_for_the_same_list() {
        let asked = |group, namespace, fields, labels, limit| {
            target(&attributes(group, namespace, fields, labels), &list(limit))
        };
        assert_eq!(asked("", "", "", "", 0), "/api/v1/widgets");
        assert_eq!(asked("a.b", "", "", "", 7), "/apis/a.b/v1/widgets?limit=7");
        let both = asked("", "ns", "spec.nodeName=n&x", "a in (b,c),d!=é", 0);
        assert_eq!(
            both,
            "/api/v1/namespaces/ns/widgets?fieldSelector=spec%2EnodeName%3Dn%26x\
             &labelSelector=a%20in%20%28b%2Cc%29%2Cd%21%3D%C3%A9"
        );
    }
}
