//! Trees that change under the feet of a commit: somebody swaps every directory that it walks for a
//! link to a place that must not be touched, all the time. Whatever the verb then says, nothing
//! behind the link may ever change.

use crate::support::machine::Machine;

/// Makes the tree, and the same names where nobody may touch anything.
const PREPARE: &str = "mkdir -p /srv/t/d/e /root/forbidden/d/e && \
    for top in /srv/t /root/forbidden; do cd $top; for d in . d d/e; do \
    echo old >$d/old; echo gone >$d/gone; mkdir $d/sub; echo in >$d/sub/in; done; done; \
    ln -s /root/forbidden /srv/t.link; ln -s /root/forbidden/d /srv/t/d.link; \
    ln -s /root/forbidden/d/e /srv/t/d/e.link";

/// Swaps one directory after the other for its link and back, until it is told to stop.
const RACER: &str = r#"#!/usr/bin/python3
import ctypes, os
libc = ctypes.CDLL(None)
dirs = [b"/srv/t", b"/srv/t/d", b"/srv/t/d/e"]
swapped = dict.fromkeys(dirs, False)
def swap(d):
    fd = os.open(os.path.dirname(d), os.O_PATH | os.O_NOFOLLOW)
    name = os.path.basename(d)
    # Refused below what is a link at the moment: links are not followed here either.
    if libc.renameat2(fd, name, fd, name + b".link", 2) == 0:
        swapped[d] = not swapped[d]
    os.close(fd)
open("/root/racing", "w").close()
while not os.path.exists("/root/stop"):
    for d in dirs:
        for _ in range(50):
            swap(d)
            swap(d)
for d in dirs:
    if swapped[d]:
        swap(d)
"#;

/// What the entries do: in every directory a file is written, one made, one removed, and a tree
/// moved. It goes through descriptors and so never through a link itself.
const WORK: &str = r#"#!/usr/bin/python3
import os, sys
def at(name, parent):
    return os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
def work(fd):
    f = os.open("old", os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW, dir_fd=fd)
    os.write(f, b"more\n")
    f = os.open("new" + sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=fd)
    os.write(f, b"new\n")
    os.unlink("gone", dir_fd=fd)
    os.rename("sub", "moved", src_dir_fd=fd, dst_dir_fd=fd)
    os.fchmod(fd, 0o751)
fd = at("/srv", None)
for name in ["t", "d", "e"]:
    fd = at(name, fd)
    work(fd)
"#;

const FORBIDDEN: &str = "find /root/forbidden | sort | while read -r f; do \
    stat -c '%n %f %u:%g %s %h %i %y %z' \"$f\"; [ -f \"$f\" ] && cat \"$f\"; done";

/// Where the process stops in some rounds, so that the next verb recovers under the same attack.
const STOPS: [&str; 3] = ["", "commit.intent.durable", "commit.apply.done"];

#[test]
fn directories_swapped_for_links_lead_nowhere() {
    let Some(mut host) = Machine::locked("racing") else {
        return;
    };
    host.sh(PREPARE).code(0);
    host.write("/root/racer", RACER);
    host.write("/root/work", WORK);
    host.sh("chmod 755 /root/racer /root/work; mkfifo /root/ended")
        .code(0);
    let forbidden = host.sh(FORBIDDEN).code(0).out();
    let mut ended = std::collections::BTreeMap::new();
    for round in 0..12 {
        let n = round.to_string();
        // The racer holds the pipe open for writing until it ends.
        host.sh(
            "rm -f /root/stop /root/racing; (exec /root/racer 9<>/root/ended) >/dev/null 2>&1 & \
                 while ! [ -e /root/racing ]; do :; done; echo $! >/root/racer.pid",
        )
        .code(0);
        host.setenv("ISCONF_CRASH_AT", STOPS[round % STOPS.len()]);
        let done = host.isconf(["exec", "/root/work", &n]);
        *ended.entry(done.status()).or_insert(0) += 1;
        host.setenv("ISCONF_CRASH_AT", "");
        host.isconf(["status"]).status();
        host.isconf(["undo"]).status();
        assert_eq!(
            host.sh(FORBIDDEN).out(),
            forbidden,
            "while racing: {ended:?}"
        );
        host.sh("touch /root/stop; while [ -e /proc/$(cat /root/racer.pid) ]; do :; done")
            .code(0);
        // Quiet again: what was left is finished or taken back, and the tree is as it was.
        host.isconf(["status"]).code(0);
        host.isconf(["undo"]).status();
        assert_eq!(
            host.sh(FORBIDDEN).out(),
            forbidden,
            "after racing: {ended:?}"
        );
        let all = host
            .sh("cd /srv/t; ls -R . d; cat old d/old d/e/old")
            .code(0)
            .out();
        let quiet = "old\nold\nold\n";
        assert!(
            all.ends_with(quiet),
            "round {round}: {ended:?}\n{all}\n{}",
            done.err()
        );
    }
    // Without the racer the same work is done, so that the rounds above had something to do.
    host.isconf(["exec", "/root/work", "last"]).code(0);
    assert_eq!(host.read("/srv/t/d/e/newlast"), "new\n");
    assert_eq!(host.sh(FORBIDDEN).out(), forbidden);
}
