//! What an operator sees. So far: logging.

pub mod logging;
pub mod throttle;
