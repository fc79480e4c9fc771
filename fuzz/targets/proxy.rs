//! See `mailsluice_fuzz::proxy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::proxy(input));
