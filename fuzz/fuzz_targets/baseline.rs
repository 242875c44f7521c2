//! The parsers of baselines and lists of accepted findings on any bytes.
#![no_main]

#[path = "../properties.rs"]
#[allow(dead_code)] // each target calls one of them
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::baseline(bytes));
