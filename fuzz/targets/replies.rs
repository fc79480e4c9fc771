//! See `mailsluice_fuzz::replies`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::replies(input));
