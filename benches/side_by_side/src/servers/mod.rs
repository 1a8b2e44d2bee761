//! The servers that are measured side by side: each is one process whose CPU time and memory are read, and one address.
//!
//! All of them show a certificate of the cluster's own authority, and take the same bearer token.

mod gateway;
mod haproxy;
pub(crate) mod limit;
mod stage;

pub(crate) use gateway::{binary as gateway_binary, binary_beside};
pub(crate) use haproxy::version as haproxy_version;
pub(crate) use stage::{Options, Server, Side, Stage};
