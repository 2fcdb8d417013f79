//! Entries that take too much, or try to get away: each is contained, reported, ended within its
//! limits, and changes nothing live.

use crate::support::machine::{Done, Machine};
use crate::support::spec;

/// The status of a command that was killed.
const KILLED: i32 = 137;

/// Runs a script as an entry with these settings; nothing live may change.
#[track_caller]
fn entry(host: &Machine, settings: &str, script: &str) -> Done {
    host.write("/root/entry.sh", script);
    let before = host.manifest_of_others();
    let done = host.sh(&format!("{settings} isconf exec sh /root/entry.sh"));
    host.is_still(&before);
    host.isconf(["status"]).code(0).does_not_print("entry.sh");
    host.sh("! ls /var/is/scratch/*/upper 2>/dev/null; ! pgrep -x napper")
        .code(0);
    done
}

/// A machine whose branch is locked, with a program that runs for ever.
fn locked(name: &str) -> Option<Machine> {
    let host = Machine::locked(name)?;
    host.sh("cp /usr/bin/sleep /root/napper").code(0);
    Some(host)
}

#[test]
fn an_entry_that_forks_for_ever_is_ended() {
    let Some(host) = locked("forks") else {
        return;
    };
    let bomb = "touch /srv/file\nexec python3 -c 'import os\nwhile True:\n    try: os.fork()\n    \
                except OSError: pass'";
    entry(&host, "IS_LIMIT_PROCESSES=100", bomb)
        .code(KILLED)
        .says("nothing was changed: it had more than 100 processes")
        .says("IS_LIMIT_PROCESSES")
        .prints("Ended: it had more than 100 processes.");
    // Threads are counted as well.
    let threads = "exec python3 -c 'import threading, time\nfor i in range(300):\n    \
                   threading.Thread(target=time.sleep, args=(1000,)).start()'";
    entry(&host, "IS_LIMIT_PROCESSES=100", threads)
        .code(KILLED)
        .says("it had more than 100 processes");
}

#[test]
fn an_entry_that_writes_more_than_it_may_is_ended() {
    let Some(host) = locked("writes") else {
        return;
    };
    entry(&host, "IS_LIMIT_DISK=8M", "cat /dev/zero >/srv/big; exit 0")
        .code(KILLED)
        .says("nothing was changed: it wrote more than 8.0 MiB")
        .says("IS_LIMIT_DISK");
    // One that is done before anybody looked, and says that all is well.
    entry(&host, "IS_LIMIT_DISK=8M", "head -c 9M /dev/zero >/srv/big")
        .fails()
        .says("it wrote more than 8.0 MiB");
    host.sh("IS_LIMIT_DISK=8M isconf exec sh -c 'head -c 7M /dev/zero >/srv/big'")
        .code(0);
    host.sh("stat -c %s /srv/big").prints("7340032\n");
}

#[test]
fn an_entry_that_fills_the_disk_is_ended_with_room_left() {
    let Some(host) = Machine::with(spec("fills").size(512 << 20)) else {
        return;
    };
    host.isconf(["try", "true"]).code(0);
    host.sh("touch -d @1 /root").code(0);
    let before = host.manifest_of_others();
    for script in [
        "while :; do cat /dev/zero >/srv/big; done 2>/dev/null",
        "trap '' TERM; cat /dev/zero >/srv/big 2>/dev/null; exit 0",
    ] {
        host.isconf(["try", "sh", "-c", script])
            .fails()
            .says("nothing was changed: it left too little room on /")
            .says("256 MiB");
        host.is_still(&before);
        host.sh("head -c 100M /dev/zero >/root/room && rm /root/room; touch -d @1 /root")
            .code(0);
    }
}

#[test]
fn an_entry_that_runs_for_ever_and_ignores_sigterm_is_ended() {
    let Some(host) = locked("forever") else {
        return;
    };
    let script = "trap '' TERM HUP INT QUIT\ntouch /srv/file\n\
                  setsid /root/napper 1000 &\nwhile :; do /root/napper 1000; done";
    entry(&host, "IS_LIMIT_TIME=1", script)
        .code(KILLED)
        .says("nothing was changed: it ran for longer than 1.00 s")
        .says("IS_LIMIT_TIME");
    host.sh("IS_LIMIT_TIME=1s isconf exec --json sh -c 'trap \"\" TERM; while :; do :; done'")
        .code(KILLED)
        .prints("\"verdict\":\"limit_exceeded\"")
        .prints("\"limit\":{\"setting\":\"IS_LIMIT_TIME\"");
    host.sh("IS_LIMIT_TIME=0 isconf try sleep 0.1").code(0);
    host.sh("IS_LIMIT_TIME=1x isconf try true").code(22);
}

#[test]
fn an_entry_that_closes_its_terminal_leaves_it_usable() {
    let Some(host) = locked("closes") else {
        return;
    };
    let before = host.manifest_of_others();
    host.sh(
        "script -qec 'isconf try setsid -w sh -c \"exec <&- >&- 2>&-; touch /srv/file; \
         setsid /root/napper 1000 &\"; stty sane && echo usable' /dev/null </dev/null",
    )
    .code(0)
    .prints("/srv/file")
    .prints("left running")
    .prints("usable");
    host.sh("! pgrep -x napper").code(0);
    host.is_still(&before);
}

