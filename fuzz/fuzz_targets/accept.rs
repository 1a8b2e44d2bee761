//! See `watchgate_fuzz::accept`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::accept(input));
