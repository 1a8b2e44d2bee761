//! Rows of watches: CPU time per delivered event, and how late events come.
//!
//! Writes go to kube-apiserver whoever serves the watches. What they cost it is known from watchgate's samples and taken off
//! its figure, so that the figure is of delivering alone; watchgate's figure includes its own watch.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};

use super::{
    events::{all_pods, compare_events, writer},
    row::{Row, Settings, Work},
};
use crate::{
    crowd::{Crowd, Watch},
    delays::Delays,
    pods::Pods,
    report::Report,
    servers::{Side, Stage},
    spread::Spread,
    writes::{Pace, node_selector},
};

pub(super) const STREAMS: usize = 100;
const DELIVERED_PATIENCE: Duration = Duration::from_secs(90);

/// A row of watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fanout {
    pub(super) watchers: usize,
    /// Each its node instead of all pods.
    pub(super) by_node: bool,
    /// Further watches, none of which is concerned by any write.
    pub(super) bystanders: usize,
    pub(super) pace: Pace,
    /// In a sample of kube-apiserver; the others get `faster` times as many.
    pub(super) writes: usize,
    pub(super) faster: usize,
    pub(super) goal: Option<f64>,
    pub(super) check: Option<DelayCheck>,
}

/// What is required of delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DelayCheck {
    /// The last watcher's, by the cost of a delivery.
    Last,
    /// p50 and p99 behind a watch at kube-apiserver itself.
    Prompt,
}

/// What a sample gave.
#[derive(Clone, Debug)]
struct Sample {
    /// Of the server that the watches are open at.
    cpu: Duration,
    upstream: Duration,
    driver: Duration,
    deliveries: u64,
    writes: usize,
    delays: Option<Delays>,
    /// After a watch at kube-apiserver had it.
    behind: Option<Delays>,
    ended: usize,
    missing: u64,
}

/// The rows.
pub(super) fn rows() -> Vec<Row> {
    let row = |name, title, fanout| Row { name, title, work: Work::Fanout(fanout) };
    let bulk = Fanout {
        watchers: 1000,
        by_node: false,
        bystanders: 0,
        pace: Pace::Delivered(2),
        writes: 150,
        faster: 4,
        goal: Some(8.0),
        check: None,
    };
    let bursts = Fanout { pace: Pace::Delivered(32), writes: 300, goal: None, ..bulk };
    let paced = Fanout {
        pace: Pace::Rate(50.0),
        writes: 250,
        faster: 1,
        goal: Some(4.0),
        check: Some(DelayCheck::Last),
        ..bulk
    };
    let few = Fanout { watchers: 100, check: Some(DelayCheck::Prompt), goal: None, ..paced };
    let nodes = Fanout {
        watchers: 5000,
        by_node: true,
        bystanders: 0,
        pace: Pace::Rate(200.0),
        // What the writes cost kube-apiserver is ten times what is measured: long samples.
        writes: 3000,
        faster: 1,
        goal: Some(8.0),
        check: None,
    };
    vec![
        row(
            "watch-bulk",
            "WATCH all pods, 1,000 watchers, writes as fast as delivery keeps up",
            bulk,
        ),
        row("watch-bursts", "the same, writes up to 32 ahead of delivery", bursts),
        row("watch-paced", "the same, paced 50 writes/s", paced),
        row("watch-paced-100", "100 watchers, paced 50 writes/s", few),
        row("watch-nodes", "5,000 watchers, each `spec.nodeName=` its node, 200 writes/s", nodes),
    ]
}

// === impl Fanout ===

