//! See `mailsluice_fuzz::dkim_messages`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mailsluice_fuzz::dkim_messages(input));
