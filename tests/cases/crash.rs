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

/// What the change makes of the prepared tree when nothing stops it and isconf is not there.
fn changed_natively(host: &Machine) -> String {
    host.sh(PREPARE).code(0);
    host.sh(CHANGE).code(0);
    host.sh(LOOK).out()
}

#[test]
fn exec_stopped_at_any_point_is_wholly_live_or_not_at_all() {
    let Some(mut host) = Machine::locked("crashexec") else {
        return;
    };
    let new = changed_natively(&host);
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
        let whole = if live { &new } else { &old };
        assert_eq!(&found, whole, "{point}: neither old nor new");
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
    target.sh(PREPARE).code(0);
    target
        .sh(&format!("{CHANGE}; echo second >>/srv/new"))
        .code(0);
    let new = target.sh(LOOK).out();
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
        assert_eq!(target.sh(LOOK).out(), new, "{point}");
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
    let (mut entries, mut visited) = (0, 0);
    for point in points() {
        host.isconf(["lock", "x"]).code(0);
        host.isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
            .code(0);
        host.setenv("ISCONF_CRASH_AT", &point);
        visited += usize::from(host.isconf(["ci"]).status() != 0);
        host.setenv("ISCONF_CRASH_AT", "");
        host.isconf(["status"]).code(0);
        let done = host.isconf(["ci"]);
        assert!([0, 221].contains(&done.status()), "{point}: {}", done.err());
        entries += 1;
        let log = host.isconf(["log", "--json"]).code(0).out();
        assert_eq!(log.matches("\"seq\":").count(), entries, "{point}: {log}");
        host.isconf(["up"]).code(0).says("no new updates");
    }
    assert!(visited >= 5, "only {visited} points were visited");
}

#[test]
fn undo_stopped_at_any_point_is_undone_or_not() {
    let Some(mut host) = Machine::locked("crashundo") else {
        return;
    };
    let mut visited = 0;
    for point in points() {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["exec", "sh", "-c", CHANGE]).code(0);
        let new = host.sh(LOOK).out();
        host.setenv("ISCONF_CRASH_AT", &point);
        visited += usize::from(host.isconf(["undo"]).status() != 0);
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
    assert!(visited >= 5, "only {visited} points were visited");
}

/// What the reboot command leaves: one line a reboot.
const REBOOT: &str = "echo reboot >>/root/reboots";