impl Fanout {
    pub(super) async fn measure(
        &self,
        row: &Row,
        stage: &Stage,
        settings: &Settings,
    ) -> Result<Report> {
        let mut report = Report::new(row.name, row.title, "CPU-µs per delivered event");
        compare_events(stage, &mut report).await?;
        let sides = [Side::A, Side::B, Side::Limit];
        self.sample(stage, Side::B, 20).await.context("warming watchgate")?;
        let mut samples: Vec<(Side, Sample)> = Vec::new();
        for round in 1..=settings.rounds {
            let _alone = settings.exclusive().await?;
            let mut said = format!("{} {round}/{}:", row.name, settings.rounds);
            let mut this_round = Vec::new();
            for side in sides {
                let writes = if side == Side::A { self.writes } else { self.writes * self.faster };
                let sample =
                    self.sample(stage, side, writes).await.with_context(|| side.to_string())?;
                said += &format!("  {side} {}", sample.said());
                complain(side, &sample, &mut report);
                this_round.push((side, sample));
            }
            settings.progress.say(said);
            settle(&this_round, &mut report);
            samples.extend(this_round);
        }
        report.compare(Side::A, Side::B, self.goal);
        self.remark(&samples, &mut report);
        Ok(report)
    }

    /// Opens the watches, makes the writes, and waits until all is delivered.
    async fn sample(&self, stage: &Stage, side: Side, writes: usize) -> Result<Sample> {
        let server = stage.server(side)?;
        let watches = self.watches(stage).await?;
        let keep = matches!(self.pace, Pace::Rate(_));
        let crowd = Crowd::open(&server.endpoint, &watches, STREAMS, keep).await?;
        let others = self.bystanders(stage).await?;
        let others = Crowd::open(&server.endpoint, &others, STREAMS, false).await?;
        // One that shows when kube-apiserver itself has told of a write.
        let whole = Watch { path: Arc::from(all_pods(stage).await?), first: 0, step: 1 };
        let witness = Crowd::open(&stage.api_server.endpoint, &[whole], 1, keep).await?;
        let writer = writer(stage, side, self.by_node)?;
        let per_write =
            if self.by_node { self.watchers / self.nodes(stage) } else { self.watchers } as u64;
        let expected = self.expected(stage, writes);
        let own = crate::cpu::Pid::own();
        let before = (server.pid.cpu()?, stage.api_server.pid.cpu()?, own.cpu()?);
        let schedule = writer.run(&crowd, writes, self.pace, per_write).await?;
        let all = crowd
            .wait(DELIVERED_PATIENCE, |totals| totals.events >= expected || totals.ended > 0)
            .await;
        let cpu = server.pid.cpu()?.since(&before.0);
        let upstream = stage.api_server.pid.cpu()?.since(&before.1);
        let driver = own.cpu()?.since(&before.2);
        let totals = crowd.totals();
        ensure!(
            all || side == Side::A,
            "not all was delivered within {DELIVERED_PATIENCE:?}: {totals:?}"
        );
        let witnessed = side == Side::Limit
            || witness.wait(DELIVERED_PATIENCE, |it| it.events >= writes as u64).await;
        ensure!(
            witnessed,
            "a watch at kube-apiserver saw {:?} of {writes} writes",
            witness.totals()
        );
        let lead = witness.started().duration_since(crowd.started());
        let strays = others.totals().events;
        ensure!(strays == 0, "{strays} events for watches that no write concerns");
        others.close().await;
        let (arrivals, seen) = (crowd.close().await, witness.close().await);
        let happened = happened(&seen, writes, lead);
        Ok(Sample {
            cpu,
            upstream,
            driver,
            deliveries: totals.events,
            writes,
            delays: Delays::of(&arrivals, &schedule.due_micros),
            behind: if side == Side::Limit { None } else { Delays::of(&arrivals, &happened) },
            ended: totals.ended,
            missing: expected.saturating_sub(totals.events),
        })
    }

    fn nodes(&self, stage: &Stage) -> usize {
        stage.options.pods.nodes().min(self.watchers)
    }

