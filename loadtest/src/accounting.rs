//! What a run cost: CPU time and memory of the servers and of the load generator itself.
//!
//! Says when the load generator rather than the server may have set the pace; then delays are upper
//! bounds and rates lower ones. CPU per delivery holds all the same.

use std::time::Instant;

use serde::Serialize;

use crate::{
    delay::DelaySummary,
    process::{Process, ProcessError, Usage},
    sampler::{Load, Series},
};

/// An event loop that runs a task later than this in one of a hundred cases distorts delays.
const TOLERABLE_LAG_MS: f64 = 20.0;
/// A load generator that uses less than this waits most of the time, whatever the server uses.
const NOTABLE_CORES: f64 = 0.05;

/// The processes to account for. The first server is the one that ratios are about.
#[derive(Clone, Debug)]
pub struct Accounting {
    servers: Vec<Process>,
}

/// Figures of all processes at one time.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// In the order of `--server-pid`.
    pub servers: Vec<Usage>,
    /// The load generator's.
    pub own: Usage,
}

/// What happened between the samples: what to divide by.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Streams that were open when the idle sample was taken.
    pub idle_watches: u64,
    /// Events delivered, or lists answered.
    pub deliveries: u64,
}

/// One process over a run.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessFigures {
    /// Which.
    pub pid: u32,
    /// User and system time while the load ran.
    pub cpu_seconds: f64,
    /// The same per second.
    pub cores: f64,
    /// Of CPU time; `None` without either.
    pub deliveries_per_cpu_second: Option<f64>,
    /// Of CPU time; `None` without deliveries.
    pub cpu_micros_per_delivery: Option<f64>,
    /// Resident memory before any watch.
    pub resident_before: u64,
    /// With all watches open and nothing written yet.
    pub resident_idle: u64,
    /// At the end of the load.
    pub resident_end: u64,
    /// The growth by opening the watches, for each of them.
    pub idle_bytes_per_watch: Option<f64>,
    /// Open file descriptors: before, idle and at the end, if they can be seen.
    pub descriptors: Option<[u64; 3]>,
    /// How memory and descriptors went while the load ran.
    pub trend: Option<Trend>,
}

/// A straight line through the seconds of a load, without its first fifth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Over so many seconds.
    pub seconds: f64,
    /// Resident memory, in bytes per minute.
    pub resident_per_minute: f64,
    /// Descriptors, per minute; `None` if they cannot be seen.
    pub descriptors_per_minute: Option<f64>,
}

/// All processes over a run.
#[derive(Clone, Debug, Serialize)]
pub struct Costs {
    /// From the first write due until everything was delivered.
    pub seconds: f64,
    /// In the order of `--server-pid`.
    pub servers: Vec<ProcessFigures>,
    /// The load generator.
    pub own: ProcessFigures,
    /// How late its event loop was.
    pub loop_lag: DelaySummary,
    /// Why the load generator may have been the bottleneck; empty if nothing says so.
    pub own_bottleneck: Vec<String>,
}

// === impl Accounting ===

impl Accounting {
    /// Of these servers and of this process.
    pub const fn new(servers: Vec<Process>) -> Self {
        Self { servers }
    }

    /// The figures now.
    ///
    /// # Errors
    /// When a process is gone.
    pub fn sample(&self) -> Result<Sample, ProcessError> {
        let servers = self.servers.iter().map(Process::usage).collect::<Result<_, _>>()?;
        Ok(Sample { at: Instant::now(), servers, own: Process::own()?.usage()? })
    }

    /// The figures now. A process that cannot be read keeps those of the `last` time, and the reason
    /// is given.
    pub fn sample_after(&self, last: &Sample) -> (Sample, Vec<ProcessError>) {
        let mut failures = Vec::new();
        let mut or_last = |result: Result<Usage, ProcessError>, last: Usage| {
            result.unwrap_or_else(|error| {
                failures.push(error);
                last
            })
        };
        let own = or_last(Process::own().and_then(|own| own.usage()), last.own);
        let servers = self.servers.iter().zip(&last.servers);
        let servers = servers.map(|(server, last)| or_last(server.usage(), *last)).collect();
        (Sample { at: Instant::now(), servers, own }, failures)
    }

