//! Asks both servers the same, over connections that are kept and used again.

use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::answer::Answer;
use crate::case::{Asker, Case};
use crate::front::Side;
use crate::front::wire::Wire;
use crate::judge::Answers;
use crate::receive::receive;
use crate::setup::Field;

/// Connections to both servers, as many as requests at the same time.
pub(crate) struct Lanes {
    field: Arc<Field>,
    idle: [Mutex<Vec<Wire>>; 2],
    turns: Semaphore,
}

// === impl Lanes ===

impl Lanes {
    /// For so many cases at the same time.
    pub(crate) fn new(field: &Arc<Field>, width: usize) -> Self {
        let turns = Semaphore::new(width);
        Self { field: field.clone(), idle: Default::default(), turns }
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

    fn request(&self, side: Side, case: &Case) -> String {
        let front = &self.field.front;
        let direct = front.cluster.api_server_url();
        let url = if side == Side::Through { front.gateway.url() } else { &direct };
        let host = url.trim_start_matches("https://");
        let authorization = match case.asker {
            Asker::Reader => Some(self.field.authorizations["reader"].as_str()),
            Asker::Local => Some(self.field.authorizations["local"].as_str()),
            Asker::Wrong => Some("Bearer wrong"),
            Asker::Nobody => None,
        };
        case.request(host, authorization)
    }
}
