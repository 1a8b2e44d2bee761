//! The embedded API store, for trying, tests and demos.
//!
//! A Kubernetes-style API server inside the process: objects, lists, watches, patches, custom
//! resources and discovery, kept in one redb database or in memory. It reads JSON, YAML and, of
//! built-in kinds, protobuf, and answers JSON. What it lacks, and says so when asked: server-side
//! apply, protobuf and YAML answers, Tables, OpenAPI v2 (`kubectl apply` before 1.29), admission,
//! defaulting and validation of built-in types, conversion of custom resources, garbage collection
//! by owner references, and every controller. Its history of changes is memory: after a restart,
//! watches from older revisions are told that these are too old.
//!
//! It opens no sockets. It needs a tokio runtime with a timer.

mod accept;
mod answer;
mod body;
mod built_in;
mod credential;
mod custom_resource;
mod definition;
mod delete;
mod discovery;
mod form;
mod history;
mod initial_state;
mod merge_keys;
mod metadata;
mod names;
mod nesting;
mod non_resource;
mod openapi;
mod patch;
mod protobuf_body;
mod protobuf_schema;
mod protobuf_wire;
mod read;
mod refusal;
mod registry;
mod resource;
mod review;
mod scale;
mod schema;
mod schema_validation;
mod selectable;
mod server;
mod storage;
mod store;
mod stored;
mod strategic_merge;
mod timestamp;
mod transaction;
mod watch;
mod write;
mod write_request;

pub use self::{
    body::EmbeddedBody,
    server::ApiServer,
    storage::{Storage, StorageError},
};

#[cfg(test)]
mod tests;
