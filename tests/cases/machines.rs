//! Whole Debian hosts, each ability of theirs with isconf at work inside: every filesystem, power
//! cuts, real reboots under systemd, three hosts on a private network, and no residue. Not for
//! what light hosts can show.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::debian::{DebianHost, DebianRoot, Disk, Init};
use crate::support::machine::DOMAIN;
use crate::support::network::{PrivateNetwork, wait_for};

/// The key that the hosts share.
const KEY: &str = "somekey-of-the-tests\n";

/// Starts a host that belongs to the domain.
fn member(name: &str, disk: Disk, init: Init) -> Option<DebianHost> {
    let host = DebianHost::start(name, &DebianRoot::bookworm(), disk, init)?;
    host.ok(&format!("isconf init {DOMAIN}"));
    host.write("/var/is/conf/hmac_keys", KEY);
    host.ok("chmod 600 /var/is/conf/hmac_keys");
    Some(host)
}

#[test]
fn a_check_in_is_still_there_after_a_power_cut_on_every_disk() {
    for disk in Disk::ALL {
        let Some(mut host) = member("cut", disk, Init::Plain) else {
            return;
        };
        host.ok("isconf lock why && isconf exec sh -c 'echo kept >/srv/kept' && isconf ci");
        host.ok("echo lost >/srv/lost");
        host.cut_power();
        host.boot();
        assert_eq!(host.ok("cat /srv/kept"), "kept\n", "{disk:?}");
        let log = host.ok("isconf log");
        assert!(log.contains("/srv/kept"), "{disk:?}: {log}");
        // The rig is proved by this: what nobody synced has no content.
        let lost = host.ok("cat /srv/lost 2>/dev/null; true");
        assert_eq!(lost, "", "{disk:?} lost nothing");
        let up = host.ok("isconf up");
        assert!(up.contains("no new updates"), "{disk:?}: {up}");
        host.ok("isconf lock more && isconf exec touch /srv/more && isconf ci");
    }
}

#[test]
fn a_commit_cut_in_the_middle_is_whole_or_absent_on_every_disk() {
    for disk in Disk::ALL {
        let Some(mut host) = member("half", disk, Init::Plain) else {
            return;
        };
        host.ok("mkdir /srv/d && cd /srv/d && for n in 1 2 3 4; do echo old >$n; done; sync");
        host.ok("isconf lock why");
        let change = "for n in 1 2 3 4; do echo new >/srv/d/$n; done";
        let done = host
            .command(["isconf", "exec", "sh", "-c", change])
            .env("ISCONF_CRASH_AT", "commit.apply.after_move:2")
            .run()
            .unwrap();
        assert_eq!(done.code(), 128 + 9, "{disk:?}: {done}");
        host.cut_power();
        host.boot();
        host.ok("isconf status");
        let found = host.ok("cd /srv/d && cat 1 2 3 4");
        let whole = found == "new\n".repeat(4);
        assert!(whole || found == "old\n".repeat(4), "{disk:?}: {found}");
    }
}

#[test]
fn a_reboot_entry_reboots_systemd_once_and_the_rest_follows_once() {
    let Some(origin) = member("origin", Disk::Ext4, Init::Plain) else {
        return;
    };
    let mut target = member("target", Disk::Ext4, Init::Systemd).unwrap();
    origin.ok("isconf lock why && isconf exec sh -c 'echo one >>/srv/words'");
    origin.ok("IS_REBOOT_CMD=true isconf reboot");
    origin.ok("isconf exec sh -c 'echo two >>/srv/words' && isconf ci");
    origin.ok("isconf bundle export /root/bundle");
    target.write("/root/bundle", origin.read("/root/bundle"));
    target.ok("isconf bundle import /root/bundle");
    let boot = target.ok("cat /proc/sys/kernel/random/boot_id");
    // Ends with the host, however it says so.
    target.run("isconf up -r");
    target.wait_for_reboot();
    assert_ne!(boot, target.ok("cat /proc/sys/kernel/random/boot_id"));
    assert_eq!(target.ok("cat /srv/words"), "one\n");
    target.ok("isconf up -r");
    assert_eq!(target.ok("cat /srv/words"), "one\ntwo\n");
    let up = target.ok("isconf up -r");
    assert!(up.contains("no new updates"), "{up}");
    assert_eq!(target.ok("cat /srv/words"), "one\ntwo\n");
}

