//! The system calls that are watched for some values of one argument only, and those of the foreign
//! architecture. Data, as `rules` is. Not for the mechanism (see `filter`).

use libc::c_long;

use super::reaching::{REACHING_PICKED, REQUESTS};
use super::request::EffectKind;
use super::rule::{Aim, Answer, Rule};

/// A system call that is watched for some values of an argument only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picked {
    /// How it is named and answered then.
    pub rule: Rule,
    /// The position of the argument.
    pub argument: usize,
    /// The values.
    pub when: When,
}

/// For which values of an argument a call is watched.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// The lower half is one of these.
    OneOf(&'static [u32]),
    /// The lower half is not 0.
    NotZero,
    /// It is not the null pointer.
    Pointer,
    /// It is the first of socket(2): one of these families, or raw Internet packets.
    Family(&'static [u32]),
}

/// Watched by value.
pub(super) const PICKED: &[Picked] = &[
    // Sockets of the hypervisor and of the network card; the first asks for no capability. Raw ones
    // are how the older tools set the firewall.
    Picked {
        rule: Rule {
            number: libc::SYS_socket,
            name: "socket",
            kind: EffectKind::Socket,
            answer: Answer::Refuse(libc::EPERM),
            aim: Aim::Family(0),
        },
        argument: 0,
        when: When::Family(&[libc::AF_VSOCK as u32, libc::AF_PACKET as u32]),
    },
    // The command shares its caller's terminal: what it puts into that as if typed, the caller's
    // shell would run live after it (ioctl_tty(2)). The rest would change network interfaces.
    Picked {
        rule: Rule {
            number: libc::SYS_ioctl,
            name: "ioctl",
            kind: EffectKind::Other,
            answer: Answer::Refuse(libc::EPERM),
            aim: Aim::Request(1),
        },
        argument: 1,
        when: When::OneOf(REQUESTS),
    },
];

/// All that are watched by value.
pub(super) fn all_picked() -> impl Iterator<Item = &'static Picked> {
    PICKED.iter().chain(REACHING_PICKED)
}

/// `AUDIT_ARCH_I386` of linux/audit.h: 32-bit programs on x86-64.
pub(super) const FOREIGN: u32 = 0x4000_0003;

/// The numbers on the foreign architecture (asm/unistd_32.h) of the calls that nothing but the
/// filter holds back, or that are the most telling in a report, with the names they have in `rules`.
/// Opening files is missing: the read-only mounts hold, and only the line in the report is lost.
#[cfg(target_arch = "x86_64")]
pub(super) const FOREIGN_NUMBERS: &[(c_long, &str)] = &[
    (21, "mount"),
    (52, "umount2"),
    (54, "ioctl"),
    (74, "sethostname"),
    (79, "settimeofday"),
    (87, "swapon"),
    (88, "reboot"),
    (103, "syslog"),
    (111, "vhangup"),
    (115, "swapoff"),
    (128, "init_module"),
    (129, "delete_module"),
    (131, "quotactl"),
    (264, "clock_settime"),
    (286, "add_key"),
    (287, "request_key"),
    (288, "keyctl"),
    (336, "perf_event_open"),
    (338, "fanotify_init"),
    (342, "open_by_handle_at"),
    (350, "finit_module"),
    (357, "bpf"),
    (359, "socket"),
    (374, "userfaultfd"),
    (404, "clock_settime"),
    (425, "io_uring_setup"),
    (443, "quotactl_fd"),
];
/// No foreign architecture is known here.
#[cfg(not(target_arch = "x86_64"))]
pub(super) const FOREIGN_NUMBERS: &[(c_long, &str)] = &[];
