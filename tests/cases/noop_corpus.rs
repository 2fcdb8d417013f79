//! The noop corpus: what a preview of hundreds of entries of every kind predicts, entry by entry, is
//! what the replay then does, by digest.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::commit_commands::{COMMANDS, PREPARE, TOOL, TOOL_PATH};
use crate::support::machine::Machine;

/// Ordinary work of administrators, beside the commands that commits are compared with. Data only.
/// In the order of the journal: later ones build on earlier ones.
const WORK: &[&str] = &[
    "mkdir -p /srv/w/etc /srv/w/bin && cp /etc/passwd /etc/group /srv/w/etc/",
    "sed -i '$a admin:x:900:900::/home/admin:/bin/sh' /srv/w/etc/passwd",
    "printf 'root:x:0:0:root:/root:/bin/sh\\n' >>/etc/passwd.new && cp /etc/passwd /etc/passwd- && rm /etc/passwd.new",
    "echo 'deploy:x:901:901:Deploy:/home/deploy:/bin/bash' >>/etc/passwd && mkdir -p -m 700 /home/deploy && chown 901:901 /home/deploy",
    "echo 'deploy:x:901:' >>/etc/group",
    "install -d -m 755 /srv/w/src && printf 'int main(void){return 0;}\\n' >/srv/w/src/a.c",
    "printf 'a: a.c\\n\\tcp a.c a\\ninstall: a\\n\\tinstall -D -m 755 a /srv/w/bin/a\\n' >/srv/w/src/Makefile",
    "make -s -C /srv/w/src",
    "make -s -C /srv/w/src install",
    "cd /srv/w && tar cf src.tar --sort=name --mtime=@1600000000 src && rm -r src",
    "cd /srv/w && tar xf src.tar",
    "cd /srv/w && tar xf src.tar --transform s/src/src2/",
    "cd /srv/w && gzip -n src.tar",
    "cd /srv/w && sed 's/return 0/return 1/' src/a.c >src/a.c.new && mv src/a.c.new src/a.c",
    "cd /srv/w && (diff -u --label old src/a.c --label new src2/a.c || true) >patch",
    "cd /srv/w && cp src2/a.c src/a.c && touch src/a.c",
    "for i in $(seq 40); do ln -s /srv/w/bin/a /srv/w/bin/link$i; done",
    "cd /srv/w/bin && for i in $(seq 40); do ln -sfn /srv/w/src link$i; done",
    "mkdir -p /etc/alternatives && ln -sfn /srv/w/bin/a /etc/alternatives/tool && ln -sfn /etc/alternatives/tool /srv/w/tool",
    "ln -sfn /srv/w/src/a.c /etc/alternatives/tool",
    "find /srv/w/bin -type l -delete",
    "chmod -R g+w /srv/w && chown -R 3:4 /srv/w/src",
    "chmod 4755 /srv/w/bin/a && setcap cap_net_raw+ep /srv/w/src/a.c",
    "setfacl -R -m u:7:rX /srv/w/src2 && setfacl -d -m g:8:rwx /srv/w/src2",
    "for i in $(seq 30); do echo $i >/srv/w/file$i; done",
    "cd /srv/w && for i in $(seq 30); do ln file$i hard$i; done",
    "cd /srv/w && for i in $(seq 10); do echo more >>hard$i; done",
    "cd /srv/w && for i in $(seq 5 15); do rm file$i; done",
    "cd /srv/w && for i in $(seq 20 25); do mv hard$i moved$i; chmod 600 file$i; done",
    "cd /srv/w && truncate -s 64M sparse && printf x | dd of=sparse bs=1 seek=33554432 conv=notrunc 2>/dev/null",
    "cd /srv/w && printf y | dd of=sparse bs=1 seek=1000 conv=notrunc 2>/dev/null && cp --sparse=always sparse sparse2",
    "mkdir -p /srv/w/deb/DEBIAN /srv/w/deb/usr && mkdir -p /srv/w/deb/srv/pkg && echo 1 >/srv/w/deb/srv/pkg/conf && printf 'Package: tiny\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.com>\\nDescription: tiny\\n' >/srv/w/deb/DEBIAN/control && rmdir /srv/w/deb/usr",
    "SOURCE_DATE_EPOCH=1600000000 dpkg-deb --root-owner-group -b /srv/w/deb /srv/w/tiny.deb >/dev/null",
    "mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates && touch /var/lib/dpkg/status /var/lib/dpkg/available && dpkg --force-not-root --force-script-chrootless --log=/dev/null -i /srv/w/tiny.deb >/dev/null",
    "echo changed >>/srv/pkg/conf",
    "dpkg --force-script-chrootless --log=/dev/null -r tiny >/dev/null",
    "cp -a /srv/w/etc /srv/w/etc2 && rm -r /srv/w/etc && mv /srv/w/etc2 /srv/w/etc",
    "python3 -c 'import os; os.makedirs(\"/srv/w/py/x\"); open(\"/srv/w/py/x/f\",\"w\").write(\"f\"*5000)'",
    "chattr +i /srv/w/patch && chattr +a /srv/w/src.tar.gz",
    "chattr -i /srv/w/patch && rm /srv/w/patch && chattr -a /srv/w/src.tar.gz",
    "mv /srv/w /srv/v && mkdir /srv/w && mv /srv/v/src /srv/w/",
    "rm -rf /srv/v",
];

