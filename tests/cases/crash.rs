//! The process is stopped at every named point of every durable step; the next start must find
//! each entry wholly live or not at all, whole records, and a way on.

use std::collections::BTreeSet;
use std::path::Path;

use walkdir::WalkDir;

use crate::support::machine::Machine;

/// Every named point of isconf itself and of the sandbox, read from the sources, so that a new step
/// cannot be forgotten here.
fn points() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut points = BTreeSet::new();
    for top in ["src", "sandbox/src"] {
        for file in WalkDir::new(root.join(top)) {
            let path = file.expect("the sources can be listed").into_path();
            if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source can be read");
                points.extend(named_in(&text));
            }
        }
    }
    assert!(points.len() > 40, "only {points:?}");
    points.into_iter().collect()
}

/// The names in `crash_point("NAME")`, and those that chains make of their kind.
fn named_in(text: &str) -> Vec<String> {
    let direct = text
        .split("crash_point(\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    let mut names: Vec<String> = direct.map(|(name, _)| name.to_owned()).collect();
    let listed = text.split('"').filter(|word| {
        word.contains("-append-") && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    });
    names.extend(listed.map(str::to_owned));
    names
}

const CHANGE: &str = "echo new >/srv/new; echo more >>/srv/file; rm /srv/gone; mkdir -p /srv/d/e; \
                      mv /srv/dir /srv/moved; chmod 700 /srv/mode; echo x >>/srv/linked";
const PREPARE: &str = "rm -rf /srv/*; echo old >/srv/file; echo gone >/srv/gone; mkdir -p /srv/dir/sub; \
                       mkdir /srv/mode; echo l >/srv/linked; rm -f /root/l; ln /srv/linked /root/l";
const LOOK: &str = "cd /srv; find . -printf '%p %y %m %n ' -exec sh -c '[ -f \"$1\" ] && tr \"\\n\" , <\"$1\"; echo' - {} ';' | sort";

#[test]
fn exec_stopped_at_any_point_is_wholly_live_or_not_at_all() {
    let Some(mut host) = Machine::locked("crashexec") else {
        return;
    };
    let mut visited = 0;
    for point in points() {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.setenv("ISCONF_CRASH_AT", &point);
        let stopped = host.isconf(["exec", "sh", "-c", CHANGE]);
        host.setenv("ISCONF_CRASH_AT", "");
        if stopped.status() == 0 {
            host.isconf(["unlock", "--discard"]).code(0);
            host.isconf(["lock", "again"]).code(0);
            continue;
        }
        visited += 1;
        host.isconf(["status"]).code(0);
        let found = host.sh(LOOK).out();
        let live = host.exists("/srv/new");
        let recorded = host
            .isconf(["ci"])
            .code(0)
            .err()
            .contains("changes checked in");
        assert_eq!(live, recorded, "{point}: live and recorded disagree");
        if !live {
            assert_eq!(found, old, "{point}: neither old nor new");
        } else {
            assert!(
                !host.exists("/srv/gone") && host.exists("/srv/moved/sub"),
                "{point}: half"
            );
        }
        host.isconf(["up"]).code(0).says("no new updates");
        host.isconf(["lock", "again"]).code(0);
    }
    assert!(visited >= 10, "only {visited} points were visited");
}

#[test]
fn up_stopped_at_any_point_ends_where_it_should() {
    let Some((origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.sh(PREPARE).code(0);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["exec", "sh", "-c", CHANGE]).code(0);
    origin
        .isconf(["exec", "sh", "-c", "echo second >>/srv/new"])
        .code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.sh("cp -a /var/is /root/is").code(0);
    let mut visited = 0;
    for point in points() {
        target
            .sh("rm -rf /var/is && cp -a /root/is /var/is")
            .code(0);
        target.sh(PREPARE).code(0);
        target.setenv("ISCONF_CRASH_AT", &point);
        let stopped = target.isconf(["up"]).status() != 0;
        target.setenv("ISCONF_CRASH_AT", "");
        visited += usize::from(stopped);
        target.isconf(["up"]).code(0);
        assert_eq!(target.read("/srv/new"), "new\nsecond\n", "{point}");
        assert!(
            target.exists("/srv/moved/sub") && !target.exists("/srv/dir"),
            "{point}"
        );
        target.isconf(["up"]).code(0).says("no new updates");
        target.isconf(["history"]).code(0);
    }
    assert!(visited >= 10, "only {visited} points were visited");
}

#[test]
fn ci_stopped_at_any_point_is_checked_in_once_or_not_at_all() {
    let Some(mut host) = Machine::ready("crashci") else {
        return;
    };
    let mut entries = 0;
    for point in points() {
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
            .code(0);
        host.setenv("ISCONF_CRASH_AT", &point);
        host.isconf(["ci"]);
        host.setenv("ISCONF_CRASH_AT", "");
        host.isconf(["status"]).code(0);
        let done = host.isconf(["ci"]);
        assert!([0, 221].contains(&done.status()), "{point}: {}", done.err());
        entries += 1;
        let log = host.isconf(["log", "--json"]).code(0).out();
        assert_eq!(log.matches("\"seq\":").count(), entries, "{point}: {log}");
        host.isconf(["up"]).code(0).says("no new updates");
    }
}

#[test]
fn undo_stopped_at_any_point_is_undone_or_not() {
    let Some(mut host) = Machine::locked("crashundo") else {
        return;
    };
    for point in points() {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
        let new = host.sh(LOOK).out();
        host.setenv("ISCONF_CRASH_AT", &point);
        host.isconf(["undo"]);
        host.setenv("ISCONF_CRASH_AT", "");
        host.isconf(["status"]).code(0);
        let found = host.sh(LOOK).out();
        assert!(
            found == old || found == new,
            "{point}: half undone:\n{found}"
        );
        host.isconf(["unlock", "--discard"]).code(0);
        assert_eq!(host.sh(LOOK).out(), old, "{point}");
        host.isconf(["lock", "again"]).code(0);
    }
}
