//! The scratchpad on machines with several file systems: what is covered, what is read-only, what
//! is named, and that nothing of isconf stays on any volume but undo data.

use std::path::PathBuf;

use isconf::tour::{RootKind, Volume};

use crate::support::machine::Machine;
use crate::support::{ROOTS, spec};

/// Lists the top of every volume with the time of its last change, and each hidden directory.
const TOPS: &str = "stat -c '%n %a %y' / /srv /srv/deep /tmp /run /mnt/alias 2>/dev/null; \
                    find / -xdev -name .isconf; ls -ad /srv/.isconf /srv/deep/.isconf \
                    /tmp/.isconf /run/.isconf 2>/dev/null; ls -A /var/is/scratch";

/// A machine with a disk on `/srv`, another below it, one in memory, an alias, a read-only tree and
/// a single mounted file.
fn varied(name: &str, root: RootKind, other: RootKind) -> Option<Machine> {
    let alias = |of: &str, at: &str| Volume::Alias {
        of: of.into(),
        at: at.into(),
    };
    let spec = spec(name)
        .root(root)
        .disk(other, "/srv")
        .disk(RootKind::Ext4, "/srv/deep")
        .disk(RootKind::Tmpfs, "/tmp")
        .volume(alias("/var/aliased", "/mnt/alias"))
        .volume(Volume::ReadOnly {
            at: PathBuf::from("/opt/fixed"),
        })
        .volume(Volume::FileAlias {
            of: "/srv/one".into(),
            at: "/etc/one".into(),
        });
    let machine = Machine::with(spec)?;
    machine.join_domain();
    machine.isconf(["lock", "for the test"]).code(0);
    Some(machine)
}

#[test]
fn every_writable_mount_is_covered_and_committed() {
    for (number, root) in ROOTS.into_iter().enumerate() {
        let other = ROOTS[(number + 1) % ROOTS.len()];
        let Some(host) = varied("covered", root, other) else {
            return;
        };
        host.write("/srv/old", "old\n");
        host.write("/srv/deep/gone", "gone\n");
        let script = "set -e; for d in / /srv /srv/deep /tmp /mnt/alias /run; do \
                      echo $d >$d/new; mkdir $d/tree; echo t >$d/tree/leaf; done; \
                      echo more >>/srv/old; rm /srv/deep/gone; \
                      test \"$(cat /var/aliased/new)\" = /mnt/alias; \
                      echo back >>/var/aliased/new; test $(wc -l </mnt/alias/new) = 2";
        host.isconf(["exec", "sh", "-c", script])
            .code(0)
            .does_not_print("changed meanwhile");
        host.sh("set -e; for d in / /srv /srv/deep /tmp /mnt/alias; do \
             test $(head -n1 $d/new) = $d; test -e $d/tree/leaf; done; \
             test $(wc -l </var/aliased/new) = 2; test $(wc -l </srv/old) = 2; \
             test ! -e /srv/deep/gone; test ! -e /run/new")
            .code(0);
        host.isconf(["undo"]).code(0);
        host.sh("set -e; for d in / /srv /srv/deep /tmp /mnt/alias; do \
             test ! -e $d/new; test ! -e $d/tree; done; \
             test $(cat /srv/old) = old; test $(cat /srv/deep/gone) = gone")
            .code(0);
    }
}

#[test]
fn no_volume_shows_a_trace_of_a_preview() {
    let Some(host) = varied("traces", RootKind::Ext4, RootKind::Xfs) else {
        return;
    };
    let before = host.sh(TOPS).out();
    let script = "for d in / /srv /srv/deep /tmp /run /mnt/alias; do echo >$d/x; done";
    host.isconf(["try", "sh", "-c", script])
        .code(0)
        .does_not_print("changed meanwhile");
    assert_eq!(host.sh(TOPS).out(), before);
    host.isconf(["exec", "--noop", "sh", "-c", script]).code(0);
    assert_eq!(host.sh(TOPS).out(), before);
    host.isconf(["exec", "sh", "-c", &format!("{script}; exit 3")])
        .fails();
    assert_eq!(host.sh(TOPS).out(), before);
    // Nothing of a volume that an entry does not change stays on it, undo data included.
    host.isconf(["exec", "touch", "/etc/touched"]).code(0);
    host.sh("! ls -d /srv/.isconf /srv/deep/.isconf /tmp/.isconf /run/.isconf 2>/dev/null")
        .code(0);
    host.isconf(["undo"]).code(0);
    // What an entry changed has undo data until it is taken back.
    host.isconf(["exec", "sh", "-c", script]).code(0);
    host.sh("ls -d /srv/.isconf /srv/deep/.isconf /tmp/.isconf && ! ls -d /run/.isconf")
        .code(0);
    host.isconf(["undo"]).code(0);
    assert_eq!(host.sh(TOPS).out(), before);
    host.isconf(["try", "sh", "-c", "ls -A / /srv /srv/deep /tmp /run"])
        .code(0)
        .does_not_print(".isconf");
}

