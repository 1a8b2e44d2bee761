//! The embedded API store, for trying, tests and demos.
