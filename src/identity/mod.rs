//! Who asks, and may they.
//!
//! A request is answered from memory only with an [`access::Authorized`], which only
//! [`access::Access`] makes, from a review that upstream answered for the request's own token and
//! exactly its attributes. Everything else is forwarded with the credentials it came with.

pub mod access;
pub mod credential;
pub mod grant;
pub mod review;
