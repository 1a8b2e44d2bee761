//! The page: one file without scripts and without anything from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    GroupReport, RunReport, Verdict,
    plot::{Line, Plot, bars, ranges, short},
};
use crate::{
    accounting::{Costs, ProcessFigures},
    comparison::Comparison,
    delay::{DelaySummary, Step},
    sampler::{Flow, Load, Point},
};

const STYLE: &str = include_str!("style.css");
const MIB: f64 = 1_048_576.0;

/// The page of one run.
pub fn run(report: &RunReport) -> String {
    let title = format!("{}: load test of {}", report.scenario.name, report.server);
    page(
        &title,
        &html! {
            (heading(report))
            (body(report))
            (scenario(report))
        },
    )
}

/// The page of a comparison.
pub fn comparison(comparison: &Comparison) -> String {
    let Some([first, _]) = comparison.rounds.first() else {
        return page("comparison", &html! { p { "No round was completed." } });
    };
    let title = format!("{}: comparison", first.scenario.name);
    let named: Vec<_> = comparison
        .ratios
        .iter()
        .map(|it| (it.figure.as_str(), it.min, it.median, it.max))
        .collect();
    page(
        &title,
        &html! {
            h1 { (first.scenario.name) }
            p.soft { "A " (comparison.servers[0]) " and B " (comparison.servers[1]) " in turn, " (comparison.rounds.len()) " rounds" }
            p { (verdict(comparison.verdict(), false)) }
            @for problem in &comparison.problems { p.bad { (problem) } }
            @for (round, sides) in comparison.rounds.iter().enumerate() {
                @for (side, report) in ["A", "B"].iter().zip(sides) {
                    (cautions(report, &format!("Round {} {side}: ", round + 1)))
                }
            }
            h2 { "B to A" }
            (ranges("B ÷ A, from the least to the greatest round; the dot is the median", &named))
            div.scroll { table {
                tr { th { "figure" } th { "min" } th { "median" } th { "max" } }
                @for ratio in &comparison.ratios {
                    tr { td { (ratio.figure) } td { (short(ratio.min)) } td { (short(ratio.median)) } td { (short(ratio.max)) } }
                }
            } }
            @if let Some([a, b]) = comparison.rounds.last() {
                @for (side, report) in [("A", a), ("B", b)] {
                    h2 { "Side " (side) ", the last round: " (report.server) }
                    (tiles(report))
                    (body(report))
                }
            }
            h2 { "All rounds" }
            div.scroll { table {
                tr { th { "round" } th { "deliveries" } th { "first server, CPU s" } th { "all servers, CPU s" } th { "own CPU s" } th { "faulty watchers" } th { "verdict" } }
                @for (round, sides) in comparison.rounds.iter().enumerate() {
                    @for (side, report) in ["A", "B"].iter().zip(sides) {
                        tr {
                            td { (round + 1) " " (side) }
                            td { (report.deliveries()) }
                            td { (report.costs.servers.first().map_or_else(|| "–".to_owned(), |it| short(it.cpu_seconds))) }
                            td { @if report.costs.servers.is_empty() { "–" } @else { (short(report.costs.servers.iter().map(|it| it.cpu_seconds).sum())) } }
                            td { (short(report.costs.own.cpu_seconds)) }
                            td { (report.watches.iter().map(|it| it.faulty).sum::<u64>()) }
                            td { (verdict(report.verdict(), report.interrupted)) }
                        }
                    }
                }
            } }
            (scenario(first))
        },
    )
}

fn page(title: &str, content: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (content) }
        }
    }
    .into_string()
}

fn heading(report: &RunReport) -> Markup {
    html! {
        h1 { (report.scenario.name) }
        p.soft { "watchgate-loadtest, " (report.server) ", run " (report.run) }
        @if !report.scenario.description.is_empty() { p { (report.scenario.description) } }
        p { (verdict(report.verdict(), report.interrupted)) }
        (cautions(report, ""))
        (tiles(report))
    }
}

