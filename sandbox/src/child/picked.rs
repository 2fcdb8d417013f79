//! The system calls that are watched for some values of one argument only, and those of the foreign
//! architecture. Data, as `rules` is. Not for the mechanism (see `filter`).

use libc::c_long;

use super::request::EffectKind;
use super::rule::{Aim, Answer, Rule};

/// A system call that is watched when the lower half of an argument has one of some values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Picked {
    /// How it is named and answered then.
    pub rule: Rule,
    /// The position of the argument.
    pub argument: usize,
    /// The values.
    pub values: &'static [u32],
}

/// Watched by value.
pub(super) const PICKED: &[Picked] = &[
    // Sockets of the hypervisor and of the network card; the first asks for no capability.
    Picked {
        rule: Rule {
            number: libc::SYS_socket,
            name: "socket",
            kind: EffectKind::Socket,
            answer: Answer::Refuse(libc::EPERM),
            aim: Aim::Family(0),
        },
        argument: 0,
        values: &[libc::AF_VSOCK as u32, libc::AF_PACKET as u32],
    },
    // The command shares its caller's terminal: what it puts into that as if typed, the caller's
    // shell would run live after it (ioctl_tty(2)).
    Picked {
        rule: Rule {
            number: libc::SYS_ioctl,
            name: "ioctl",
            kind: EffectKind::Other,
            answer: Answer::Refuse(libc::EPERM),
            aim: Aim::TerminalInput(1),
        },
        argument: 1,
        values: &[libc::TIOCSTI as u32, libc::TIOCLINUX as u32],
    },
];

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
