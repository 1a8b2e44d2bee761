//! A real Kubernetes control plane on loopback, for watchgate's tests.
//!
//! [`Cluster`] starts etcd and kube-apiserver in a scratch directory with certificates and tokens of their own, and beside
//! them, when a test asks, the controller manager, the scheduler and a stand-in for kubelets. [`Gateway`] starts watchgate in
//! front of it, [`Cutter`] breaks the connection between the two, [`Client`] speaks to either with full control of headers,
//! and [`Suite`] runs tests which share one cluster.
//!
//! The programs come from the Go module in `components/`, built once and kept in the target directory, or from the places
//! which [`Programs`] lists. Where there is neither Go nor a ready binary, the tests of a [`Suite`] are ignored, and fail if
//! `CI=true`.
//!
//! Nothing here talks to another machine, apart from Go's download of modules for the first build. Every process ends with
//! the test process, however that ends.

mod arguments;
mod audit;
mod authority;
mod client;
mod cluster;
mod connection;
mod cutter;
mod etcd;
mod gateway;
mod go_build;
mod intermediary;
mod kubeconfig;
mod kubectl;
mod options;
mod parts;
mod ports;
mod process;
mod programs;
mod release;
mod response;
mod restore;
mod secrets;
mod suite;
mod usage;
mod users;

pub use audit::{Audit, AuditPosition};
pub use authority::{Authority, Identity};
pub use client::{Client, ClientBuilder, Protocol, RequestBuilder};
pub use cluster::Cluster;
pub use cutter::Cutter;
pub use gateway::Gateway;
pub use intermediary::{AnswerBody, Failure, Intermediary, Onward};
pub use kubectl::{Output, run};
pub use options::Builder;
pub use parts::KubeletStandIn;
pub use process::Process;
pub use programs::{Availability, Program, Programs, availability};
pub use release::{KUBERNETES, Release};
pub use response::{Response, Streaming};
pub use suite::{Fixture, Suite};
pub use usage::Usage;
pub use users::Token;
