//! The Kubernetes API as types: requests, options, selectors, versions, failures.
//!
//! Pure: text goes in once and becomes a type; no sockets, clocks or logging.

pub mod continue_token;
pub mod go_json;
pub mod negotiate;
pub mod object_key;
pub mod options;
pub mod query;
pub mod release;
pub mod request;
pub mod resource;
pub mod selector;
pub mod status;
pub mod version;
