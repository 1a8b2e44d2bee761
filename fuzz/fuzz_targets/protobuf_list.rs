//! See `watchgate_fuzz::protobuf_list`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::protobuf_list(input));
