//! Commits of very many files, and how long it takes to take them back. Not for small ones.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::commits::{Change, Commit};
use crate::page::Page;
use crate::series::Series;
use crate::table::{Figure, Target};

/// Every kind of change of 10,000 files.
pub fn ten_thousand(page: &mut Page) -> Result<(), Error> {
    on_each_filesystem(page, 10_000, 3, &Change::ALL)
}

/// 100,000 modified files.
pub fn modified(page: &mut Page) -> Result<(), Error> {
    on_each_filesystem(page, 100_000, 1, &[Change::Modified])
}

/// The other changes of 100,000 files.
pub fn hundred_thousand(page: &mut Page) -> Result<(), Error> {
    let others = [Change::New, Change::NewTree, Change::Deleted];
    on_each_filesystem(page, 100_000, 1, &others)
}

fn on_each_filesystem(
    page: &mut Page,
    files: u32,
    rounds: u32,
    changes: &[Change],
) -> Result<(), Error> {
    for (filesystem, medium) in [
        ("ext4", Medium::Disk),
        ("xfs", Medium::XfsDisk),
        ("btrfs", Medium::BtrfsDisk),
    ] {
        for change in changes {
            eprintln!("  {files} {} files on {filesystem} ...", change.word());
            let host = BenchHost::locked("commit", medium)?;
            page.commits
                .add(measure(&host, filesystem, *change, files, rounds)?);
        }
    }
    Ok(())
}

/// Clocks a change in every way that there is. Each starts from the same tree.
fn measure(
    host: &BenchHost,
    filesystem: &'static str,
    change: Change,
    files: u32,
    rounds: u32,
) -> Result<Commit, Error> {
    let mut line = Commit {
        change,
        files,
        filesystem,
        commit: Series::default(),
        undo: Series::default(),
        renames: Series::default(),
        copy: Series::default(),
        rsync: host.has("rsync").then(Series::default),
    };
    let (word, count) = (change.word(), files.to_string());
    host.sh(&format!(
        "/opt/figures --inside tree /srv/live {count} old && sync"
    ))?;
    for _ in 0..rounds {
        let [took] = host.drive(&["renames", word, "/srv/by-hand", &count])?;
        line.renames.push(took.median());
        line.copy.push(by_program(host, change, &count, "cp")?);
        if let Some(rsync) = &mut line.rsync {
            rsync.push(by_program(host, change, &count, "rsync")?);
        }
        host.sh("sync")?;
        let json = host.sh(&format!(
            "isconf exec --json /opt/figures --inside change {word} /srv/live {count}"
        ))?;
        line.commit.push(phase(&json, "commit")?);
        let [took, _memory] = host.drive(&["peak", "isconf", "undo"])?;
        line.undo.push(took.median());
    }
    Ok(line)
}

/// Has a program bring a copy of the tree to the new state; gives its milliseconds with a sync.
fn by_program(host: &BenchHost, change: Change, count: &str, program: &str) -> Result<f64, Error> {
    let word = change.word();
    // The copy that is changed, and what is to be put over it.
    host.sh(&format!(
        "rm -rf /srv/copy /srv/staged; cp -a /srv/live /srv/copy; cp -a /srv/live /srv/staged; \
         /opt/figures --inside change {word} /srv/staged {count} && sync"
    ))?;
    let command = match (program, change) {
        ("rsync", _) => "rsync -aHAX --delete /srv/staged/ /srv/copy/",
        (_, Change::Deleted) => "find /srv/copy -type f -delete",
        // Only what is new: cp copies all that it is given, which are more words than one program
        // takes.
        (_, Change::New) => "find /srv/staged -name 'new-*' -exec cp -a -t /srv/copy/d000000 {} +",
        (_, Change::NewTree) => "cp -a /srv/staged/tree /srv/copy/",
        (_, Change::Modified) => "cp -a /srv/staged/. /srv/copy/",
    };
    let script = format!("{command} && sync -f /srv/copy");
    let [took, _memory] = host.drive(&["peak", "sh", "-c", &script])?;
    host.sh("rm -rf /srv/copy /srv/staged")?;
    Ok(took.median())
}

/// A phase in a report, in milliseconds.
pub(super) fn phase(json: &str, name: &str) -> Result<f64, Error> {
    let report: serde_json::Value = serde_json::from_str(json)?;
    let found = report.pointer("/seconds").and_then(|all| all.get(name));
    let seconds = found.and_then(serde_json::Value::as_f64);
    Ok(seconds.ok_or_else(|| format!("the report has no phase {name}"))? * 1000.0)
}

/// How long it takes to take back an entry of 1,000 modified files.
pub fn undo(page: &mut Page) -> Result<(), Error> {
    let host = BenchHost::locked("undo", Medium::Disk)?;
    host.sh("/opt/figures --inside tree /srv/live 1000 old && sync")?;
    let (mut subject, mut baseline) = (Series::default(), Series::default());
    for _ in 0..9 {
        let [by_hand] = host.drive(&["renames", "modified", "/srv/by-hand", "1000"])?;
        baseline.push(by_hand.median());
        host.sh("isconf exec --summary /opt/figures --inside change modified /srv/live 1000")?;
        let [took, _memory] = host.drive(&["peak", "isconf", "undo"])?;
        subject.push(took.median());
    }
    page.figures.add(Figure {
        name: "isconf undo of 1,000 modified files".to_owned(),
        unit: "ms",
        subject,
        baseline: Some(("the same exchanges and one sync".to_owned(), baseline)),
        target: Target::AtMost(100.0),
    });
    Ok(())
}
