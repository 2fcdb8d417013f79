//! `isconf try`: the scratchpad for its own sake. What runs inside behaves as outside, reaches
//! nothing outside, and leaves nothing behind.

use nix::sys::signal::Signal;

use crate::support::machine::Machine;

#[test]
fn try_needs_no_configuration_and_changes_nothing() {
    let Some(host) = Machine::bare("try") else {
        return;
    };
    // The first call makes IS_HOME, which is seen in /var.
    host.isconf(["try", "true"]).code(0);
    let before = host.manifest_of_others();
    host.isconf([
        "try",
        "sh",
        "-c",
        "echo new >/srv/new; rm /etc/passwd; mkdir /top; chmod 700 /etc",
    ])
    .code(0)
    .prints("/srv/new")
    .prints("/etc/passwd")
    .prints("/top");
    host.is_still(&before);
}

#[test]
fn exit_status_and_death_by_signal_are_those_of_the_command() {
    let Some(host) = Machine::bare("trycode") else {
        return;
    };
    for code in [0, 1, 2, 42, 255] {
        host.isconf(["try", "sh", "-c", &format!("exit {code}")])
            .code(code);
    }
    host.isconf(["try", "sh", "-c", "kill -TERM $$"]).code(143);
    host.isconf(["try", "sh", "-c", "kill -KILL $$"]).code(137);
    host.isconf(["try", "/no/such/command"]).code(127);
    host.sh("echo text >/srv/text").code(0);
    host.isconf(["try", "/srv/text"]).code(126);
}

#[test]
fn the_command_sees_the_callers_world() {
    let Some(mut host) = Machine::bare("trysees") else {
        return;
    };
    host.setenv("MARK", "from outside");
    let look =
        "id -u; pwd; echo \"$MARK\"; umask; cat; ls -ld / /etc /tmp /root | cut -c1-10; hostname";
    let inside = host.sh(&format!(
        "cd /srv && umask 027 && echo piped | isconf -q try sh -c '{look}'"
    ));
    let outside = host.sh(&format!(
        "cd /srv && umask 027 && echo piped | sh -c '{look}'"
    ));
    let inside_text = inside.code(0).out();
    assert!(
        inside_text.contains(&outside.code(0).out()),
        "{inside_text}"
    );
}

#[test]
fn odd_names_and_top_level_objects_are_captured() {
    let Some(host) = Machine::locked("names") else {
        return;
    };
    let script = r#"printf 1 >'/srv/new
line'; printf 2 >'/srv/ space '; printf 3 >'/srv/back\slash'; printf 4 >"/srv/$(printf 'bad\377utf')"; printf 5 >/top-file; mkdir -m 1777 /top-dir; printf 6 >'/srv/a:b,c=d'; printf 7 >/srv/-dash"#;
    host.isconf(["exec", "sh", "-c", script]).code(0);
    host.sh(r#"test "$(cat '/srv/new
line')$(cat '/srv/ space ')$(cat '/srv/back\slash')$(cat "/srv/$(printf 'bad\377utf')")$(cat /top-file)$(cat '/srv/a:b,c=d')$(cat /srv/-dash)" = 1234567"#)
        .code(0);
    host.sh("stat -c %a /top-dir").prints("1777");
}

#[test]
fn the_live_machine_cannot_be_reached() {
    let Some(host) = Machine::bare("contained") else {
        return;
    };
    let cases: [(&str, &str); 8] = [
        ("echo 1 >/proc/sys/vm/swappiness", "sysctl"),
        (
            "ln -s /proc/sys /srv/link && echo 1 >/srv/link/vm/swappiness",
            "sysctl: openat vm.swappiness",
        ),
        ("mount -t tmpfs none /mnt", "mount"),
        ("mknod /srv/disk b 7 0 && head -c 1 /srv/disk", "mknod"),
        ("date -s 2001-01-01", "clock"),
        (
            "reboot -f -n 2>/dev/null || python3 -c 'import ctypes,sys; sys.exit(ctypes.CDLL(None).reboot(0x01234567) != 0)'",
            "reboot",
        ),
        ("hostname other", "hostname"),
        ("umount /proc", "umount"),
    ];
    for (command, named) in cases {
        let done = host.isconf(["try", "sh", "-c", command]).fails();
        let report = done.out().to_lowercase() + &done.err().to_lowercase();
        assert!(
            report.contains(named),
            "the report of {command:?} lacks {named:?}:\n{report}"
        );
    }
    host.sh("hostname").prints("contained");
    host.sh("mount | grep -c ' /mnt '").prints("0");
}

/// A program with a name of its own, to be found among the host's processes by its command line: a
/// dead one that nobody has reaped has none.
const NAPPER: &str = "cp /usr/bin/sleep /root/napper";

/// Waits until the napper runs in a scratchpad.
const UNTIL_IT_NAPS: &str =
    "until grep -qxz '/root/nappe[r]' /proc/[0-9]*/cmdline 2>/dev/null; do :; done";

#[test]
fn interrupts_leave_no_mount_no_process_and_no_scratch() {
    let Some(host) = Machine::bare("interrupt") else {
        return;
    };
    let count = "grep -c . /proc/self/mountinfo; ls -A /var/is/scratch 2>/dev/null | wc -l; \
                 find / -name .isconf | wc -l";
    host.sh(NAPPER).code(0);
    host.isconf(["try", "true"]).code(0);
    let before = host.sh(count).code(0).out();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let words = [
            "isconf",
            "try",
            "sh",
            "-c",
            "touch /srv/inside; exec /root/napper 300",
        ];
        let running = host.host().command(words).spawn().expect("isconf starts");
        host.sh(UNTIL_IT_NAPS).code(0);
        running.signal(signal).expect("isconf can be signalled");
        let output = running.wait().expect("isconf ends");
        assert_eq!(output.code(), 128 + signal as i32, "{}", output.err());
        assert_eq!(host.sh(count).out(), before, "after {signal}");
        host.sh("! grep -qxz '/root/nappe[r]' /proc/[0-9]*/cmdline")
            .code(0);
        assert!(!host.exists("/srv/inside"));
    }
}

