//! See `watchgate_fuzz::label_selector`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::label_selector(input));
