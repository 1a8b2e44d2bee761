//! Sockets, TLS and HTTP; knows nothing of Kubernetes.
//!
//! [`listener`] accepts, [`server`] hands each socket to a core, [`tls`] shakes hands and [`http`]
//! speaks HTTP/1.1 or HTTP/2 on it, asking a [`Handler`] for every answer. Numbers of connections,
//! handshakes, streams, and sizes of headers and buffers are bounded; an over-limit request gets an
//! HTTP answer, an over-limit connection waits in the kernel's queue.

mod cork;
pub mod cutter;
pub mod durable_file;
pub mod gather;
pub mod handler;
pub mod http;
pub mod listener;
pub mod self_signed;
pub mod server;
mod socket;
pub mod tls;

pub use handler::{BoxError, ConnectionInfo, Handler, Protocol};