#[test]
fn kill_9_leaves_what_the_next_start_removes() {
    let Some(host) = Machine::bare("kill9") else {
        return;
    };
    host.sh(NAPPER).code(0);
    host.isconf(["try", "true"]).code(0);
    let words = ["isconf", "try", "/root/napper", "300"];
    let running = host.host().command(words).spawn().expect("isconf starts");
    host.sh(UNTIL_IT_NAPS).code(0);
    running
        .signal(Signal::SIGKILL)
        .expect("isconf can be killed");
    running.wait().expect("isconf ends");
    host.sh("while grep -qxz '/root/nappe[r]' /proc/[0-9]*/cmdline 2>/dev/null; do :; done")
        .code(0);
    host.isconf(["try", "true"]).code(0);
    host.sh("ls -A /var/is/scratch | wc -l; find / -name .isconf | wc -l")
        .prints("0\n0\n");
}

#[test]
fn kept_scratchpads_are_listed_shown_committed_and_dropped() {
    let Some(host) = Machine::bare("keep") else {
        return;
    };
    host.isconf(["try", "--keep", "one", "sh", "-c", "echo kept >/srv/kept"])
        .code(0);
    host.isconf([
        "try",
        "--keep",
        "two",
        "sh",
        "-c",
        "echo bad >/srv/bad; exit 3",
    ])
    .code(3);
    host.isconf(["try", "--list"])
        .code(0)
        .prints("one")
        .prints("two");
    host.isconf(["try", "--show", "one"])
        .code(0)
        .prints("/srv/kept");
    assert!(!host.exists("/srv/kept"));
    host.isconf(["try", "--commit", "two"])
        .fails()
        .says("--even-failed");
    host.isconf(["try", "--commit", "one"]).code(0);
    assert_eq!(host.read("/srv/kept"), "kept\n");
    host.isconf(["try", "--drop", "two"]).code(0);
    host.isconf(["try", "--list"]).code(0).does_not_print("two");
    host.isconf(["try", "--show", "nothing"])
        .fails()
        .says("nothing");
}

#[test]
fn kept_scratchpad_is_refused_when_the_live_file_changed() {
    let Some(host) = Machine::bare("keepconflict") else {
        return;
    };
    host.write("/srv/file", "before\n");
    host.isconf([
        "try",
        "--keep",
        "one",
        "sh",
        "-c",
        "echo inside >>/srv/file",
    ])
    .code(0);
    host.write("/srv/file", "meanwhile\n");
    let before = host.manifest_of_others();
    host.isconf(["try", "--commit", "one"])
        .code(3)
        .says("/srv/file");
    host.is_still(&before);
}

