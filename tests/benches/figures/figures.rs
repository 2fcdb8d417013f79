//! What is measured and what is demanded of it. Not for how a program is clocked (`driver`).

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::series::Series;
use crate::table::{Figure, Table, Target};

/// Adds its lines to the table.
type Measure = fn(&mut Table) -> Result<(), Error>;

/// Everything that can be asked for by name.
pub const ALL: [(&str, Measure); 6] = [
    ("start", start),
    ("try", scratchpad),
    ("up", up_entries),
    ("commit", commit_and_audit),
    ("idle", idle),
    ("memory", memory),
];

/// How often something short is run.
const MANY: &str = "60";

/// Files in the large commit, and paths in the audit.
const FILES: &str = "10000";

/// What every verb costs before it does anything.
fn start(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::locked("start", Medium::Memory)?;
    for (name, verb) in [("isconf -V", "-V"), ("isconf status", "status")] {
        let [subject, baseline] =
            host.drive(&["pair", MANY, "isconf", verb, "--against", "true"])?;
        table.add(Figure {
            name,
            unit: "ms",
            subject,
            baseline: Some(("true", baseline)),
            target: Target::Shown,
        });
    }
    Ok(())
}

/// Set up, run `true`, collect, tear down.
fn scratchpad(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("try", Medium::Disk)?;
    let unshare = ["unshare", "-m", "-p", "-f", "true"];
    let words = ["pair", MANY, "isconf", "try", "true", "--against"];
    let [subject, baseline] = host.drive(&[&words[..], &unshare].concat())?;
    let targets = [Target::AtMost(10.0), Target::TimesBaseline(3.0)];
    for target in targets {
        table.add(Figure {
            name: "isconf try true",
            unit: "ms",
            subject: subject.clone(),
            baseline: Some(("unshare -m -p -f true", baseline.clone())),
            target,
        });
    }
    Ok(())
}

/// Entries that write one small file each: made on an origin, replayed on a target.
fn up_entries(table: &mut Table) -> Result<(), Error> {
    const ROUNDS: u32 = 4;
    const ENTRIES: u32 = 50;
    let origin = BenchHost::locked("origin", Medium::Disk)?;
    let target = BenchHost::locked("target", Medium::Disk)?;
    target.sh("isconf unlock")?;
    let [mut exec, mut up, mut by_hand] = [const { Series::new(Vec::new()) }; 3];
    for round in 0..ROUNDS {
        let line = format!(
            "i=0; while [ $i -lt {ENTRIES} ]; do isconf exec sh -c \
             \"echo $i >/etc/file-{round}-$i\"; i=$((i+1)); done"
        );
        per_entry(&origin, &["sh", "-c", &line], ENTRIES, &mut exec)?;
        origin.sh("isconf ci && isconf bundle export /root/bundle && isconf lock again")?;
        let bundle = origin.host().read("/root/bundle")?;
        target.host().write("/root/bundle", bundle)?;
        target.sh("isconf bundle import /root/bundle")?;
        per_entry(&target, &["isconf", "up"], ENTRIES, &mut up)?;
        let [took] = target.drive(&["durable", "/srv/by-hand", "50"])?;
        by_hand.push(took.median());
    }
    let name = "a small file written durably by hand";
    for (figure, subject, target) in [
        ("isconf exec, one small file", exec, Target::Shown),
        (
            "isconf up, an entry of one small file",
            up,
            Target::AtMost(15.0),
        ),
    ] {
        table.add(Figure {
            name: figure,
            unit: "ms",
            subject,
            baseline: Some((name, by_hand.clone())),
            target,
        });
    }
    Ok(())
}

/// Clocks a command and adds its share for each entry.
fn per_entry(
    host: &BenchHost,
    command: &[&str],
    entries: u32,
    into: &mut Series,
) -> Result<(), Error> {
    let [took, _memory] = host.drive(&[&["peak"], command].concat())?;
    into.push(took.median() / f64::from(entries));
    Ok(())
}