    fn expected(&self, stage: &Stage, writes: usize) -> u64 {
        if !self.by_node {
            return (self.watchers * writes) as u64;
        }
        let nodes = stage.options.pods.nodes();
        (0..self.watchers).map(|watcher| seen_of(watcher % nodes, nodes, writes)).sum()
    }

    async fn watches(&self, stage: &Stage) -> Result<Vec<Watch>> {
        let all = all_pods(stage).await?;
        let nodes = stage.options.pods.nodes();
        let path: Arc<str> = Arc::from(all.as_str());
        let watch = |watcher: usize| {
            if !self.by_node {
                return Watch { path: Arc::clone(&path), first: 0, step: 1 };
            }
            let node = watcher % nodes;
            Watch {
                path: Arc::from(format!("{all}&{}", node_selector(&Pods::node_name(node)))),
                first: node as u32,
                step: nodes as u32,
            }
        };
        Ok((0..self.watchers).map(watch).collect())
    }

    /// Each of a node that has no pods.
    async fn bystanders(&self, stage: &Stage) -> Result<Vec<Watch>> {
        let all = all_pods(stage).await?;
        let watch = |number: usize| {
            let path = format!("{all}&{}", node_selector(&format!("nowhere-{number}")));
            Watch { path: Arc::from(path), first: 0, step: 1 }
        };
        Ok((0..self.bystanders).map(watch).collect())
    }

    fn remark(&self, samples: &[(Side, Sample)], report: &mut Report) {
        let spread = |side, figure: &dyn Fn(&Sample) -> Option<f64>| spread(samples, side, figure);
        let per_second =
            |sample: &Sample| Some(sample.deliveries as f64 / sample.cpu.as_secs_f64());
        for side in [Side::A, Side::B, Side::Limit] {
            if let Some(gross) = spread(side, &per_second) {
                report.note(format!(
                    "{side}: {gross} deliveries per CPU-second, everything included"
                ));
            }
        }
        if self.by_node {
            let gross = |side| of(samples, side).filter_map(per_second);
            let ratios: Vec<f64> = gross(Side::B).zip(gross(Side::A)).map(|(b, a)| b / a).collect();
            if let Some(ratio) = Spread::of(&ratios) {
                report.note(format!("{ratio} × as many deliveries per CPU-second, everything included: what the writes cost kube-apiserver, and watchgate's own watch"));
            }
        }
        let driver = |sample: &Sample| Some(sample.driver.as_secs_f64() / sample.cpu.as_secs_f64());
        if let Some(driver) = spread(Side::B, &driver) {
            report.note(format!("the driver used {driver} times watchgate's CPU"));
        }
        self.remark_delays(samples, report);
    }

    fn remark_delays(&self, samples: &[(Side, Sample)], report: &mut Report) {
        let spread = |side, figure: &dyn Fn(&Sample) -> Option<f64>| spread(samples, side, figure);
        for side in [Side::A, Side::B, Side::Limit] {
            let (p50, p99) =
                (|it: &Sample| Some(it.delays?.p50), |it: &Sample| Some(it.delays?.p99));
            let last = |it: &Sample| Some(it.delays?.last_p50);
            if let (Some(p50), Some(p99), Some(last)) =
                (spread(side, &p50), spread(side, &p99), spread(side, &last))
            {
                report.note(format!(
                    "{side}: delay in ms after a write was due: p50 {p50}, p99 {p99}, last watcher {last}"
                ));
            }
        }
        let behind = |it: &Sample| Some(it.behind?.p50);
        let tail = |it: &Sample| Some(it.behind?.p99);
        if let (Some(p50), Some(p99)) = (spread(Side::B, &behind), spread(Side::B, &tail)) {
            let early = spread(Side::B, &|it| Some(it.behind?.early * 100.0));
            let early = early.map_or_else(String::new, |it| format!("; {it} % came before it"));
            report.note(format!(
                "watchgate: delay in ms after a watch at kube-apiserver had it: p50 {p50}, p99 {p99}{early}"
            ));
            if self.check == Some(DelayCheck::Prompt) {
                report.check("p50 in ms behind kube-apiserver's own watch", p50.median, 1.0);
                report.check("p99 in ms behind kube-apiserver's own watch", p99.median, 10.0);
            }
        }
        let last = |it: &Sample| Some(it.behind?.last_p50);
        let each = |it: &Sample| Some(it.cpu.as_secs_f64() * 1e3 / it.deliveries as f64);
        if self.check == Some(DelayCheck::Last)
            && let (Some(last), Some(each)) = (spread(Side::B, &last), spread(Side::B, &each))
        {
            let allowed = 1.5 * each.median * self.watchers as f64;
            report.check(
                "last watcher's delay in ms behind kube-apiserver's own watch, by 1.5 × watchers × CPU per delivery",
                last.median,
                allowed,
            );
        }
    }
}

