//! What a scratchpad costs: to have one, and to be in one. Not for what becomes of its changes.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::table::{Figure, Target};

/// How often a scratchpad is made.
const TIMES: &str = "60";

/// The namespaces alone.
const UNSHARE: [&str; 5] = ["unshare", "-m", "-p", "-f", "true"];

/// A sandbox with mounts of its own. It captures no changes.
const BWRAP: [&str; 13] = [
    "bwrap",
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    "--tmpfs",
    "/tmp",
    "--unshare-pid",
    "--unshare-uts",
    "true",
];

/// Set up, run `true`, collect, tear down.
pub fn set_up(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::bare("try", Medium::Disk)?;
    let against = |baseline: &[&str]| {
        let words = ["pair", TIMES, "isconf", "try", "true", "--against"];
        host.drive::<2>(&[&words[..], baseline].concat())
    };
    let [subject, unshare] = against(&UNSHARE)?;
    let mut add = |subject, name: &str, baseline, target| {
        page.figures.add(Figure {
            name: "isconf try true".to_owned(),
            unit: "ms",
            subject,
            baseline: Some((name.to_owned(), baseline)),
            target,
        });
    };
    let name = "unshare -m -p -f true";
    for target in [Target::AtMost(5.0), Target::TimesBaseline(3.0)] {
        add(subject.clone(), name, unshare.clone(), target);
    }
    if host.has("bwrap") {
        let [subject, bwrap] = against(&BWRAP)?;
        add(subject, "bwrap, read-only root, true", bwrap, Target::Shown);
    }
    Ok(())
}

/// What a command pays inside for what it does all day, measured by the command itself.
pub fn inside(page: &mut Page) -> Result<(), Error> {
    /// Turns, each inside and outside.
    const TURNS: &str = "9";
    let host = BenchHost::bare("inside", Medium::Disk)?;
    for (name, kind, count) in [
        ("inside: fork, exec and wait", "fork", "300"),
        ("inside: open, fstat and close", "open", "20000"),
        ("inside: stat of a path", "stat", "50000"),
        ("inside: a new file of 4 KiB", "write", "2000"),
    ] {
        let [subject, baseline] = host.drive(&["inside-pair", TURNS, kind, count])?;
        page.figures.add(Figure {
            name: name.to_owned(),
            unit: "us",
            subject,
            baseline: Some(("the same outside".to_owned(), baseline)),
            target: Target::Shown,
        });
    }
    Ok(())
}
