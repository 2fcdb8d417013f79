//! Entries replayed: one after the other, very many, none. Not for large ones.

use crate::Error;
use crate::bench_host::{BenchHost, Medium};
use crate::page::Page;
use crate::series::Series;
use crate::table::{Figure, Target};

/// Makes so many entries of one small file each on the origin, and takes them to the target; gives
/// the milliseconds an entry there.
fn carry(origin: &BenchHost, target: &BenchHost, round: u32, count: u32) -> Result<f64, Error> {
    // Nobody works with hundreds of entries that are not checked in.
    let line = format!(
        "mkdir -p /etc/round-{round}; i=0; while [ $i -lt {count} ]; do isconf exec sh -c \
         \"echo $i >/etc/round-{round}/$i\" || exit; i=$((i+1)); \
         [ $((i % 100)) != 0 ] || [ $i = {count} ] || {{ isconf ci && isconf lock again; }} || exit; \
         done"
    );
    let [took, _memory] = origin.drive(&["peak", "sh", "-c", &line])?;
    origin.sh("isconf ci && isconf bundle export /root/bundle && isconf lock again")?;
    target
        .host()
        .write("/root/bundle", origin.host().read("/root/bundle")?)?;
    target.sh(&format!(
        "mkdir -p /etc/round-{round}; isconf bundle import /root/bundle"
    ))?;
    Ok(took.median() / f64::from(count))
}

/// The two hosts.
fn pair(medium: Medium) -> Result<(BenchHost, BenchHost), Error> {
    let origin = BenchHost::locked("origin", medium)?;
    let target = BenchHost::locked("target", medium)?;
    target.sh("isconf unlock")?;
    Ok((origin, target))
}

/// Entries that write one small file each: made on an origin, replayed on a target.
pub fn small_files(page: &mut Page) -> Result<(), Error> {
    const ROUNDS: u32 = 4;
    const ENTRIES: u32 = 50;
    let (origin, target) = pair(Medium::Disk)?;
    let [mut exec, mut up, mut by_hand] = [const { Series::new(Vec::new()) }; 3];
    for round in 0..ROUNDS {
        exec.push(carry(&origin, &target, round, ENTRIES)?);
        let [took, _memory] = target.drive(&["peak", "isconf", "up"])?;
        up.push(took.median() / f64::from(ENTRIES));
        let [took] = target.drive(&["durable", "/srv/by-hand", "50"])?;
        by_hand.push(took.median());
    }
    for (name, subject, target) in [
        ("isconf exec, one small file", exec, Target::Shown),
        (
            "isconf up, an entry of one small file",
            up,
            Target::AtMost(15.0),
        ),
    ] {
        page.figures.add(Figure {
            name: name.to_owned(),
            unit: "ms",
            subject,
            baseline: Some((
                "a small file written durably by hand".to_owned(),
                by_hand.clone(),
            )),
            target,
        });
    }
    Ok(())
}

/// A new host that replays a long journal in one go.
pub fn many_entries(page: &mut Page) -> Result<(), Error> {
    for (count, target) in [(1_000, Target::Shown), (10_000, Target::AtMost(60.0))] {
        // What the origin needs is not measured here.
        let origin = BenchHost::locked("origin", Medium::Memory)?;
        let host = BenchHost::locked("target", Medium::Disk)?;
        host.sh("isconf unlock")?;
        carry(&origin, &host, 0, count)?;
        let [took, memory] = host.drive(&["peak", "isconf", "up"])?;
        let [by_hand] = host.drive(&["durable", "/srv/by-hand", "500"])?;
        let name = format!("isconf up of {count} entries of one small file");
        page.figures.add(Figure {
            name: name.clone(),
            unit: "s",
            subject: took.scaled(1e-3),
            baseline: Some((
                "as many small files written durably by hand".to_owned(),
                by_hand.scaled(f64::from(count) / 1e3),
            )),
            target,
        });
        page.figures.add(Figure::memory(&name, memory));
    }
    Ok(())
}

/// `up` on a host that has everything.
pub fn nothing_to_do(page: &mut Page) -> Result<(), Error> {
    for (count, target) in [("10000", Target::AtMost(50.0)), ("100000", Target::Shown)] {
        let host = BenchHost::bare("idle", Medium::Tmpfs)?;
        host.sh("isconf init example.com")?;
        host.drive::<0>(&["fill", count])?;
        let files = [
            "/var/is/conf/history",
            "/var/is/fs/cache/example.com/volume/generic/journal",
        ];
        let words = ["pair", "15", "isconf", "up", "--against", "sha256sum"];
        let [subject, baseline] = host.drive(&[&words[..], &files].concat())?;
        let [_took, memory] = host.drive(&["peak", "isconf", "up"])?;
        let name = format!("isconf up, nothing to do, {count} entries");
        page.figures.add(Figure {
            name: name.clone(),
            unit: "ms",
            subject,
            baseline: Some(("sha256sum of journal and history".to_owned(), baseline)),
            target,
        });
        page.figures.add(Figure::memory(&name, memory));
    }
    Ok(())
}
