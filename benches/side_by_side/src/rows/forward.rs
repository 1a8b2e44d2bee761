//! Rows of what is not cached: the hop's own CPU time and the delay it adds, beside HAProxy as the hop.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::row::{Row, Settings, Work};
use crate::{
    body,
    examine::examine,
    fill,
    report::Report,
    servers::{Side, Stage},
    spread::Spread,
    wire::Ask,
};

/// Secrets in the namespace: at 5.25 KB each a LIST of 10.5 MB.
const SECRETS: usize = 2000;

/// A row of forwarded requests.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    list: bool,
    requests: usize,
}

struct Player {
    side: Side,
    medians: Vec<f64>,
}

/// The rows. Secrets are not cached unless one says so.
pub(super) fn rows() -> Vec<Row> {
    let row = |name, title, list, requests| Row {
        name,
        title,
        work: Work::Forward(Forward { list, requests }),
    };
    vec![
        row("forward-get", "forwarded GET (not cached), 5 KB", false, 1000),
        row("forward-list", "forwarded LIST, 10.5 MB", true, 3),
    ]
}

// === impl Forward ===

impl Forward {
    pub(super) async fn measure(
        &self,
        row: &Row,
        stage: &mut Stage,
        settings: &Settings,
    ) -> Result<Report> {
        let mut report = Report::new(row.name, row.title, "CPU-ms per request of the hop");
        let path = self.path();
        if !stage.secrets {
            fill::fill_secrets(&stage.api_server, SECRETS, &settings.progress).await?;
            stage.secrets = true;
        }
        let direct = examine(&stage.api_server, &path, &Ask::JSON).await?;
        let mut players = Vec::new();
        for side in [Side::A, Side::Haproxy, Side::B] {
            if side == Side::Haproxy && stage.haproxy.is_none() {
                report.note("HAProxy not installed");
                continue;
            }
            let server = stage.server(side)?;
            let answer = examine(server, &path, &Ask::JSON).await?;
            if let Err(error) =
                body::compare(&body::plain(&direct.response)?, &body::plain(&answer.response)?)
            {
                report.fail(format!("{side}: the bodies differ: {error:#}"));
            }
            if side == Side::B {
                let status = answer.cache_status();
                report.cache_status = Some(status.to_owned());
                if !status.contains("fwd=") {
                    report.fail(format!("not forwarded: Cache-Status is {status:?}"));
                }
            }
            report.side(side).wire_bytes = Some(answer.response.body.len() as u64);
            players.push(Player { side, medians: Vec::new() });
        }
        for round in 1..=settings.rounds {
            let _alone = settings.exclusive().await?;
            let mut said = format!("{} {round}/{}:", row.name, settings.rounds);
            for player in &mut players {
                let (cpu, median) = self.sample(player.side, stage, &path).await?;
                report.side(player.side).samples.push(cpu);
                player.medians.push(median);
                said += &format!("  {} {cpu:.3} ms CPU, p50 {median:.3} ms", player.side);
            }
            settings.progress.say(said);
        }
        for player in &players {
            report.side(player.side).p50_milliseconds =
                Spread::of(&player.medians).map(|it| it.median);
        }
        report.note("kube-apiserver's own figures are of direct requests; it spends about that on a forwarded one, too, which is in no other column");
        report.compare(Side::Haproxy, Side::B, Some(1.0));
        added(&mut report, &players);
        Ok(report)
    }

    fn path(&self) -> String {
        let all = format!("/api/v1/namespaces/{}/secrets", fill::SECRETS);
        if self.list { all } else { format!("{all}/{}", fill::secret_name(SECRETS / 2)) }
    }

    /// One after the other on one connection. Gives the CPU-ms of each and the median delay in ms.
    async fn sample(&self, side: Side, stage: &Stage, path: &str) -> Result<(f64, f64)> {
        let server = stage.server(side)?;
        let mut connection = server.endpoint.connect(&Ask::JSON).await?;
        // The hop may connect anew, too.
        connection.get(path).await?;
        let pid = server.pid;
        let before = pid.cpu()?;
        let mut delays = Vec::with_capacity(self.requests);
        for _ in 0..self.requests {
            delays.push(connection.get(path).await?.elapsed);
        }
        let cpu: Duration = pid.cpu()?.since(&before);
        delays.sort_unstable();
        let median = delays.get(delays.len() / 2).context("no request")?;
        Ok((cpu.as_secs_f64() * 1e3 / self.requests as f64, median.as_secs_f64() * 1e3))
    }
}

/// What each hop adds to the median delay, round by round.
fn added(report: &mut Report, players: &[Player]) {
    let medians = |side| players.iter().find(|it| it.side == side).map(|it| &it.medians);
    let Some(direct) = medians(Side::A) else { return };
    let added = |side| {
        let differences: Vec<f64> =
            medians(side)?.iter().zip(direct).map(|(hop, direct)| hop - direct).collect();
        Spread::of(&differences)
    };
    if let Some(own) = added(Side::B) {
        match added(Side::Haproxy) {
            Some(other) => {
                report.note(format!("added p50: watchgate {own} ms, HAProxy {other} ms"));
                report.check("added p50 in ms, at most HAProxy's", own.median, other.median);
            }
            None => report.note(format!("added p50: watchgate {own} ms")),
        }
    }
}