#[test]
fn read_only_mounts_and_single_files_stay_read_only_and_are_named() {
    let Some(host) = varied("fixed", RootKind::Ext4, RootKind::Xfs) else {
        return;
    };
    host.isconf(["try", "touch", "/opt/fixed/x"])
        .code(1)
        .says("Read-only file system");
    host.isconf(["exec", "touch", "/usr/share/x"])
        .fails()
        .says("Read-only file system");
    // The file's own volume is covered, so both names show one file inside as well.
    host.isconf([
        "try",
        "sh",
        "-c",
        "echo inside >/srv/one && grep inside /etc/one && echo >>/etc/one",
    ])
    .code(0)
    .prints("/srv/one");
    assert_eq!(host.read("/etc/one"), "");
    host.isconf(["exec", "sh", "-c", "echo kept >/etc/one"])
        .code(0);
    host.sh("cmp /etc/one /srv/one && grep kept /etc/one")
        .code(0);
}

#[test]
fn what_cannot_be_covered_is_read_only_and_named() {
    let Some(host) = Machine::bare("uncovered") else {
        return;
    };
    host.sh(
        "mkdir /mnt/ram /srv/file && mount -t ramfs none /mnt/ram && echo live >/mnt/ram/file \
         && touch /srv/file/one /run/two && mount --bind /mnt/ram/file /srv/file/one",
    )
    .code(0);
    let done = host.isconf([
        "try",
        "sh",
        "-c",
        "echo no >/mnt/ram/file; cat /mnt/ram/file",
    ]);
    let done = done.says("Read-only file system");
    let text = done.out() + &done.err();
    assert!(text.contains("/mnt/ram (ramfs): read-only"), "{text}");
    assert!(text.contains("/srv/file/one (ramfs): read-only"), "{text}");
    assert_eq!(host.read("/mnt/ram/file"), "live\n");
    // A file that was deleted cannot be shown a second time.
    host.sh("echo >/srv/a; touch /srv/b; mount --bind -o ro /srv/a /srv/b; rm /srv/a")
        .code(0);
    host.isconf(["try", "sh", "-c", "! test -s /srv/b"])
        .code(0)
        .prints("/srv/b (ext4): masked");
}

#[test]
fn run_is_captured_and_shown_and_not_committed() {
    let Some(host) = Machine::locked("runs") else {
        return;
    };
    host.isconf(["exec", "sh", "-c", "echo 1 >/run/pid; echo 2 >/srv/file"])
        .code(0)
        .prints("/run/pid")
        .prints("/srv/file");
    assert!(!host.exists("/run/pid"));
    assert!(host.exists("/srv/file"));
    host.sh("! ls -d /run/.isconf 2>/dev/null").code(0);
}

#[test]
fn a_live_root_that_is_an_overlay_is_committed_by_copy() {
    let Some(host) = Machine::with(spec("container").overlay_root()) else {
        return;
    };
    host.join_domain();
    host.isconf(["probe"]).code(0).prints("itself an overlay");
    host.isconf(["lock", "for the test"]).code(0);
    let script = "echo new >/srv/new; echo more >>/etc/motd; rm /etc/nsswitch.conf; mkdir /srv/d";
    let time = || host.sh("stat -c %.Y / /etc /srv").code(0).out();
    let before = time();
    host.isconf(["exec", "sh", "-c", script]).code(0);
    host.sh("grep -qx new /srv/new && grep -qx more /etc/motd && test $(wc -l </etc/motd) = 2")
        .code(0);
    host.sh("test -d /srv/d && test ! -e /etc/nsswitch.conf")
        .code(0);
    host.isconf(["undo"]).code(0);
    // An overlay counts one link for a directory that it copied up; all else is as it was.
    assert_eq!(time(), before);
    host.sh("test ! -e /srv/new && test ! -e /srv/d && test -e /etc/nsswitch.conf")
        .code(0);
    host.sh("! grep -qx more /etc/motd").code(0);
}

