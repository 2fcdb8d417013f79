//! systemctl(1) on a host with systemd.

use super::{states, with_app};

#[test]
fn requests_wait_for_the_commit_and_are_done_in_order() {
    let Some(host) = with_app("order") else {
        return;
    };
    let line = "systemctl stop one; echo second >/etc/app/conf; systemctl start two; \
        systemctl restart one; systemctl is-active one two";
    let preview = host.ok(&format!("isconf exec --noop sh -c '{line}'"));
    assert!(
        preview.contains("systemctl start two: waits for the commit"),
        "{preview}"
    );
    assert!(preview.contains("active\nactive\n"), "{preview}");
    assert_eq!(states(&host, "one two"), ["active", "inactive"]);
    assert_eq!(host.ok("cat /srv/starts"), "one first\n");
    let done = host.ok(&format!("isconf exec sh -c '{line}'"));
    assert!(done.contains("systemctl restart one: done"), "{done}");
    assert_eq!(states(&host, "one two"), ["active", "active"]);
    // What was started read what was committed, in the order in which it was asked.
    assert_eq!(
        host.ok("until [ $(wc -l </srv/starts) = 3 ]; do :; done; cat /srv/starts"),
        "one first\ntwo second\none second\n"
    );
}

#[test]
fn targets_do_what_the_origin_did() {
    let Some(origin) = with_app("services") else {
        return;
    };
    origin
        .ok("isconf exec sh -c 'echo new >/etc/app/conf; systemctl enable --now two' && isconf ci");
    origin.ok("isconf bundle export /root/bundle");
    let target = with_app("follows").expect("hosts can be made");
    target.ok("isconf unlock");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle");
    let preview = target.ok("isconf up --noop");
    assert!(
        preview.contains("systemctl start two.service: waits"),
        "{preview}"
    );
    assert_eq!(states(&target, "two"), ["inactive"]);
    let up = target.ok("isconf up --json");
    assert!(
        up.contains(r#""services":["two.service"],"fate":"done""#),
        "{up}"
    );
    assert_eq!(states(&target, "two"), ["active"]);
    assert_eq!(target.ok("systemctl is-enabled two"), "enabled\n");
}

#[test]
fn entries_previewed_one_on_another_know_what_waits() {
    let Some(origin) = with_app("onone") else {
        return;
    };
    origin.ok("isconf exec systemctl start two");
    let line = "systemctl is-active two && systemctl restart two && touch /srv/behind";
    origin.ok(&format!("isconf exec sh -c '{line}' && isconf ci"));
    origin.ok("isconf bundle export /root/bundle");
    let target = with_app("another").expect("hosts can be made");
    target.ok("isconf unlock");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle && isconf up --noop");
    assert_eq!(states(&target, "two"), ["inactive"]);
    target.ok("isconf up && ls /srv/behind");
}

#[test]
fn files_of_units_are_changed_in_the_scratchpad() {
    let Some(host) = with_app("unitfiles") else {
        return;
    };
    let wants = "/etc/systemd/system/multi-user.target.wants/two.service";
    let files = "systemctl enable two; systemctl is-enabled two; systemctl mask one; \
        systemctl cat two; printf \"[Service]\\nNice=5\\n\" | systemctl edit --stdin two; \
        systemctl list-unit-files two.service; systemctl preset two";
    let preview = host.ok(&format!("isconf exec --noop sh -c '{files}'"));
    for expected in [
        &format!("+ {wants}"),
        "one.service",
        "+ /etc/systemd/system/two.service.d/override.conf",
        "ExecStart=/usr/local/bin/app two",
        "systemctl daemon-reload: waits for the commit",
    ] {
        assert!(preview.contains(expected), "{expected} is not in {preview}");
    }
    host.ok(&format!("! ls {wants} 2>/dev/null"));
    let line =
        "systemctl enable two; printf \"[Service]\\nNice=5\\n\" | systemctl edit --stdin two";
    host.ok(&format!("isconf exec sh -c '{line}'"));
    host.ok(&format!("ls {wants}"));
    assert_eq!(host.ok("systemctl is-enabled two"), "enabled\n");
    // The manager read its files again.
    assert_eq!(host.ok("systemctl show -p Nice --value two"), "5\n");
    host.ok("isconf exec sh -c 'systemctl disable two; rm -r /etc/systemd/system/two.service.d'");
    host.ok(&format!("! ls {wants} 2>/dev/null"));
}

#[test]
fn questions_are_answered_as_after_the_commit() {
    let Some(host) = with_app("questions") else {
        return;
    };
    let asks = |line: &str| {
        let done = host.run(&format!("isconf -q exec --noop sh -c '{line}' 2>&1"));
        done.out()
    };
    for (line, expected) in [
        ("systemctl is-active one", "active"),
        (
            "systemctl stop one; systemctl is-active one || echo no",
            "inactive\nno",
        ),
        (
            "systemctl start two; systemctl is-active -q two && echo yes",
            "yes",
        ),
        (
            "systemctl start two; systemctl show -p ActiveState two",
            "ActiveState=active",
        ),
        (
            "systemctl start two; systemctl show -P ActiveState two",
            "active",
        ),
        (
            "systemctl start two; systemctl status two | grep Active",
            "start waits",
        ),
        (
            "systemctl stop one; systemctl list-units one.service",
            "inactive dead",
        ),
        ("systemctl is-active nosuch; echo $?", "inactive\n3"),
        ("systemctl status nosuch; echo $?", "could not be found.\n4"),
        (
            "systemctl restart nosuch; echo $?",
            "Unit nosuch.service not found.\n5",
        ),
        (
            "systemctl reload two; echo $?",
            "two.service is not active, cannot reload.\n1",
        ),
        (
            "cp /etc/systemd/system/two.service /usr/lib/systemd/system/three.service; \
             systemctl mask three; systemctl start three; echo $?",
            "is masked.\n1",
        ),
        (
            "cp /etc/systemd/system/one.service /etc/systemd/system/new.service; \
             systemctl daemon-reload; systemctl start new && systemctl is-active new",
            "active",
        ),
        ("systemctl is-system-running", "running"),
        ("service one status | grep Active", "active (running)"),
    ] {
        let said = asks(line);
        assert!(
            said.contains(expected),
            "{line}: {expected:?} is not in {said}"
        );
    }
    assert_eq!(states(&host, "one two"), ["active", "inactive"]);
}

#[test]
fn a_service_that_does_not_follow_takes_the_entry_back() {
    let Some(host) = with_app("fails") else {
        return;
    };
    host.ok("isconf exec touch /srv/before");
    let before = host.manifest().to_string();
    let line = "echo broken >/etc/app/conf; touch /srv/new; systemctl stop one; \
        systemctl start one; systemctl start two";
    let done = host.run(&format!("isconf exec sh -c '{line}'"));
    assert_eq!(done.code(), 1, "{done}");
    let said = done.out() + &done.err();
    assert!(
        said.contains("systemctl stop one: done, and taken back"),
        "{said}"
    );
    assert!(
        said.contains("`systemctl start one` failed with status 1"),
        "{said}"
    );
    assert_eq!(host.ok("cat /etc/app/conf"), "first\n");
    assert_eq!(states(&host, "one two"), ["active", "inactive"]);
    let others = |manifest: &str| {
        let own = |line: &&str| {
            !["/var/is", "/var/log", "/srv/starts"]
                .iter()
                .any(|p| line.contains(p))
        };
        manifest
            .lines()
            .filter(own)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(others(&host.manifest().to_string()), others(&before));
    let kept = host.ok(&format!("isconf exec --keep sh -c '{line}'"));
    assert!(kept.contains("its entry was kept, as you said"), "{kept}");
    assert_eq!(host.ok("cat /etc/app/conf"), "broken\n");
    let log = host.ok("isconf status");
    assert!(log.contains("2 entries"), "{log}");
    let undone = host.ok("isconf undo");
    assert!(undone.contains("start two"), "{undone}");
}

#[test]
fn a_broken_unit_file_is_taken_back_and_its_service_runs_again() {
    let Some(host) = with_app("brokenunit") else {
        return;
    };
    let line = "sed -i s,/usr/local/bin/app,/usr/local/bin/nosuch, /etc/systemd/system/one.service; \
        systemctl daemon-reload; systemctl restart one";
    let done = host.run(&format!("isconf exec sh -c '{line}'"));
    assert_eq!(done.code(), 1, "{done}");
    assert_eq!(states(&host, "one"), ["active"], "{done}");
    let started = host.ok("systemctl show -p ExecStart --value one");
    assert!(started.contains("/usr/local/bin/app"), "{started}");
}

#[test]
fn what_goes_by_another_name_does_nothing_live() {
    let Some(host) = with_app("othername") else {
        return;
    };
    for line in [
        "bash -c \"exec -a reboot systemctl\"",
        "systemctl --sig TERM kill one",
        "systemctl clear-jobs",
        "systemctl condstop one",
        "systemctl --boot-loader-menu 5 reboot",
        "systemctl start reboot.target",
        "systemctl isolate poweroff.target",
        "/etc/init.d/reboot stop",
    ] {
        host.run(&format!("isconf try sh -c '{line}'"));
        assert_eq!(states(&host, "one"), ["active"], "{line}");
    }
    assert_eq!(host.ok("systemctl is-system-running"), "running\n");
}

#[test]
fn a_target_whose_service_does_not_follow_stops_before_the_entry() {
    let Some(origin) = with_app("goodhost") else {
        return;
    };
    origin.ok("isconf exec sh -c 'echo second >/etc/app/conf; systemctl restart one'");
    origin.ok("isconf exec touch /srv/behind && isconf ci && isconf bundle export /root/bundle");
    let target = with_app("badhost").expect("hosts can be made");
    target
        .ok("isconf unlock; sed -i 's,/bin/sh -c .*,/bin/false,' /etc/systemd/system/one.service");
    target.ok("systemctl daemon-reload");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle");
    let done = target.run("isconf up");
    assert_eq!(done.code(), 1, "{done}");
    assert_eq!(target.ok("cat /etc/app/conf; ls /srv"), "first\nstarts\n");
    target.ok("sed -i 's,/bin/false,/bin/true,' /etc/systemd/system/one.service");
    target.ok("systemctl daemon-reload && isconf up");
    assert_eq!(
        target.ok("cat /etc/app/conf; ls /srv"),
        "second\nbehind\nstarts\n"
    );
    assert_eq!(states(&target, "one"), ["active"]);
}

#[test]
fn the_end_of_the_machines_run_is_no_effect_of_an_entry() {
    let Some(host) = with_app("power") else {
        return;
    };
    let boot = host.ok("cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestamp");
    for line in [
        "systemctl reboot",
        "reboot",
        "poweroff -f",
        "shutdown -r now",
        "telinit 6",
        "halt",
    ] {
        let done = host.run(&format!("isconf exec {line}"));
        assert_ne!(done.code(), 0, "{line}");
        assert!(done.err().contains("isconf reboot"), "{line}: {done}");
    }
    let now = host.ok("cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestamp");
    assert_eq!(now, boot);
}

#[test]
fn a_kept_scratchpad_says_which_services_are_left_to_do() {
    let Some(host) = with_app("kept") else {
        return;
    };
    host.ok("isconf try --keep later sh -c 'echo second >/etc/app/conf; systemctl restart one'");
    let done = host.ok("isconf try --commit later --unjournaled");
    assert!(
        done.contains("do it yourself: systemctl restart one"),
        "{done}"
    );
    assert_eq!(
        host.ok("cat /etc/app/conf; cat /srv/starts"),
        "second\none first\n"
    );
}
