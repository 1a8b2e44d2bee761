//! `Accept`.

use serde::Deserialize;
use watchgate::api::{
    negotiate::{AnswerKind, ForwardReason, MediaType, Negotiated, Transform, negotiate},
    resource::Origin,
};

use crate::{assert_none, cases};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    accept: String,
    built_in: Option<Accepted>,
    custom: Option<Accepted>,
}

/// The clause that Kubernetes chose.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accepted {
    media_type: String,
    #[serde(default)]
    transform: String,
    #[serde(default)]
    pretty: bool,
}

/// What the gateway is to say of a chosen clause.
fn expected(chosen: Option<&Accepted>, kind: AnswerKind) -> Result<Negotiated, ForwardReason> {
    let chosen = chosen.ok_or(ForwardReason::NotAcceptable)?;
    let media_type = match chosen.media_type.as_str() {
        "application/json" => MediaType::Json,
        "application/vnd.kubernetes.protobuf" => MediaType::Protobuf,
        _ => return Err(ForwardReason::Yaml),
    };
    let indented = chosen.pretty && media_type == MediaType::Json && kind != AnswerKind::Watch;
    let transform = match (chosen.transform.as_str(), kind) {
        ("", _) => Transform::None,
        ("PartialObjectMetadata.v1", AnswerKind::Object | AnswerKind::Watch)
        | ("PartialObjectMetadataList.v1", AnswerKind::List) => Transform::PartialObjectMetadata,
        _ => return Err(ForwardReason::Transform),
    };
    Ok(Negotiated { media_type, transform, indented })
}

#[test]
fn accept() {
    let (mut disagreements, mut taken, mut unusual) = (Vec::new(), 0, 0);
    for case in cases::<Case>("accept.jsonl") {
        for (origin, chosen) in [(Origin::BuiltIn, &case.built_in), (Origin::Custom, &case.custom)]
        {
            for kind in [AnswerKind::Object, AnswerKind::List, AnswerKind::Watch] {
                let found = negotiate(Some(&case.accept), kind, origin);
                taken += usize::from(found.is_ok());
                let expected = expected(chosen.as_ref(), kind);
                if found == Err(ForwardReason::Unusual) {
                    unusual += 1;
                } else if found != expected {
                    let Case { accept, .. } = &case;
                    disagreements.push(format!(
                        "{accept:?} {origin:?} {kind:?}: {found:?}, not {expected:?}"
                    ));
                }
            }
        }
    }
    assert_none(&disagreements);
    assert!(taken > 500 && unusual < taken, "{taken} taken, {unusual} unusual");
}
