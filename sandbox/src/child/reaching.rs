//! The table, continued: calls that reach for other processes, sockets and shared memory by a number
//! or an address. Data, as `rules` is. Each is no effect when what it means is inside.

use libc::c_long;

use super::picked::{Picked, When};
use super::request::EffectKind;
use super::rule::{Aim, Answer, Rule};

const fn goes_on(number: c_long, name: &'static str, kind: EffectKind, aim: Aim) -> Rule {
    Rule {
        number,
        name,
        kind,
        answer: Answer::Continue,
        aim,
    }
}

const fn judged(number: c_long, name: &'static str, kind: EffectKind, aim: Aim) -> Rule {
    Rule {
        number,
        name,
        kind,
        answer: Answer::Judge,
        aim,
    }
}

const fn signal(number: c_long, name: &'static str, signal: usize) -> Rule {
    let aim = Aim::Signal { process: 0, signal };
    judged(number, name, EffectKind::Signal, aim)
}

const fn of_process(number: c_long, name: &'static str, process: usize) -> Rule {
    judged(number, name, EffectKind::Process, Aim::Process(process))
}

const fn with_key(number: c_long, name: &'static str) -> Picked {
    Picked {
        rule: goes_on(number, name, EffectKind::Ipc, Aim::Key(0)),
        argument: 0,
        when: When::NotZero,
    }
}

const fn of_another(number: c_long, name: &'static str) -> Picked {
    Picked {
        rule: of_process(number, name, 0),
        argument: 0,
        when: When::NotZero,
    }
}

const fn priority_of_another(number: c_long, name: &'static str, process: u64) -> Picked {
    let aim = Aim::Priority { process };
    Picked {
        rule: judged(number, name, EffectKind::Process, aim),
        argument: 1,
        when: When::NotZero,
    }
}

