//! The forms in which objects are kept, and so asked for.

/// A form that a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Protobuf,
    JsonMetadata,
    ProtobufMetadata,
}

impl Form {
    pub(crate) const ALL: [Self; 4] =
        [Self::Json, Self::Protobuf, Self::JsonMetadata, Self::ProtobufMetadata];

    /// The header for objects and watches, or for lists.
    pub(crate) fn accept(self, list: bool) -> String {
        let suffix = if list { "List" } else { "" };
        let metadata = format!("as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1");
        match self {
            Self::Json => "application/json".to_owned(),
            Self::Protobuf => "application/vnd.kubernetes.protobuf".to_owned(),
            Self::JsonMetadata => format!("application/json;{metadata}"),
            Self::ProtobufMetadata => format!("application/vnd.kubernetes.protobuf;{metadata}"),
        }
    }

    pub(crate) fn is_protobuf(self) -> bool {
        matches!(self, Self::Protobuf | Self::ProtobufMetadata)
    }
}
