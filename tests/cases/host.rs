//! What the other cases rely on: a throwaway host is a machine of its own on every kind of root,
//! cannot touch the real one, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isconf::tour::{Host, HostError, HostSpec, RootKind, Volume};
use nix::sys::signal::Signal;

use crate::support;

/// Makes a host without the program under test.
fn plain(spec: HostSpec) -> Option<Host> {
    support::start(spec)
}

#[test]
fn every_kind_of_root_is_writable_and_of_that_kind() {
    for (kind, name) in support::ROOTS
        .into_iter()
        .zip(["ext4", "xfs", "btrfs", "tmpfs"])
    {
        let Some(host) = plain(HostSpec::new(name).root(kind)) else {
            return;
        };
        host.sh("echo hello >/etc/new && test $(hostname) = $(cat /etc/hostname)")
            .unwrap();
        assert_eq!(host.sh("findmnt -no FSTYPE /").unwrap().trim(), name);
        assert_eq!(host.read("/etc/new").unwrap(), b"hello\n");
    }
}

#[test]
fn a_root_can_be_an_overlay_with_a_volume_beside_it() {
    let spec = HostSpec::new("container")
        .overlay_root()
        .disk(RootKind::Ext4, "/scratch");
    let Some(host) = plain(spec) else { return };
    assert_eq!(host.sh("findmnt -no FSTYPE /").unwrap().trim(), "overlay");
    assert_eq!(
        host.sh("findmnt -no FSTYPE /scratch").unwrap().trim(),
        "ext4"
    );
    host.sh("rm /etc/motd && echo x >>/etc/passwd && touch /scratch/a")
        .unwrap();
}

#[test]
fn nested_mounts_aliases_and_read_only_mounts_are_as_asked_for() {
    let spec = HostSpec::new("nested")
        .disk(RootKind::Xfs, "/srv/data")
        .disk(RootKind::Tmpfs, "/srv/data/deep")
        .volume(Volume::Alias {
            of: "/srv/data/shared".into(),
            at: "/home/shared".into(),
        })
        .volume(Volume::ReadOnly {
            at: "/opt/frozen".into(),
        })
        .volume(Volume::FileAlias {
            of: "/etc/real".into(),
            at: "/etc/alias".into(),
        });
    let Some(host) = plain(spec) else { return };
    assert_eq!(
        host.sh("findmnt -no FSTYPE /srv/data/deep").unwrap().trim(),
        "tmpfs"
    );
    host.sh("echo a >/home/shared/a && test -s /srv/data/shared/a")
        .unwrap();
    host.sh("echo b >/etc/alias && test -s /etc/real").unwrap();
    assert_ne!(host.run(["touch", "/opt/frozen/x"]).unwrap().code(), 0);
}

#[test]
fn a_host_sees_no_file_of_the_real_machine_but_its_programs() {
    let Some(host) = support::host("alone") else {
        return;
    };
    assert_ne!(host.run(["touch", "/usr/x"]).unwrap().code(), 0);
    assert_ne!(
        host.shell("echo >/opt/isconf/bin/isconf")
            .run()
            .unwrap()
            .code(),
        0
    );
    assert_eq!(
        host.sh("command -v isconf").unwrap(),
        "/opt/isconf/bin/isconf\n"
    );
    let tops = host.sh("ls -A /").unwrap();
    let known = [
        "bin",
        "dev",
        "etc",
        "home",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "lost+found",
        "mnt",
        "opt",
        "proc",
        "root",
        "run",
        "sbin",
        "srv",
        "sys",
        "tmp",
        "usr",
        "var",
    ];
    assert!(tops.lines().all(|name| known.contains(&name)), "{tops}");
    assert_eq!(host.sh("ls /sys/class/net").unwrap(), "lo\n");
    assert_eq!(
        host.sh("set -- /proc/[0-9]*; echo $#").unwrap(),
        "2\n",
        "init and sh"
    );
}

#[test]
fn links_of_the_host_do_not_lead_out_of_it() {
    let Some(host) = plain(HostSpec::new("links")) else {
        return;
    };
    host.sh("ln -s /etc/hostname /root/link; ln -s ../../../../etc/hostname /root/up")
        .unwrap();
    assert_eq!(host.read("/root/link").unwrap(), b"links\n");
    assert_eq!(host.read("/root/up").unwrap(), b"links\n");
}

#[test]
fn commands_get_their_environment_directory_input_and_status() {
    let Some(host) = plain(HostSpec::new("commands")) else {
        return;
    };
    let output = host
        .shell("cat; pwd; echo $WHO; env | wc -l; exit 7")
        .env("WHO", "me")
        .cwd("/var/tmp")
        .stdin("in\n")
        .run()
        .unwrap();
    assert_eq!(
        (output.code(), output.out().as_str()),
        (7, "in\n/var/tmp\nme\n6\n")
    );
    let output = host.shell("kill -TERM $$").run().unwrap();
    assert_eq!(output.code(), 128 + 15);
    let output = host
        .shell("echo a; echo b >&2; echo c")
        .merged()
        .run()
        .unwrap();
    assert_eq!(output.out(), "a\nb\nc\n");
}

#[test]
fn a_command_that_does_not_end_is_killed() {
    let Some(host) = plain(HostSpec::new("slow")) else {
        return;
    };
    let error = host.run(["true"]).and_then(|_| {
        host.command(["sleep", "1000"])
            .timeout(Duration::from_millis(50))
            .run()
    });
    assert!(
        matches!(error, Err(HostError::TimedOut { .. })),
        "{error:?}"
    );
    let error = host.shell("echo no; exit 3").ok().unwrap_err();
    assert!(
        error.to_string().contains("ended with exit status: 3:\nno"),
        "{error}"
    );
}

