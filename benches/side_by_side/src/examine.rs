//! One request by a complete client: what the measuring client does not look at.

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use watchgate_cluster::{Protocol, Response};

use crate::{servers::Server, wire::Ask};

/// An answer with 200.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) response: Response,
}

/// Asks, with the headers that the measuring client sends.
pub(crate) async fn examine(server: &Server, path: &str, ask: &Ask) -> Result<Examined> {
    let mut request = server.client(Protocol::Http2)?.get(path).header("accept", ask.accept);
    if ask.gzip {
        request = request.header("accept-encoding", "gzip");
    }
    let response = Box::pin(request.send()).await?;
    ensure!(
        response.status == StatusCode::OK,
        "GET {path} of {}: {}: {}",
        server.url,
        response.status,
        String::from_utf8_lossy(&response.body[..response.body.len().min(300)])
    );
    Ok(Examined { response })
}

// === impl Examined ===

impl Examined {
    pub(crate) fn cache_status(&self) -> &str {
        self.response.header("cache-status").unwrap_or("none")
    }

    /// Gives the limit server this answer, for the same request.
    pub(crate) async fn put(&self, limit: &Server, path: &str, ask: &Ask) -> Result<()> {
        let client = limit.client(Protocol::Http2)?;
        let mut request = client.request(Method::PUT, path).header("accept", ask.accept);
        if ask.gzip {
            request = request.header("accept-encoding", "gzip");
        }
        for name in ["content-type", "content-encoding"] {
            if let Some(value) = self.response.header(name) {
                request = request.header(name, value);
            }
        }
        let response = Box::pin(request.body(self.response.body.clone()).send()).await?;
        ensure!(
            response.status == StatusCode::OK,
            "the limit server takes no body: {}",
            response.status
        );
        Ok(())
    }
}