#[test]
fn reboot_stopped_at_any_point_is_recorded_before_it_happens_and_happens_once() {
    let Some((mut origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.setenv("IS_REBOOT_CMD", "true");
    target.setenv("IS_REBOOT_CMD", REBOOT);
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["reboot"]).code(0);
    origin.isconf(["exec", "touch", "/srv/behind"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.bundle_to(&target);
    target.sh("cp -a /var/is /root/is").code(0);
    let mut visited = 0;
    for point in points() {
        target
            .sh("rm -rf /var/is /srv/behind /root/reboots; cp -a /root/is /var/is")
            .code(0);
        target.setenv("ISCONF_CRASH_AT", &point);
        let stopped = target.isconf(["up", "-r"]).status() != 0;
        target.setenv("ISCONF_CRASH_AT", "");
        visited += usize::from(stopped);
        let rebooted = target.exists("/root/reboots");
        let recorded = target
            .sh("grep -q 'action = .rebooted.' /var/is/conf/history /var/is/conf/history.next")
            .status()
            == 0;
        assert!(recorded || !rebooted, "{point}: rebooted and not recorded");
        // Until the entry behind it is there: at most one more reboot, where none was recorded.
        for _ in 0..2 {
            target.isconf(["up", "-r"]).code(0);
        }
        assert!(target.exists("/srv/behind"), "{point}: it did not go on");
        let reboots = target.sh("cat /root/reboots 2>/dev/null | wc -l").out();
        let expected: &[&str] = if recorded { &["0\n", "1\n"] } else { &["1\n"] };
        assert!(
            expected.contains(&reboots.as_str()),
            "{point}: {reboots} reboots"
        );
        target.isconf(["up", "-r"]).code(0).says("no new updates");
    }
    assert!(visited >= 5, "only {visited} points were visited");
}

#[test]
fn kept_scratchpad_committed_and_stopped_at_any_point_is_wholly_live_or_not_at_all() {
    let Some(mut host) = Machine::bare("crashkept") else {
        return;
    };
    let new = changed_natively(&host);
    let mut visited = 0;
    for point in points() {
        host.sh(PREPARE).code(0);
        let old = host.sh(LOOK).out();
        host.isconf(["try", "--keep", "one", "sh", "-c", CHANGE])
            .code(0);
        host.setenv("ISCONF_CRASH_AT", &point);
        let stopped = host.isconf(["try", "--commit", "one"]).status() != 0;
        host.setenv("ISCONF_CRASH_AT", "");
        visited += usize::from(stopped);
        if stopped {
            // Any verb of a host without a domain that may change something recovers.
            host.isconf(["try", "--commit", "none"]).fails();
            host.isconf(["try", "true"]).code(0);
        }
        let found = host.sh(LOOK).out();
        assert!(found == old || found == new, "{point}: half:\n{found}");
        if host.isconf(["try", "--list"]).code(0).out().contains("one") {
            host.isconf(["try", "--drop", "one"]).code(0);
        }
    }
    assert!(visited >= 5, "only {visited} points were visited");
}

#[test]
fn import_stopped_at_any_point_is_whole_or_not_there() {
    let Some((origin, mut target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.write("/srv/file", "content\n");
    origin.isconf(["snap", "/srv/file"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.isconf(["bundle", "export", "/root/b"]).code(0);
    let bundle = origin.host().read("/root/b").expect("the bundle is there");
    target.write("/root/b", bundle);
    target.sh("cp -a /var/is /root/is").code(0);
    let mut visited = 0;
    for point in points() {
        target
            .sh("rm -rf /var/is /srv/file; cp -a /root/is /var/is")
            .code(0);
        target.setenv("ISCONF_CRASH_AT", &point);
        visited += usize::from(target.isconf(["bundle", "import", "/root/b"]).status() != 0);
        target.setenv("ISCONF_CRASH_AT", "");
        target.isconf(["up"]).code(0);
        target.isconf(["bundle", "import", "/root/b"]).code(0);
        target.isconf(["up"]).code(0);
        assert_eq!(target.read("/srv/file"), "content\n", "{point}");
    }
    assert!(visited >= 3, "only {visited} points were visited");
}

/// Runs isconf so that it stops at a point, and tells whether it came there.
fn stops_at<const N: usize>(host: &mut Machine, point: &str, args: [&str; N]) -> bool {
    host.setenv("ISCONF_CRASH_AT", point);
    let status = host.isconf(args).status();
    host.setenv("ISCONF_CRASH_AT", "");
    status == 137
}

/// The points that have to be among those that a test came to.
#[track_caller]
fn came_to(visited: &BTreeSet<String>, needed: &[&str]) {
    let missed: Vec<_> = needed.iter().filter(|p| !visited.contains(**p)).collect();
    assert!(missed.is_empty(), "never stopped at {missed:?}");
}

#[test]
fn taking_back_stopped_at_any_point_leaves_everything_as_before() {
    let Some(mut host) = Machine::locked("crashback") else {
        return;
    };
    // A directory of the lower layer cannot be moved there: when that is found, others are moved.
    host.sh(
        "mkdir /root/o && mount -t tmpfs none /root/o && cd /root/o && mkdir -p l/dir/sub l/a u w && \
         echo old >l/file && echo gone >l/gone && \
         mount -t overlay none -o lowerdir=l,upperdir=u,workdir=w,redirect_dir=off /srv",
    )
    .code(0);
    let change =
        "echo new >/srv/a/new; echo more >>/srv/file; rm /srv/gone; mv /srv/dir /srv/moved";
    // An overlay shows a directory that it copied with one name only. Not compared: copies of a
    // commit that did not happen, which lie in isconf's own directory of the volume.
    let look = &LOOK
        .replace("%n ", "")
        .replace("find .", "find . -name .isconf -prune -o");
    let old = host.sh(look).out();
    host.isconf(["exec", "sh", "-c", change])
        .fails()
        .says("taken back");
    assert_eq!(host.sh(look).out(), old);
    let mut visited = BTreeSet::new();
    for point in points() {
        if stops_at(&mut host, &point, ["exec", "sh", "-c", change]) {
            visited.insert(point.clone());
        }
        // Recovers, and sweeps.
        host.isconf(["try", "true"]).code(0);
        assert_eq!(host.sh(look).out(), old, "{point}");
        host.isconf(["status"]).code(0).prints("nothing");
    }
    let needed = ["decided", "durable", "applied", "synced", "removed"];
    let needed = needed.map(|point| format!("commit.rollback.{point}"));
    came_to(&visited, &needed.each_ref().map(String::as_str));
}

#[test]
fn recovery_stopped_at_any_point_completes_the_commit_and_records_it_once() {
    let Some(mut host) = Machine::locked("crashagain") else {
        return;
    };
    let new = changed_natively(&host);
    let mut visited = BTreeSet::new();
    for point in points() {
        host.sh(PREPARE).code(0);
        assert!(stops_at(
            &mut host,
            "commit.apply.after_move",
            ["exec", "sh", "-c", CHANGE]
        ));
        if stops_at(&mut host, &point, ["exec", "true"]) {
            visited.insert(point.clone());
        }
        host.isconf(["try", "true"]).code(0);
        assert_eq!(host.sh(LOOK).out(), new, "{point}");
        let wip = host.isconf(["status", "--json"]).code(0).out();
        host.isconf(["ci"]).code(0);
        let log = host.isconf(["log"]).code(0).out();
        assert!(log.contains("moved"), "{point}: {log}\n{wip}");
        host.isconf(["up"]).code(0).says("no new updates");
        host.isconf(["lock", "again"]).code(0);
    }
    let needed = [
        "commit.recover.begun",
        "commit.recover.applied",
        "settle.begun",
        "settle.draft.durable",
        "settle.receipt.durable",
    ];
    came_to(&visited, &needed);
}

#[test]
fn undo_of_what_changed_nothing_stopped_at_any_point_is_undone_or_not() {
    let Some(mut host) = Machine::locked("crashnothing") else {
        return;
    };
    // No file: a reboot.
    host.setenv("IS_REBOOT_CMD", "true");
    let mut visited = BTreeSet::new();
    for point in points() {
        host.isconf(["reboot"]).code(0);
        if stops_at(&mut host, &point, ["undo"]) {
            visited.insert(point.clone());
        }
        host.isconf(["try", "true"]).code(0);
        host.isconf(["unlock", "--discard"]).code(0);
        host.isconf(["lock", "again"]).code(0);
        host.isconf(["status"]).code(0).prints("nothing");
        host.isconf(["diff"]).code(0);
    }
    came_to(&visited, &["undo.receipt.durable", "undo.draft.dropped"]);
}
