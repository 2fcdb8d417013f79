//! Damaged files: detected, named by file and line, and nothing runs.

use crate::support::machine::Machine;

/// A target with one applied and one pending entry.
fn with_pending() -> Option<Machine> {
    let (origin, target) = Machine::pair()?;
    origin.checks_in_for(&target, |origin| {
        origin.isconf(["exec", "touch", "/srv/one"]).code(0);
    });
    target.isconf(["up"]).code(0);
    origin.checks_in_for(&target, |origin| {
        origin.isconf(["exec", "touch", "/srv/two"]).code(0);
    });
    Some(target)
}

const JOURNAL: &str = "/var/is/fs/cache/example.com/volume/generic/journal";
const HISTORY: &str = "/var/is/conf/history";
const WIP: &str = "/var/is/fs/private/example.com/volume/generic/journal.wip";

#[test]
fn damaged_journal_or_history_runs_nothing() {
    let Some(target) = with_pending() else { return };
    for file in [JOURNAL, HISTORY] {
        let damages = [
            format!("truncate -s -9 {file}"),
            format!("sed -i 's/touch/tOuch/; s/applied/aPplied/' {file}"),
            format!("echo garbage >>{file}"),
            format!("sed -i '1s/1/999/' {file}"),
            format!("printf '\\000' | dd of={file} bs=1 seek=100 conv=notrunc 2>/dev/null"),
            format!(": >{file}"),
        ];
        for damage in &damages {
            target
                .sh(&format!("cp -a {file} /root/saved && {damage}"))
                .code(0);
            let unchanged = target
                .sh(&format!("cmp -s {file} /root/saved && echo same"))
                .out();
            // Bytes behind the acknowledged end are those of an append that never counted.
            let is_tail = damage.starts_with("echo") && file == JOURNAL;
            if unchanged.is_empty() && !is_tail {
                let done = target.isconf(["up"]).fails();
                assert!(done.err().contains(file), "{damage}: {}", done.err());
            }
            assert!(!target.exists("/srv/two"), "{damage}");
            target
                .sh(&format!("rm -f {file}; cp -a /root/saved {file}"))
                .code(0);
        }
    }
    target.isconf(["up"]).code(0);
    assert!(target.exists("/srv/two"));
}

#[test]
fn damaged_wip_is_not_checked_in() {
    let Some(host) = Machine::locked("wip") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.sh(&format!("sed -i 's/touch/tOuch/' {WIP}")).code(0);
    host.isconf(["ci"])
        .fails()
        .says(WIP)
        .says(&format!("{WIP}.head"))
        .says("isconf unlock --discard");
}

#[test]
fn a_lost_wip_is_named_and_its_changes_can_be_taken_back() {
    let Some(host) = Machine::ready("lost") else {
        return;
    };
    let before = host.manifest_of_others();
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.sh(&format!("cp -a {WIP} {WIP}.head /var/is")).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    let losses = [
        (
            format!("cp -a /var/is/journal.wip* $(dirname {WIP})"),
            "lacks 1 of the 2",
        ),
        (format!("rm {WIP}"), "lacks 2 of the 2"),
        (
            format!("rm {WIP}.head; rm /var/is/journal.wip*"),
            "lacks 2 of the 2",
        ),
    ];
    for (loss, said) in &losses {
        host.sh(loss).code(0);
        for verb in ["up", "ci", "reboot"] {
            host.isconf([verb])
                .code(5)
                .says(&format!("{WIP} {said} changes that were made here"))
                .says("from a backup of this host")
                .says("isconf unlock --discard");
        }
        host.isconf(["status"]).code(0).prints(said);
    }
    host.isconf(["unlock", "--discard"])
        .code(0)
        .says("took back 2 changes");
    host.is_still(&before);
    host.isconf(["up"]).code(0).says("no new updates");
}

