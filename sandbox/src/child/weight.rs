//! Which effects change what an entry does when it is only contained: those that a native run would
//! have had on the live system. Pure, and mostly data. Not for what is then done (the caller's
//! judge). Upholds: what is not known to be without loss matters.

use super::known_sockets::{Known, known};
use super::naming::OWN_NAMESPACE;
use super::reach::LOOK;
use super::request::{Effect, EffectKind, EffectOutcome};

/// Whether the lack of an effect on the live system is a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// It took place, or nothing is lost without it.
    Harmless,
    /// A native run would have reached the live system, and this one did not.
    Matters,
}

/// Refused calls without which programs go on: they reach nothing outside of the process, or the
/// program takes another way.
const DISPENSABLE: [&str; 10] = [
    "io_uring_setup",
    "keyctl",
    "add_key",
    "request_key",
    "perf_event_open",
    "userfaultfd",
    "fanotify_init",
    "lookup_dcookie",
    "kcmp",
    "unshare",
];

/// Programs that tell a bus of the sessions they open, or that nobody should switch the machine off
/// now, and do their work without.
const SESSION_OPENERS: [&str; 13] = [
    "apt",
    "apt-get",
    "aptitude",
    "dpkg",
    "unattended-upgr",
    "su",
    "sudo",
    "login",
    "runuser",
    "cron",
    "sshd",
    "crond",
    "systemd-run0",
];

/// How other programs that need no answer from a bus begin: apt tells the package browser what it did.
const TELLERS: [&str; 1] = ["gdbus call --system --dest org.freedesktop.PackageKit "];

/// Weighs one effect.
pub fn weight(effect: &Effect) -> Weight {
    let is_harmless = match (effect.kind, effect.outcome) {
        (_, EffectOutcome::Allowed | EffectOutcome::Deferred) => true,
        _ if effect.target.ends_with(OWN_NAMESPACE) => true,
        (EffectKind::Ipc, _) => true,
        // Only serving others and raw packets are refused; all else is as the entry's network is.
        (EffectKind::Network, EffectOutcome::Refused(errno)) => errno == libc::ENETUNREACH,
        (EffectKind::Network, EffectOutcome::Contained) => true,
        (EffectKind::Signal, _) => is_look(effect),
        (EffectKind::Socket, _) => is_dispensable_socket(effect),
        (EffectKind::DBus, _) => is_by_teller(&effect.process),
        // A node is a change of the filesystem; opening it is another effect.
        (EffectKind::RawDevice, _) => effect.operation.starts_with("mknod"),
        (EffectKind::Process, _) => {
            effect.operation == "left running" || is_dispensable_call(effect)
        }
        (EffectKind::Other, _) => is_dispensable_call(effect),
        (
            EffectKind::Mount
            | EffectKind::Reboot
            | EffectKind::KernelModule
            | EffectKind::Sysctl
            | EffectKind::Clock
            | EffectKind::HostName
            | EffectKind::Swap
            | EffectKind::Service
            | EffectKind::NetworkSettings,
            _,
        ) => false,
    };
    match is_harmless {
        true => Weight::Harmless,
        false => Weight::Matters,
    }
}

/// Signal 0, and a descriptor of a process: they ask whether it runs, and change nothing.
fn is_look(effect: &Effect) -> bool {
    effect.target.ends_with(LOOK) || effect.operation == "pidfd_open"
}

fn is_dispensable_call(effect: &Effect) -> bool {
    // "more" stands for what was only counted, of the kinds that were listed before.
    DISPENSABLE.contains(&effect.operation.as_str()) || effect.operation == "more"
}

fn is_dispensable_socket(effect: &Effect) -> bool {
    let path = effect.target.split_once(", of ");
    let path = path.map_or(effect.target.as_str(), |(path, _)| path);
    matches!(known(path), Some(Known::Log | Known::LookUp))
}