// === impl Sample ===

impl Sample {
    fn each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.deliveries.max(1) as f64
    }

    fn said(&self) -> String {
        let delays = self.delays.map_or_else(String::new, |it| {
            format!(", p50 {:.1} p99 {:.1} last {:.1} ms", it.p50, it.p99, it.last_p50)
        });
        format!("{:.2} µs × {}{delays}", self.each(), self.deliveries)
    }
}

fn of(samples: &[(Side, Sample)], side: Side) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |(it, _)| *it == side).map(|(_, sample)| sample)
}

fn spread(
    samples: &[(Side, Sample)],
    side: Side,
    figure: &dyn Fn(&Sample) -> Option<f64>,
) -> Option<Spread> {
    Spread::of(&of(samples, side).filter_map(figure).collect::<Vec<_>>())
}

/// The figures of a round: kube-apiserver's without what the writes cost it while watchgate delivered.
fn settle(round: &[(Side, Sample)], report: &mut Report) {
    let of = |side| round.iter().find(|(it, _)| *it == side).map(|(_, sample)| sample);
    let per_write = of(Side::B).map(|it| it.upstream.as_secs_f64() / it.writes as f64);
    for (side, sample) in round {
        let writes = match side {
            Side::A => per_write.unwrap_or(0.0) * sample.writes as f64,
            _ => 0.0,
        };
        let net = (sample.cpu.as_secs_f64() - writes).max(0.0);
        report.side(*side).samples.push(net * 1e6 / sample.deliveries.max(1) as f64);
    }
}

fn complain(side: Side, sample: &Sample, report: &mut Report) {
    if sample.ended == 0 && sample.missing == 0 {
        return;
    }
    let what = format!("{side}: {} watches ended, {} events missing", sample.ended, sample.missing);
    if side == Side::A { report.note(what) } else { report.fail(what) }
}

/// How many of the writes concern this node.
fn seen_of(node: usize, nodes: usize, writes: usize) -> u64 {
    (writes.saturating_sub(node)).div_ceil(nodes) as u64
}

/// When a watch at kube-apiserver had each write, by the clock of another crowd that began `lead` earlier.
fn happened(seen: &[crate::crowd::Arrival], writes: usize, lead: Duration) -> Vec<u32> {
    let mut happened = vec![u32::MAX; writes];
    for arrival in seen {
        if let Some(at) = happened.get_mut(arrival.write as usize) {
            *at = arrival.micros + lead.as_micros() as u32;
        }
    }
    happened
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_sees_its_share() {
        let seen: Vec<u64> = (0..4).map(|node| seen_of(node, 4, 10)).collect();
        assert_eq!(seen, [3, 3, 2, 2]);
        assert_eq!(seen_of(3, 1000, 2), 0);
    }

    #[test]
    fn a_write_happened_when_the_witness_had_it() {
        let seen = [crate::crowd::Arrival { write: 1, micros: 50 }];
        assert_eq!(happened(&seen, 3, Duration::from_micros(7)), [u32::MAX, 57, u32::MAX]);
    }
}
