//! The differential tester: the same reads asked of the API server and of the gateway.
//!
//! Requests come out of a seed, from everything that can be asked about many types, well and badly
//! written. Each is asked directly, through the gateway, and directly again, on a cluster that stands
//! still; between batches a writer moves it on. The gateway's answer must be one that the API server
//! could have given (`judge.rs`); what is left out is listed in `docs/COMPATIBILITY.md`.
//!
//! `WATCHGATE_SEED` chooses another sequence, `WATCHGATE_REQUESTS` its length, `WATCHGATE_LONG=1` a
//! long one.

mod answer;
mod ask;
mod case;
mod essence;
#[path = "../front/mod.rs"]
mod front;
mod generate;
mod judge;
mod kinds;
mod listed;
mod mangle;
mod objects;
mod protobuf;
mod receive;
mod report;
mod run;
mod setup;
mod shrink;
mod tally;
#[path = "../front/varint.rs"]
mod varint;
mod world;
mod writer;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use watchgate_cluster::Suite;

use crate::run::{Plan, find_mangled, run};
use crate::setup::Field;

/// Requests of a run in CI, and of a long one.
const REQUESTS: u64 = 20_000;
const LONG: u64 = 200_000;
const BATCH: u64 = 1_000;

fn main() -> ExitCode {
    let long = is_long().then_some(Duration::from_secs(3 * 3600));
    let patience = long.unwrap_or(Duration::from_secs(600));
    Suite::new(Field::start)
        .patience(patience)
        .exclusive("mangled_answers_are_found", |field| find_mangled(field, 7, 400))
        .exclusive("reads", reads)
        .run()
}

async fn reads(field: Arc<Field>) -> Result<()> {
    let seed = variable("WATCHGATE_SEED")?.unwrap_or(1);
    let usual = if is_long() { LONG } else { REQUESTS };
    let requests = variable("WATCHGATE_REQUESTS")?.unwrap_or(usual);
    let plan = Plan { seed, batches: requests.div_ceil(BATCH), batch: BATCH };
    run(field, plan).await?.check(0.95)
}

fn is_long() -> bool {
    std::env::var("WATCHGATE_LONG").is_ok_and(|value| value == "1")
}

fn variable(name: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(name) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{name} is not a number: {text:?}"))
}