#[test]
fn an_entry_that_unshares_by_itself_stays_inside() {
    let Some(host) = locked("unshares") else {
        return;
    };
    let before = host.manifest_of_others();
    let name = host.sh("hostname; ip -o link").out();
    host.isconf([
        "try",
        "unshare",
        "--user",
        "--map-root-user",
        "--net",
        "--uts",
        "--ipc",
        "--pid",
        "--fork",
        "sh",
        "-c",
        "touch /srv/file; ip link set lo up; hostname other; exit 0",
    ])
    .code(0)
    .prints("process: unshare user, ")
    .prints("add link, in a namespace of its own: stayed in the scratchpad")
    .prints("sethostname other, in a namespace of its own: refused with EPERM")
    .prints("/srv/file");
    host.isconf(["try", "sh", "-c", "unshare --mount true || exit 9"])
        .code(9)
        .prints("process: unshare mount: refused with EPERM");
    assert_eq!(host.sh("hostname; ip -o link").out(), name);
    host.is_still(&before);
}

#[test]
fn an_entry_that_mounts_among_its_own_mounts_is_refused_and_named() {
    let Some(host) = locked("mounts-own") else {
        return;
    };
    let before = host.manifest_of_others();
    let mounts = host.sh("cat /proc/self/mountinfo").out();
    host.isconf([
        "try",
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "--propagation",
        "unchanged",
        "sh",
        "-c",
        "mount -t tmpfs none /mnt; umount /proc; exit 0",
    ])
    .code(0)
    .prints("mount: ")
    .prints("in a namespace of its own: refused with EPERM");
    assert_eq!(host.sh("cat /proc/self/mountinfo").out(), mounts);
    host.is_still(&before);
}

#[test]
fn an_entry_that_changes_its_own_limits_changes_nobody_elses() {
    let Some(host) = locked("rlimits") else {
        return;
    };
    entry(
        &host,
        "",
        "ulimit -f 0; ulimit -n 8; ulimit -c unlimited; ulimit -v 200000; \
         head -c 1M /dev/zero >/srv/file",
    )
    .fails();
    // The supervisor writes more than the command might.
    host.isconf([
        "exec",
        "sh",
        "-c",
        "for i in 1 2 3 4 5 6 7 8 9; do head -c 64K /dev/zero >/srv/file$i; done; ulimit -f 0; \
         ulimit -n 4",
    ])
    .code(0);
    host.sh("cat /srv/file* | wc -c").prints("589824\n");
}

#[test]
fn an_entry_that_runs_a_setuid_program_gets_no_further() {
    let Some(host) = locked("setuid") else {
        return;
    };
    host.write(
        "/root/raise.c",
        "#include <sys/mount.h>\n#include <sys/stat.h>\n#include <unistd.h>\n\
         int main(void) { setuid(0); setgid(0); mkdir(\"/srv/mine\", 0700); \
         return mount(\"none\", \"/mnt\", \"tmpfs\", 0, 0) == 0; }\n",
    );
    host.sh("cc -o /srv/raise /root/raise.c && chmod 4755 /srv/raise && chmod 755 /srv")
        .code(0);
    let before = host.manifest_of_others();
    host.isconf([
        "try",
        "setpriv",
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
        "/srv/raise",
    ])
    .code(1)
    .says("the command acts on the running system")
    .prints("mount: mount none on /mnt (tmpfs): refused with EPERM, by /srv/raise")
    .prints("/srv/mine");
    host.is_still(&before);
}

#[test]
fn an_entry_that_deletes_the_root_is_refused() {
    let Some(host) = locked("deletes") else {
        return;
    };
    entry(&host, "", "rm -rf --no-preserve-root / 2>/dev/null").fails();
    entry(&host, "", "rm -rf --no-preserve-root / 2>/dev/null; exit 0")
        .fails()
        .says("/etc would be removed, and no host can be without it")
        .says("remove what is in it");
    entry(&host, "", "mv /etc /old && touch /etc")
        .fails()
        .says("/etc would be no directory any more");
    // Neither when it was kept to be made real later.
    let keeps = "isconf try --keep root sh -c 'mv /etc /old'";
    host.sh(keeps).fails();
    host.isconf(["try", "--commit", "root", "--unjournaled"])
        .fails()
        .says("/etc would be removed");
    // Other things at the top may go.
    host.sh("mkdir /own").code(0);
    host.isconf(["exec", "rmdir", "/own"]).code(0);
    assert!(!host.exists("/own"));
}

#[test]
fn an_entry_that_writes_to_every_device_reaches_none() {
    let Some(host) = locked("every-device") else {
        return;
    };
    let before = host.manifest_of_others();
    let script = "for device in $(find /dev -type b -o -type c); do \
                  case $device in /dev/tty|/dev/console|/dev/pts/*) continue;; esac; \
                  echo broken >$device; done 2>/dev/null\n\
                  for number in '7 0' '8 0' '253 0' '254 0' '259 0'; do \
                  mknod /srv/disk b $number && { echo broken >/srv/disk && exit 9; rm /srv/disk; }; \
                  done 2>/dev/null\n\
                  mknod /srv/mem c 1 1; echo broken >/srv/mem && exit 9\n\
                  for disk in sda vda nvme0n1 mem kmem port; do echo broken >/dev/$disk && exit 9; done\n\
                  rm -f /srv/mem /srv/disk; exit 0";
    host.isconf(["try", "sh", "-c", script])
        .code(1)
        .says("the command acts on the running system")
        .prints("Exit status 0.")
        .prints("raw device: ")
        .prints("refused with EACCES");
    host.is_still(&before);
}
