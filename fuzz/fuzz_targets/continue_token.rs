//! See `watchgate_fuzz::continue_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::continue_token(input));
