//! Hosts of a domain: contents, check-ins and news among daemons on one machine, each with a home and a port of its own,
//! over loopback.

use crate::Error;
use crate::bench_host::{BenchHost, DRIVER, Medium};
use crate::driver::INSIDE;
use crate::page::Page;
use crate::series::Series;
use crate::table::{Figure, Table, Target};

/// The first daemon's port.
const FIRST_PORT: u32 = 65_001;

/// How many hosts fetch the same.
const MANY: u32 = 10;

/// How many locks and check-ins are clocked, and how many pieces of news.
const TURNS: u32 = 40;
const NEWS: u32 = 10;

/// How many entries a new host gets.
const ENTRIES: u32 = 10_000;

/// Measures all of it.
pub fn measure(page: &mut Page) -> Result<(), Error> {
    let table = &mut page.figures;
    // As the engines were compared: what arrives is not written to a disk.
    transfer(table, Medium::Tmpfs, "on tmpfs", Target::AtLeast(220.0))?;
    transfer(table, Medium::Disk, "on disk", Target::Shown)?;
    transfer(table, Medium::Memory, "in memory", Target::Shown)?;
    new_version(table)?;
    many(table)?;
    check_ins(table)?;
    news(table)?;
    catching_up(table)
}

/// Has what the shell calls from then on be as on host `$n`.
const AS_HOST: &str =
    "export IS_HOME=/srv/home$n HOSTNAME=h$n IS_PORT=$((65001 + n)) IS_NOBROADCAST=1";

/// Defines `at N WORDS...`, which runs isconf as on host N, and `rig N`, which starts so many.
fn rig(host: &BenchHost, hosts: u32) -> Result<(), Error> {
    host.sh(&format!(
        "ip link set lo up
         cat >/opt/at <<'END'
#!/bin/sh
n=$1; shift
{AS_HOST}
exec isconf -q \"$@\"
END
         chmod 755 /opt/at
         for n in $(seq 0 {last}); do
             mkdir -m 700 -p /srv/home$n/conf
             (umask 077; echo a-key-of-the-benchmark >/srv/home$n/conf/hmac_keys)
             if [ $n = 0 ]; then /opt/at 0 init example.com; /opt/at 0 start
             else /opt/at $n join 127.0.0.1:{FIRST_PORT}; fi
         done
         [ {last} = 0 ] || until /opt/at 0 status --json | grep -q '\"voters\":{{'; do sleep 0.1; done
         [ {last} = 0 ] || sleep 5",
        last = hosts - 1
    ))?;
    Ok(())
}

/// Seconds that a line of shell says that it took: its only output.
fn clocked(host: &BenchHost, script: &str) -> Result<f64, Error> {
    let line = format!(
        "begin=$(date +%s%N); {script}; end=$(date +%s%N); echo $(( (end - begin) / 1000 ))"
    );
    Ok(host.sh(&line)?.trim().parse::<f64>()? / 1e6)
}

/// A copy over plain TCP, durable when it ends.
const TCP_COPY: &str = "cat >/srv/copy.py <<'END'
import os, socket, sys
server = socket.create_server(('127.0.0.1', 7777))
if os.fork() == 0:
    out = socket.create_connection(('127.0.0.1', 7777))
    out.sendfile(open('/srv/big', 'rb'))
    out.close()
    os._exit(0)
conn, _ = server.accept()
with open('/srv/copy', 'wb') as copy:
    while data := conn.recv(1 << 20):
        copy.write(data)
    copy.flush(); os.fsync(copy.fileno())
END";

/// A daemon of rsync(1) that gives `/srv`.
const RSYNC_DAEMON: &str = "cat >/srv/rsyncd.conf <<'END'
use chroot = no
uid = 0
gid = 0
[srv]
path = /srv
END
    rsync --daemon --port 7778 --config /srv/rsyncd.conf";

/// A gibibyte from one host to another, next to copies over plain TCP and by rsync to the same medium.
fn transfer(
    table: &mut Table,
    medium: Medium,
    where_to: &str,
    target: Target,
) -> Result<(), Error> {
    let (mut subject, mut tcp, mut rsync) =
        (Series::default(), Series::default(), Series::default());
    let mut peaks = [Series::default(), Series::default()];
    for _ in 0..3 {
        let host = BenchHost::bare("transfer", medium)?;
        // Whoever writes to a place of the image first pays for it.
        host.sh("head -c 3500000000 /dev/zero >/srv/fill; sync; rm /srv/fill; sync")?;
        rig(&host, 2)?;
        host.sh(
            "head -c 1073741824 /dev/urandom >/srv/big; sync; /opt/at 0 lock x; /opt/at 0 snap /srv/big",
        )?;
        // A check-in ends when another host has the contents, verified and durable.
        subject.push(clocked(&host, "/opt/at 0 ci")?);
        for (number, peaks) in peaks.iter_mut().enumerate() {
            let peak = host.sh(&format!(
                "awk '/VmHWM/ {{print $2 / 1024}}' /proc/$(cat /srv/home{number}/conf/.pid)/status"
            ))?;
            peaks.push(peak.trim().parse()?);
        }
        host.sh(TCP_COPY)?;
        tcp.push(clocked(&host, "python3 /srv/copy.py")?);
        host.sh("rm /srv/copy; sync")?;
        host.sh(RSYNC_DAEMON)?;
        let copy = "rsync --fsync rsync://127.0.0.1:7778/srv/big /srv/copy";
        rsync.push(clocked(&host, copy)?);
    }
    let per_second = |series: &Series| Series::new(vec![1073.7 / series.median()]);
    for (name, baseline) in [("plain TCP", tcp), ("rsync daemon", rsync)] {
        table.add(Figure {
            name: format!("1 GiB checked in until another host has it, {where_to}, against {name}"),
            unit: "MB/s",
            subject: per_second(&subject),
            baseline: Some((format!("{name}, durable"), per_second(&baseline))),
            target,
        });
    }
    for (end, peaks) in ["that gave", "that got"].into_iter().zip(peaks) {
        table.add(Figure::memory(
            &format!("daemon {end} 1 GiB, {where_to}"),
            peaks,
        ));
    }
    Ok(())
}

