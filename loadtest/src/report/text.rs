//! The table that is printed.

use std::fmt;

use super::{AskReport, ChurnReport, GroupReport, PhaseReport, RunReport};
use crate::table::Table;

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("server", &self.server);
        table.row("scenario", &self.scenario.name);
        for filled in &self.filled {
            table.row(
                "made",
                format!("{} {}, {:.1} s", filled.made, filled.resource, filled.seconds),
            );
        }
        for group in &self.watches {
            group.rows(&mut table, self.open_seconds);
        }
        for churn in &self.writes {
            churn.rows(&mut table);
        }
        for asking in &self.requests {
            asking.rows(&mut table);
        }
        if self.phases.len() > 1 {
            for phase in &self.phases {
                phase.rows(&mut table);
            }
        }
        table.row("──", "");
        self.costs.rows(&mut table, self.unit());
        let interrupted = if self.interrupted { " (interrupted)" } else { "" };
        for problem in &self.problems {
            table.row("PROBLEM", problem);
        }
        table.row("verdict", format!("{}{interrupted}", self.verdict()));
        write!(f, "{table}")
    }
}

impl GroupReport {
    fn rows(&self, table: &mut Table, open_seconds: f64) {
        table.row(format!("── {}", self.name), "");
        let (count, connections) = (self.watches, self.connections);
        let opened = format!("{count} on {connections} connections, {}", self.protocol);
        if self.informers {
            table.row("informers", format!("{opened}, {} synced", self.synced));
            table.row("until synced", self.sync);
        } else {
            table.row("watches", format!("{opened}, opened in {open_seconds:.1} s"));
        }
        if self.not_begun > 0 {
            table.row("not begun", self.not_begun);
        }
        if self.not_synced > 0 {
            table.row("not synced", self.not_synced);
        }
        if self.slow > 0 {
            table.row("slow readers", self.slow);
        }
        let (deliveries, rate) = (self.deliveries, self.deliveries_per_second);
        let megabytes = self.bytes as f64 / 1e6;
        table.row("deliveries", format!("{deliveries}, {rate:.0}/s, {megabytes:.1} MB"));
        if self.delay.count > 0 {
            table.row("delivery delay", self.delay);
            let last = self.last_watcher_delay;
            table.row("last watcher", format!("{last} ({} events that all got)", last.count));
        }
        self.fault_rows(table);
        if self.reopen.count > 0 {
            table.row("herd", format!("{} reopened, {}", self.reopen.count, self.reopen));
        } else if self.reopened > 0 {
            table.row("reopened", self.reopened);
        }
        if self.touched > 0 {
            table.row("others' updates", self.touched);
        }
        for (reason, count) in &self.refused {
            table.row("asked again", format!("{count} × {reason}"));
        }
        for (reason, count) in &self.broken {
            table.row("gave up", format!("{count} × {reason}"));
        }
    }

    fn fault_rows(&self, table: &mut Table) {
        let faults = &self.faults;
        table.row(
            "faults",
            format!(
                "{} lost, {} duplicate, {} out of order, {} wrong, {} in initial states, {} states \
                 differ ({} watchers)",
                faults.lost,
                faults.duplicate,
                faults.out_of_order,
                faults.wrong,
                faults.initial,
                faults.state_differs,
                self.faulty
            ),
        );
    }
}

impl ChurnReport {
    fn rows(&self, table: &mut Table) {
        table.row(format!("── {}", self.name), "");
        let Self { due, attempted, succeeded, failed, .. } = self;
        table.row("writes", format!("{succeeded} of {due} due, {failed} failed"));
        if attempted < due {
            table.row("", format!("{} not begun in time", due - attempted));
        }
        if self.cut_off > 0 {
            table.row("", format!("{} under way at the end", self.cut_off));
        }
        for (reason, count) in &self.failures {
            table.row("failed", format!("{count} × {reason}"));
        }
        table.row("write latency", self.latency);
    }
}

impl AskReport {
    fn rows(&self, table: &mut Table) {
        table.row(format!("── {}", self.name), "");
        table.row("clients", format!("{}, {}", self.clients, self.protocol));
        let (answers, rate) = (self.answers, self.answers_per_second);
        let megabytes = self.bytes as f64 / 1e6;
        let due = self.due;
        table.row("answers", format!("{answers} of {due} due, {rate:.1}/s, {megabytes:.1} MB"));
        if self.unanswered > 0 {
            table.row("unanswered", self.unanswered);
        }
        table.row("latency", self.latency);
        for (reason, count) in &self.failures {
            table.row("failed", format!("{count} × {reason}"));
        }
    }
}

impl PhaseReport {
    fn rows(&self, table: &mut Table) {
        table.row(format!("── phase {}", self.name), format!("{:.1} s", self.seconds));
        for cpu in &self.server_cpu_seconds {
            table.row("server CPU", format!("{cpu:.2} s"));
        }
        for (name, delay) in self.delays.iter().filter(|(_, delay)| delay.count > 0) {
            table.row(name, delay);
        }
    }
}
