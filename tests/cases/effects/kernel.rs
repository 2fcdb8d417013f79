//! What belongs to the kernel and the hardware: mounts, modules, reboot, clock, host name, devices.

use nix::errno::Errno;

use super::daemon::{attempt, machine};

#[test]
fn mounts_are_refused_and_named() {
    let Some(host) = machine("mounting") else {
        return;
    };
    host.sh("mount -t tmpfs tmpfs /mnt && touch /mnt/live")
        .code(0);
    let look = "cat /proc/self/mountinfo";
    let before = host.sh(look).out();
    for (script, named) in [
        ("mount -t tmpfs none /srv", "on /srv"),
        ("mount --bind /etc /srv", "/srv"),
        ("mount -o remount,ro /mnt", "/mnt"),
        ("umount /mnt", "umount2 /mnt"),
        ("umount -l /proc", "umount2 /proc"),
    ] {
        host.isconf(["try", "sh", "-c", script])
            .fails()
            .prints("mount: ")
            .prints(named)
            .prints("refused with EPERM");
    }
    assert_eq!(host.sh(look).out(), before);
}

#[test]
fn reboot_modules_kexec_clock_and_names_are_refused_and_named() {
    let Some(host) = machine("machine") else {
        return;
    };
    let before = host.sh("hostname; domainname 2>/dev/null || cat /proc/sys/kernel/domainname");
    let magic = ["0xfee1dead", "0x28121969"];
    for (words, named) in [
        (
            vec!["call", "reboot", magic[0], magic[1], "0x01234567", "0"],
            "reboot: reboot restart",
        ),
        (
            vec!["call", "reboot", magic[0], magic[1], "0x4321fedc", "0"],
            "reboot: reboot power off",
        ),
        (
            vec!["call", "kexec_load", "0", "0", "0", "0"],
            "reboot: kexec_load",
        ),
        (
            vec!["call", "init_module", "0", "0", ""],
            "kernel module: init_module",
        ),
        (
            vec!["call", "finit_module", "0", "", "0"],
            "kernel module: finit_module",
        ),
        (
            vec!["call", "delete_module", "ext4", "0"],
            "kernel module: delete_module ext4",
        ),
        (
            vec!["call", "clock_settime", "0", "1234567890123456"],
            "clock: clock_settime",
        ),
        (
            vec!["call", "settimeofday", "1234567890123456", "0"],
            "clock: settimeofday",
        ),
        (vec!["call", "swapon", "/swap", "0"], "swap: swapon /swap"),
    ] {
        let mut argv: Vec<std::ffi::OsString> = ["isconf", "try", "python3", "/root/attempt.py"]
            .map(Into::into)
            .to_vec();
        argv.extend(words.iter().map(Into::into));
        host.run(&argv)
            .code(Errno::EPERM as i32)
            .prints(named)
            .prints(": ");
    }
    host.isconf(["try", "hostname", "other"])
        .fails()
        .prints("host name: sethostname other: refused with EPERM, by hostname other");
    host.isconf([
        "try",
        "python3",
        "-c",
        "import ctypes, sys; \
         sys.exit(ctypes.CDLL(None).setdomainname(b'other', 5) != 0)",
    ])
    .fails()
    .prints("host name: setdomainname other");
    if host.exists("/proc/sysrq-trigger") {
        host.isconf(["try", "sh", "-c", "echo b >/proc/sysrq-trigger"])
            .fails()
            .prints("reboot: openat /proc/sysrq-trigger: refused with EROFS, by sh");
    }
    let after = host.sh("hostname; domainname 2>/dev/null || cat /proc/sys/kernel/domainname");
    assert_eq!(before.out(), after.out());
}

#[test]
fn raw_devices_are_refused_and_named() {
    let Some(host) = machine("devices") else {
        return;
    };
    for script in [
        "mknod /srv/disk b 7 0 && python3 /root/attempt.py write /srv/disk",
        "mknod /tmp/disk b 7 0 && python3 /root/attempt.py open2 /tmp/disk",
        "mknod /srv/mem c 1 1 && python3 /root/attempt.py write /srv/mem",
    ] {
        host.isconf(["try", "sh", "-c", script])
            .fails()
            .prints("raw device: mknod")
            .prints("raw device: openat")
            .prints("refused with EACCES");
    }
    // It would pass over the filter.
    attempt(&host, ["call", "io_uring_setup", "4", "0"])
        .code(Errno::ENOSYS as i32)
        .prints("other: io_uring_setup");
}
