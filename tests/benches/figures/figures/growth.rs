//! Whether a change of four times as many files takes four times as long, whatever its shape. Not for
//! how long that is.

use super::commit::phase;
use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::series::Series;
use crate::shapes;
use crate::table::{Figure, Target};

/// How many files, and how many in the baseline.
const FILES: u32 = 16_000;
const FEWER: u32 = FILES / 4;

/// Every shape, in a host of its own.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    for (kind, what) in shapes::ALL {
        let host = BenchHost::locked("growth", Medium::Memory)?;
        let (mut subject, mut baseline) = (Series::default(), Series::default());
        for _ in 0..3 {
            baseline.push(4.0 * collect_commit_undo(&host, kind, FEWER)?);
            subject.push(collect_commit_undo(&host, kind, FILES)?);
        }
        page.figures.add(Figure {
            name: format!("collect, commit and undo of {FILES} {what}"),
            unit: "ms",
            subject,
            baseline: Some((format!("4 times those of {FEWER}"), baseline)),
            // Each with each would be 4.
            target: Target::TimesBaseline(1.5),
        });
    }
    Ok(())
}

fn collect_commit_undo(host: &BenchHost, kind: &str, files: u32) -> Result<f64, Error> {
    let words = format!("{kind} /srv/shapes {files}");
    host.sh(&format!("/opt/figures --inside prepare {words} && sync"))?;
    let json = host.sh(&format!(
        "isconf exec --json /opt/figures --inside reshape {words}"
    ))?;
    let [undo, _memory] = host.drive(&["peak", "isconf", "undo"])?;
    host.sh("rm -rf /srv/shapes")?;
    Ok(phase(&json, "collect")? + phase(&json, "commit")? + undo.median())
}