/// A command that replaces very many files, and the audit of them.
fn commit_and_audit(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::locked("commit", Medium::Disk)?;
    host.sh(&format!(
        "/opt/figures --inside rewrite /srv/many {FILES} first"
    ))?;
    let (mut subject, mut baseline) = (Series::default(), Series::default());
    for round in 0..3 {
        let [by_hand] = host.drive(&["exchange", "/srv/by-hand", FILES])?;
        baseline.push(by_hand.median());
        host.sh("sync")?;
        let json = host.sh(&format!(
            "isconf exec --json /opt/figures --inside rewrite /srv/many {FILES} round-{round}"
        ))?;
        subject.push(commit_phase(&json)?);
    }
    table.add(Figure {
        name: "commit of 10,000 replaced files",
        unit: "ms",
        subject,
        baseline: Some(("the same exchanges and one sync", baseline)),
        target: Target::TimesBaseline(2.0),
    });
    audit(table, &host)
}

/// The commit phase in a report, in milliseconds.
fn commit_phase(json: &str) -> Result<f64, Error> {
    let report: serde_json::Value = serde_json::from_str(json)?;
    let found = report
        .pointer("/seconds/commit")
        .and_then(serde_json::Value::as_f64);
    Ok(found.ok_or("the report has no commit phase")? * 1000.0)
}

/// The audit of paths that nobody changed.
fn audit(table: &mut Table, host: &BenchHost) -> Result<(), Error> {
    // What changed within the last seconds is read again by every audit.
    host.sh("sleep 5")?;
    let find = ["find", "/srv/many", "-printf", "%C@ %i\\n"];
    let first = ["pair-once", "isconf", "diff", "--against"];
    let again = ["pair", "9", "isconf", "diff", "--against"];
    for (name, words, target) in [
        (
            "isconf diff of 10,000 paths, first",
            &first[..],
            Target::Shown,
        ),
        (
            "isconf diff of 10,000 paths, again",
            &again,
            Target::AtMost(200.0),
        ),
    ] {
        let [subject, baseline] = host.drive(&[words, &find].concat())?;
        table.add(Figure {
            name,
            unit: "ms",
            subject,
            baseline: Some(("find -printf of the same", baseline)),
            target,
        });
    }
    Ok(())
}

/// `up` on a host that has everything.
fn idle(table: &mut Table) -> Result<(), Error> {
    for (name, count, target) in [
        (
            "isconf up, nothing to do, 10,000 entries",
            "10000",
            Target::AtMost(50.0),
        ),
        (
            "isconf up, nothing to do, 100,000 entries",
            "100000",
            Target::Shown,
        ),
    ] {
        let host = BenchHost::bare("idle", Medium::Tmpfs)?;
        host.sh("isconf init example.com")?;
        host.drive::<0>(&["fill", count])?;
        let files = [
            "/var/is/conf/history",
            "/var/is/fs/cache/example.com/volume/generic/journal",
        ];
        let words = ["pair", "15", "isconf", "up", "--against", "sha256sum"];
        let [subject, baseline] = host.drive(&[&words[..], &files].concat())?;
        table.add(Figure {
            name,
            unit: "ms",
            subject,
            baseline: Some(("sha256sum of journal and history", baseline)),
            target,
        });
    }
    Ok(())
}

/// The memory that a snapshot of 1 GiB takes where it is made and where it is replayed.
fn memory(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::locked("memory", Medium::Memory)?;
    host.sh("/opt/figures --inside data /srv/large 1024")?;
    let [snap_ms, snap] = host.drive(&["peak", "isconf", "snap", "/srv/large"])?;
    // A host that was restored from an old image has an old history, and replays the rest.
    host.sh("isconf ci && rm /var/is/conf/history /srv/large")?;
    let [up_ms, up] = host.drive(&["peak", "isconf", "up"])?;
    host.sh("test -s /srv/large")?;
    for (name, unit, subject, target) in [
        (
            "isconf snap of 1 GiB, memory",
            "MiB",
            snap,
            Target::AtMost(64.0),
        ),
        ("isconf up of it, memory", "MiB", up, Target::AtMost(64.0)),
        ("isconf snap of 1 GiB, time", "ms", snap_ms, Target::Shown),
        ("isconf up of it, time", "ms", up_ms, Target::Shown),
    ] {
        table.add(Figure {
            name,
            unit,
            subject,
            baseline: None,
            target,
        });
    }
    Ok(())
}