/// Watched whatever the arguments are.
pub(super) const REACHING: &[Rule] = {
    use EffectKind as K;
    &[
        signal(libc::SYS_kill, "kill", 1),
        signal(libc::SYS_tkill, "tkill", 1),
        signal(libc::SYS_tgkill, "tgkill", 2),
        signal(libc::SYS_rt_sigqueueinfo, "rt_sigqueueinfo", 1),
        signal(libc::SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo", 2),
        judged(
            libc::SYS_pidfd_open,
            "pidfd_open",
            K::Signal,
            Aim::Process(0),
        ),
        of_process(libc::SYS_process_vm_readv, "process_vm_readv", 0),
        of_process(libc::SYS_process_vm_writev, "process_vm_writev", 0),
        of_process(libc::SYS_kcmp, "kcmp", 0),
        judged(libc::SYS_connect, "connect", K::Socket, Aim::Peer),
        judged(
            libc::SYS_sendmsg,
            "sendmsg",
            K::Socket,
            Aim::Messages { count: None },
        ),
        judged(
            libc::SYS_sendmmsg,
            "sendmmsg",
            K::Socket,
            Aim::Messages { count: Some(2) },
        ),
        judged(libc::SYS_bind, "bind", K::Network, Aim::Bind),
        judged(libc::SYS_listen, "listen", K::Network, Aim::Listen),
        goes_on(libc::SYS_mq_open, "mq_open", K::Ipc, Aim::Text(0)),
    ]
};

/// `PTRACE_ATTACH`, `PTRACE_SEIZE` of linux/ptrace.h.
const TRACING: &[u32] = &[16, 0x4206];

/// Requests that change network interfaces, routes and address tables (netdevice(7), linux/sockios.h).
const INTERFACES: &[u32] = &[
    0x890b, // SIOCADDRT
    0x890c, // SIOCDELRT
    0x8911, // SIOCSIFLINK
    0x8914, // SIOCSIFFLAGS
    0x8916, // SIOCSIFADDR
    0x8918, // SIOCSIFDSTADDR
    0x891a, // SIOCSIFBRDADDR
    0x891c, // SIOCSIFNETMASK
    0x891e, // SIOCSIFMETRIC
    0x8920, // SIOCSIFMEM
    0x8922, // SIOCSIFMTU
    0x8923, // SIOCSIFNAME
    0x8924, // SIOCSIFHWADDR
    0x8926, // SIOCSIFENCAP
    0x8930, // SIOCSIFSLAVE
    0x8931, // SIOCADDMULTI
    0x8932, // SIOCDELMULTI
    0x8934, // SIOCSIFPFLAGS
    0x8936, // SIOCDIFADDR
    0x8937, // SIOCSIFHWBROADCAST
    0x8943, // SIOCSIFTXQLEN
    0x8953, // SIOCDARP
    0x8955, // SIOCSARP
    0x8971, // SIOCSIFMAP
    0x8990, // SIOCBONDENSLAVE
    0x8991, // SIOCBONDRELEASE
    0x89a0, // SIOCBRADDBR
    0x89a1, // SIOCBRDELBR
    0x89a2, // SIOCBRADDIF
    0x89a3, // SIOCBRDELIF
];

/// Watched by the value of an argument.
pub(super) const REACHING_PICKED: &[Picked] = &[
    Picked {
        rule: of_process(libc::SYS_ptrace, "ptrace", 1),
        argument: 0,
        when: When::OneOf(TRACING),
    },
    Picked {
        rule: judged(libc::SYS_sendto, "sendto", EffectKind::Socket, Aim::SendTo),
        argument: 4,
        when: When::Pointer,
    },
    of_another(libc::SYS_prlimit64, "prlimit64"),
    of_another(libc::SYS_sched_setscheduler, "sched_setscheduler"),
    of_another(libc::SYS_sched_setparam, "sched_setparam"),
    of_another(libc::SYS_sched_setattr, "sched_setattr"),
    of_another(libc::SYS_sched_setaffinity, "sched_setaffinity"),
    priority_of_another(libc::SYS_setpriority, "setpriority", 0),
    priority_of_another(libc::SYS_ioprio_set, "ioprio_set", 1),
    with_key(libc::SYS_shmget, "shmget"),
    with_key(libc::SYS_semget, "semget"),
    with_key(libc::SYS_msgget, "msgget"),
];

/// The requests of [`Aim::Interface`] that `ioctl` is watched for; the others of it are in `picked`.
pub(super) const fn is_interface(request: u32) -> bool {
    let mut index = 0;
    while index < INTERFACES.len() {
        if INTERFACES[index] == request {
            return true;
        }
        index += 1;
    }
    false
}

/// What a request changes, in words.
pub(super) fn interface_words(request: u32) -> &'static str {
    match request {
        0x890b => "add route",
        0x890c => "delete route",
        0x8936 => "delete address",
        0x8916 | 0x8918 | 0x891a | 0x891c => "set address",
        0x8953 | 0x8955 => "change neighbour",
        0x89a0..=0x89a3 => "change bridge",
        0x8990 | 0x8991 => "change bond",
        _ => "set link",
    }
}

/// All requests for which `ioctl` is watched: those and the ones that type into a terminal.
pub(super) const REQUESTS: &[u32] = {
    const ALL: [u32; INTERFACES.len() + 2] = {
        let mut all = [0; INTERFACES.len() + 2];
        all[0] = libc::TIOCSTI as u32;
        all[1] = libc::TIOCLINUX as u32;
        let mut index = 0;
        while index < INTERFACES.len() {
            all[index + 2] = INTERFACES[index];
            index += 1;
        }
        all
    };
    &ALL
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_on_interfaces_are_told_from_typing() {
        assert!(is_interface(0x890b));
        assert!(!is_interface(libc::TIOCSTI as u32));
        assert!(REQUESTS.contains(&0x8914));
        assert_eq!(interface_words(0x8916), "set address");
        assert_eq!(interface_words(0x8914), "set link");
    }
}
