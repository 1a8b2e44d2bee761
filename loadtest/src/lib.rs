//! A load tester for endpoints that speak the Kubernetes API.
//!
//! A [`scenario`] says what happens in which phase; the [`engine`] runs it: many [`watcher`]s, and
//! writers that follow a [`plan`]. What each write does and when it is due is a pure function, so
//! every watcher checks ([`history`]) that it sees each write that it selects once and in order, and
//! measures its delay from the time the write was *due*. [`accounting`] adds what that cost the
//! server, and says when the load generator itself may have been the bottleneck. [`comparison`] runs
//! two endpoints in turn. [`transport`] is the seam where another protocol goes.
//!
//! Never loads a server that is not on this machine unless told so ([`target`]); never deletes
//! objects that the run did not make ([`fill`]).

pub mod accounting;
pub mod audience;
pub mod board;
pub mod calls;
pub mod comparison;
pub mod delay;
pub mod engine;
pub mod event;
pub mod fill;
pub mod history;
pub mod lag;
pub mod ledger;
pub mod list_storm;
pub mod manifest;
pub mod paging;
pub mod plan;
pub mod process;
pub mod report;
pub mod resource;
pub mod sampler;
pub mod scenario;
pub mod slot;
pub mod table;
pub mod target;
pub mod transport;
pub mod watch_run;
pub mod watcher;
