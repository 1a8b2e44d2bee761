//! See `watchgate_fuzz::json_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::json_event(input));
