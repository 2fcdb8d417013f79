//! Commits of what the kernel's own overlayfs left: the same script runs in a scratchpad and
//! natively in an equal tree; after collect and commit the trees must be equal, and after undo the
//! live tree must be as before. Needs root; elsewhere it says that it was skipped, and fails when
//! `CI=true`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::manifest::{Seen, difference, manifest};
use super::stage::after_now;
use crate::change::RelPath;
use crate::collect::collect;
use crate::collect::tests::bench::is_root_here;
use crate::commit::{commit, forget, recover, undo};
use crate::layout::{CommitPolicy, Layout, TxId, Volume};

/// What both trees have before.
const SETUP: &str = "
    mkdir -p etc/sub var/log usr/bin gone/deep/er dir/inner opt
    echo conf > etc/conf; echo other > etc/sub/other; echo log > var/log/log
    echo one > gone/one; echo two > gone/deep/two; echo three > gone/deep/er/three
    echo a > dir/a; echo b > dir/inner/b; echo tool > usr/bin/tool; chmod 4755 usr/bin/tool
    echo linked > opt/l1; ln opt/l1 opt/l2; ln opt/l1 opt/l3
    ln -s conf etc/link; mkfifo var/fifo; truncate -s 1M opt/sparse; echo end >> opt/sparse
    echo fixed > etc/fixed; setfattr -n user.k -v v etc/conf
";

