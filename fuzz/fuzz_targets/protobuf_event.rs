//! See `watchgate_fuzz::protobuf_event`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| watchgate_fuzz::protobuf_event(input));
