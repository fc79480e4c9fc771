//! See `mailsluice_fuzz::commands`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::commands(input));
