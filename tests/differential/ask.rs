//! Asks both servers the same, over connections that are kept and used again.

use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use watchgate_cluster::{Client, Protocol, Streaming};

use crate::answer::Answer;
use crate::case::{Asker, Case};
use crate::front::Side;
use crate::front::wire::Wire;
use crate::judge::Answers;
use crate::receive::{receive, receive_stream};
use crate::setup::Field;

/// Connections to both servers, as many as requests at the same time.
pub(crate) struct Lanes {
    field: Arc<Field>,
    idle: [Mutex<Vec<Wire>>; 2],
    /// One connection to each.
    http2: [Client; 2],
    turns: Semaphore,
}

// === impl Lanes ===

impl Lanes {
    /// For so many cases at the same time.
    pub(crate) fn new(field: &Arc<Field>, width: usize) -> Result<Self> {
        let turns = Semaphore::new(width);
        let client = |side| field.front.client_of(side).protocol(Protocol::Http2).shared().build();
        let http2 = [client(Side::Direct)?, client(Side::Through)?];
        Ok(Self { field: field.clone(), idle: Default::default(), http2, turns })
    }

    /// Direct, through the gateway, direct. `together` asks all three at the same time, for what takes
    /// long and changes nothing by that.
    pub(crate) async fn ask(
        &self,
        case: &Case,
        written: u64,
        together: bool,
    ) -> Result<(Answers, String)> {
        let _turn = self.turns.acquire().await?;
        let (before, ours, after) = if together {
            tokio::try_join!(
                self.one(Side::Direct, case),
                self.one(Side::Through, case),
                self.one(Side::Direct, case)
            )?
        } else {
            let before = self.one(Side::Direct, case).await?;
            let ours = self.one(Side::Through, case).await?;
            (before, ours, self.one(Side::Direct, case).await?)
        };
        let from = ours.header("cache-status").unwrap_or("none").to_owned();
        Ok((Answers { before, ours, after, together, written }, from))
    }

    /// The same, all at once, on connections of their own. `open` gets a permit for each head.
    pub(crate) async fn open(
        &self,
        case: &Case,
        written: u64,
        open: &Semaphore,
    ) -> Result<(Answers, String)> {
        let one = async |side: Side| -> Result<Answer> {
            if case.http2 {
                let stream = self.stream(side, case).await?;
                open.add_permits(1);
                return receive_stream(stream, case).await;
            }
            let mut wire = self.field.front.wire(side).await.context("connecting")?;
            wire.send(self.request(side, case)).await.context("sending")?;
            Ok(receive(&mut wire, case, || open.add_permits(1)).await?.0)
        };
        let direct = Side::Direct;
        let (before, ours, after) = tokio::try_join!(one(direct), one(Side::Through), one(direct))?;
        let from = ours.header("cache-status").unwrap_or("none").to_owned();
        Ok((Answers { before, ours, after, together: true, written }, from))
    }

    /// One answer of one server.
    pub(crate) async fn one(&self, side: Side, case: &Case) -> Result<Answer> {
        if case.http2 {
            return match self.stream(side, case).await {
                Ok(stream) => receive_stream(stream, case).await,
                Err(_) => Ok(Answer::none()),
            };
        }
        let idle = &self.idle[usize::from(side == Side::Through)];
        let request = self.request(side, case);
        let kept = idle.lock().pop();
        if let Some(mut wire) = kept {
            let sent = wire.send(&request).await;
            if sent.is_ok()
                && let Ok((answer, reusable)) = receive(&mut wire, case, || {}).await
            {
                if reusable {
                    idle.lock().push(wire);
                }
                return Ok(answer);
            }
            // The server may have closed it in between; a new one shows.
        }
        let mut wire = self.field.front.wire(side).await.context("connecting")?;
        wire.send(&request).await.context("sending")?;
        let Ok((answer, reusable)) = receive(&mut wire, case, || {}).await else {
            return Ok(Answer::none());
        };
        if reusable {
            idle.lock().push(wire);
        }
        Ok(answer)
    }

    /// Sends a request over HTTP/2. A connection that was ended in between is made anew.
    async fn stream(&self, side: Side, case: &Case) -> Result<Streaming> {
        let client = &self.http2[usize::from(side == Side::Through)];
        let mut request = client.request(case.method.parse()?, &case.target());
        for (name, value) in &case.headers {
            request = request.header(name, value);
        }
        if let Some(authorization) = self.authorization(case) {
            request = request.header("authorization", authorization);
        }
        match request.clone().stream().await {
            Ok(stream) => Ok(stream),
            Err(_) => request.stream().await,
        }
    }

    fn request(&self, side: Side, case: &Case) -> String {
        let front = &self.field.front;
        let direct = front.cluster.api_server_url();
        let url = if side == Side::Through { front.gateway.url() } else { &direct };
        let host = url.trim_start_matches("https://");
        case.request(host, self.authorization(case))
    }

    fn authorization(&self, case: &Case) -> Option<&str> {
        match case.asker {
            Asker::Reader => Some(&self.field.authorizations["reader"]),
            Asker::Local => Some(&self.field.authorizations["local"]),
            Asker::Wrong => Some("Bearer wrong"),
            Asker::Nobody => None,
        }
    }
}