/// Has counted from now on what host `from` sends.
const COUNT: &str = "nft add table inet count && nft add counter inet count sent && \
    nft add chain inet count input '{ type filter hook input priority 0; }' && \
    nft add rule inet count input udp sport 65001 counter name sent";

/// How many bytes it sent.
fn counted(host: &BenchHost) -> Result<f64, Error> {
    let listed = host.sh("nft list counter inet count sent")?;
    let mut words = listed
        .split_whitespace()
        .skip_while(|word| *word != "bytes");
    Ok(words.nth(1).ok_or("no counter")?.parse()?)
}

/// A new version of a gibibyte, of which one page in a hundred is another.
fn new_version(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("new-version", Medium::Disk)?;
    rig(&host, 2)?;
    let check_in = "/opt/at 0 lock x && /opt/at 0 snap /srv/big";
    host.sh(&format!(
        "head -c 1073741824 /dev/urandom >/srv/big; sync; {check_in}"
    ))?;
    let whole = clocked(&host, "/opt/at 0 ci")?;
    host.sh(&format!(
        "cat >/srv/change.py <<'END'
import os, random
chance = random.Random(1)
with open('/srv/big', 'r+b') as big:
    for page in chance.sample(range(262144), 2621):
        big.seek(page * 4096)
        big.write(os.urandom(4096))
END
         python3 /srv/change.py; sync; {check_in}; {COUNT}"
    ))?;
    let part = clocked(&host, "/opt/at 0 ci")?;
    table.add(Figure {
        name: "a new version of 1 GiB with 1 % other pages, checked in".to_owned(),
        unit: "s",
        subject: Series::new(vec![part]),
        baseline: Some(("the first version".to_owned(), Series::new(vec![whole]))),
        target: Target::Shown,
    });
    let sent = counted(&host)?;
    host.sh(&format!(
        "head -c 1073741824 /dev/urandom >/srv/big; sync; {check_in}"
    ))?;
    table.add(Figure {
        name: "another 1 GiB that has nothing in common with it, checked in".to_owned(),
        unit: "s",
        subject: Series::new(vec![clocked(&host, "/opt/at 0 ci")?]),
        baseline: Some(("the first version".to_owned(), Series::new(vec![whole]))),
        target: Target::Shown,
    });
    table.add(Figure {
        name: "of the new version sent, with all headers".to_owned(),
        unit: "%",
        subject: Series::new(vec![sent / 10_737_418.24]),
        baseline: None,
        target: Target::AtMost(5.0),
    });
    Ok(())
}

/// Many hosts that fetch 200 MB at once.
fn many(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("many", Medium::Disk)?;
    rig(&host, MANY + 1)?;
    host.sh(&format!(
        "head -c 200000000 /dev/urandom >/srv/big; sync; /opt/at 0 lock x; /opt/at 0 snap /srv/big; {COUNT}"
    ))?;
    let all = format!(
        "/opt/at 0 ci; for n in $(seq {MANY}); do until /opt/at $n cache >/dev/null 2>&1 && [ -e /srv/home$n/fs/cache/example.com/volume/generic/head ]; do sleep 0.1; done; done"
    );
    let seconds = clocked(&host, &all)?;
    table.add(Figure {
        name: format!("200 MB on {MANY} more hosts"),
        unit: "s",
        subject: Series::new(vec![seconds]),
        baseline: None,
        target: Target::Shown,
    });
    table.add(Figure {
        name: "copies of it that the origin sent, with all headers".to_owned(),
        unit: "",
        subject: Series::new(vec![counted(&host)? / 2e8]),
        baseline: None,
        target: Target::AtMost(4.2),
    });
    Ok(())
}

/// The series of which an output has a number of each in turn, a line each.
fn two_by_two(output: &str) -> Result<[Series; 2], Error> {
    let mut series = [Series::default(), Series::default()];
    for (number, line) in output.lines().enumerate() {
        series[number % 2].push(line.parse()?);
    }
    Ok(series)
}