#[test]
fn a_root_whose_directories_are_renumbered_at_each_mount_is_told() {
    let Some(host) = Machine::with(spec("renumbered").overlay_root()) else {
        return;
    };
    host.join_domain();
    let ability = "directories of the live root keep their inode numbers";
    let (yes, no) = (
        format!("yes        {ability}"),
        format!("no         {ability}"),
    );
    host.isconf(["probe"]).code(0).prints(&yes);
    // Roots of their own over two filesystems: the one here, and one in memory.
    for (xino, expected) in [("off", &no), ("on", &yes)] {
        let mount = format!(
            "mkdir -p /run/{xino}/upper /run/{xino}/work /run/{xino}/root && cd /run/{xino} &&
             mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work,xino={xino} root &&
             for d in proc sys dev usr var/is; do mount --rbind /$d root/$d || exit; done &&
             mkdir -p root$(dirname $(command -v isconf)) && touch root$(command -v isconf) &&
             mount --bind $(command -v isconf) root$(command -v isconf)"
        );
        host.sh(&mount).code(0);
        host.sh(&format!("chroot /run/{xino}/root isconf probe"))
            .code(0)
            .prints(expected);
    }
}

#[test]
fn what_a_commit_by_copy_keeps_is_dropped_with_the_entry() {
    let Some(mut host) = Machine::with(spec("dropcopy").overlay_root()) else {
        return;
    };
    host.join_domain();
    host.isconf(["lock", "for the test"]).code(0);
    host.setenv("IS_UNDO_KEEP", "1");
    let before = host.sh("stat -c %.Y /").code(0).out();
    for n in 0..3 {
        let script = format!("echo {n} >>/etc/motd; mkdir /srv/{n}; rm -f /etc/nsswitch.conf");
        host.isconf(["exec", "sh", "-c", &script]).code(0);
    }
    // Drafts keep theirs, so that they can be discarded.
    let kept = "ls /.isconf | wc -l; ls /var/is/scratch | wc -l";
    assert_eq!(host.sh(kept).code(0).out(), "3\n3\n");
    host.isconf(["ci"]).code(0);
    host.isconf(["lock", "again"]).code(0);
    host.isconf(["exec", "mkdir", "/srv/last"]).code(0);
    // Those before it were dropped but the last.
    assert_eq!(host.sh(kept).code(0).out(), "2\n2\n");
    host.isconf(["undo"]).code(0);
    host.sh("tail -n 1 /etc/motd | grep -qx 2 && test -d /srv/2 && test ! -e /srv/last")
        .code(0);
    // What was taken back goes at the next start, beside the live tree too.
    host.isconf(["status"]).code(0);
    assert_eq!(host.sh(kept).code(0).out(), "1\n1\n");
    assert_eq!(host.sh("stat -c %.Y /").code(0).out(), before);
}

#[test]
fn home_may_lie_on_a_filesystem_of_its_own() {
    for kind in ROOTS {
        let Some(host) = Machine::with(spec("ownhome").disk(kind, "/var/is")) else {
            return;
        };
        host.join_domain();
        host.isconf(["lock", "for the test"]).code(0);
        host.isconf([
            "exec",
            "sh",
            "-c",
            "echo new >/srv/new; echo more >>/etc/motd",
        ])
        .code(0);
        host.sh("grep -qx new /srv/new && grep -qx more /etc/motd")
            .code(0);
        host.isconf(["undo"]).code(0);
        host.sh("test ! -e /srv/new && ! grep -qx more /etc/motd")
            .code(0);
    }
}

#[test]
fn a_home_that_cannot_hold_an_upper_layer_is_refused_clearly() {
    let Some(host) = Machine::bare("badhome") else {
        return;
    };
    host.sh(
        "mkdir -p /mnt/l /mnt/u /mnt/w /var/is && mount -t overlay o -o \
         lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w /var/is && mkdir /mnt/ram && \
         mount -t ramfs none /mnt/ram",
    )
    .code(0);
    // The root's scratch is by the root then, not in the home.
    host.isconf(["try", "touch", "/srv/x"]).code(0);
    assert!(!host.exists("/srv/x"));
    let done = host.sh("IS_HOME=/usr/is isconf try true").fails();
    let done = done.says("/usr/is").says("Read-only file system");
    assert!(done.status() < 126, "{done:?}");
}