fn verdict(verdict: Verdict, interrupted: bool) -> Markup {
    html! {
        @match verdict {
            Verdict::Passed => span.good { "✓ passed" },
            Verdict::Incomplete => span.caution { "⚠ incomplete" },
            Verdict::Failed => span.bad { "✗ failed" },
        }
        @if interrupted { span.soft { " (ended early)" } }
    }
}

/// What to know before reading the figures; `of` is which run.
fn cautions(report: &RunReport, of: &str) -> Markup {
    html! {
        @for problem in &report.problems { p.bad { (of) (problem) } }
        @for reason in &report.costs.own_bottleneck {
            p.caution { b { "⚠ Caution: " } (of) "the load generator may be the bottleneck: " (reason)
                ". Delays are then upper bounds and rates lower ones; the server's CPU for each of them holds." }
        }
    }
}

fn tiles(report: &RunReport) -> Markup {
    let tile = |value: String, name: &str| html! { div.tile { b { (value) } span { (name) } } };
    let watches: u64 = report.watches.iter().map(|it| u64::from(it.watches)).sum();
    let answers: u64 = report.requests.iter().map(|it| it.answers).sum();
    let synced = report.watches.iter().filter(|it| it.informers && it.sync.count > 0);
    html! { div.tiles {
        @if watches > 0 { (tile(short(watches as f64), "watches")) (tile(short(report.deliveries() as f64), "events delivered")) }
        @for group in report.watches.iter().filter(|it| it.delay.count > 0).take(2) {
            (tile(format!("{} ms", short(group.delay.p99_ms)), &format!("{}: delay p99", group.name)))
        }
        @for group in synced.take(2) {
            (tile(format!("{} ms", short(group.sync.p99_ms)), &format!("{}: synced p99", group.name)))
        }
        @if answers > 0 { (tile(short(answers as f64), "answers")) }
        @for server in report.costs.servers.iter().take(2) {
            (tile(short(server.cores), &format!("cores, server {}", server.pid)))
            @if let Some(micros) = server.cpu_micros_per_delivery {
                (tile(format!("{} µs", short(micros)), &format!("CPU per {}", report.unit())))
            }
        }
    } }
}

fn body(report: &RunReport) -> Markup {
    html! {
        @if !report.watches.is_empty() { h2 { "Faults" } (faults(&report.watches)) }
        h2 { "Delays and latencies" }
        (delays(report))
        h2 { "Over time" }
        (plots(report))
        h2 { "Cost" }
        (costs(&report.costs, report.unit()))
        @if report.phases.len() > 1 { h2 { "Phases" } (phases(report)) }
    }
}

fn faults(groups: &[GroupReport]) -> Markup {
    let count = |count: u64| html! { td class=[(count > 0).then_some("bad")] { (count) } };
    html! {
        div.scroll { table {
            tr { th { "watches" } th { "open" } th { "reopened" } th { "others' updates" } th { "lost" } th { "duplicate" } th { "out of order" }
                th { "wrong" } th { "initial state" } th { "state differs" } th { "faulty watchers" } th { "gave up" } }
            @for group in groups {
                tr {
                    td { (group.name) }
                    td { (group.synced) " of " (group.watches) }
                    td { (group.reopened) }
                    td { (group.touched) }
                    (count(group.faults.lost))
                    (count(group.faults.duplicate))
                    (count(group.faults.out_of_order))
                    (count(group.faults.wrong))
                    (count(group.faults.initial))
                    (count(group.faults.state_differs))
                    (count(group.faulty))
                    (count(group.broken.values().sum()))
                }
            }
        } }
        @for (reason, count) in groups.iter().flat_map(|group| &group.refused) {
            p { (count) " × refused and asked again: " (reason) }
        }
        @for (reason, count) in groups.iter().flat_map(|group| &group.broken) {
            p.bad { (count) " × gave up: " (reason) }
        }
    }
}

