//! The short forms: flags of which a scenario is built.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use tokio_util::sync::CancellationToken;
use watchgate_loadtest::{
    list_storm::ListScenario,
    resource::Resource,
    scenario::{
        template::Template,
        workload::{Asking, MAX_CLIENTS, Representation},
    },
    transport::Protocol,
    watch_run::WatchScenario,
};

use super::{EndpointFlags, SharedFlags, flags::duration, run_one};

#[derive(Debug, Args)]
pub(super) struct WatchFlags {
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    shared: SharedFlags,
    /// What the objects are: configmaps, endpointslices, leases, nodes, pods or secrets.
    #[arg(long, default_value = "configmaps")]
    resource: Resource,
    /// Namespace for the objects; one of its own is made and deleted if not given.
    #[arg(long)]
    namespace: Option<String>,
    /// Labels that the watches select and the objects carry: KEY=VALUE[,KEY=VALUE…].
    #[arg(long, value_name = "SELECTOR")]
    label_selector: Option<String>,
    /// Protocol.
    #[arg(long, default_value = "http2")]
    protocol: Protocol,
    /// Number of watches.
    #[arg(long, value_name = "N", default_value_t = 100)]
    watchers: u32,
    /// Spread the watches over this many connections.
    #[arg(long, value_name = "C", conflicts_with = "streams_per_connection")]
    connections: Option<u32>,
    /// Watches on one connection [default: 50 with HTTP/2, 1 with HTTP/1.1]
    #[arg(long, value_name = "K")]
    streams_per_connection: Option<u32>,
    /// Most writes under way at once; 0 measures idle watches.
    #[arg(long, value_name = "W", default_value_t = 4)]
    writers: u32,
    /// Objects that are written in turn.
    #[arg(long, value_name = "N", default_value_t = 32)]
    objects: u32,
    /// Writes per second, whether or not the server keeps up.
    #[arg(long, value_name = "R", default_value_t = 20.0)]
    rate: f64,
    /// Bytes of each object.
    #[arg(long, value_name = "B", default_value_t = 1000)]
    object_bytes: usize,
    /// How long to write: 30s, 2m.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration)]
    duration: Duration,
}

#[derive(Debug, Args)]
pub(super) struct ListFlags {
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    shared: SharedFlags,
    /// What to list.
    #[arg(long, default_value = "configmaps")]
    resource: Resource,
    /// In which namespace [default: all]
    #[arg(long, value_parser = Template::parse)]
    namespace: Option<Template>,
    /// Which objects, by labels.
    #[arg(long, value_name = "SELECTOR", value_parser = Template::parse)]
    label_selector: Option<Template>,
    /// Which objects, by fields.
    #[arg(long, value_name = "SELECTOR", value_parser = Template::parse)]
    field_selector: Option<Template>,
    /// The first page of so many objects.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Protocol.
    #[arg(long, default_value = "http2")]
    protocol: Protocol,
    /// Number of clients, each with a connection of its own.
    #[arg(long, value_name = "C", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=MAX_CLIENTS as i64))]
    clients: u32,
    /// The resourceVersion parameter; 0 allows any state. The latest state if not given.
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    /// Accept compressed answers.
    #[arg(long)]
    gzip: bool,
    /// Ask for Protobuf in place of JSON.
    #[arg(long)]
    protobuf: bool,
    /// For how long: 30s, 2m.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration)]
    duration: Duration,
}

// === impl WatchFlags ===

impl WatchFlags {
    pub(super) async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let scenario = self.flags()?.scenario()?;
        run_one(&scenario, &self.endpoint, &self.shared, stop).await
    }

    fn flags(&self) -> anyhow::Result<WatchScenario> {
        let kind = self.resource.kind;
        let kind =
            kind.ok_or_else(|| anyhow::anyhow!("--resource: {} cannot be made", self.resource))?;
        let streams = match (self.connections, self.streams_per_connection, self.protocol) {
            // Checked with the scenario: 0 connections make 0 streams.
            (Some(connections), _, _) => self
                .watchers
                .checked_div(connections)
                .map_or(0, |_| self.watchers.div_ceil(connections)),
            (None, Some(streams), _) => streams,
            (None, None, Protocol::Http1) => 1,
            (None, None, Protocol::Http2) => 50,
        };
        Ok(WatchScenario {
            kind,
            namespace: self.namespace.clone(),
            label_selector: self.label_selector.clone(),
            protocol: self.protocol,
            watchers: self.watchers,
            streams_per_connection: streams,
            writers: self.writers,
            objects: self.objects,
            rate: self.rate,
            object_bytes: self.object_bytes,
            duration: self.duration,
        })
    }
}

// === impl ListFlags ===

impl ListFlags {
    pub(super) async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let mut asking = Asking::new("lists", self.resource);
        asking.namespace = self.namespace;
        asking.label_selector = self.label_selector;
        asking.field_selector = self.field_selector;
        asking.limit = self.limit;
        asking.clients = self.clients;
        asking.resource_version = self.resource_version;
        asking.gzip = self.gzip;
        asking.representation =
            if self.protobuf { Representation::Protobuf } else { Representation::Json };
        let list = ListScenario { asking, protocol: self.protocol, duration: self.duration };
        run_one(&list.scenario(), &self.endpoint, &self.shared, stop).await
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::{Command, CommandLine};

    #[test]
    fn connections_and_streams_are_two_ways_to_say_the_same() {
        let scenario = |args: &[&str]| {
            let base = ["x", "watch", "--server", "https://127.0.0.1:1", "--watchers", "101"];
            let line = CommandLine::try_parse_from(base.iter().chain(args)).unwrap();
            let Command::Watch(flags) = line.command else { panic!("another command") };
            flags.flags().unwrap()
        };
        assert_eq!(scenario(&[]).streams_per_connection, 50);
        assert_eq!(scenario(&["--connections", "2"]).streams_per_connection, 51);
        assert_eq!(scenario(&["--streams-per-connection", "7"]).streams_per_connection, 7);
        assert_eq!(scenario(&["--protocol", "http1"]).streams_per_connection, 1);
        assert!(scenario(&["--connections", "0"]).scenario().is_err());
    }
}
