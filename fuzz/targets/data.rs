//! See `mailsluice_fuzz::data`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::data(input));
