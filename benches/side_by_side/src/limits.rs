//! The number of files that this process and its children may have open: one for each connection.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises it as far as the system lets us, to `wanted` at most, and gives what it is now.
pub(crate) fn raise_open_files(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let highest =
        Rlimit { current: Some(wanted), maximum: Some(wanted.max(now.maximum.unwrap_or(wanted))) };
    // Only root may raise the hard limit.
    if setrlimit(Resource::Nofile, highest).is_err() {
        let allowed = Rlimit { current: now.maximum, maximum: now.maximum };
        if setrlimit(Resource::Nofile, allowed).is_err() {
            return now.current.unwrap_or(u64::MAX);
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
