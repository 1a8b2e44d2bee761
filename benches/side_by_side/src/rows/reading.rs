//! Rows of GET and LIST: CPU time of a server per request, from alternating samples.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use watchgate_cluster::Protocol;

use super::{
    changes::Changes,
    row::{Row, Settings, Work},
};
use crate::{
    body,
    cpu::Pid,
    examine::{Examined, examine},
    pods::Pods,
    report::Report,
    servers::{Server, Side, Stage},
    wire::{Ask, Connection},
};

/// What a sample should cost the server at least: enough to be exact, little enough to alternate often.
const SAMPLE_CPU: Duration = Duration::from_millis(250);
/// What a sample may take.
const SAMPLE_TIME: Duration = Duration::from_secs(6);
const MOST_REQUESTS: usize = 20_000;
const MOST_CYCLES: usize = 6;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    Path(&'static str),
    /// A path that the pods decide.
    OfPods(fn(&Pods) -> String),
    /// The page after the first of this path.
    NextPage(&'static str),
}

/// A row of requests.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) target: Target,
    pub(super) ask: Ask,
    /// Whether several ask at the same time (`--concurrency`), each on a connection of its own.
    pub(super) crowd: bool,
    /// Pods that change before each request.
    pub(super) changes: usize,
    /// kube-apiserver's cost divided by watchgate's.
    pub(super) goal: Option<f64>,
    /// watchgate's bytes on the wire by kube-apiserver's.
    pub(super) largest: Option<f64>,
}

/// One side, with what its samples need.
struct Player {
    side: Side,
    server: Server,
    path: String,
    connections: Vec<Connection>,
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
}

/// What Go clients ask for: everything, compressed.
pub(super) fn compressed_list() -> Reading {
    let target = Target::Path("/api/v1/pods?resourceVersion=0");
    let ask = Ask { gzip: true, ..Ask::JSON };
    Reading { target, ask, crowd: false, changes: 0, goal: Some(300.0), largest: Some(1.1) }
}

/// The rows.
pub(super) fn rows() -> Vec<Row> {
    let sized = compressed_list();
    let list = Reading { ask: Ask::JSON, goal: None, largest: None, ..sized.clone() };
    let small = Reading { crowd: true, ..list.clone() };
    let row = |name, title, reading| Row { name, title, work: Work::Reading(reading) };
    let goal = |reading: &Reading, goal| Reading { goal: Some(goal), ..reading.clone() };
    let gzip = |reading: &Reading| Reading {
        ask: Ask { gzip: true, ..reading.ask.clone() },
        ..reading.clone()
    };
    let at = |reading: &Reading, target| Reading { target, ..reading.clone() };
    let protobuf = Reading { ask: Ask::PROTOBUF, ..list.clone() };
    let page = at(&list, Target::Path("/api/v1/pods?limit=500"));
    let tier =
        at(&list, Target::Path("/api/v1/pods?labelSelector=tier%3Dtier-3&resourceVersion=0"));
    let consistent = at(&gzip(&list), Target::Path("/api/v1/pods"));
    let next = at(&gzip(&list), Target::NextPage("/api/v1/pods?limit=500"));
    vec![
        row("list-json", "LIST all, JSON", goal(&list, 28.0)),
        row("list-json-gzip", "LIST all, JSON + gzip, unchanged", sized.clone()),
        row(
            "list-json-gzip-changes",
            "LIST all, JSON + gzip, 50 changes before each",
            Reading { changes: 50, goal: Some(40.0), ..sized.clone() },
        ),
        row(
            "list-json-gzip-consistent",
            "LIST all, JSON + gzip, resourceVersion unset",
            consistent,
        ),
        row("list-protobuf", "LIST all, protobuf", goal(&protobuf, 20.0)),
        row(
            "list-protobuf-gzip",
            "LIST all, protobuf + gzip, unchanged",
            goal(&gzip(&protobuf), 200.0),
        ),
        row("list-label-gzip", "LIST `tier=` (1 of 7 pods), JSON + gzip", goal(&gzip(&tier), 10.0)),
        row("list-page-gzip", "LIST limit=500, first page, JSON + gzip", goal(&gzip(&page), 10.0)),
        row("list-next-page-gzip", "LIST limit=500, second page, JSON + gzip", goal(&next, 10.0)),
        row(
            "list-namespace",
            "LIST one namespace, 100 pods",
            goal(&at(&small, Target::OfPods(namespace)), 14.0),
        ),
        row(
            "list-node",
            "LIST `spec.nodeName=`, 10 pods",
            goal(&at(&small, Target::OfPods(node)), 8.0),
        ),
        row(
            "list-app",
            "LIST `app=`, 50 pods of all namespaces",
            goal(&at(&small, Target::OfPods(app)), 50.0),
        ),
        row("list-page", "LIST limit=500, first page", goal(&page, 25.0)),
        row("get", "GET resourceVersion=0", goal(&at(&small, Target::OfPods(one)), 10.0)),
    ]
}

