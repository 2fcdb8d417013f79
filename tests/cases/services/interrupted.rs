//! A crash between a commit and the end of what it asks of service managers.

use super::{states, with_app};

/// Every point from the commit to the end of the requests.
const POINTS: [&str; 7] = [
    "settle.pending.durable",
    "settle.receipt.durable",
    "commit.finish.durable",
    "actions.begun",
    "actions.done",
    "actions.begun:2",
    "actions.forgotten",
];

#[test]
fn requests_go_on_where_they_were() {
    let Some(host) = with_app("resume") else {
        return;
    };
    for point in POINTS {
        host.ok("systemctl start one; systemctl stop two; : >/srv/starts");
        let line = format!("echo {point} >/etc/app/conf; systemctl stop one; systemctl start two");
        let done = host.command(["isconf", "exec", "sh", "-c", &line]);
        let done = done.env("ISCONF_CRASH_AT", point).run().unwrap();
        assert_eq!(done.code(), 128 + 9, "{point}: {done}");
        let said = host.ok("isconf status");
        assert_eq!(
            states(&host, "one two"),
            ["inactive", "active"],
            "{point}: {said}"
        );
        assert_eq!(host.ok("cat /etc/app/conf"), format!("{point}\n"));
        let may_be_twice = ["actions.begun", "actions.done", "actions.begun:2"].contains(&point);
        assert_eq!(
            said.contains("may have been done twice"),
            may_be_twice,
            "{point}: {said}"
        );
        host.ok("! ls /var/is/conf/actions 2>/dev/null");
    }
    let status = host.ok("isconf status");
    assert!(
        status.contains(&format!("{} entries", POINTS.len())),
        "{status}"
    );
}

#[test]
fn requests_of_an_entry_without_files_go_on() {
    let Some(host) = with_app("nofiles") else {
        return;
    };
    for point in POINTS {
        host.ok("systemctl start one; systemctl stop two");
        let line = "systemctl stop one; systemctl start two";
        let done = host.command(["isconf", "exec", "sh", "-c", line]);
        let done = done.env("ISCONF_CRASH_AT", point).run().unwrap();
        assert_eq!(done.code(), 128 + 9, "{point}: {done}");
        let said = host.ok("isconf status");
        let now = states(&host, "one two");
        assert_eq!(now, ["inactive", "active"], "{point}: {said}");
    }
}

#[test]
fn requests_of_an_entry_that_is_gone_are_dropped() {
    let Some(host) = with_app("gone") else {
        return;
    };
    host.ok("isconf exec touch /srv/before; cp -a /var/is /root/is");
    let line = "touch /srv/new; systemctl stop one";
    let done = host.command(["isconf", "exec", "sh", "-c", line]);
    let done = done.env("ISCONF_CRASH_AT", "actions.begun").run().unwrap();
    assert_eq!(done.code(), 128 + 9, "{done}");
    // Put back from a backup, but for the file that says what waits.
    host.ok("mv /var/is/conf/actions /root; rm -rf /var/is; mv /root/is /var/is; mv /root/actions /var/is/conf/");
    host.ok("systemctl start one");
    let said = host.run("isconf status").err();
    assert!(said.contains("dropped what an entry asked"), "{said}");
    assert!(said.contains("`systemctl stop one`"), "{said}");
    assert_eq!(states(&host, "one"), ["active"]);
    host.ok("! ls /var/is/conf/actions 2>/dev/null");
}

#[test]
fn what_failed_before_an_interruption_is_told_after_it() {
    let Some(host) = with_app("failedbefore") else {
        return;
    };
    let line = "echo broken >/etc/app/conf; systemctl restart two; systemctl stop one";
    let done = host.command(["isconf", "exec", "--keep", "sh", "-c", line]);
    let done = done
        .env("ISCONF_CRASH_AT", "actions.begun:2")
        .run()
        .unwrap();
    assert_eq!(done.code(), 128 + 9, "{done}");
    let said = host.run("isconf status").err();
    let twice = "(`systemctl stop one` may have been done twice; `systemctl restart two` failed)";
    assert!(said.contains(twice), "{said}");
    assert_eq!(states(&host, "one"), ["inactive"]);
}

#[test]
fn taking_back_goes_on_where_it_was() {
    let Some(host) = with_app("backagain") else {
        return;
    };
    host.ok("isconf exec touch /srv/before");
    for point in [
        "actions.done:2",
        "actions.taking_back",
        "commit.undo.checked",
        "commit.apply.after_move:2",
        "actions.taken_back",
    ] {
        host.ok("systemctl start one; systemctl stop two");
        let line =
            "echo broken >/etc/app/conf; touch /srv/new; systemctl stop one; systemctl start two";
        let done = host.command(["isconf", "exec", "sh", "-c", line]);
        let done = done.env("ISCONF_CRASH_AT", point).run().unwrap();
        assert_eq!(done.code(), 128 + 9, "{point}: {done}");
        let said = host.ok("isconf status");
        assert_eq!(host.ok("cat /etc/app/conf"), "first\n", "{point}: {said}");
        // What failed to start may still say so.
        let now = states(&host, "one two");
        assert_eq!(now[0], "active", "{point}: {said}");
        assert_ne!(now[1], "active", "{point}: {said}");
        host.ok("! ls /srv/new /var/is/conf/actions 2>/dev/null");
    }
}

#[test]
fn a_power_cut_loses_no_request() {
    let Some(mut host) = with_app("cutservice") else {
        return;
    };
    host.ok("systemctl enable one && sync");
    let line = "echo second >/etc/app/conf; systemctl enable --now two; systemctl stop one";
    let done = host.command(["isconf", "exec", "sh", "-c", line]);
    let done = done
        .env("ISCONF_CRASH_AT", "actions.begun:3")
        .run()
        .unwrap();
    assert_eq!(done.code(), 128 + 9, "{done}");
    host.cut_power();
    host.boot();
    // Both were enabled, and nobody has stopped the first one yet.
    host.ok("isconf status");
    assert_eq!(states(&host, "one two"), ["inactive", "active"]);
    assert_eq!(host.ok("cat /etc/app/conf"), "second\n");
}

#[test]
fn a_request_that_ends_isconf_is_not_made_for_ever() {
    let Some(host) = with_app("forever") else {
        return;
    };
    let script = "#!/bin/sh\n[ \"$1\" = status ] && exit 3\necho >>/srv/tries\nkill -KILL $PPID\n";
    host.write("/etc/init.d/killer", script);
    host.ok("chmod 755 /etc/init.d/killer");
    let line = "touch /srv/new; /etc/init.d/killer start; systemctl start two";
    let done = host.run(&format!("isconf exec sh -c '{line}'"));
    assert_eq!(done.code(), 128 + 9, "{done}");
    assert_eq!(host.run("isconf status").code(), 128 + 9);
    let said = host.run("isconf status").err();
    assert!(said.contains("interrupted twice"), "{said}");
    assert_eq!(host.ok("wc -l </srv/tries; ls /srv/new"), "2\n/srv/new\n");
    assert_eq!(states(&host, "two"), ["active"]);
}