fn delays(report: &RunReport) -> Markup {
    let row = |name: &str, what: &str, delay: &DelaySummary| {
        html! {
            @if delay.count > 0 {
                tr {
                    td { (name) span.soft { " " (what) } }
                    td { (delay.count) }
                    td { (short(delay.p50_ms)) } td { (short(delay.p90_ms)) } td { (short(delay.p99_ms)) } td { (short(delay.max_ms)) }
                }
            }
        }
    };
    html! {
        div.scroll { table {
            tr { th { "milliseconds" } th { "count" } th { "p50" } th { "p90" } th { "p99" } th { "max" } }
            @for group in &report.watches {
                (row(&group.name, "write due to event", &group.delay))
                (row(&group.name, "write due to the last watcher's event", &group.last_watcher_delay))
                (row(&group.name, if group.informers { "begin to synced" } else { "begin to open" }, &group.sync))
                (row(&group.name, "herd to open again", &group.reopen))
            }
            @for asking in &report.requests { (row(&asking.name, "request to end of answer", &asking.latency)) }
            @for churn in &report.writes { (row(&churn.name, "write due to answer", &churn.latency)) }
            (row("load generator", "event loop late by", &report.costs.loop_lag))
        } }
        @for asking in report.requests.iter().filter(|it| it.unanswered > 0) {
            p.bad { (asking.name) ": " (asking.unanswered) " of " (asking.due) " requests unanswered; they count with the time that they waited" }
        }
        @for (reason, count) in report.requests.iter().flat_map(|it| &it.failures).chain(report.writes.iter().flat_map(|it| &it.failures)) {
            p.bad { (count) " × failed: " (reason) }
        }
    }
}

fn plots(report: &RunReport) -> Markup {
    let series = &report.series;
    let marks = marks(report);
    let line = |name: &str, value: &dyn Fn(&Point) -> Option<f64>| Line {
        name: name.to_owned(),
        points: series.points.iter().filter_map(|it| Some((it.at, value(it)?))).collect(),
    };
    let plot = |title: &str, unit, logarithmic, lines| {
        Plot { title: title.to_owned(), unit, lines, marks: marks.clone(), logarithmic }.figure()
    };
    let percentiles = |name: &str, flow: &dyn Fn(&Point) -> Option<Flow>| {
        let of = |name: &str, value: fn(&Flow) -> f64| {
            line(name, &|it| flow(it).map(|flow| value(&flow)).filter(|value| *value > 0.0))
        };
        let lines =
            vec![of("p50", |it| it.p50_ms), of("p99", |it| it.p99_ms), of("max", |it| it.max_ms)];
        plot(name, "ms per second of the run", true, lines)
    };
    let rates: Vec<Line> = series
        .groups
        .iter()
        .enumerate()
        .map(|(index, name)| line(name, &|it| it.groups.get(index).map(|it| it.per_second)))
        .collect();
    let slow_rates: Vec<Line> =
        series
            .askings
            .iter()
            .enumerate()
            .map(|(index, name)| line(name, &|it| it.askings.get(index).map(|it| it.per_second)))
            .chain(series.churns.iter().enumerate().map(|(index, name)| {
                line(name, &|it| it.churns.get(index).map(|it| it.per_second))
            }))
            .collect();
    let loads = |value: &dyn Fn(&Load) -> Option<f64>, own: bool| -> Vec<Line> {
        let servers = report.costs.servers.iter().enumerate().map(|(index, server)| {
            line(&format!("server {}", server.pid), &|it| it.servers.get(index).and_then(value))
        });
        let own = own.then(|| line("load generator", &|it| value(&it.own)));
        servers.chain(own).collect()
    };
    html! { div.plots {
        @for (index, name) in series.groups.iter().enumerate() {
            (percentiles(&format!("{name}: delivery delay"), &|it| it.groups.get(index).copied()))
        }
        @for (index, name) in series.askings.iter().enumerate() {
            (percentiles(&format!("{name}: latency"), &|it| it.askings.get(index).copied()))
        }
        (plot("Events delivered", "per second", false, rates))
        (plot("Answers and writes", "per second", false, slow_rates))
        (plot("CPU", "cores", false, loads(&|it| Some(it.cores), true)))
        (plot("Resident memory", "MiB", false, loads(&|it| Some(it.resident as f64 / MIB), true)))
        (plot("Open descriptors", "", false, loads(&|it| it.descriptors.map(|it| it as f64), true)))
        @for group in &report.watches {
            (bars(&format!("{}: delivery delay", group.name), "ms", &steps(&group.delay_steps)))
            @if group.informers { (bars(&format!("{}: until synced", group.name), "ms", &steps(&group.sync_steps))) }
        }
        @for asking in &report.requests {
            (bars(&format!("{}: latency", asking.name), "ms", &steps(&asking.steps)))
        }
    } }
}

