//! Rows of GET and LIST: CPU time of a server per request, from alternating samples.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use watchgate_cluster::Protocol;

use super::{
    changes::Changes,
    row::{Row, Settings},
};
use crate::{
    body,
    cpu::Pid,
    examine::{Examined, examine},
    pods::Pods,
    report::Report,
    servers::{Server, Side, Stage},
    spread::Spread,
    wire::{Ask, Connection},
};

/// What a sample should cost the server at least: enough to be exact, little enough to alternate often.
const SAMPLE_CPU: Duration = Duration::from_millis(250);
/// What a sample may take.
const SAMPLE_TIME: Duration = Duration::from_secs(6);
/// What `Cache-Status` says of an answer from memory.
const HIT: &str = "watchgate; hit";
const MOST_REQUESTS: usize = 20_000;
const MOST_CYCLES: usize = 6;
/// After changes, so that what they leave to do is not booked on the request.
const SETTLE: Duration = Duration::from_millis(700);

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Path(&'static str),
    /// A path that the pods decide.
    OfPods(fn(&Pods) -> String),
    /// This path at the version that watchgate shows.
    AtVersion(&'static str),
    /// The page after the first of this path, at that version, too.
    NextPage(&'static str),
}

/// A row of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) target: Target,
    pub(super) ask: Ask,
    /// Whether several ask at the same time (`--concurrency`), each on a connection of its own.
    pub(super) crowd: bool,
    /// Pods that change before each request.
    pub(super) changes: usize,
    /// kube-apiserver's cost divided by watchgate's.
    pub(super) goal: Option<f64>,
    /// Whether one answer of kube-apiserver for all who ask at the same time will do, too: nobody can prove quickly that
    /// memory is new enough while nothing is written. What that costs kube-apiserver is charged to watchgate.
    pub(super) collapsed: bool,
    /// watchgate's bytes on the wire by kube-apiserver's.
    pub(super) largest: Option<f64>,
}

/// One side, with what its samples need.
struct Player {
    side: Side,
    server: Server,
    path: String,
    connections: usize,
    requests: usize,
    latencies: Vec<Duration>,
}

/// What a sample gave.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    cpu: Duration,
    /// Without taking in the changes.
    answering: Duration,
    elapsed: Duration,
    requests: usize,
    /// Of all bodies, as they came.
    bytes: u64,
}

/// CPU-ms per request of processes that are not the one measured, round by round.
#[derive(Default)]
struct Others {
    /// kube-apiserver while watchgate is asked.
    upstream: Vec<f64>,
    /// etcd while kube-apiserver is asked.
    store: Vec<f64>,
    /// This program while watchgate is asked.
    driver: Vec<f64>,
    /// watchgate without taking in the changes.
    answering: Vec<f64>,
}

// === impl Reading ===

impl Reading {
    pub(super) async fn measure(
        &self,
        row: &Row,
        stage: &Stage,
        settings: &Settings,
    ) -> Result<Report> {
        let mut report = Report::new(row.name, row.title, "CPU-ms per request");
        let connections = if self.crowd { settings.concurrency } else { 1 };
        let mut players = self.players(stage, connections, &mut report).await?;
        let writer = stage.server(Side::A)?.client(Protocol::Http2)?;
        let mut changes = Changes::new(stage.options.pods, writer);
        settings.progress.say(format!("{}: warming", row.name));
        for player in &mut players {
            // Twice: what the first finds missing, it makes; the second is what one request costs.
            self.sample(player, &mut changes).await?;
            let one = self.sample(player, &mut changes).await?;
            player.requests = requests(&one, self.changes > 0);
            player.latencies.clear();
        }
        let mut others = Others::default();
        for round in 1..=settings.rounds {
            let _alone = settings.exclusive().await?;
            let mut said = format!("{} {round}/{}:", row.name, settings.rounds);
            for player in &mut players {
                let processes = [stage.api_server.pid, stage.etcd, Pid::own()];
                let before = processes.map(Pid::cpu);
                let sample = self.sample(player, &mut changes).await?;
                let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / sample.requests as f64;
                let mut spent = Vec::new();
                for (process, before) in processes.iter().zip(before) {
                    spent.push(each(process.cpu()?.since(&before?)));
                }
                let charged = self.collapsed && player.side == Side::B;
                let upstream = spent.first().filter(|_| charged).copied().unwrap_or(0.0);
                let figures = report.side(player.side);
                figures.samples.push(each(sample.cpu) + upstream);
                figures.wire_bytes = Some(sample.bytes / sample.requests as u64);
                others.add(player.side, &spent, each(sample.answering));
                said += &format!(
                    "  {} {:.3} ms CPU, {:.2} ms each ({} requests)",
                    player.side,
                    each(sample.cpu),
                    sample.elapsed.as_secs_f64() * 1e3 / sample.requests as f64
                        * connections as f64,
                    sample.requests
                );
            }
            settings.progress.say(said);
        }
        for player in &mut players {
            player.latencies.sort_unstable();
            let middle = player.latencies.get(player.latencies.len() / 2);
            report.side(player.side).p50_milliseconds = middle.map(|it| it.as_secs_f64() * 1e3);
        }
        report.compare(Side::A, Side::B, self.goal);
        self.remark(&mut report, &others);
        // What was measured was the same to the end.
        self.examine(stage, &mut report).await?;
        Ok(report)
    }

