//! The pure parts of the differential tester, held without a cluster: what it generates, how it takes
//! answers apart, what it finds, how it shrinks and counts.
#![allow(dead_code, reason = "the tester itself uses the rest")]

mod answer;
mod case;
mod essence;
mod generate;
mod judge;
mod kinds;
mod listed;
mod mangle;
mod protobuf;
mod shrink;
mod tally;
#[path = "../front/varint.rs"]
mod varint;
mod world;

#[path = "parts/counting.rs"]
mod counting;
#[path = "parts/essences.rs"]
mod essences;
#[path = "parts/generating.rs"]
mod generating;
#[path = "parts/judging.rs"]
mod judging;
#[path = "parts/requests.rs"]
mod requests;
#[path = "parts/shrinking.rs"]
mod shrinking;
