//! What an operator sees: the log, and metrics.

pub mod logging;
pub mod metrics;
pub mod throttle;
