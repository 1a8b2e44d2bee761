//! What a metric is: its name, type, help and labels, as data.
//!
//! Every family that is exposed has one [`Definition`], and all of them stand in
//! [`super::CATALOGUE`]: documentation is held against that, and nothing can be exposed that is not in
//! it. A definition carries no value.

use std::collections::HashMap;

use prometheus::{
    core::Desc,
    proto::{self, LabelPair, MetricFamily, MetricType},
};

use super::histogram::Observations;

/// A metric family.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name, with the unit and, for counters, `_total` at its end.
    pub name: &'static str,
    /// The type.
    pub kind: Kind,
    /// One or two sentences for an operator.
    pub help: &'static str,
    /// The names of the labels, in the order in which values are given.
    pub labels: &'static [&'static str],
}

/// The types of metrics that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// A value of this moment.
    Gauge,
    /// Observations by size.
    Histogram,
}

/// The values of one scrape, by family.
#[derive(Debug, Default)]
pub struct Samples {
    families: Vec<(&'static Definition, Vec<proto::Metric>)>,
    places: HashMap<&'static str, usize>,
}

// === impl Definition ===

impl Definition {
    /// A counter.
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self { name, kind: Kind::Counter, help, labels }
    }

    /// A gauge.
    pub const fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self { name, kind: Kind::Gauge, help, labels }
    }

    /// A histogram.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Self {
        Self { name, kind: Kind::Histogram, help, labels }
    }

    /// The description that the registry wants.
    pub(super) fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }
}

// === impl Kind ===

impl Kind {
    /// The word of the exposition format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

// === impl Samples ===

impl Samples {
    /// A counter or gauge. Floating point as Prometheus has it: exact up to 2^53.
    #[allow(clippy::cast_precision_loss, reason = "the format has no other numbers")]
    pub fn count(&mut self, of: &'static Definition, labels: &[&str], value: u64) {
        self.value(of, labels, value as f64);
    }

    /// A counter or gauge.
    pub fn value(&mut self, of: &'static Definition, labels: &[&str], value: f64) {
        let mut metric = labelled(of, labels);
        if of.kind == Kind::Counter {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.push(of, metric);
    }

    /// A histogram.
    pub fn observations(
        &mut self,
        of: &'static Definition,
        labels: &[&str],
        observed: &Observations,
    ) {
        let mut metric = labelled(of, labels);
        metric.set_histogram(observed.to_histogram());
        self.push(of, metric);
    }

    fn push(&mut self, of: &'static Definition, metric: proto::Metric) {
        let place = *self.places.entry(of.name).or_insert_with(|| {
            self.families.push((of, Vec::new()));
            self.families.len() - 1
        });
        self.families[place].1.push(metric);
    }

    /// The families as the registry takes them.
    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        let family = |(of, metrics): (&Definition, Vec<proto::Metric>)| {
            let mut family = MetricFamily::default();
            family.set_name(of.name.to_owned());
            family.set_help(of.help.to_owned());
            family.set_field_type(match of.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family.set_metric(metrics);
            family
        };
        self.families.into_iter().map(family).collect()
    }
}

fn labelled(of: &Definition, values: &[&str]) -> proto::Metric {
    debug_assert_eq!(of.labels.len(), values.len(), "{}", of.name);
    let pair = |(name, value): (&&str, &&str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = proto::Metric::default();
    metric.set_label(of.labels.iter().zip(values).map(pair).collect());
    metric
}