    fn remark(&self, report: &mut Report, others: &Others) {
        let mut note = |what: &str, samples: &[f64]| {
            if let Some(spread) = Spread::of(samples) {
                report.note(format!("{what}: {spread} CPU-ms per request"));
            }
        };
        note("kube-apiserver while watchgate was asked", &others.upstream);
        note("etcd while kube-apiserver was asked", &others.store);
        note("the driver while watchgate was asked", &others.driver);
        if self.changes > 0 {
            note("watchgate without taking in the changes", &others.answering);
        }
    }

    fn path(&self, stage: &Stage) -> String {
        match self.target {
            Target::Path(path) | Target::AtVersion(path) | Target::NextPage(path) => {
                path.to_owned()
            }
            Target::OfPods(path) => path(&stage.options.pods),
        }
    }

    /// The path on one side: continue tokens are a server's own.
    async fn path_on(&self, stage: &Stage, side: Side) -> Result<String> {
        let path = self.path(stage);
        if !matches!(self.target, Target::AtVersion(_) | Target::NextPage(_)) {
            return Ok(path);
        }
        let version = version_shown(stage).await?;
        let at_version = format!("{path}&resourceVersion={version}");
        if matches!(self.target, Target::AtVersion(_)) {
            return Ok(at_version);
        }
        let first = stage.server(side)?.client(Protocol::Http2)?.get(&at_version).send().await?;
        let token = body::continue_token(&body::plain(&first)?)?;
        Ok(format!("{path}&continue={token}"))
    }

    /// Asks A and B for everything, as a client that looks at it would.
    async fn examine(&self, stage: &Stage, report: &mut Report) -> Result<[Examined; 2]> {
        let mut examined = Vec::new();
        for side in [Side::A, Side::B] {
            let path = self.path_on(stage, side).await?;
            examined.push(examine(stage.server(side)?, &path, &self.ask).await?);
        }
        let [a, b]: [Examined; 2] = examined.try_into().ok().context("two sides")?;
        if let Err(error) = body::compare(&body::plain(&a.response)?, &body::plain(&b.response)?) {
            report.fail(format!("the bodies differ: {error:#}"));
        }
        let status = b.cache_status();
        report.cache_status = Some(status.to_owned());
        let is_collapsed = status.contains("; collapsed; detail=coalesced");
        if status != HIT && !(self.collapsed && is_collapsed) {
            report.fail(format!("not from memory: Cache-Status is {status:?}"));
        }
        Ok([a, b])
    }

    /// Checks the answers, gives the limit server its bytes, and connects to all three.
    async fn players(
        &self,
        stage: &Stage,
        connections: usize,
        report: &mut Report,
    ) -> Result<Vec<Player>> {
        // The first answer may be made upstream for want of a filled cache.
        let path = self.path_on(stage, Side::B).await?;
        examine(stage.server(Side::B)?, &path, &self.ask).await?;
        let [a, b] = self.examine(stage, report).await?;
        let sizes = [a.response.body.len(), b.response.body.len()];
        if let Some(largest) = self.largest {
            report.check("bytes by kube-apiserver's", sizes[1] as f64 / sizes[0] as f64, largest);
        }
        let mut players = Vec::new();
        let sides = [Side::A, Side::B, Side::Limit];
        for side in sides.into_iter().filter(|side| *side != Side::Limit || self.changes == 0) {
            let server = stage.server(side)?.clone();
            let path = match side {
                Side::Limit => "/limit".to_owned(),
                _ => self.path_on(stage, side).await?,
            };
            if side == Side::Limit {
                a.put(&server, &path, &self.ask).await?;
            }
            let latencies = Vec::new();
            players.push(Player { side, server, path, connections, requests: 1, latencies });
        }
        Ok(players)
    }