#[test]
fn a_wip_that_is_younger_than_the_history_is_set_aside_as_the_message_says() {
    let Some(host) = Machine::locked("older") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.isconf(["ci"]).code(0);
    host.sh(&format!("cp -a {HISTORY} /root")).code(0);
    host.isconf(["lock", "x"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    host.sh(&format!("cp -a /root/history {HISTORY}")).code(0);
    let remedy = format!("mv {WIP} {WIP}.old");
    for args in [
        &["up"][..],
        &["ci"],
        &["exec", "true"],
        &["unlock", "--discard"],
    ] {
        let argv = ["isconf"]
            .iter()
            .chain(args)
            .map(Into::into)
            .collect::<Vec<_>>();
        host.run(&argv)
            .code(5)
            .says(&format!("{WIP}: draft 1 is not in this host's history"))
            .says(&remedy);
    }
    host.sh(&remedy).code(0);
    host.isconf(["unlock"]).code(0);
    host.isconf(["up"]).code(0).says("no new updates");
    host.isconf(["lock", "again"]).code(0);
    host.isconf(["exec", "touch", "/srv/three"]).code(0);
    host.isconf(["ci"]).code(0).says("up to entry 2");
}

#[test]
fn damaged_bundle_is_refused() {
    let Some((origin, target)) = Machine::pair() else {
        return;
    };
    origin.isconf(["lock", "x"]).code(0);
    origin.isconf(["exec", "touch", "/srv/one"]).code(0);
    origin.isconf(["ci"]).code(0);
    origin.isconf(["bundle", "export", "/root/b"]).code(0);
    let good = origin.host().read("/root/b").expect("the bundle is there");
    for (at, length) in [
        (0, good.len()),
        (good.len() / 2, good.len()),
        (good.len() - 1, good.len()),
        (0, good.len() / 2),
    ] {
        let mut bad = good[..length].to_vec();
        if length == good.len() {
            bad[at] ^= 1;
        }
        target.write("/root/b", &bad);
        target.isconf(["bundle", "import", "/root/b"]).fails();
        target.isconf(["up"]).code(0).says("no new updates");
    }
    target.write("/root/b", &good);
    target.write("/var/is/conf/hmac_keys", "another key\n");
    target
        .isconf(["bundle", "import", "/root/b"])
        .fails()
        .says("--allow-unauthenticated");
    target
        .isconf(["bundle", "import", "--allow-unauthenticated", "/root/b"])
        .code(0);
    target.isconf(["up"]).code(0);
}

#[test]
fn two_at_once_never_interleave() {
    let Some((_, target)) = Machine::pair_with(|origin| {
        for _ in 0..5 {
            origin
                .isconf(["exec", "sh", "-c", "echo x >>/srv/words"])
                .code(0);
        }
    }) else {
        return;
    };
    target
        .sh("for i in 1 2 3 4; do isconf up >/root/out.$i 2>&1 & done; wait")
        .code(0);
    target.isconf(["up"]).code(0).says("no new updates");
    assert_eq!(target.read("/srv/words"), "x\nx\nx\nx\nx\n");
}

#[test]
fn what_is_no_file_is_named_and_nothing_waits_for_it() {
    let Some(host) = Machine::locked("kinds") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    host.isconf(["ci"]).code(0);
    host.isconf(["lock", "more"]).code(0);
    host.isconf(["exec", "touch", "/srv/two"]).code(0);
    let lock = JOURNAL.replace("journal", "lock");
    let head = JOURNAL.replace("journal", "head");
    for file in [JOURNAL, HISTORY, WIP, &lock, &head, "/var/is/conf/.lock"] {
        host.sh(&format!("test -f {file} && mv {file} /var/is/saved"))
            .code(0);
        for make in ["mkfifo", "mkdir", "cp -a /dev/zero"] {
            host.sh(&format!("{make} {file}")).code(0);
            let done = host.sh("timeout 20 isconf exec touch /srv/three");
            assert_eq!(done.status(), 5, "{make} {file}: {}", done.err());
            assert!(done.err().contains(file), "{make}: {}", done.err());
            assert!(!host.exists("/srv/three"), "{make} {file}");
            host.sh(&format!("rm -r {file}")).code(0);
        }
        host.sh(&format!("mv /var/is/saved {file}")).code(0);
    }
    host.isconf(["exec", "touch", "/srv/three"]).code(0);
}

#[test]
fn a_file_of_a_newer_isconf_is_not_called_damaged() {
    let Some(host) = Machine::locked("newer") else {
        return;
    };
    host.isconf(["exec", "touch", "/srv/one"]).code(0);
    for file in [JOURNAL, HISTORY, WIP] {
        host.sh(&format!(
            "cp -a {file} /root/saved && sed -i '1s/1$/2/' {file}"
        ))
        .code(0);
        host.isconf(["ci"])
            .code(5)
            .says(&format!("{file}, line 1: made by a newer isconf"))
            .says("this one reads version 1")
            .says("Use the isconf that made it")
            .does_not_say("aside");
        host.sh(&format!("cp -a /root/saved {file}")).code(0);
    }
    host.isconf(["ci"]).code(0);
}