#[test]
fn what_somebody_removed_while_the_command_ran_does_not_come_back_by_a_later_commit() {
    let Some(host) = Machine::bare("keepremoved") else {
        return;
    };
    host.write("/srv/file", "before\n");
    host.write("/srv/other", "before\n");
    host.sh("mkfifo /root/in /root/out").code(0);
    // The command's streams lead to the live pipes.
    let script = "isconf try --keep one sh -c 'echo more >>/srv/file; chmod 600 /srv/other; \
                  echo done; read x' <>/root/in >/root/out & pid=$!; exec 8</root/out; \
                  read x <&8; rm /srv/file; echo live >>/srv/other; echo go >/root/in; \
                  cat <&8; wait $pid";
    host.sh(script).code(0).prints("changed meanwhile");
    let before = host.manifest_of_others();
    host.isconf(["try", "--show", "one", "--json"])
        .code(0)
        .prints("\"verdict\":\"conflict\"");
    host.isconf(["try", "--commit", "one"])
        .code(3)
        .says("/srv/file, /srv/other")
        .prints(": file; not known: mode, owner, size, inode, mtime")
        .prints("found: nothing")
        .prints(": file, owner 0:0, 7 B, inode ")
        .prints("; not known: mode, mtime")
        .prints("found: file 0644 0:0, 12 B, inode ");
    host.is_still(&before);
    assert!(!host.exists("/srv/file"));
}

#[test]
fn on_a_host_with_a_domain_a_commit_needs_unjournaled() {
    let Some(host) = Machine::ready("unjournaled") else {
        return;
    };
    host.isconf(["try", "--keep", "one", "touch", "/srv/kept"])
        .code(0);
    host.isconf(["try", "--commit", "one"])
        .fails()
        .says("--unjournaled");
    host.isconf(["try", "--unjournaled", "--commit", "one"])
        .code(0);
    host.isconf(["history"]).code(0).prints("out of band");
}

/// Ways out that end in an error and are not named, because no watched system call is made: files
/// that are not there, and calls that a capability or a namespace alone holds back.
const NOT_NAMED: [&str; 6] = [
    "device",
    "irq",
    "namespace of init",
    "raw",
    "ptrace",
    "shared memory",
];

#[test]
fn every_way_out_ends_in_an_error_and_is_named() {
    let Some(host) = Machine::bare("escape") else {
        return;
    };
    host.write("/root/escape.c", include_str!("escape.c"));
    host.sh("cc -o /root/escape /root/escape.c && cp /usr/bin/sleep /root/napper")
        .code(0);
    let before = host.sh("hostname; cat /proc/sys/vm/swappiness; grep -c . /proc/self/mountinfo");
    let listening = "import socket, time; s = socket.socket(socket.AF_UNIX); \
                     s.bind('/run/live.sock'); s.listen(); time.sleep(300)";
    let live = host
        .host()
        .command(["python3", "-c", listening])
        .spawn()
        .expect("a live daemon starts");
    host.sh("until test -S /run/live.sock; do :; done").code(0);
    let done = host.sh("isconf try /root/escape $(pgrep -x python3)");
    let (tried, report) = done
        .out()
        .split_once("try: exec")
        .map(|(tried, report)| (tried.to_owned(), report.to_owned()))
        .expect("a report follows");
    let effects = report
        .lines()
        .filter(|line| line.contains("/root/escape"))
        .count();
    for line in tried.lines() {
        assert!(!line.ends_with(" 0"), "{line:?} in:\n{tried}{report}");
    }
    let named = tried.lines().filter(|line| {
        let what = line.rsplit_once(' ').map_or("", |(what, _)| what);
        !NOT_NAMED.contains(&what)
    });
    // Some pairs are one effect, counted twice, and a device is named when it is made as well.
    assert!(effects + 5 >= named.count(), "{tried}{report}");
    for words in [
        "mount: mount none on /mnt (tmpfs)",
        "raw device: openat /srv/disk",
        "sysctl: openat vm.swappiness",
        "host name: sethostname evil",
        "clock: settimeofday",
        "clock: clock_settime",
        "reboot: reboot restart",
        "kernel module: delete_module ext4",
        "swap: swapoff /swap",
        "socket: socket vsock",
        "socket: connect /run/live.sock",
        "signal: kill process",
        "other: ioctl typing into the terminal",
        "other: userfaultfd",
    ] {
        assert!(report.contains(words), "{words:?} is not in:\n{report}");
    }
    let after = host.sh("hostname; cat /proc/sys/vm/swappiness; grep -c . /proc/self/mountinfo");
    assert_eq!(before.out(), after.out());
    live.crash().expect("the live daemon is still there");
}

