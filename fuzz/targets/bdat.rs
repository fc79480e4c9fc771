//! See `mailsluice_fuzz::bdat`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::bdat(input));