    /// The costs, from samples before the watches, with the watches idle, and at the end.
    pub fn costs(&self, samples: &[Sample; 3], work: Work, loop_lag: DelaySummary) -> Costs {
        let [before, idle, end] = samples;
        let seconds = end.at.duration_since(idle.at).as_secs_f64();
        let servers: Vec<_> = self
            .servers
            .iter()
            .enumerate()
            .map(|(index, process)| {
                let usages = samples.each_ref().map(|sample| sample.servers[index]);
                figures(process.pid(), &usages, seconds, work)
            })
            .collect();
        let own_usages = [before.own, idle.own, end.own];
        let own = figures(std::process::id(), &own_usages, seconds, work);
        let own_bottleneck = bottleneck(servers.first(), &own, &loop_lag);
        Costs { seconds, servers, own, loop_lag, own_bottleneck }
    }
}

fn figures(pid: u32, usages: &[Usage; 3], seconds: f64, work: Work) -> ProcessFigures {
    let [before, idle, end] = usages;
    let cpu_seconds = end.cpu.saturating_sub(idle.cpu).as_secs_f64();
    let deliveries = work.deliveries as f64;
    let both = cpu_seconds > 0.0 && work.deliveries > 0;
    let growth = idle.resident as f64 - before.resident as f64;
    ProcessFigures {
        pid,
        cpu_seconds,
        cores: if seconds > 0.0 { cpu_seconds / seconds } else { 0.0 },
        deliveries_per_cpu_second: both.then(|| deliveries / cpu_seconds),
        cpu_micros_per_delivery: both.then(|| cpu_seconds * 1e6 / deliveries),
        resident_before: before.resident,
        resident_idle: idle.resident,
        resident_end: end.resident,
        idle_bytes_per_watch: (work.idle_watches > 0).then(|| growth / work.idle_watches as f64),
        descriptors: before
            .descriptors
            .zip(idle.descriptors)
            .zip(end.descriptors)
            .map(|((before, idle), end)| [before, idle, end]),
        trend: None,
    }
}

// === impl Costs ===

impl Costs {
    /// Adds the trends, by the seconds from `idle` to `end` of the run.
    pub fn with_trends(mut self, series: &Series, idle: f64, end: f64) -> Self {
        let begin = idle + (end - idle) / 5.0;
        let points = || series.points.iter().filter(|point| (begin..=end).contains(&point.at));
        for (index, server) in self.servers.iter_mut().enumerate() {
            server.trend =
                Trend::of(points().filter_map(|it| Some((it.at, *it.servers.get(index)?))));
        }
        self.own.trend = Trend::of(points().map(|it| (it.at, it.own)));
        self
    }
}

// === impl Trend ===

impl Trend {
    fn of(loads: impl Iterator<Item = (f64, Load)>) -> Option<Self> {
        let loads: Vec<_> = loads.collect();
        let (first, last) = (loads.first()?, loads.last()?);
        if loads.len() < 5 {
            return None;
        }
        let slope = |values: &[f64]| {
            let count = loads.len() as f64;
            let middle = loads.iter().map(|(at, _)| at).sum::<f64>() / count;
            let mean = values.iter().sum::<f64>() / count;
            let pairs = loads.iter().zip(values);
            let products = pairs.map(|((at, _), value)| (at - middle) * (value - mean));
            let squares: f64 = loads.iter().map(|(at, _)| (at - middle).powi(2)).sum();
            products.sum::<f64>() / squares * 60.0
        };
        let resident: Vec<_> = loads.iter().map(|(_, load)| load.resident as f64).collect();
        let descriptors = loads.iter().map(|(_, load)| load.descriptors.map(|it| it as f64));
        let descriptors: Option<Vec<_>> = descriptors.collect();
        Some(Self {
            seconds: last.0 - first.0,
            resident_per_minute: slope(&resident),
            descriptors_per_minute: descriptors.map(|it| slope(&it)),
        })
    }
}