fn steps(steps: &[Step]) -> Vec<(f64, u64)> {
    steps.iter().map(|step| (step.until_ms, step.count)).collect()
}

/// When phases began, by the seconds that the phases before them took.
fn marks(report: &RunReport) -> Vec<(f64, String)> {
    let end = report.series.points.last().map_or(0.0, |point| point.at);
    let begin = (end - report.costs.seconds).max(0.0);
    let mut at = begin;
    report
        .phases
        .iter()
        .map(|phase| {
            let mark = (at, phase.name.clone());
            at += phase.seconds;
            mark
        })
        .collect()
}

fn costs(costs: &Costs, unit: &str) -> Markup {
    let row = |name: String, it: &ProcessFigures| {
        html! {
            tr {
                td { (name) }
                td { (short(it.cpu_seconds)) }
                td { (short(it.cores)) }
                td { (it.cpu_micros_per_delivery.map_or_else(|| "–".into(), short)) }
                td { (short(it.resident_before as f64 / MIB)) }
                td { (short(it.resident_idle as f64 / MIB)) }
                td { (short(it.resident_end as f64 / MIB)) }
                td { (it.idle_bytes_per_watch.map_or_else(|| "–".into(), |it| short(it / 1024.0))) }
                td { (it.trend.map_or_else(|| "–".into(), |it| short(it.resident_per_minute / 1024.0))) }
                td { (it.trend.and_then(|it| it.descriptors_per_minute).map_or_else(|| "–".into(), short)) }
                td { (it.descriptors.map_or_else(|| "–".into(), |[_, idle, end]| format!("{idle} → {end}"))) }
            }
        }
    };
    html! { div.scroll { table {
        tr { th { "process" } th { "CPU s" } th { "cores" } th { "µs per " (unit) } th { "MiB before" } th { "MiB idle" } th { "MiB end" }
            th { "KiB per watch" } th { "KiB per minute" } th { "descriptors per minute" } th { "descriptors" } }
        @for server in &costs.servers { (row(format!("server {}", server.pid), server)) }
        (row("load generator".to_owned(), &costs.own))
    } } }
}

fn phases(report: &RunReport) -> Markup {
    html! { div.scroll { table {
        tr { th { "phase" } th { "seconds" } th { "server CPU s" } th { "workload" } th { "count" } th { "p50 ms" } th { "p99 ms" } th { "max ms" } }
        @for phase in &report.phases {
            @for (index, (name, delay)) in phase.delays.iter().filter(|(_, it)| it.count > 0).enumerate() {
                tr {
                    @if index == 0 {
                        td { (phase.name) } td { (short(phase.seconds)) }
                        td { (phase.server_cpu_seconds.iter().map(|it| short(*it)).collect::<Vec<_>>().join(", ")) }
                    } @else { td {} td {} td {} }
                    td { (name) } td { (delay.count) } td { (short(delay.p50_ms)) } td { (short(delay.p99_ms)) } td { (short(delay.max_ms)) }
                }
            }
        }
    } } }
}

fn scenario(report: &RunReport) -> Markup {
    let text = serde_json::to_string_pretty(&report.scenario).unwrap_or_default();
    html! { details { summary { "The scenario" } pre { (text) } } }
}