fn namespace(pods: &Pods) -> String {
    let namespace = Pods::namespace_name(pods.namespaces() / 2);
    format!("/api/v1/namespaces/{namespace}/pods?resourceVersion=0")
}

fn node(pods: &Pods) -> String {
    let node = Pods::node_name(pods.nodes() / 2);
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&resourceVersion=0")
}

fn app(pods: &Pods) -> String {
    let app = Pods::app_name(pods.count / crate::pods::PER_APP / 2);
    format!("/api/v1/pods?labelSelector=app%3D{app}&resourceVersion=0")
}

fn one(pods: &Pods) -> String {
    let (namespace, name) = pods.key(pods.count / 2);
    format!("/api/v1/namespaces/{namespace}/pods/{name}?resourceVersion=0")
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
        let mut apart = Vec::new();
        let mut upstream = Vec::new();
        for round in 1..=settings.rounds {
            let _alone = settings.exclusive()?;
            let mut said = format!("{} {round}/{}:", row.name, settings.rounds);
            for player in &mut players {
                let before = stage.api_server.pid.cpu()?;
                let sample = self.sample(player, &mut changes).await?;
                let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / sample.requests as f64;
                report.side(player.side).samples.push(each(sample.cpu));
                if player.side == Side::B {
                    upstream.push(each(stage.api_server.pid.cpu()?.since(&before)));
                    apart.push(each(sample.answering));
                }
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
        self.remark(&mut report, &upstream, &apart);
        // What was measured was the same to the end.
        self.examine(stage, &mut report).await?;
        Ok(report)
    }

    fn remark(&self, report: &mut Report, upstream: &[f64], apart: &[f64]) {
        if let Some(spread) = crate::spread::Spread::of(upstream) {
            report.note(format!(
                "kube-apiserver's own CPU-ms per request of watchgate's samples: {spread}"
            ));
        }
        if self.changes > 0
            && let Some(spread) = crate::spread::Spread::of(apart)
        {
            report.note(format!(
                "watchgate's figure includes taking in the {} changes; without: {spread}",
                self.changes
            ));
        }
    }

    fn path(&self, stage: &Stage) -> String {
        match self.target {
            Target::Path(path) | Target::NextPage(path) => path.to_owned(),
            Target::OfPods(path) => path(&stage.options.pods),
        }
    }

    /// The path on one side: continue tokens are a server's own.
    async fn path_on(&self, stage: &Stage, side: Side) -> Result<String> {
        let path = self.path(stage);
        if !matches!(self.target, Target::NextPage(_)) {
            return Ok(path);
        }
        let first = stage.server(side)?.client(Protocol::Http2)?.get(&path).send().await?;
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
        if status != "watchgate; hit" {
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
        report.side(Side::A).wire_bytes = Some(sizes[0] as u64);
        report.side(Side::B).wire_bytes = Some(sizes[1] as u64);
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
                report.side(side).wire_bytes = Some(sizes[0] as u64);
            }
            let connect = || server.endpoint.connect(&self.ask);
            let connections = try_join_all((0..connections).map(|_| connect())).await?;
            let latencies = Vec::new();
            players.push(Player { side, server, path, connections, requests: 1, latencies });
        }
        Ok(players)
    }

    async fn sample(&self, player: &mut Player, changes: &mut Changes) -> Result<Sample> {
        if self.changes > 0 {
            return self.cycles(player, changes).await;
        }
        let Player { server, path, connections, requests, latencies, .. } = player;
        let share = requests.div_ceil(connections.len());
        let (started, before) = (Instant::now(), server.pid.cpu()?);
        let all = connections.iter_mut().map(|connection| async {
            let mut latencies = Vec::with_capacity(share);
            for _ in 0..share {
                latencies.push(connection.get(path).await?.elapsed);
            }
            anyhow::Ok(latencies)
        });
        let taken = try_join_all(all).await?;
        let cpu = server.pid.cpu()?.since(&before);
        latencies.extend(taken.into_iter().flatten());
        let requests = share * connections.len();
        Ok(Sample { cpu, answering: cpu, elapsed: started.elapsed(), requests })
    }

    /// Changes before each request. watchgate pays for taking them in; to kube-apiserver they are writes, which don't count.
    async fn cycles(&self, player: &mut Player, changes: &mut Changes) -> Result<Sample> {
        let reader = player.server.client(Protocol::Http2)?;
        let pid: Pid = player.server.pid;
        let mut sample = Sample { requests: player.requests, ..Sample::default() };
        for _ in 0..player.requests {
            let before = pid.cpu()?;
            changes.make(self.changes).await?.seen(&reader).await?;
            let (started, between) = (Instant::now(), pid.cpu()?);
            let connection = player.connections.first_mut().context("no connection")?;
            player.latencies.push(connection.get(&player.path).await?.elapsed);
            let after = pid.cpu()?;
            sample.elapsed += started.elapsed();
            sample.answering += after.since(&between);
            sample.cpu += after.since(if player.side == Side::B { &before } else { &between });
        }
        Ok(sample)
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

    #[test]
    fn names_of_rows_are_unique() {
        let mut names: Vec<_> = super::super::all().iter().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
