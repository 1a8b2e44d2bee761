//! Writing lists: what stands before, between and after their items.
//!
//! A list is `head`, `lead` if it has items, the items joined, `tail`. Pages of the ordered map
//! hold their items joined already ([`ItemJoin`]); items in the
//! metadata form are made one by one.

use bytes::Bytes;

use super::{
    item_join::ItemJoin,
    json,
    object::Representation,
    protobuf::{envelope::Envelope, list::list_metadata},
    resource_codec::{Format, JsonConstants, ProtobufConstants, ResourceCodec},
    watch_event::{Form, ListMetadata},
};
use crate::api::resource::Origin;

// === impl ResourceCodec ===

impl ResourceCodec {
    /// All that stands before the items of a list. `items_length` is the number of bytes between
    /// head and tail, lead and separators included; it is zero exactly when the list is empty.
    pub fn list_head(&self, form: Form, metadata: &ListMetadata<'_>, items_length: usize) -> Bytes {
        match &self.format {
            Format::Json(constants) => {
                self.json_head(constants, form, metadata, items_length == 0).into()
            }
            Format::Protobuf(constants) => {
                let fields = list_metadata(metadata);
                let envelope = self.list_envelope(constants, form);
                let mut head = Vec::new();
                envelope.append_head(&mut head, fields.len() + items_length);
                head.extend_from_slice(&fields);
                head.into()
            }
        }
    }

    /// All that stands after the items of a list; the arguments are those of its head.
    pub fn list_tail(&self, form: Form, metadata: &ListMetadata<'_>, items_length: usize) -> Bytes {
        match &self.format {
            Format::Json(constants) if self.is_custom_list(form) => {
                let kind = json::quoted(&constants.list_kind);
                let mut tail = format!(r#"],"kind":{kind},"metadata":{{"continue":"#);
                tail.push_str(&json::quoted(metadata.continue_token.unwrap_or_default()));
                if let Some(remaining) = metadata.remaining_item_count {
                    tail.push_str(&format!(r#","remainingItemCount":{remaining}"#));
                }
                let version = metadata.resource_version;
                tail.push_str(&format!(r#","resourceVersion":"{version}"}}}}"#));
                tail.push('\n');
                tail.into()
            }
            Format::Json(_) if form == Form::Metadata && items_length == 0 => {
                Bytes::from_static(b"}\n")
            }
            Format::Json(_) => Bytes::from_static(b"]}\n"),
            Format::Protobuf(_) => {
                let mut tail = Vec::new();
                Envelope::append_tail(&mut tail);
                tail.into()
            }
        }
    }

    /// What stands once before the first item. Items in the metadata form made from JSON objects
    /// are whole and need nothing.
    pub fn item_lead(&self, form: Form) -> &'static [u8] {
        match (self.item_join(), form) {
            (ItemJoin::Json, Form::Metadata) => b"",
            (join, _) => join.lead(),
        }
    }

    /// What stands between two items.
    pub fn item_separator(&self, form: Form) -> &'static [u8] {
        match (self.item_join(), form) {
            (ItemJoin::Json, Form::Metadata) => b",",
            (join, _) => join.separator(),
        }
    }

    fn is_custom_list(&self, form: Form) -> bool {
        self.origin == Origin::Custom && form == Form::Full
    }

    fn list_envelope<'a>(&self, constants: &'a ProtobufConstants, form: Form) -> &'a Envelope {
        match form {
            Form::Metadata if self.representation != Representation::ProtobufMetadata => {
                &constants.metadata_list
            }
            Form::Full | Form::Metadata => &constants.list,
        }
    }

    fn json_head(
        &self,
        constants: &JsonConstants,
        form: Form,
        metadata: &ListMetadata<'_>,
        is_empty: bool,
    ) -> String {
        let api_version = json::quoted(&constants.api_version);
        if self.is_custom_list(form) {
            return format!(r#"{{"apiVersion":{api_version},"items":["#);
        }
        let mut head = match form {
            Form::Full => {
                let kind = json::quoted(&constants.list_kind);
                format!(r#"{{"kind":{kind},"apiVersion":{api_version},"metadata":"#)
            }
            Form::Metadata => {
                r#"{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":"#
                    .to_owned()
            }
        };
        head.push_str(&format!(r#"{{"resourceVersion":"{}""#, metadata.resource_version));
        if let Some(token) = metadata.continue_token.filter(|token| !token.is_empty()) {
            head.push_str(&format!(r#","continue":{}"#, json::quoted(token)));
        }
        if let Some(remaining) = metadata.remaining_item_count {
            head.push_str(&format!(r#","remainingItemCount":{remaining}"#));
        }
        head.push_str(r#"},"items":"#);
        head.push_str(if form == Form::Metadata && is_empty { "null" } else { "[" });
        head
    }
}