#[test]
fn what_stays_inside_works() {
    let Some(host) = Machine::bare("inside") else {
        return;
    };
    host.sh("cp /usr/bin/id /srv/id && chmod 4755 /srv/id && chmod 755 /srv")
        .code(0);
    // A setuid program, a root of one's own, namespaces of one's own.
    host.isconf(["try", "setpriv", "--reuid=1000", "/srv/id", "-u"])
        .code(0)
        .prints("0\n");
    host.isconf(["try", "chroot", "/usr", "/bin/true"]).code(0);
    host.isconf(["try", "unshare", "-U", "-r", "id", "-u"])
        .code(0)
        .prints("0\n");
    // No descriptor of the caller's but the standard streams.
    host.sh("isconf -q try sh -c 'ls /proc/$$/fd' 5</etc/passwd 7>/srv/seven | tr '\\n' ' '")
        .prints("0 1 2 try:");
    host.isconf([
        "try",
        "sh",
        "-c",
        "sleep 301 & sleep 302 & until test $(pgrep -cx sleep) = 2; do :; done",
    ])
    .code(0)
    .prints("left running sleep 301")
    .prints("left running sleep 302");
    host.sh("pgrep -x sleep").fails();
}

#[test]
fn a_terminal_is_a_terminal_inside() {
    let Some(host) = Machine::bare("terminal") else {
        return;
    };
    host.sh(
        "script -qec \"isconf try sh -c 'test -t 0 && test -t 1 && test -t 2 && stty && tty'\" \
         /dev/null </dev/null",
    )
    .code(0)
    .prints("speed")
    .prints("/dev/console");
}

#[test]
fn ctrl_c_ends_the_command_and_leaves_nothing() {
    let Some(host) = Machine::bare("ctrlc") else {
        return;
    };
    host.sh(NAPPER).code(0);
    host.sh(&format!(
        "{{ {UNTIL_IT_NAPS}; printf '\\003'; }} | \
         script -qec 'isconf try /root/napper 300' /dev/null"
    ))
    .code(130);
    host.sh("! grep -qx napper /proc/[0-9]*/comm && test -z \"$(ls -A /var/is/scratch)\"")
        .code(0);
}

#[test]
fn a_command_that_stops_itself_stops_isconf_and_goes_on_with_it() {
    let Some(host) = Machine::bare("ctrlz") else {
        return;
    };
    let until_stopped = "until grep -l 'State:.T' /proc/[0-9]*/status 2>/dev/null | \
                         xargs -r grep -ql 'Name:.isconf'; do :; done";
    host.sh(&format!(
        "{{ echo 'isconf try sh -c \"kill -TSTP 0; echo re\"sumed'; {until_stopped}; echo fg; \
         echo 'exit 7'; }} | script -qec 'bash --norc --noprofile -i' /dev/null"
    ))
    .code(7)
    .prints("Stopped")
    .prints("resumed");
}

#[test]
fn a_shell_has_a_process_group_that_it_can_give_the_terminal_back_to() {
    let Some(host) = Machine::bare("group") else {
        return;
    };
    // dash does so at its end, and fails when its first group has no number inside.
    host.sh(
        "printf 'set -m\\nsleep 0.01\\nexit 3\\n' | \
         SHELL=/bin/dash script -qec 'isconf try --shell; echo status $?; stty sane; echo in foreground' /dev/null",
    )
    .code(0)
    .prints("status 3")
    .prints("in foreground");
}

#[test]
fn the_terminal_is_given_back_after_a_shell_with_jobs() {
    let Some(host) = Machine::bare("jobs") else {
        return;
    };
    // Who is not in the foreground is stopped by stty(1).
    host.sh(
        "printf 'set -m\\nsleep 0.01\\necho inside >/srv/file\\nexit 3\\n' | \
         SHELL=/bin/bash script -qec 'isconf try --shell; echo status $?; stty sane; echo in foreground' /dev/null",
    )
    .code(0)
    .prints("status 3")
    .prints("in foreground");
    assert!(!host.exists("/srv/file"));
}

#[test]
fn killed_at_any_moment_of_its_start_isconf_leaves_no_process() {
    let Some(host) = Machine::bare("killed-early") else {
        return;
    };
    // From before the first directory to the running command: the whole takes some milliseconds.
    let script = "for i in $(seq 80); do isconf try sleep 1000 >/dev/null 2>&1 & pid=$!; \
                  sleep 0.0$((i % 10))$((i / 10)); kill -9 $pid; wait $pid 2>/dev/null; done; \
                  for i in $(seq 1000); do \
                  ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q '/sleep$\\|/isconf$' || exit 0; \
                  sleep 0.01; done; exit 9";
    host.sh(script).code(0);
    host.isconf(["try", "true"]).code(0);
    host.sh(
        "test -z \"$(ls -A /var/is/scratch)\"; ls -d /tmp/.isconf /run/.isconf 2>/dev/null; true",
    )
    .code(0)
    .does_not_print("isconf");
}
