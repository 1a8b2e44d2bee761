//! watchgate: a watch cache and proxy gateway for the Kubernetes API.

pub mod api;
pub mod app;
pub mod cache;
pub mod codec;
pub mod config;
pub mod embedded;
pub mod gateway;
pub mod identity;
pub mod net;
pub mod runtime;
pub mod shards;
pub mod telemetry;
pub mod upstream;
