//! See `watchgate_fuzz::options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::options(input));
