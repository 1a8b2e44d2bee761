//! Rows of memory: idle watches, many starts at once, and the cache itself. Resident bytes of fresh gateways.
//!
//! Memory doesn't come back between samples as CPU time does, so each figure of watchgate is of a process of its own, and
//! kube-apiserver, which can't be as fresh, is measured once, first.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use watchgate_cluster::Protocol;

use super::{
    events::all_pods,
    fanout::STREAMS,
    row::{Row, Settings, Work},
};
use crate::{
    cpu::Pid,
    crowd::{Crowd, Totals, Watch},
    examine::examine,
    report::Report,
    servers::{Side, Stage},
    spread::Short,
    wire::Ask,
};

const MIB: f64 = 1024.0 * 1024.0;
/// How long memory is left alone before it is read.
const SETTLE: Duration = Duration::from_secs(3);
/// How long watches have been idle when they are measured: what their opening took has been given back by then.
const IDLE: Duration = Duration::from_secs(20);
const ALL: &str = "/api/v1/pods?resourceVersion=0";
/// As an informer starts since Kubernetes 1.35.
const START: &str = "/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                     &allowWatchBookmarks=true&timeoutSeconds=3500";

/// A row of memory.
#[derive(Clone, Debug)]
pub(super) enum MemoryRow {
    /// Watches of all pods of which nothing is told.
    Idle { watches: usize, at_api_server: usize, streams: usize, kibibytes: Option<f64> },
    /// Informers that start at the same time.
    Starts { count: usize, mebibytes: f64, api_server_seconds: u64 },
    /// Objects in the cache, and what they are when sent.
    Cache { factor: f64 },
}

/// The rows.
pub(super) fn rows() -> Vec<Row> {
    let row = |name, title, memory| Row { name, title, work: Work::Memory(memory) };
    let idle = |watches, at_api_server, streams, kibibytes| MemoryRow::Idle {
        watches,
        at_api_server,
        streams,
        kibibytes: Some(kibibytes),
    };
    let starts = MemoryRow::Starts { count: 1000, mebibytes: 150.0, api_server_seconds: 60 };
    vec![
        row(
            "idle-watches",
            "50,000 idle watches, 100 streams a connection",
            idle(50_000, 10_000, STREAMS, 10.0),
        ),
        row(
            "idle-connections",
            "5,000 idle watches, one stream a connection",
            idle(5_000, 5_000, 1, 32.0),
        ),
        row("starts", "1,000 WatchList starts at once", starts),
        row("cache-memory", "memory of the cache", MemoryRow::Cache { factor: 1.3 }),
    ]
}

// === impl MemoryRow ===

impl MemoryRow {
    pub(super) async fn measure(
        &self,
        row: &Row,
        stage: &mut Stage,
        settings: &Settings,
    ) -> Result<Report> {
        match self {
            Self::Idle { watches, at_api_server, streams, kibibytes } => {
                let mut report = Report::new(row.name, row.title, "KiB resident per watch");
                // What earlier rows left free in its heap would hold the watches.
                stage.restart_api_server().await?;
                fresh(stage, true).await?;
                idle(stage, settings, Side::A, (*at_api_server, *streams), &mut report).await?;
                fresh(stage, true).await?;
                let each =
                    idle(stage, settings, Side::B, (*watches, *streams), &mut report).await?;
                if let Some(most) = kibibytes {
                    report.check("KiB per watch", each, *most);
                }
                report.note(format!("kube-apiserver with {at_api_server} watches, just started"));
                report.compare(Side::A, Side::B, None);
                Ok(report)
            }
            Self::Starts { count, mebibytes, api_server_seconds } => {
                let mut report =
                    Report::new(row.name, row.title, "MiB resident beyond before, at most");
                let patience = Duration::from_secs(*api_server_seconds);
                let one = starts(stage, settings, Side::A, 1, Duration::from_secs(60)).await?;
                let one = one.least;
                fresh(stage, true).await?;
                let b = starts(stage, settings, Side::B, *count, Duration::from_secs(170)).await?;
                let a = starts(stage, settings, Side::A, *count, patience).await?;
                // It would be at it for minutes, though nobody waits any more.
                stage.restart_api_server().await?;
                fresh(stage, true).await?;
                for (side, growth) in [(Side::A, &a), (Side::B, &b)] {
                    report.side(side).samples.push(growth.mebibytes);
                    report.note(growth.said(side, *count));
                }
                let delivered = b.least;
                report.note(format!(
                    "one start at kube-apiserver is {one} bytes, one of watchgate's {delivered}"
                ));
                // The bookmark at the end names a version, whose length may differ.
                if !b.complete || delivered.abs_diff(one) > 16 {
                    report.fail(format!(
                        "watchgate delivered {delivered} bytes a start, kube-apiserver {one}"
                    ));
                }
                report.check("MiB", b.mebibytes, *mebibytes);
                report.compare(Side::A, Side::B, None);
                Ok(report)
            }
            Self::Cache { factor } => cache(row, stage, *factor).await,
        }
    }
}

/// A gateway that has done nothing but, if wanted, to fill its cache of pods.
pub(super) async fn fresh(stage: &mut Stage, filled: bool) -> Result<()> {
    stage.restart_gateway(&[]).await?;
    if filled {
        warm(stage, &Ask::JSON).await?;
    }
    Ok(())
}

