//! See `watchgate_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::path(input));
