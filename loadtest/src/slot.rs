//! A place for one connection, which several watchers share and anyone of them may replace.
//!
//! Guarantees: after a loss all of them get the same new connection, not one each.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::transport::{Connection, Transport, TransportError};

/// The place.
pub struct Slot {
    transport: Arc<dyn Transport>,
    current: Mutex<Option<Arc<dyn Connection>>>,
}

// === impl Slot ===

impl Slot {
    /// Empty until first asked.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport, current: Mutex::new(None) }
    }

    /// The connection, opened if there is none, if it is `lost`, or if the server has closed it.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn connection(
        &self,
        lost: Option<&Arc<dyn Connection>>,
    ) -> Result<Arc<dyn Connection>, TransportError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &*current
            && connection.is_open()
            && !lost.is_some_and(|lost| Arc::ptr_eq(lost, connection))
        {
            return Ok(Arc::clone(connection));
        }
        *current = None;
        let connection = self.transport.connect().await?;
        *current = Some(Arc::clone(&connection));
        Ok(connection)
    }
}
