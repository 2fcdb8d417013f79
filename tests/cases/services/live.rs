//! `exec --live`: a rehearsal, and then the running system in reach.

use super::{states, with_app};

#[test]
fn what_acts_on_the_running_system_is_refused_with_the_way_to_let_it() {
    let Some(host) = with_app("refused") else {
        return;
    };
    let pid = host.ok("systemctl show -p MainPID --value one");
    let line = format!("kill -TERM {}; touch /srv/new", pid.trim());
    let done = host.run(&format!("isconf exec sh -c '{line}'"));
    assert_eq!(done.code(), 1, "{done}");
    let way = format!("isconf exec --live sh -c '{line}'");
    assert!(done.err().contains(&way), "{done}");
    assert!(
        done.err().contains("(/bin/sleep 100000), SIGTERM")
            || done.err().contains("(sleep 100000), SIGTERM"),
        "{done}"
    );
    host.ok("! ls /srv/new 2>/dev/null");
    assert_eq!(states(&host, "one"), ["active"]);
    host.ok(&format!(
        "isconf exec --contained sh -c '{line}' && ls /srv/new"
    ));
    assert_eq!(states(&host, "one"), ["active"]);
}

#[test]
fn a_live_command_reaches_processes_sockets_and_kernel_and_its_files_are_one_commit() {
    let Some(host) = with_app("live") else {
        return;
    };
    let pid = host.ok("systemctl show -p MainPID --value one");
    let line = format!(
        "kill -TERM {} && busctl status >/dev/null && hostname changed && mkdir /srv/m && \
         mount -t tmpfs none /mnt && systemctl start two && test $(cat /proc/1/comm) = systemd && \
         echo text >/srv/new",
        pid.trim()
    );
    let preview = host.ok(&format!("isconf exec --live --noop sh -c '{line}'"));
    assert!(preview.contains("rehearsal: Exit status 1"), "{preview}");
    assert_eq!(states(&host, "one two"), ["active", "inactive"]);
    let done = host.ok(&format!("isconf exec --live sh -c '{line}'"));
    assert!(
        done.contains("host name: sethostname changed: took place"),
        "{done}"
    );
    host.ok("hostname live");
    assert_eq!(states(&host, "one two"), ["inactive", "active"]);
    assert_eq!(
        host.ok("findmnt -n -o FSTYPE /mnt; cat /srv/new; ls -d /srv/m"),
        "tmpfs\ntext\n/srv/m\n"
    );
    host.ok("umount /mnt && isconf undo");
    host.ok("! ls /srv/new /srv/m 2>/dev/null");
}

#[test]
fn what_follows_from_unit_files_waits_for_them() {
    let Some(host) = with_app("livefiles") else {
        return;
    };
    let unit = "/etc/systemd/system/three.service";
    let line = format!(
        "hostname other || exit 1; echo \"[Service]\" >{unit}; echo ExecStart=sleep 100000 >>{unit}; \
         echo \"[Install]\" >>{unit}; echo WantedBy=multi-user.target >>{unit}; \
         systemctl enable --now three"
    );
    host.ok(&format!(
        "isconf exec --live sh -c '{line}'; hostname livefiles"
    ));
    assert_eq!(states(&host, "three"), ["active"]);
    assert_eq!(host.ok("systemctl is-enabled three"), "enabled\n");
    // What was not done is not followed by anything.
    let preview = host.ok("isconf exec --noop sh -c 'systemctl enable --now nosuch || true'");
    assert!(!preview.contains("waits for the commit"), "{preview}");
}

#[test]
fn a_live_command_that_fails_in_its_rehearsal_or_after_it_changes_no_file() {
    let Some(host) = with_app("livefails") else {
        return;
    };
    let done = host.run("isconf exec --live sh -c 'touch /srv/new /run/touched; exit 7'");
    assert_eq!(done.code(), 7, "{done}");
    // It failed of itself: the running system was not even tried.
    host.ok("! ls /srv/new /run/touched 2>/dev/null");
    let done =
        host.run("isconf exec --live sh -c 'touch /srv/new; hostname other && exit 8; exit 9'");
    assert_eq!(done.code(), 8, "{done}");
    host.ok("test $(hostname) = other && hostname livefails");
    host.ok("! ls /srv/new 2>/dev/null");
}

