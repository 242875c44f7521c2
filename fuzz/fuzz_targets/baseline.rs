//! The baseline parser on any bytes: it refuses, or what it read is written and read again as the same.
#![no_main]

use coop::secret::scan::allow::AllowList;
use coop::secret::scan::baseline::Baseline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(baseline) = Baseline::parse(bytes) {
        assert_eq!(Baseline::parse(baseline.to_json().as_bytes()).expect("its own output"), baseline);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = AllowList::parse(text);
    }
});