    /// Connects anew: who waits for other measurements can't answer the servers' pings.
    async fn connect(&self, player: &Player) -> Result<Vec<Connection>> {
        let connect = |_| player.server.endpoint.connect(&self.ask);
        try_join_all((0..player.connections).map(connect)).await
    }

    async fn sample(&self, player: &mut Player, changes: &mut Changes) -> Result<Sample> {
        if self.changes > 0 {
            return self.cycles(player, changes).await;
        }
        let mut connections = self.connect(player).await?;
        let Player { server, path, requests, latencies, .. } = player;
        let share = requests.div_ceil(connections.len());
        let (started, before) = (Instant::now(), server.pid.cpu()?);
        let all = connections.iter_mut().map(|connection| async {
            let (mut latencies, mut bytes) = (Vec::with_capacity(share), 0);
            for _ in 0..share {
                let answered = connection.get(path).await?;
                latencies.push(answered.elapsed);
                bytes += answered.bytes;
            }
            anyhow::Ok((latencies, bytes))
        });
        let taken = try_join_all(all).await?;
        let cpu = server.pid.cpu()?.since(&before);
        let bytes = taken.iter().map(|(_, bytes)| bytes).sum();
        latencies.extend(taken.into_iter().flat_map(|(latencies, _)| latencies));
        let requests = share * connections.len();
        Ok(Sample { cpu, answering: cpu, elapsed: started.elapsed(), requests, bytes })
    }

    /// Changes before each request. watchgate pays for taking them in; to kube-apiserver they are writes, which don't count.
    async fn cycles(&self, player: &mut Player, changes: &mut Changes) -> Result<Sample> {
        let reader = player.server.client(Protocol::Http2)?;
        let pid: Pid = player.server.pid;
        let mut sample = Sample { requests: player.requests, ..Sample::default() };
        let mut connections = self.connect(player).await?;
        for _ in 0..player.requests {
            let before = pid.cpu()?;
            changes.make(self.changes).await?.seen(&reader).await?;
            tokio::time::sleep(SETTLE).await;
            let (started, between) = (Instant::now(), pid.cpu()?);
            let connection = connections.first_mut().context("no connection")?;
            let answered = connection.get(&player.path).await?;
            player.latencies.push(answered.elapsed);
            sample.bytes += answered.bytes;
            let after = pid.cpu()?;
            sample.elapsed += started.elapsed();
            sample.answering += after.since(&between);
            sample.cpu += after.since(if player.side == Side::B { &before } else { &between });
        }
        Ok(sample)
    }
}

// === impl Others ===

impl Others {
    /// `spent` is of kube-apiserver, etcd and this program.
    fn add(&mut self, side: Side, spent: &[f64], answering: f64) {
        let &[api_server, store, driver] = spent else { return };
        match side {
            Side::A => self.store.push(store),
            Side::B => {
                self.upstream.push(api_server);
                self.driver.push(driver);
                self.answering.push(answering);
            }
            Side::Limit | Side::Haproxy => {}
        }
    }
}

/// How many requests make a sample, when one took this.
fn requests(one: &Sample, with_changes: bool) -> usize {
    let each = |duration: Duration| duration.as_secs_f64().max(1e-6) / one.requests.max(1) as f64;
    let by_cpu = SAMPLE_CPU.as_secs_f64() / each(one.cpu);
    let by_time = SAMPLE_TIME.as_secs_f64() / each(one.elapsed);
    let most = if with_changes { MOST_CYCLES } else { MOST_REQUESTS };
    (by_cpu.min(by_time).ceil() as usize).clamp(1, most)
}

/// The version of the pods that watchgate shows, without waiting for a newer one.
async fn version_shown(stage: &Stage) -> Result<String> {
    let path = format!("/api/v1/namespaces/{}/pods?resourceVersion=0", Pods::namespace_name(0));
    let few = stage.server(Side::B)?.client(Protocol::Http2)?.get(&path).send().await?;
    let version = &few.json()?["metadata"]["resourceVersion"];
    Ok(version.as_str().context("a list without resourceVersion")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_long_enough_but_not_too_long() {
        let one = |cpu, elapsed| Sample {
            cpu: Duration::from_micros(cpu),
            elapsed: Duration::from_micros(elapsed),
            requests: 1,
            ..Sample::default()
        };
        assert_eq!(requests(&one(1_400_000, 2_000_000), false), 1);
        assert_eq!(requests(&one(1_000, 2_000), false), 250);
        assert_eq!(requests(&one(1_000, 1_000_000), false), 6);
        assert_eq!(requests(&one(0, 100), false), MOST_REQUESTS);
        assert_eq!(requests(&one(10_000, 20_000), true), MOST_CYCLES);
    }
}
