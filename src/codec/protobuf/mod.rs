//! Kubernetes protobuf, read in place.
//!
//! Only framing and the fields that serving needs are read; what the messages hold otherwise is
//! passed over by length and sent on as it came. Field numbers: `generated.proto` of
//! `k8s.io/apimachinery` `meta/v1` and `runtime`.

pub(super) mod bookmark;
pub(super) mod envelope;
pub(super) mod list;
pub(super) mod object;
pub(super) mod watch_event;
pub(super) mod wire;