/// What people wait for where three hosts vote, on one that does not lead as often as on one that does.
fn check_ins(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("check-ins", Medium::Disk)?;
    rig(&host, 3)?;
    let clocked = format!("{DRIVER} {INSIDE} clocked isconf -q");
    let script = |verbs: &str, turns: u32, hosts: u32| {
        format!("for turn in $(seq {turns}); do n=$((turn % {hosts})); {AS_HOST}; {verbs}; done")
    };
    let changing = format!(
        "isconf -q up >/dev/null; {clocked} lock x; isconf -q exec true >/dev/null; {clocked} ci"
    );
    let asking = format!("isconf -q up >/dev/null; {clocked} up; {clocked} status");
    let [locks, check_ins] = two_by_two(&host.sh(&script(&changing, TURNS, 3))?)?;
    let [up, status] = two_by_two(&host.sh(&script(&asking, TURNS, 3))?)?;
    let alone = BenchHost::bare("alone", Medium::Disk)?;
    rig(&alone, 1)?;
    let [lock_alone, ci_alone] = two_by_two(&alone.sh(&script(&changing, TURNS / 2, 1))?)?;
    let [up_alone, status_alone] = two_by_two(&alone.sh(&script(&asking, TURNS / 2, 1))?)?;
    for (name, subject, baseline, limit) in [
        ("`lock`, three voters", locks, lock_alone, 20.0),
        ("`ci` of one entry, three voters", check_ins, ci_alone, 20.0),
        ("`up` with nothing new, three hosts", up, up_alone, 100.0),
        ("`status`, three hosts", status, status_alone, 50.0),
    ] {
        table.add(Figure {
            name: name.to_owned(),
            unit: "ms",
            subject,
            baseline: Some(("a host alone".to_owned(), baseline)),
            target: Target::AtMost(limit),
        });
    }
    Ok(())
}

/// How long it takes until fifty daemons know of an entry; what one of them needs when nothing happens.
fn news(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("news", Medium::Memory)?;
    rig(&host, 50)?;
    let mut subject = Series::default();
    for turn in 1..=NEWS {
        host.sh("/opt/at 0 lock x && /opt/at 0 exec true")?;
        let all = format!(
            "/opt/at 0 ci; until [ $(cat /srv/home*/fs/cache/example.com/volume/generic/head 2>/dev/null | grep -c '^seq = {turn}$') = 50 ]; do sleep 0.02; done"
        );
        subject.push(clocked(&host, &all)? * 1000.0);
        host.sh("sleep 1")?;
    }
    table.add(Figure {
        name: "`ci` until 50 daemons have the entry".to_owned(),
        unit: "ms",
        subject,
        baseline: None,
        target: Target::AtMost(1000.0),
    });
    host.sh("sleep 20")?;
    let ticks = "awk '{t += $14 + $15} END {print t}' $(for n in $(seq 0 49); do echo /proc/$(cat /srv/home$n/conf/.pid)/stat; done)";
    let before: f64 = host.sh(ticks)?.trim().parse()?;
    host.sh("sleep 20")?;
    let after: f64 = host.sh(ticks)?.trim().parse()?;
    // A tick is a hundredth of a second.
    table.add(Figure {
        name: "idle daemon among 50, part of a core".to_owned(),
        unit: "%",
        subject: Series::new(vec![(after - before) / 20.0 / 50.0]),
        baseline: None,
        target: Target::AtMost(0.5),
    });
    let memory = "for n in $(seq 0 49); do awk '/VmRSS/ {print $2 / 1024}' /proc/$(cat /srv/home$n/conf/.pid)/status; done";
    let memory = host.sh(memory)?;
    let memory: Result<Vec<f64>, _> = memory.lines().map(str::parse).collect();
    table.add(Figure {
        name: "idle daemon among 50, memory".to_owned(),
        unit: "MiB",
        subject: Series::new(memory?),
        baseline: None,
        target: Target::AtMost(40.0),
    });
    Ok(())
}

/// A new host that gets a long journal, and an `up` with nothing to do.
fn catching_up(table: &mut Table) -> Result<(), Error> {
    let host = BenchHost::bare("catching-up", Medium::Tmpfs)?;
    host.sh("isconf init example.com && isconf lock x && isconf unlock")?;
    let _filled: [Series; 0] = host.drive(&["fill", &ENTRIES.to_string()])?;
    host.sh("mv /var/is /srv/home0")?;
    rig(&host, 1)?;
    host.sh("mkdir -m 700 -p /srv/home1/conf && cp -p /srv/home0/conf/hmac_keys /srv/home1/conf/")?;
    let got = format!(
        "/opt/at 1 join 127.0.0.1:{FIRST_PORT} && until grep -q '^seq = {ENTRIES}$' /srv/home1/fs/cache/example.com/volume/generic/head 2>/dev/null; do sleep 0.02; done"
    );
    table.add(Figure {
        name: format!("a new host joins and has {ENTRIES} entries"),
        unit: "ms",
        subject: Series::new(vec![clocked(&host, &got)? * 1000.0]),
        baseline: None,
        target: Target::AtMost(5000.0),
    });
    Ok(())
}