#[test]
fn targets_rehearse_and_then_do_it() {
    let Some(origin) = with_app("liveorigin") else {
        return;
    };
    let line =
        "pid=$(systemctl show -p MainPID --value one); kill -TERM $pid && echo text >/srv/new";
    origin.ok(&format!(
        "isconf exec --live sh -c '{line}' && isconf ci && isconf log"
    ));
    origin.ok("isconf bundle export /root/bundle");
    let target = with_app("livetarget").expect("hosts can be made");
    target.ok("isconf unlock");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle");
    let preview = target.ok("isconf up --noop");
    assert!(preview.contains("rehearsal"), "{preview}");
    assert_eq!(states(&target, "one"), ["active"]);
    // Interrupted after it has acted: the next one does it once more, and says so.
    let up = target.command(["isconf", "up"]);
    let up = up.env("ISCONF_CRASH_AT", "commit.prepare.begun").run();
    assert_eq!(up.unwrap().code(), 128 + 9);
    target.ok("! ls /srv/new 2>/dev/null; systemctl start one");
    let up = target.ok("isconf up && cat /srv/new");
    assert!(up.contains("this is once more"), "{up}");
    target.ok("! ls /var/is/conf/acting 2>/dev/null");
    assert_eq!(states(&target, "one"), ["inactive"]);
}

#[test]
fn what_a_live_command_leaves_running_is_ended_and_nothing_else_is() {
    let Some(host) = with_app("liveleft") else {
        return;
    };
    let line = "sleep 98765 & until grep -q sleep /proc/$!/comm; do :; done; touch /srv/new";
    let done = host.ok(&format!("isconf exec --live sh -c '{line}'"));
    assert!(done.contains("left running sleep 98765"), "{done}");
    host.ok("! grep -qaz 9876[5] /proc/[0-9]*/cmdline");
    // Neither is one that made mounts of its own.
    let line = "unshare -m sh -c \"sleep 98764\" & sleep 0.3; systemctl is-active one";
    host.ok(&format!("isconf exec --live sh -c '{line}'"));
    host.ok("! grep -qaz 9876[4] /proc/[0-9]*/cmdline");
    host.ok("! ls /dev/shm/.isconf* 2>/dev/null");
    assert_eq!(states(&host, "one"), ["active"]);
    assert_eq!(host.ok("systemctl is-system-running"), "running\n");
}

#[test]
fn a_live_command_ends_with_isconf_when_that_is_killed() {
    let Some(host) = with_app("livekilled") else {
        return;
    };
    // The rehearsal ends at the host name. Processes of another user, and with mounts of their own, too.
    let line = "hostname other || exit 1; touch /srv/new; unshare -m sleep 98763 & \
        setpriv --reuid 65534 --clear-groups sleep 98763 & sleep 98763";
    host.write("/root/line", line);
    host.ok("isconf exec --live sh /root/line >/root/said 2>&1 & echo $! >/root/isconf");
    let count = "grep -laz '^9876[3]' /proc/[0-9]*/cmdline 2>/dev/null | wc -l";
    host.ok(&format!(
        "timeout 60 sh -c 'until [ $({count}) = 3 ]; do sleep 0.05; done'"
    ));
    host.ok("kill -KILL $(cat /root/isconf)");
    host.ok(&format!(
        "timeout 60 sh -c 'until [ $({count}) = 0 ]; do sleep 0.05; done'"
    ));
    host.ok("hostname livekilled; isconf status");
    host.ok("! ls /srv/new 2>/dev/null");
    assert_eq!(states(&host, "one"), ["active"]);
}