#[test]
fn kept_scratchpads_span_volumes() {
    let Some(host) = varied("kept", RootKind::Ext4, RootKind::Btrfs) else {
        return;
    };
    let script = "for d in / /srv /srv/deep /tmp; do echo $d >$d/new; done";
    host.isconf(["try", "--keep", "one", "sh", "-c", script])
        .code(0);
    host.isconf(["try", "true"]).code(0);
    host.isconf(["try", "--show", "one"])
        .code(0)
        .prints("/srv/deep/new");
    host.sh("for d in '' /srv /srv/deep /tmp; do test ! -e $d/new || exit 1; done")
        .code(0);
    host.isconf(["try", "--unjournaled", "--commit", "one"])
        .code(0);
    host.sh("for d in / /srv /srv/deep /tmp; do test $(cat $d/new) = $d || exit 1; done")
        .code(0);
    host.isconf(["try", "--keep", "two", "sh", "-c", "echo >>/srv/new"])
        .code(0);
    host.isconf(["try", "--drop", "two"]).code(0);
}

/// Fills `$r` as the root of a chroot with the machine's own programs.
const FILL_CHROOT: &str = "cd $r; mkdir -p usr proc sys dev tmp var root etc srv; \
     mount --bind /usr usr; for l in bin sbin lib lib64; do ln -s usr/$l $l; done; \
     mount -t proc proc proc; touch dev/null isconf; mount --bind /dev/null dev/null; \
     mount --bind $(command -v isconf) isconf";

#[test]
fn in_a_chroot_nothing_reaches_the_machine_around_it() {
    let Some(host) = Machine::with(spec("chroot").disk(RootKind::Ext4, "/srv")) else {
        return;
    };
    host.sh(&format!("set -e; r=/srv; {FILL_CHROOT}")).code(0);
    host.write("/etc/around", "");
    let (around, inside) = ("ls -A /etc /; cat /proc/self/mountinfo", "ls -A /srv/etc");
    let before = (host.sh(around).out(), host.sh(inside).out());
    let script = "ls /etc; touch /etc/tried; echo x >/tried; cd /; cd ../../..; ls etc";
    let tried = host.sh(&format!("chroot /srv /isconf try sh -c '{script}'"));
    let tried = tried.code(0).prints("+ /etc/tried").prints("+ /tried");
    tried.does_not_print("around");
    assert_eq!(before, (host.sh(around).out(), host.sh(inside).out()));
    let real = "set -e; i='chroot /srv /isconf'; $i init example; $i lock test; \
                $i exec touch /etc/made; $i ci";
    host.sh(real).code(0);
    assert!(host.exists("/srv/etc/made") && !host.exists("/etc/made"));
}

#[test]
fn a_chroot_that_is_no_mount_is_refused_with_the_way_out() {
    let Some(host) = Machine::bare("chroot-dir") else {
        return;
    };
    host.sh(&format!("set -e; r=/srv/dir; mkdir $r; {FILL_CHROOT}"))
        .code(0);
    let tried = host.sh("chroot /srv/dir /isconf try true");
    tried.fails().says("mount --bind DIR DIR");
    host.sh("mount --rbind /srv/dir /srv/dir && chroot /srv/dir /isconf try true")
        .code(0);
}

#[test]
fn a_name_taken_by_an_ordinary_user_keeps_no_entry_away() {
    let Some(host) = Machine::locked("taken") else {
        return;
    };
    host.sh("mount -t tmpfs -o mode=1777 none /srv; mkdir /srv/.isconf; chown 65534 /srv/.isconf")
        .code(0);
    host.isconf(["exec", "sh", "-c", "echo 1 >/srv/one"])
        .code(0)
        .does_not_say("read-only");
    let ours = host.sh("ls -dA /srv/.isconf-*").code(0).out();
    // Undo copies lie there, which no entry sees, also when the usual name is free again.
    host.sh("rmdir /srv/.isconf").code(0);
    host.isconf(["exec", "sh", "-c", "ls -A /srv >/srv/list; rm /srv/one"])
        .code(0);
    assert_eq!(host.read("/srv/list"), "list\none\n");
    assert_eq!(host.sh("ls -dA /srv/.isconf*").out(), ours);
    host.isconf(["unlock", "--discard"]).code(0);
    assert_eq!(host.sh("ls -A /srv").out(), "");
}

#[test]
fn a_name_that_comes_and_goes_keeps_no_entry_away() {
    let Some(host) = Machine::locked("toggled") else {
        return;
    };
    host.sh("mount -t tmpfs -o mode=1777 none /srv").code(0);
    let script = "while test ! -e /run/over; do ln -sT /etc /srv/.isconf; rm /srv/.isconf; done \
                  2>/dev/null & \
                  for i in $(seq 40); do isconf try sh -c 'echo 1 >/srv/one' || bad=1; done; \
                  >/run/over; wait; exit ${bad:-0}";
    host.sh(script).code(0).does_not_print("read-only");
    assert_eq!(host.sh("ls -A /srv").out(), "");
}
