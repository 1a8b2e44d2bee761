//! One request, from bytes in to bytes out.

pub mod forward;
pub mod headers;
mod request_body;
pub mod tunnel;