fn run(directory: &Path, script: &str) {
    let output = Command::new("/bin/sh")
        .args(["-ec", &format!("umask 022; {script}")])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

/// Everything but the times that the two runs cannot have in common.
fn without_new_times(
    mut tree: BTreeMap<RelPath, Seen>,
    changed: &crate::change::ChangeSet,
) -> BTreeMap<RelPath, Seen> {
    // The same inode under a name outside the set has the same new time.
    let firsts: std::collections::BTreeSet<RelPath> = tree
        .iter()
        .filter(|(path, _)| changed.get(path).is_some())
        .map(|(_, seen)| seen.same_as.clone())
        .collect();
    for (path, seen) in &mut tree {
        if changed.get(path).is_some() || firsts.contains(&seen.same_as) {
            seen.meta.mtime = Default::default();
        }
    }
    tree
}

fn unlock(base: &Path) {
    // Immutable files would keep the directory; nothing is lost when there are none.
    let _ = Command::new("chattr")
        .args(["-R", "-f", "-ia"])
        .arg(base)
        .output();
}

/// Runs the script over an overlay of the live tree.
pub fn run_inside(base: &Path, live: &Path, scratch: &Path, script: &str) {
    let inside = format!(
        "mknod {up}/.isconf c 0 0; touch -r {live} {up}
         mount -t overlay overlay -o lowerdir={live},upperdir={up},workdir={work},index=on,\
         redirect_dir=on,metacopy=on,xino=on,volatile merged
         (cd merged; {script})
         umount merged",
        live = live.display(),
        up = scratch.join("upper").display(),
        work = scratch.join("work").display(),
    );
    let output = Command::new("unshare")
        .args(["-m", "--propagation", "private", "/bin/sh", "-ec"])
        .arg(format!("umask 022; {inside}"))
        .current_dir(base)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

type Manifest = (BTreeMap<RelPath, Seen>, BTreeMap<RelPath, u64>);

/// Compares the live tree with the native one, and its times with the change set.
fn compare(live: &Path, native: &Path, before: &Manifest, set: &crate::change::ChangeSet) {
    let (now, inodes) = manifest(live);
    let (wanted, _) = manifest(native);
    assert_eq!(
        difference(
            &without_new_times(now.clone(), set),
            &without_new_times(wanted, set)
        ),
        ""
    );
    for change in set.changes() {
        let mtime = change.after.as_ref().map(|node| node.meta.mtime);
        let found = now.get(&change.path).map(|seen| seen.meta.mtime);
        if !change.path.is_root() {
            assert_eq!(mtime, found, "{}", change.path);
        }
    }
    for (path, ino) in inodes {
        // A directory that is not named may have come with the one that holds it.
        let file = |seen: &Seen| seen.nlink > 1 && seen.kind != libc::S_IFDIR;
        let along = std::iter::successors(path.parent(), RelPath::parent)
            .any(|above| set.get(&above).is_some_and(|c| c.moved_from.is_some()));
        if !along && before.0.get(&path).is_some_and(file) && set.get(&path).is_none() {
            assert_eq!(before.1.get(&path), Some(&ino), "{path}");
        }
    }
}

pub fn check_in(base: &str, setup: &str, script: &str) {
    if !is_root_here() {
        return;
    }
    let place = tempfile::tempdir_in(base).unwrap();
    let (live, native) = (place.path().join("live"), place.path().join("native"));
    for tree in [&live, &native] {
        std::fs::create_dir(tree).unwrap();
        run(
            tree,
            &format!("{SETUP}\n find . -exec touch -h -d @1500000000 {{}} +\n {setup}"),
        );
    }
    let tx = TxId::from_parts(1, 2);
    let scratch = live.join(".isconf").join(tx.as_str()).join("v0");
    let home = place.path().join("home");
    let layout = Layout {
        directory: home.join("scratch").join(tx.as_str()),
        root: live.clone(),
        volumes: vec![Volume {
            mount_point: RelPath::root(),
            fs_type: "ext4".into(),
            device: (0, 0),
            scratch: scratch.clone(),
            policy: CommitPolicy::Rename,
        }],
        tx,
    };
    std::fs::create_dir_all(&layout.directory).unwrap();
    std::fs::create_dir_all(scratch.join("upper")).unwrap();
    std::fs::create_dir_all(scratch.join("work")).unwrap();
    std::fs::create_dir(place.path().join("merged")).unwrap();
    let since = after_now(place.path());
    let before = manifest(&live);
    run_inside(place.path(), &live, &scratch, script);
    run(&native, script);
    let capture = collect(&layout, since).unwrap();
    let landed = commit(&layout, &capture, b"real");
    landed
        .unwrap_or_else(|e| panic!("{e}: {e:?}"))
        .finish()
        .unwrap();
    compare(&live, &native, &before, &capture.set);
    assert!(recover(&home, &live).unwrap().is_empty());
    let landed = undo(&home, &live, &layout.tx, b"");
    landed
        .unwrap_or_else(|e| panic!("{e}: {e:?}"))
        .finish()
        .unwrap();
    let after = manifest(&live);
    assert_eq!(difference(&after.0, &before.0), "");
    assert_eq!(after.1, before.1);
    unlock(place.path());
    forget(&home, &layout.tx).unwrap();
}

fn check(setup: &str, script: &str) {
    check_in("/dev/shm", setup, script);
    check_in("/var/tmp", setup, script);
}

#[test]
fn ordinary_work() {
    check(
        "",
        "echo more >> etc/conf; echo new > etc/new; rm etc/sub/other; mkdir -p srv/www/x
         echo index > srv/www/index; ln -s ../x srv/www/l; chmod 600 var/log/log
         echo t > usr/bin/t.new; mv usr/bin/t.new usr/bin/tool; mkfifo srv/p; mknod srv/d c 1 3
         setfattr -n user.x -v y var/log/log; setfattr -x user.k etc/conf; touch -d @5 etc/sub",
    );
}

#[test]
fn directories_go_come_and_move() {
    check(
        "",
        "rm -r gone; mkdir gone; echo fresh > gone/fresh; mv dir moved; echo more > moved/inner/c
         rm moved/a; mkdir dir; echo z > dir/z; rmdir etc/sub 2>/dev/null || mv etc/sub opt/sub
         mv opt/sub/other opt/other; chmod 700 moved",
    );
}

#[test]
fn deep_moves_and_swaps() {
    check("", "mv -T gone/one etc/sub/other; mv etc/sub dir/inner");
    check(
        "",
        "mv gone/deep/er er; rm -r gone; mv dir tmp; mv opt dir; mv tmp opt; echo x >> opt/a
         mkdir new; mv er new/er; rm new/er/three; echo 4 > new/er/four; mv etc/conf new/conf",
    );
}

#[test]
fn a_directory_takes_the_place_of_one_with_the_same_names_in_it() {
    let setup = "mkdir -p x/s y/s; echo 1 > x/in; echo 2 > y/in; echo 3 > x/s/f; echo 4 > y/s/f
                 find x y -exec touch -d @1500000000 {} +";
    check(setup, "rm -r x; mv y x");
    check(setup, "rm -r x; mv y x; rm x/in; rm -r x/s");
    check(setup, "rm -r x; mkdir x; mv y/s x/s; mv y/in x/s/in");
    check(setup, "mv x/s z; mv y/in z/f; rm -r x");
    check(
        &format!("{setup}; ln opt/l1 x/l"),
        "mkdir y/l; rm -r x; mv y x",
    );
    check(
        &format!("{setup}; ln y/in x/s/l; mkdir y/s/l; touch -d @1500000000 x/s y/s y/s/l"),
        "rm -r x; mv y x",
    );
}

#[test]
fn files_with_several_names() {
    check("", "echo appended >> opt/l1");
    check("", "ln etc/conf etc/conf2; ln etc/conf2 conf3");
    check("", "rm opt/l2; ln usr/bin/tool tool; chmod 755 tool");
    check("", "echo n > n; mv n opt/l1; ln opt/l1 opt/l4");
    check("", "mv etc/conf c2; touch c2; mv dir d2; chmod 711 d2");
    check("", "mv -T etc/conf opt/l1; ln -f gone/one opt/l2");
    check("", "rm -r opt; mkdir opt");
    check("mkdir gone/x; ln opt/l1 gone/x/l9", "rm -r gone");
    check("", "rm opt/l1 opt/l2 opt/l3");
    check("", "ln etc/conf c2; rm etc/conf; echo new > etc/conf");
    check(
        "",
        "echo changed >> opt/l1; ln opt/l1 opt/l4; mv opt/l2 opt/l5",
    );
}

#[test]
fn flags_that_refuse_changes() {
    check(
        "chattr +i etc/fixed; chattr +a var/log/log; chattr +i gone",
        "chattr -i etc/fixed; echo more >> etc/fixed; chattr +i etc/fixed
         chattr -a var/log/log; echo l > var/log/log
         chattr -i gone; rm gone/one; chattr +i gone; echo k > keep; chattr +i keep",
    );
}

#[test]
fn attributes_and_holes() {
    check(
        "",
        "echo x >> opt/sparse; truncate -s 4M srv.img; setfacl -m u:1:r etc/conf
         setcap cap_net_raw+ep usr/bin/tool; chown 1:2 var/log; chmod 1777 var
         setfattr -n trusted.overlay.mine -v app etc/sub/other; chown -h 3:4 etc/link",
    );
}

#[test]
fn kinds_change() {
    check(
        "",
        "rm etc/conf; mkdir etc/conf; echo in > etc/conf/in; rm -r gone; echo f > gone
         rm etc/link; ln -s elsewhere etc/link; rm var/fifo; echo no > var/fifo
         rm opt/sparse; mkfifo opt/sparse",
    );
}
