//! See `mailsluice_fuzz::addresses`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::addresses(input));