/// What is stored as files instead of run.
const SNAPS: &[&str] = &[
    "/srv/snap/file",
    "/srv/snap",
    "/srv/snap/link",
    "/srv/snap/d",
];

/// Makes what [`SNAPS`] names; `$N` differs from one time to the next.
const MAKE_SNAPS: &str = "mkdir -p /srv/snap/d/e; cd /srv/snap; echo $N >file; ln -sfn x$N link; \
    [ -e d/one ] || { echo 1 >d/one; ln d/one d/two; }; echo $N >>d/one; touch \"d/e/$N\"; \
    setfattr -n user.n -v $N d/e; chmod 7$((N % 8))5 d/e; truncate -s ${N}M d/sparse";

/// What a report says that an entry changes.
#[derive(Debug)]
struct Told {
    entry: String,
    digest: String,
    changes: Vec<Value>,
    congruence: Value,
}

impl Told {
    /// The changes that the other one does not tell of, and the other way round.
    fn but(&self, other: &Self) -> String {
        let only = |here: &Self, there: &Self, sign: char| -> Vec<String> {
            let is_there = |change: &&Value| !there.changes.contains(change);
            let mine = here.changes.iter().filter(is_there);
            mine.map(|change| format!("  {sign} {change}")).collect()
        };
        let lines = [only(self, other, '-'), only(other, self, '+')].concat();
        format!("{}\n{}\n", self.entry, lines.join("\n"))
    }
}

fn told(json: &str) -> Vec<Told> {
    let values = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON"));
    let reports = values.filter(|value| value["kind"] == "report");
    let told = |mut report: Value| {
        let changes = report["changes"].as_array_mut().expect("changes");
        for change in changes.iter_mut() {
            // The clock's, mostly; the digests know which ones are not.
            for state in ["before", "after"] {
                change[state].as_object_mut().map(|s| s.remove("mtime"));
            }
        }
        Told {
            changes: std::mem::take(changes),
            entry: report["entry"].to_string(),
            digest: report["digests"]["normal"].to_string(),
            congruence: report["congruence"].take(),
        }
    };
    reports.map(told).collect()
}

/// What a long verb says; it may take longer than a command of a test usually does.
fn reports(host: &Machine, argv: &[&str]) -> String {
    let command = host.host().command(argv).timeout(Duration::from_secs(900));
    let output = command.run().expect("the verb ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.code(), 0, "{argv:?}: {said}");
    String::from_utf8(output.stdout).expect("reports are text")
}

/// Records every command and snap as an entry of the origin, and gives them to the target.
fn record(origin: &Machine, target: &Machine) -> usize {
    let mut failed = BTreeSet::new();
    let mut count = 0;
    origin.isconf(["lock", "the corpus"]).code(0);
    let mut exec = |script: &str| {
        let done = origin.isconf(["-q", "exec", "sh", "-c", script]);
        match done.status() {
            0 => count += 1,
            _ => drop(failed.insert(format!("{script}\n{}", done.err()))),
        }
    };
    for (number, command) in COMMANDS.iter().enumerate() {
        // Some fail on what the ones before left, which is an entry too.
        exec(&format!("cd /srv/t && {{ {command}\n}} || true"));
        if number % 16 == 15 {
            exec(&format!("{{ {PREPARE}; }} >/dev/null 2>&1 || true"));
        }
    }
    WORK.iter().for_each(|command| exec(command));
    for n in 1..=4 {
        let script = format!("export N={n}; {MAKE_SNAPS}");
        origin.sh(&script);
        for path in SNAPS {
            origin.isconf(["-q", "snap", path]).code(0);
            count += 1;
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(target);
    count
}

#[test]
fn what_noop_predicts_is_what_up_commits() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    for host in [&origin, &target] {
        host.write(TOOL_PATH, TOOL);
        host.sh(&format!("chmod 755 {TOOL_PATH}")).code(0);
        host.sh(PREPARE).code(0);
    }
    let count = record(&origin, &target);
    assert!(count >= 200, "only {count} entries");
    let before = target.manifest_of_others();
    let predicted = told(&reports(&target, &["isconf", "up", "--noop", "--json"]));
    target.is_still(&before);
    let committed = told(&reports(&target, &["isconf", "up", "--json"]));
    assert_eq!((predicted.len(), committed.len()), (count, count));
    let pairs = predicted.iter().zip(&committed);
    let wrong: Vec<_> = pairs
        .filter(|(predicted, committed)| predicted.digest != committed.digest)
        .map(|(predicted, committed)| predicted.but(committed))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {count} differ:\n{}",
        wrong.len(),
        wrong.concat()
    );
    let is_other = |told: &&Told| told.congruence["answer"] != "same";
    let others: Vec<&Told> = committed.iter().filter(is_other).collect();
    assert!(others.is_empty(), "not as on the origin: {others:#?}");
}
