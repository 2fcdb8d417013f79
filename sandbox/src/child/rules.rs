//! The table of the system calls that are watched: what each would do to the live machine, how its
//! aim is named, and how it is answered. Data. Not for the mechanism (see `filter`, `watcher`).
//!
//! An answer is no protection by itself where it says [`Answer::Continue`]: the kernel does what
//! the missing capability, the namespace or the read-only mount makes it do. The arguments may
//! change between our look and the kernel's; so nothing that must not happen is only looked at.

use libc::c_long;

use super::picked::all_picked;
use super::reaching::REACHING;
use super::request::EffectKind;
use super::rule::{Aim, Answer, Rule};

const EPERM: Answer = Answer::Refuse(libc::EPERM);
const ENOSYS: Answer = Answer::Refuse(libc::ENOSYS);

const fn rule(
    number: c_long,
    name: &'static str,
    kind: EffectKind,
    answer: Answer,
    aim: Aim,
) -> Rule {
    Rule {
        number,
        name,
        kind,
        answer,
        aim,
    }
}

/// Opening files.
#[cfg(target_arch = "x86_64")]
pub(super) const OPENS: &[Rule] = &[
    open_rule(libc::SYS_openat, "openat", Some(0), 1),
    open_rule(libc::SYS_open, "open", None, 0),
    open_rule(libc::SYS_creat, "creat", None, 0),
];
/// Opening files.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const OPENS: &[Rule] = &[open_rule(libc::SYS_openat, "openat", Some(0), 1)];

const fn open_rule(
    number: c_long,
    name: &'static str,
    directory: Option<usize>,
    path: usize,
) -> Rule {
    rule(
        number,
        name,
        EffectKind::Sysctl,
        Answer::Continue,
        Aim::Open { directory, path },
    )
}

/// A program starts: an effect only when it speaks with a service manager.
const fn start_rule(
    number: c_long,
    name: &'static str,
    directory: Option<usize>,
    path: usize,
) -> Rule {
    let aim = Aim::Start { directory, path };
    rule(number, name, EffectKind::Service, Answer::Continue, aim)
}

/// Making nodes; the mode is in the argument after the path, the device after that.
#[cfg(target_arch = "x86_64")]
pub(super) const NODES: &[Rule] = &[
    node_rule(libc::SYS_mknodat, "mknodat", 1),
    node_rule(libc::SYS_mknod, "mknod", 0),
];
/// Making nodes; the mode is in the argument after the path, the device after that.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const NODES: &[Rule] = &[node_rule(libc::SYS_mknodat, "mknodat", 1)];

/// A device node may be made: it is a change of the filesystem like any other, and cannot be
/// opened inside, where every mount is `nodev`.
const fn node_rule(number: c_long, name: &'static str, path: usize) -> Rule {
    rule(
        number,
        name,
        EffectKind::RawDevice,
        Answer::Continue,
        Aim::Node { path },
    )
}

/// Not on every architecture or kernel: I/O ports, and an interface of an old profiler.
#[cfg(target_arch = "x86_64")]
pub(super) const LOCAL: &[Rule] = &[
    rule(
        libc::SYS_iopl,
        "iopl",
        EffectKind::RawDevice,
        EPERM,
        Aim::Number(0),
    ),
    rule(
        libc::SYS_ioperm,
        "ioperm",
        EffectKind::RawDevice,
        EPERM,
        Aim::Number(0),
    ),
    rule(
        libc::SYS_lookup_dcookie,
        "lookup_dcookie",
        EffectKind::Other,
        EPERM,
        Aim::None,
    ),
];
/// Not on every architecture or kernel: I/O ports, and an interface of an old profiler.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const LOCAL: &[Rule] = &[];

