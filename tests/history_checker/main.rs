//! The checker of watch histories, checked: the rules one by one, correct histories by the hundred, and faults by the thousand,
//! of which every one has to be found.
//!
//! It needs no cluster. `tests/history` does the same with what it recorded from one.
#![allow(dead_code, reason = "the checker is shared with tests/history, which records for it")]

#[path = "../history/checker/mod.rs"]
mod checker;
mod digests;
mod faults;
#[allow(dead_code, reason = "headers are for requests")]
#[path = "../front/form.rs"]
mod form;
#[path = "../history/forms/mod.rs"]
mod forms;
#[path = "../history/injector/mod.rs"]
mod injector;
mod rules;
#[path = "../history/seeded.rs"]
mod seeded;
#[path = "../history/synthetic.rs"]
mod synthetic;
#[path = "../front/varint.rs"]
mod varint;
mod writers;
