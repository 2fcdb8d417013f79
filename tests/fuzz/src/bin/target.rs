//! One fuzz target with libFuzzer in it; `ISCONF_FUZZ_TARGET` says which. Built by the runner, with
//! the flags that count coverage. Upholds: a panic is a finding.

#![no_main]

use std::sync::OnceLock;

use isconf_fuzz::{Target, target};

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

fn chosen() -> &'static Target {
    CHOSEN.get_or_init(|| {
        let name = std::env::var("ISCONF_FUZZ_TARGET").unwrap_or_default();
        target(&name).expect("ISCONF_FUZZ_TARGET names a target")
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| (chosen().run)(data));