#[test]
fn a_background_command_can_be_crashed_and_signalled() {
    let Some(host) = plain(HostSpec::new("background")) else {
        return;
    };
    let process = host
        // The shell itself waits: a child of it would outlive it, with its output open.
        .shell("mkfifo /tmp/f; read -r line </tmp/f; echo never")
        .spawn()
        .unwrap();
    process.crash().unwrap();
    assert_eq!(process.wait().unwrap().code(), 128 + 9);
    let process = host.command(["sleep", "1000"]).spawn().unwrap();
    // Until it is the command, whoever started the tests may have had the signal ignored.
    let name = format!("/proc/{}/comm", process.pid().unwrap());
    while std::fs::read_to_string(&name).unwrap() != "sleep\n" {
        std::thread::yield_now();
    }
    process.signal(Signal::SIGINT).unwrap();
    assert_eq!(process.wait().unwrap().code(), 128 + 2);
}

#[test]
fn a_reboot_keeps_the_volumes_and_ends_the_processes() {
    for kind in [RootKind::Ext4, RootKind::Tmpfs] {
        let Some(host) = plain(HostSpec::new("reboot").root(kind)) else {
            return;
        };
        host.sh("touch /run/gone /etc/stays; sleep 1000 >/dev/null 2>&1 &")
            .unwrap();
        let host = host.reboot().unwrap();
        assert!(host.exists("/etc/stays") && !host.exists("/run/gone"));
        assert_eq!(host.sh("set -- /proc/[0-9]*; echo $#").unwrap().trim(), "2");
    }
}

#[test]
fn a_manifest_shows_every_change_and_only_changes() {
    let Some(host) = plain(HostSpec::new("manifest").root(RootKind::Ext4)) else {
        return;
    };
    let before = host.manifest("/").unwrap();
    host.sh("cat /etc/passwd; ls -lR / >/dev/null 2>&1; true")
        .unwrap();
    assert_eq!(before.differences(&host.manifest("/").unwrap()), [""; 0]);
    let changes = [
        "chmod 600 /etc/motd",
        "chown 7 /etc/motd",
        "touch -d @5.5 /etc/motd",
        "setfattr -n user.a -v b /etc/motd",
        "setfattr -h -n trusted.a -v b /etc/mtab",
        "chattr +i /etc/motd && ! rm -f /etc/motd && chattr -i /etc/motd && chattr +A /etc/motd",
        "ln /etc/motd /etc/second",
        "mknod /srv/null c 1 3",
        "mkfifo /tmp/fifo",
        "rm /etc/second",
    ];
    let mut last = before;
    for change in changes {
        host.sh(change).unwrap();
        let now = host.manifest("/").unwrap();
        assert_ne!(now, last, "{change} is not seen");
        last = now;
    }
    assert!(host.manifest_except("/", &["/etc"]).unwrap().len() < last.len());
}

#[test]
fn nothing_of_a_host_is_left_behind() {
    let Some(host) = plain(HostSpec::new("residue").root(RootKind::Ext4)) else {
        return;
    };
    let init = host.init();
    let ours = format!("isconf-host-{}-", std::process::id());
    host.sh("sleep 1000 >/dev/null 2>&1 & dd if=/dev/zero of=/big bs=1M count=8 2>/dev/null")
        .unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(&ours),
        "a host's mounts are seen outside: {mounts}"
    );
    drop(host);
    assert!(!std::path::Path::new(&format!("/proc/{init}")).exists());
}

/// Tells the test below that it is the maker that gets killed.
const MAKER: &str = "ISCONF_TEST_MAKER";

#[test]
fn a_host_ends_with_its_maker_and_the_next_one_removes_its_files() {
    if std::env::var_os(MAKER).is_some() {
        let host = plain(HostSpec::new("orphan").root(RootKind::Ext4)).unwrap();
        println!("\ninit {} maker {}", host.init(), std::process::id());
        // Blocks until killed: the other end of the pipe stays open.
        std::io::stdin().read_line(&mut String::new()).unwrap();
        unreachable!("killed before");
    }
    let Some(first) = plain(HostSpec::new("first")) else {
        return;
    };
    drop(first);
    let mut maker = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("cases::host::a_host_ends_with_its_maker_and_the_next_one_removes_its_files")
        .env(MAKER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(maker.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let line = lines
        .into_iter()
        .find(|line| line.starts_with("init "))
        .unwrap();
    let init = line.split(' ').nth(1).unwrap();
    maker.kill().unwrap();
    maker.wait().unwrap();
    let gone = |path: &str| {
        let deadline = Instant::now() + Duration::from_secs(10);
        while Path::new(path).exists() {
            assert!(Instant::now() < deadline, "{path} is still there");
            std::thread::yield_now();
        }
    };
    gone(&format!("/proc/{init}"));
    let _next = plain(HostSpec::new("next"));
    for place in [Path::new("/dev/shm"), &std::env::temp_dir()] {
        gone(&format!("{}/isconf-host-{}-0", place.display(), maker.id()));
    }
}

#[test]
fn an_overlay_over_the_live_root_can_be_mounted_in_a_host() {
    let mount = "mkdir -p /var/is/scratch/up /var/is/scratch/work /mnt/new && mount -t overlay \
        -o lowerdir=/,upperdir=/var/is/scratch/up,workdir=/var/is/scratch/work,index=on,\
redirect_dir=on,metacopy=on,volatile overlay /mnt/new && mv /mnt/new/home /mnt/new/moved && \
        test -d /home/alice && test ! -e /mnt/new/home && umount /mnt/new";
    for kind in support::ROOTS {
        let Some(host) = plain(HostSpec::new("over").root(kind)) else {
            return;
        };
        host.sh(mount).unwrap();
    }
}