fn bottleneck(
    server: Option<&ProcessFigures>,
    own: &ProcessFigures,
    lag: &DelaySummary,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(server) = server
        && own.cores >= NOTABLE_CORES
        && own.cpu_seconds >= server.cpu_seconds
    {
        reasons.push(format!(
            "it used {:.1} s of CPU, the server {:.1} s",
            own.cpu_seconds, server.cpu_seconds
        ));
    }
    if lag.p99_ms > TOLERABLE_LAG_MS {
        reasons.push(format!("its event loop was {:.0} ms late (p99)", lag.p99_ms));
    }
    reasons
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn usage(cpu: f64, resident: u64) -> Usage {
        Usage { cpu: Duration::from_secs_f64(cpu), resident, descriptors: Some(3) }
    }

    #[test]
    fn divides_by_what_happened() {
        let usages = [usage(1.0, 1000), usage(2.0, 5000), usage(4.0, 9000)];
        let figures = figures(1, &usages, 10.0, Work { idle_watches: 4, deliveries: 1000 });
        assert_eq!(figures.cpu_seconds, 2.0);
        assert_eq!(figures.cores, 0.2);
        assert_eq!(figures.deliveries_per_cpu_second, Some(500.0));
        assert_eq!(figures.cpu_micros_per_delivery, Some(2000.0));
        assert_eq!(figures.idle_bytes_per_watch, Some(1000.0));
    }

    #[test]
    fn a_trend_is_a_slope_per_minute() {
        let load = |second: u64| {
            let resident = 1000 + 10 * second;
            (second as f64, Load { cores: 0.0, resident, descriptors: Some(7) })
        };
        let trend = Trend::of((0..30).map(load)).unwrap();
        assert!((trend.resident_per_minute - 600.0).abs() < 0.001, "{trend:?}");
        assert!(trend.descriptors_per_minute.unwrap().abs() < 0.001 && trend.seconds == 29.0);
        assert_eq!(Trend::of((0..4).map(load)), None);
        let unseen = |second| {
            let (at, load) = load(second);
            (at, Load { descriptors: load.descriptors.filter(|_| second != 7), ..load })
        };
        assert_eq!(Trend::of((0..30).map(unseen)).unwrap().descriptors_per_minute, None);
    }

    #[test]
    fn a_server_that_ends_keeps_its_last_figures_and_is_named() {
        let mut server = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let accounting = Accounting::new(vec![Process::find(server.id()).unwrap()]);
        let last = accounting.sample().unwrap();
        assert!(accounting.sample_after(&last).1.is_empty());
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(accounting.sample().is_err());
        let (sample, failures) = accounting.sample_after(&last);
        assert_eq!((sample.servers[0].resident, failures.len()), (last.servers[0].resident, 1));
        assert!(failures[0].to_string().contains(&server.id().to_string()), "{failures:?}");
    }

    #[test]
    fn says_when_the_load_generator_was_the_bottleneck() {
        let work = Work { idle_watches: 0, deliveries: 0 };
        let busy = figures(1, &[usage(0.0, 1), usage(0.0, 1), usage(4.0, 1)], 10.0, work);
        let calm = figures(2, &[usage(0.0, 1), usage(0.0, 1), usage(1.0, 1)], 10.0, work);
        let prompt = DelaySummary { p99_ms: 1.5, ..DelaySummary::default() };
        let late = DelaySummary { p99_ms: 80.0, ..DelaySummary::default() };
        assert!(bottleneck(Some(&busy), &calm, &prompt).is_empty());
        assert_eq!(bottleneck(Some(&calm), &busy, &prompt).len(), 1);
        assert_eq!(bottleneck(Some(&busy), &calm, &late).len(), 1);
        assert!(bottleneck(None, &busy, &prompt).is_empty());
    }
}
