//! Figures for people: a name and a value per line, in two columns.

use std::fmt;

use crate::{
    accounting::{Costs, ProcessFigures},
    delay::DelaySummary,
};

/// Rows so far.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(String, String)>,
}

// === impl Table ===

impl Table {
    /// Adds a row.
    pub fn row(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        self.rows.push((name.into(), value.to_string()));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            writeln!(f, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for DelaySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, max_ms, .. } = self;
        write!(f, "p50 {p50_ms:.1} ms, p90 {p90_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms")
    }
}

impl Costs {
    /// Adds the rows of all processes; `unit` is what CPU time is given per.
    pub fn rows(&self, table: &mut Table, unit: &str) {
        for server in &self.servers {
            server.rows(table, &format!("server {}", server.pid), unit);
        }
        self.own.rows(table, "load generator", unit);
        table.row("its event loop", format!("late by {}", self.loop_lag));
        for reason in &self.own_bottleneck {
            table.row("CAUTION", format!("the load generator may be the bottleneck: {reason}"));
        }
    }
}

impl ProcessFigures {
    fn rows(&self, table: &mut Table, name: &str, unit: &str) {
        let per = match (self.deliveries_per_cpu_second, self.cpu_micros_per_delivery) {
            (Some(rate), Some(micros)) => {
                format!(", {micros:.1} µs per {unit}, {rate:.0} per CPU-second")
            }
            _ => String::new(),
        };
        table.row(name, format!("{:.2} s CPU ({:.2} cores){per}", self.cpu_seconds, self.cores));
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (before, idle, end) = (self.resident_before, self.resident_idle, self.resident_end);
        let per_watch = self
            .idle_bytes_per_watch
            .map_or_else(String::new, |bytes| format!(" ({:.1} KiB per watch)", bytes / 1024.0));
        table.row(
            "",
            format!(
                "memory {:.1} MiB before, {:.1} idle{per_watch}, {:.1} at the end",
                mib(before),
                mib(idle),
                mib(end)
            ),
        );
        if let Some(trend) = self.trend {
            let descriptors = trend.descriptors_per_minute.map_or_else(
                || "descriptors cannot be seen".to_owned(),
                |slope| format!("{slope:+.2} descriptors a minute"),
            );
            let kibibytes = trend.resident_per_minute / 1024.0;
            table.row("", format!("slope {kibibytes:+.0} KiB a minute, {descriptors}"));
        }
    }
}
