//! A client that costs less than any server it measures: HTTP/2 over TLS which sends GETs and throws the bodies away.
//!
//! It says what client-go says (windows, frame size), counts the bytes of DATA frames as they pass, and hands them to a
//! [`Sink`] without copying or keeping them. Of the head it reads whether the status is 200, nothing else: what answers look
//! like is checked apart from the measuring, with a complete client. A stream or connection that ends other than well is an
//! error.

mod connection;
mod frame;
mod request;

pub(crate) use connection::{Connection, Endpoint};
pub(crate) use frame::{Sink, Status};
pub(crate) use request::Ask;
