//! `isconf diff` after entries whose change sets do not name all that changed.

use crate::support::machine::Machine;

#[test]
fn a_file_written_by_either_of_its_names_is_no_drift() {
    let Some(host) = Machine::locked("audit-links") else {
        return;
    };
    host.sh("set -e; cd /srv; echo pre >p; ln p p2; echo two >f")
        .code(0);
    for script in [
        "echo x >>/srv/p2",
        "echo y >>/srv/p",
        "ln /srv/f /srv/f2",
        "chmod 600 /srv/f",
        "echo more >>/srv/f2",
        "chmod 640 /srv/f",
        "echo z >>/srv/p; rm /srv/p",
        "rm /srv/f; echo new >/srv/f",
    ] {
        host.isconf(["exec", "sh", "-c", script]).code(0);
        host.isconf(["diff"]).code(0);
        host.isconf(["diff", "/srv/p2", "/srv/f2"]).code(0);
    }
    host.sh("echo by hand >>/srv/p2").code(0);
    host.isconf(["diff"]).code(1).prints("/srv/p2");
}

#[test]
fn a_link_made_by_hand_over_a_managed_file_is_drift() {
    let Some(host) = Machine::locked("audit-relink") else {
        return;
    };
    host.isconf([
        "exec",
        "sh",
        "-c",
        "echo one >/srv/one; echo other >/srv/other",
    ])
    .code(0);
    host.isconf(["exec", "sh", "-c", "echo two >/srv/other"])
        .code(0);
    host.sh("ln -f /srv/other /srv/one").code(0);
    host.isconf(["diff"]).code(1).prints("/srv/one");
}

#[test]
fn a_directory_moved_into_its_successor_is_no_drift() {
    let Some(host) = Machine::locked("audit-moved") else {
        return;
    };
    host.sh("mkdir /srv/many").code(0);
    let script = "cd /srv; mv many x1; mkdir many; mv x1 many/x1";
    host.isconf(["exec", "sh", "-c", script]).code(0);
    host.isconf(["diff"]).code(0);
}

#[test]
fn a_full_disk_costs_the_memory_of_the_audit_and_not_its_answer() {
    let Some(host) = Machine::locked("audit-full") else {
        return;
    };
    host.isconf(["exec", "sh", "-c", "echo one >/srv/one"])
        .code(0);
    // What was removed before is free only when the filesystem has committed that, and a large
    // write that fails leaves some blocks to small ones.
    host.sh("sync; ! cat /dev/zero >/srv/fill; sync; for n in $(seq 64); do echo >/srv/$n; done 2>/dev/null; test -s /srv/fill")
        .code(0);
    host.isconf(["diff"])
        .code(0)
        .says("will read everything again");
    host.sh("rm /srv/fill; echo two >>/srv/one").code(0);
    host.isconf(["diff"]).code(1).does_not_say("warning");
}
