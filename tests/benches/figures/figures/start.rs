//! What every verb costs before it does anything. Not for what verbs do.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::table::{Figure, Target};

/// How often it is run.
const TIMES: &str = "60";

/// Measures it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::locked("start", Medium::Memory)?;
    for (name, verb) in [("isconf -V", "-V"), ("isconf status", "status")] {
        let [subject, baseline] =
            host.drive(&["pair", TIMES, "isconf", verb, "--against", "true"])?;
        page.figures.add(Figure {
            name: name.to_owned(),
            unit: "ms",
            subject,
            baseline: Some(("true".to_owned(), baseline)),
            target: Target::Shown,
        });
    }
    Ok(())
}