fn is_by_teller(process: &str) -> bool {
    let program = process.split(' ').next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default();
    // sshd and cron change their own names, to "sshd: user" and "CRON".
    let name = name.trim_end_matches(':').trim_start_matches('-');
    SESSION_OPENERS
        .iter()
        .any(|opener| name.eq_ignore_ascii_case(opener))
        || TELLERS.iter().any(|teller| process.starts_with(teller))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Weight::{Harmless, Matters};

    const CONTAINED: EffectOutcome = EffectOutcome::Contained;

    fn refused(errno: i32) -> EffectOutcome {
        EffectOutcome::Refused(errno)
    }

    fn weighed(kind: EffectKind, what: (&str, &str), by: &str, outcome: EffectOutcome) -> Weight {
        weight(&Effect {
            kind,
            operation: what.0.to_owned(),
            target: what.1.to_owned(),
            process: by.to_owned(),
            outcome,
            count: 1,
        })
    }

    #[allow(clippy::too_many_lines, reason = "a table")]
    #[test]
    fn what_is_lost_matters_and_what_is_not_does_not() {
        use EffectKind as K;
        let eperm = refused(libc::EPERM);
        let esrch = refused(libc::ESRCH);
        let deaf = refused(libc::ECONNREFUSED);
        for (kind, what, outcome, expected) in [
            (K::Ipc, ("shmget", "key 0x42"), CONTAINED, Harmless),
            (K::Process, ("unshare", "user, mount"), CONTAINED, Harmless),
            (K::Process, ("unshare", "network"), eperm, Harmless),
            (K::Process, ("left running", "sleep 9"), CONTAINED, Harmless),
            (K::Process, ("setns", "/proc/1/ns/mnt"), eperm, Matters),
            (K::Process, ("ptrace", "process 7 (x)"), esrch, Matters),
            (K::Process, ("kcmp", "process 7 (x)"), esrch, Harmless),
            (K::Other, ("io_uring_setup", ""), refused(38), Harmless),
            (K::Other, ("keyctl", "0x0"), eperm, Harmless),
            (K::Other, ("acct", "/var/acct"), eperm, Matters),
            (
                K::Network,
                ("connect", "1.2.3.4:80"),
                EffectOutcome::Allowed,
                Harmless,
            ),
            (K::Network, ("listen", "127.0.0.1:80"), CONTAINED, Harmless),
            (
                K::Network,
                ("listen", "0.0.0.0:80"),
                refused(libc::EACCES),
                Matters,
            ),
            (
                K::Network,
                ("connect", "1.2.3.4:80"),
                refused(libc::ENETUNREACH),
                Harmless,
            ),
            (K::Network, ("socket", "raw packets"), eperm, Matters),
            (K::NetworkSettings, ("sendmsg", "add route"), eperm, Matters),
            (
                K::Service,
                ("restart", "nginx"),
                EffectOutcome::Deferred,
                Harmless,
            ),
            (K::Service, ("restart", "nginx"), eperm, Matters),
            (K::Signal, ("kill", "process 7 (x), SIGHUP"), esrch, Matters),
            (
                K::Signal,
                ("kill", "process 7 (x), whether it runs"),
                esrch,
                Harmless,
            ),
            (K::Signal, ("pidfd_open", "process 7 (x)"), esrch, Harmless),
            (K::Mount, ("mount", "none on /mnt (tmpfs)"), eperm, Matters),
            (
                K::Mount,
                ("mount", "none on /mnt, in a namespace of its own"),
                eperm,
                Harmless,
            ),
            (
                K::RawDevice,
                ("mknod", "/srv/disk (8:0)"),
                CONTAINED,
                Harmless,
            ),
            (
                K::RawDevice,
                ("openat", "/dev/sda"),
                refused(libc::EROFS),
                Matters,
            ),
            (
                K::Sysctl,
                ("openat", "vm.swappiness"),
                refused(libc::EROFS),
                Matters,
            ),
            (
                K::Socket,
                ("connect", "/dev/log, of process 9 (syslogd)"),
                deaf,
                Harmless,
            ),
            (
                K::Socket,
                ("connect", "/run/systemd/userdb/io.systemd.DynamicUser"),
                deaf,
                Harmless,
            ),
            (
                K::Socket,
                ("connect", "/run/mysqld/mysqld.sock, of process 9 (m)"),
                deaf,
                Matters,
            ),
            (K::HostName, ("sethostname", "other"), eperm, Matters),
        ] {
            assert_eq!(weighed(kind, what, "sh", outcome), expected, "{what:?}");
        }
    }

    #[test]
    fn a_bus_is_dispensable_for_those_who_only_tell_it_something() {
        let bus = ("connect", "/run/dbus/system_bus_socket (the system bus)");
        for (by, expected) in [
            ("su -c true nobody", Harmless),
            ("/usr/bin/sudo -u nobody true", Harmless),
            ("/usr/sbin/CRON -f", Harmless),
            ("sshd: root", Harmless),
            (
                "gdbus call --system --dest org.freedesktop.PackageKit --object-path /org",
                Harmless,
            ),
            (
                "gdbus call --system --dest org.freedesktop.hostname1",
                Matters,
            ),
            ("systemctl restart nginx", Matters),
            ("/usr/bin/sudoedit x", Matters),
        ] {
            let outcome = refused(libc::ECONNREFUSED);
            assert_eq!(
                weighed(EffectKind::DBus, bus, by, outcome),
                expected,
                "{by}"
            );
        }
    }
}
