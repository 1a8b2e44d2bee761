//! Free loopback ports for programs which can't pick one themselves.
//!
//! A port is free when it is handed out, and no other caller in this process gets it. Another process may still take it
//! before the program does; who starts a program must be ready to try again with another port.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result};
use parking_lot::Mutex;

static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A loopback port on which nobody listens, different at each call.
pub(crate) fn free() -> Result<u16> {
    let mut given = GIVEN.lock();
    let given = given.get_or_insert_with(HashSet::new);
    loop {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free loopback port")?;
        let port = listener.local_addr()?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
}
