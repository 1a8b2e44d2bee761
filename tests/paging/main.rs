//! Lists in pages and lists at exact versions: begun on one side and finished on the other, while
//! writers change what is listed, and byte for byte what the API server says at the same version.
//!
//! A page that memory could answer must come from memory: a gateway that only passes through fails.

mod exact;
#[allow(dead_code, reason = "shared; bodies here are told apart by their first bytes")]
#[path = "../front/form.rs"]
mod form;
#[path = "../front/mod.rs"]
mod front;
mod kinds;
mod page;
mod tokens;
#[path = "../front/varint.rs"]
mod varint;
mod walks;
mod world;
mod writers;

use std::process::ExitCode;

use watchgate_cluster::Suite;

use crate::kinds::{CONFIG_MAPS, NODES, PODS, WIDGETS};
use crate::world::World;

fn main() -> ExitCode {
    let mut suite = Suite::new(World::start);
    for kind in [&CONFIG_MAPS, &PODS, &NODES, &WIDGETS] {
        let name = |part: &str| format!("{part}_{}", kind.resource);
        suite = suite
            .exclusive(&name("pages"), |world| walks::under_writes(world, kind))
            .exclusive(&name("exact"), |world| exact::each_of_the_last_versions(world, kind));
    }
    suite
        .exclusive("pages_of_a_quiet_list", walks::of_a_quiet_list)
        .exclusive("pages_after_a_restart", walks::after_a_restart)
        .exclusive("tokens_of_every_make", tokens::of_every_make)
        .exclusive("tokens_without_a_version", tokens::without_a_version)
        .run()
}
