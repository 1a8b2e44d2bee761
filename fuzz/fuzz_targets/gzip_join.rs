//! See `watchgate_fuzz::gzip_join`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::gzip_join(input));
