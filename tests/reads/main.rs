//! Reads through the gateway, held against the same reads of the API server, byte for byte.
//!
//! Several types, of which one is custom, in every form that a client may ask for. The version of a
//! list, its continue token and the versions of bookmarks may differ, as they do between two reads of
//! the API server itself; everything else must not. Each request also says whether memory has to
//! answer it (semantics §16).

mod exchange;
#[path = "../front/form.rs"]
mod form;
mod forms;
mod kinds;
mod lists;
mod objects;
mod script;
mod setup;
#[path = "../front/varint.rs"]
mod varint;
mod watches;
mod wire;

use std::process::ExitCode;

use watchgate_cluster::Suite;

use crate::kinds::KINDS;
use crate::setup::Both;

fn main() -> ExitCode {
    let mut suite = Suite::new(|| Both::start(true));
    for kind in KINDS {
        let name = |part: &str| format!("{part}_{}", kind.resource);
        suite = suite
            .test(&name("objects"), |both| objects::compare(both, kind))
            .test(&name("forms"), |both| forms::compare(both, kind))
            .test(&name("lists"), |both| lists::compare(both, kind))
            .test(&name("watches"), |both| watches::compare(both, kind))
            .test(&name("script"), |both| script::compare(both, kind));
    }
    suite
        .test("forms_large", forms::large)
        .test("forms_odd", forms::oddities)
        .test("forms_elsewhere", forms::elsewhere)
        .run()
}