/// Asks until memory answers.
async fn warm(stage: &Stage, ask: &Ask) -> Result<usize> {
    for _ in 0..10 {
        let answer = examine(stage.server(Side::B)?, ALL, ask).await?;
        if answer.cache_status() == "watchgate; hit" {
            return Ok(answer.response.body.len());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("watchgate does not answer from memory")
}

/// Opens watches and gives the KiB that each takes.
async fn idle(
    stage: &Stage,
    settings: &Settings,
    side: Side,
    (count, streams): (usize, usize),
    report: &mut Report,
) -> Result<f64> {
    let _alone = settings.exclusive().await?;
    let server = stage.server(side)?;
    let watch = Watch { path: Arc::from(all_pods(stage).await?), first: 0, step: 1 };
    tokio::time::sleep(SETTLE).await;
    let before = server.pid.resident()?;
    let crowd = Crowd::open(&server.endpoint, &vec![watch; count], streams, false).await?;
    tokio::time::sleep(SETTLE).await;
    let opened = server.pid.resident()?;
    tokio::time::sleep(IDLE).await;
    let after = server.pid.resident()?;
    let totals = crowd.totals();
    ensure!(totals.ended == 0, "{side}: {} of {count} idle watches ended", totals.ended);
    let each = (after as f64 - before as f64) / 1024.0 / count as f64;
    report.side(side).samples.push(each);
    let (descriptors, own) = (server.pid.descriptors()?, Pid::own().resident()?);
    settings.progress.say(format!("{}: {side} {each:.2} KiB each of {count}", report.row));
    report.note(format!(
        "{side}: {} MiB before, {} MiB when {count} watches had been opened, {} MiB {IDLE:?} later ({descriptors} descriptors); the driver has {} MiB",
        Short(before as f64 / MIB),
        Short(opened as f64 / MIB),
        Short(after as f64 / MIB),
        Short(own as f64 / MIB)
    ));
    crowd.close().await;
    Ok(each)
}

/// What many starts did.
struct Growth {
    mebibytes: f64,
    totals: Totals,
    /// Bytes of the watch that got least.
    least: u64,
    complete: bool,
    elapsed: Duration,
    cpu: Duration,
}

// === impl Growth ===

impl Growth {
    fn said(&self, side: Side, count: usize) -> String {
        format!(
            "{side}: {} GB of {count} starts delivered in {:.1} s with {:.1} CPU-s{}",
            Short(self.totals.bytes as f64 / 1e9),
            self.elapsed.as_secs_f64(),
            self.cpu.as_secs_f64(),
            if self.complete { "" } else { "; then cut off, not complete" }
        )
    }
}

async fn starts(
    stage: &Stage,
    settings: &Settings,
    side: Side,
    count: usize,
    patience: Duration,
) -> Result<Growth> {
    let _alone = settings.exclusive().await?;
    let server = stage.server(side)?;
    tokio::time::sleep(SETTLE).await;
    let (before, cpu, started) = (server.pid.resident()?, server.pid.cpu()?, Instant::now());
    let watch = Watch { path: Arc::from(START), first: 0, step: 1 };
    // All objects, and the bookmark that ends them. Further bookmarks come once a minute.
    let wanted = stage.options.pods.count as u32 + 1;
    let watches = vec![watch; count];
    let crowd = Crowd::ask(&server.endpoint, &watches, 10, false).await?;
    let mut most = before;
    let mut complete = false;
    while !complete && started.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
        complete = crowd.counts().iter().all(|(events, _)| *events >= wanted);
        most = most.max(server.pid.resident()?);
    }
    let totals = crowd.totals();
    let least = crowd.counts().iter().map(|(_, bytes)| *bytes).min().unwrap_or(0);
    crowd.close().await;
    let growth = Growth {
        mebibytes: (most - before) as f64 / MIB,
        totals,
        least,
        complete,
        elapsed: started.elapsed(),
        cpu: server.pid.cpu()?.since(&cpu),
    };
    settings.progress.say(format!("{} MiB; {}", Short(growth.mebibytes), growth.said(side, count)));
    Ok(growth)
}

async fn cache(row: &Row, stage: &mut Stage, factor: f64) -> Result<Report> {
    let mut report = Report::new(row.name, row.title, "resident bytes per serialised byte");
    fresh(stage, false).await?;
    tokio::time::sleep(SETTLE).await;
    let mut resident = stage.server(Side::B)?.pid.resident()?;
    report.note(format!("an empty gateway has {} MiB resident", Short(resident as f64 / MIB)));
    for (name, ask) in [("JSON", Ask::JSON), ("protobuf", Ask::PROTOBUF)] {
        let bytes = warm(stage, &ask).await?;
        tokio::time::sleep(SETTLE).await;
        let now = stage.server(Side::B)?.pid.resident()?;
        let each = (now as f64 - resident as f64) / bytes as f64;
        report.note(format!(
            "{name}: {} MiB more for {} MB serialised",
            Short((now as f64 - resident as f64) / MIB),
            Short(bytes as f64 / 1e6)
        ));
        report.side(Side::B).samples.push(each);
        report.check(format!("{name}, resident by serialised"), each, factor);
        resident = now;
    }
    let client = stage.server(Side::B)?.client(Protocol::Http2)?;
    let metrics = client.get("/watchgate/metrics").send().await?;
    if metrics.status == http::StatusCode::OK {
        let text = String::from_utf8_lossy(&metrics.body).into_owned();
        let own = text.lines().filter(|line| {
            line.contains("bytes") && line.contains("pods") && !line.starts_with('#')
        });
        report.note(format!("its own figures: {}", own.collect::<Vec<_>>().join("; ")));
    } else {
        report.note(format!("its own figures: /watchgate/metrics says {}", metrics.status));
    }
    Ok(report)
}
