//! A load tester for endpoints that speak the Kubernetes API.
//!
//! A run ([`watch_run`]) opens many [`watcher`]s and lets [`writer`]s follow a [`plan`]: what each
//! write does and when it is due is a pure function, so every watcher checks ([`history`]) that it
//! sees each write once and in order, and measures its delay from the time the write was *due*.
//! [`accounting`] adds what that cost the server, and says when the load generator itself may have
//! been the bottleneck. [`list_storm`] is the same for lists, [`comparison`] runs two endpoints in
//! turn. [`transport`] is the seam where another protocol goes.
//!
//! Never loads a server that is not on this machine unless told that the cluster is the user's own
//! ([`target`]); never deletes objects that the run did not make ([`scratch`]).

pub mod accounting;
pub mod board;
pub mod comparison;
pub mod delay;
pub mod event;
pub mod history;
pub mod lag;
pub mod list_storm;
pub mod plan;
pub mod process;
pub mod progress;
pub mod report;
pub mod scenario;
pub mod scratch;
pub mod slot;
pub mod table;
pub mod target;
pub mod transport;
pub mod watch_run;
pub mod watcher;
pub mod writer;