/// The rest, on every architecture.
pub(super) const RARE: &[Rule] = {
    use EffectKind as K;
    &[
        rule(
            libc::SYS_openat2,
            "openat2",
            K::Sysctl,
            Answer::Continue,
            Aim::OpenHow,
        ),
        rule(libc::SYS_mount, "mount", K::Mount, EPERM, Aim::Mount),
        rule(libc::SYS_umount2, "umount2", K::Mount, EPERM, Aim::Path(0)),
        rule(
            libc::SYS_pivot_root,
            "pivot_root",
            K::Mount,
            EPERM,
            Aim::Path(0),
        ),
        rule(
            libc::SYS_open_tree,
            "open_tree",
            K::Mount,
            EPERM,
            Aim::Path(1),
        ),
        rule(
            libc::SYS_move_mount,
            "move_mount",
            K::Mount,
            EPERM,
            Aim::Path(3),
        ),
        rule(libc::SYS_fsopen, "fsopen", K::Mount, EPERM, Aim::Text(0)),
        rule(libc::SYS_fsmount, "fsmount", K::Mount, EPERM, Aim::None),
        rule(
            libc::SYS_fsconfig,
            "fsconfig",
            K::Mount,
            EPERM,
            Aim::Text(2),
        ),
        rule(libc::SYS_fspick, "fspick", K::Mount, EPERM, Aim::Path(1)),
        rule(
            libc::SYS_mount_setattr,
            "mount_setattr",
            K::Mount,
            EPERM,
            Aim::Path(1),
        ),
        rule(libc::SYS_reboot, "reboot", K::Reboot, EPERM, Aim::Reboot),
        rule(
            libc::SYS_kexec_load,
            "kexec_load",
            K::Reboot,
            EPERM,
            Aim::None,
        ),
        rule(
            libc::SYS_kexec_file_load,
            "kexec_file_load",
            K::Reboot,
            EPERM,
            Aim::Descriptor(0),
        ),
        rule(
            libc::SYS_init_module,
            "init_module",
            K::KernelModule,
            EPERM,
            Aim::Text(2),
        ),
        rule(
            libc::SYS_finit_module,
            "finit_module",
            K::KernelModule,
            EPERM,
            Aim::Descriptor(0),
        ),
        rule(
            libc::SYS_delete_module,
            "delete_module",
            K::KernelModule,
            EPERM,
            Aim::Text(0),
        ),
        rule(
            libc::SYS_settimeofday,
            "settimeofday",
            K::Clock,
            EPERM,
            Aim::None,
        ),
        rule(
            libc::SYS_clock_settime,
            "clock_settime",
            K::Clock,
            EPERM,
            Aim::None,
        ),
        rule(
            libc::SYS_adjtimex,
            "adjtimex",
            K::Clock,
            EPERM,
            Aim::Timex(0),
        ),
        rule(
            libc::SYS_clock_adjtime,
            "clock_adjtime",
            K::Clock,
            EPERM,
            Aim::Timex(1),
        ),
        rule(
            libc::SYS_sethostname,
            "sethostname",
            K::HostName,
            EPERM,
            Aim::Bytes(0),
        ),
        rule(
            libc::SYS_setdomainname,
            "setdomainname",
            K::HostName,
            EPERM,
            Aim::Bytes(0),
        ),
        rule(libc::SYS_swapon, "swapon", K::Swap, EPERM, Aim::Path(0)),
        rule(libc::SYS_swapoff, "swapoff", K::Swap, EPERM, Aim::Path(0)),
        rule(libc::SYS_acct, "acct", K::Other, EPERM, Aim::Path(0)),
        rule(
            libc::SYS_quotactl,
            "quotactl",
            K::Other,
            EPERM,
            Aim::Path(1),
        ),
        rule(
            libc::SYS_quotactl_fd,
            "quotactl_fd",
            K::Other,
            EPERM,
            Aim::Descriptor(0),
        ),
        rule(libc::SYS_bpf, "bpf", K::Other, EPERM, Aim::Number(0)),
        rule(
            libc::SYS_perf_event_open,
            "perf_event_open",
            K::Other,
            EPERM,
            Aim::None,
        ),
        rule(
            libc::SYS_userfaultfd,
            "userfaultfd",
            K::Other,
            EPERM,
            Aim::None,
        ),
        // It would pass over the filter; programs take the answer as an old kernel's.
        rule(
            libc::SYS_io_uring_setup,
            "io_uring_setup",
            K::Other,
            ENOSYS,
            Aim::None,
        ),
        // Key rings belong to users, not to namespaces.
        rule(libc::SYS_keyctl, "keyctl", K::Other, EPERM, Aim::Number(0)),
        rule(libc::SYS_add_key, "add_key", K::Other, EPERM, Aim::Text(0)),
        rule(
            libc::SYS_request_key,
            "request_key",
            K::Other,
            EPERM,
            Aim::Text(0),
        ),
        rule(
            libc::SYS_setns,
            "setns",
            K::Process,
            Answer::Continue,
            Aim::Descriptor(0),
        ),
        rule(
            libc::SYS_unshare,
            "unshare",
            K::Process,
            Answer::Continue,
            Aim::Namespaces,
        ),
        rule(
            libc::SYS_open_by_handle_at,
            "open_by_handle_at",
            K::Other,
            EPERM,
            Aim::None,
        ),
        rule(libc::SYS_syslog, "syslog", K::Other, EPERM, Aim::KernelLog),
        rule(
            libc::SYS_fanotify_init,
            "fanotify_init",
            K::Other,
            EPERM,
            Aim::None,
        ),
        rule(libc::SYS_vhangup, "vhangup", K::Other, EPERM, Aim::None),
        start_rule(libc::SYS_execve, "execve", None, 0),
        start_rule(libc::SYS_execveat, "execveat", Some(0), 1),
    ]
};

/// All rules, in the order of the filter.
pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    let picked = all_picked().map(|picked| &picked.rule);
    OPENS
        .iter()
        .chain(NODES)
        .chain(RARE)
        .chain(REACHING)
        .chain(LOCAL)
        .chain(picked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the table for people is, from this crate's directory.
    const PAGE: &str = "../docs/effects.md";

    fn table() -> String {
        let mut lines: Vec<String> = all()
            .map(|rule| {
                let answer = match rule.answer {
                    Answer::Refuse(libc::ENOSYS) => "fails with ENOSYS",
                    Answer::Refuse(_) => "fails with EPERM",
                    Answer::Continue => "goes on, within the scratchpad",
                    Answer::Judge => "goes on, but not to what is live",
                };
                format!("| `{}` | {:?} | {answer} |\n", rule.name, rule.kind)
            })
            .collect();
        lines.sort();
        lines.dedup();
        format!(
            "| system call | kind of effect | answer |\n|---|---|---|\n{}",
            lines.concat()
        )
    }

    /// The page is written by hand but for the table; `UPDATE_PAGES=1` puts the table in.
    #[test]
    fn the_page_has_this_table() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (head, rest) = page.split_once("<!-- table -->\n").unwrap();
        let (old, tail) = rest.split_once("<!-- end of table -->").unwrap();
        if std::env::var_os("UPDATE_PAGES").is_some() {
            let new = table();
            let page = format!("{head}<!-- table -->\n{new}<!-- end of table -->{tail}");
            std::fs::write(PAGE, page).unwrap();
        } else if cfg!(target_arch = "x86_64") {
            assert_eq!(old, table(), "run with UPDATE_PAGES=1");
        }
    }

    #[test]
    fn every_number_has_one_rule() {
        let mut numbers: Vec<c_long> = all().map(|rule| rule.number).collect();
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
    }
}
