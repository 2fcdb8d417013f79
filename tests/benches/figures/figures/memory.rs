//! The memory and time of one large file. Not for many files.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::table::{Figure, Target};

/// A snapshot of 1 GiB where it is made and where it is replayed.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::locked("memory", Medium::Memory)?;
    host.sh("/opt/figures --inside data /srv/large 1024")?;
    let [sha_ms, _memory] = host.drive(&["peak", "sha256sum", "/srv/large"])?;
    let [snap_ms, snap] = host.drive(&["peak", "isconf", "snap", "/srv/large"])?;
    // A host that was restored from an old image has an old history, and replays the rest.
    host.sh("isconf ci && rm /var/is/conf/history /srv/large")?;
    let [up_ms, up] = host.drive(&["peak", "isconf", "up"])?;
    host.sh("test -s /srv/large")?;
    for (name, subject) in [("isconf snap of 1 GiB", snap), ("isconf up of it", up)] {
        page.figures.add(Figure::memory(name, subject));
    }
    for (name, subject) in [
        ("isconf snap of 1 GiB", snap_ms),
        ("isconf up of it", up_ms),
    ] {
        page.figures.add(Figure {
            name: format!("{name}, time"),
            unit: "ms",
            subject,
            baseline: Some(("sha256sum of it".to_owned(), sha_ms.clone())),
            target: Target::Shown,
        });
    }
    Ok(())
}