/// Waits for the bundle on a port, and keeps it.
const RECEIVE: &str = r"use IO::Socket::INET; $s = IO::Socket::INET->new(LocalPort => 7000,
    Listen => 1, ReuseAddr => 1) or die; open $r, '>', '/run/ready'; close $r; $c = $s->accept;
    open $f, '>', '/root/bundle'; print $f $_ while <$c>; close $f";

#[test]
fn three_hosts_carry_a_bundle_over_their_network_which_can_be_cut_and_healed() {
    let mut network = PrivateNetwork::new();
    let mut hosts = Vec::new();
    for (name, disk) in ["one", "two", "three"].into_iter().zip(Disk::ALL) {
        let Some(host) = member(name, disk, Init::Systemd) else {
            return;
        };
        let port = network.join(&host);
        hosts.push((host, port));
    }
    let (origin, origin_port) = &hosts[0];
    origin.ok("isconf lock why && isconf exec sh -c 'echo x >/srv/made' && isconf ci");
    origin.ok("isconf bundle export /root/bundle");
    for (target, port) in &hosts[1..] {
        let receiver = target.command(["perl", "-e", RECEIVE]).spawn().unwrap();
        wait_for("the receiver", || {
            target.run("test -e /run/ready").code() == 0
        });
        let send = format!(
            "timeout 3 bash -c 'exec 3<>/dev/tcp/{}/7000 && cat /root/bundle >&3'",
            port.address()
        );
        network.cut(*origin_port);
        assert_ne!(origin.run(&send).code(), 0, "a cut cable carries nothing");
        network.heal(*origin_port);
        wait_for("the network", || origin.run(&send).code() == 0);
        assert_eq!(receiver.wait().unwrap().code(), 0);
        target.ok("isconf bundle import /root/bundle && isconf up");
        assert_eq!(target.ok("cat /srv/made"), "x\n");
    }
}

#[test]
fn a_manifest_of_a_host_shows_what_isconf_changed_and_undid() {
    let Some(mut host) = member("listed", Disk::Xfs, Init::Plain) else {
        return;
    };
    let others = |host: &DebianHost, before: &isconf::tour::Manifest| {
        let mut lines = before.differences(&host.manifest());
        lines.retain(|line| !line.contains("/var/is") && !line.contains("/.isconf"));
        lines
    };
    let before = host.manifest();
    host.ok("isconf lock why && isconf exec sh -c 'echo x >>/etc/passwd'");
    assert!(!others(&host, &before).is_empty());
    host.ok("isconf undo");
    host.reboot();
    let left = others(&host, &before);
    assert_eq!(left, [""; 0]);
}

/// Tells the test below that it is the maker that gets interrupted.
const MAKER: &str = "ISCONF_TEST_DEBIAN_MAKER";

#[test]
fn nothing_is_left_of_a_host_whose_maker_is_interrupted_or_killed() {
    if std::env::var_os(MAKER).is_some() {
        let host = member("orphan", Disk::Ext4, Init::Systemd).unwrap();
        println!("\nhost {} {}", host.leader(), host.work().display());
        // Blocks until killed: the other end of the pipe stays open.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        unreachable!("killed before");
    }
    if !crate::support::may_make_hosts() {
        return;
    }
    for signal in ["INT", "KILL"] {
        let mut maker = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("cases::machines::nothing_is_left_of_a_host_whose_maker_is_interrupted_or_killed")
            .env(MAKER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(maker.stdout.take().unwrap()).lines();
        let line = lines
            .map(Result::unwrap)
            .find(|line| line.starts_with("host "))
            .expect("the maker makes a host");
        let mut words = line.split(' ').skip(1);
        let (leader, work) = (words.next().unwrap(), words.next().unwrap());
        let kill = Command::new("kill")
            .args(["-s", signal, &maker.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        maker.wait().unwrap();
        let mut gone = vec![Path::new("/proc").join(leader), PathBuf::from(work)];
        // Where version 2 of cgroups is mounted, alone or beside version 1.
        for groups in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
            gone.push(Path::new(groups).join(Path::new(work).file_name().unwrap()));
        }
        for path in gone {
            wait_for(&format!("the end of {}", path.display()), || !path.exists());
        }
        let loops = Command::new("losetup").arg("-a").output().unwrap();
        let loops = String::from_utf8_lossy(&loops.stdout).into_owned();
        assert!(!loops.contains(work), "{loops}");
    }
}
