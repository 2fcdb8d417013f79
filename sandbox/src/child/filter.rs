//! Compiles the rules into a seccomp filter (seccomp(2), linux/filter.h). Pure. Not for what is
//! watched (see `rules`). Upholds: everything that is not watched is allowed, and costs nothing:
//! the kernel remembers system calls that a filter allows whatever their arguments.
//!
//! Of the system calls of the foreign architecture (a 32-bit program on a 64-bit kernel) those are
//! watched that `picked` lists. The others are allowed: refusing them would break such programs, and
//! capabilities, namespaces and read-only mounts hold for them as well.

use std::sync::LazyLock;

use super::picked::{FOREIGN, FOREIGN_NUMBERS, Picked, When, all_picked};
use super::reaching::REACHING;
use super::rule::{Aim, Rule};
use super::rules::{LOCAL, NODES, OPENS, RARE};
use crate::sys::seccomp::Instruction;

/// `AUDIT_ARCH_X86_64` of linux/audit.h.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
/// `AUDIT_ARCH_AARCH64` of linux/audit.h.
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The lower half of an argument (both architectures are little-endian).
const fn argument(index: usize) -> u32 {
    16 + 8 * index as u32
}

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_ALU | BPF_AND | BPF_K`, `BPF_JMP | BPF_J* | BPF_K`,
/// `BPF_RET | BPF_K`, `BPF_JMP | BPF_JA`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_BITS: u16 = 0x45;
const IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const JUMP: u16 = 0x05;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;

/// `__X32_SYSCALL_BIT` of asm/unistd.h: another numbering for the same architecture, which would
/// pass over the filter. Nothing uses it, and few kernels have it.
const X32: u32 = 0x4000_0000;

/// `SOCK_TYPE_MASK` of linux/net.h: the rest are flags.
const SOCKET_TYPE: u32 = 0xf;

const WRITES: u32 = (libc::O_ACCMODE | libc::O_TRUNC) as u32;
const NEW_FILE: u32 = (libc::O_CREAT | libc::O_EXCL) as u32;
const TEMPORARY: u32 = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32;

const fn run(code: u16, operand: u32) -> Instruction {
    test(code, operand, 0, 0)
}

const fn test(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction {
        code,
        if_true,
        if_false,
        operand,
    }
}

/// A watched system call.
struct Watched {
    number: u32,
    /// What decides about a call with this number, and always returns; empty when each call is
    /// notified.
    verdict: Vec<Instruction>,
}

/// So few are tried one after the other.
const LEAF: usize = 6;

/// The filter for all rules, compiled once.
pub(super) fn filter() -> &'static [Instruction] {
    static FILTER: LazyLock<Vec<Instruction>> = LazyLock::new(compile);
    &FILTER
}

fn compile() -> Vec<Instruction> {
    let mut program = vec![run(LOAD, ARCHITECTURE)];
    push_foreign(&mut program);
    program.push(run(LOAD, NUMBER));
    if cfg!(target_arch = "x86_64") {
        program.push(test(IF_AT_LEAST, X32, 0, 1));
        program.push(run(RETURN, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32));
    }
    let opens = OPENS.iter().filter_map(open_verdict);
    let nodes = NODES.iter().filter_map(node_verdict);
    let picked = all_picked().map(|picked| Watched {
        number: picked.rule.number as u32,
        verdict: picked_verdict(picked),
    });
    let always = RARE
        .iter()
        .chain(REACHING)
        .chain(LOCAL)
        .map(|rule| always(rule.number));
    push_search(
        &mut program,
        opens.chain(nodes).chain(picked).chain(always).collect(),
    );
    program
}

/// Goes on only for the native architecture; the loaded value is the architecture.
fn push_foreign(program: &mut Vec<Instruction>) {
    let mut foreign = vec![run(LOAD, NUMBER)];
    let watched = FOREIGN_NUMBERS.iter().map(|(number, name)| {
        match all_picked().find(|picked| picked.rule.name == *name) {
            Some(picked) => Watched {
                number: *number as u32,
                verdict: picked_verdict(picked),
            },
            None => always(*number),
        }
    });
    push_search(&mut foreign, watched.collect());
    let length = foreign.len() as u32;
    program.extend([
        test(IF_EQUAL, NATIVE, 0, 1),
        run(JUMP, length + 2),
        test(IF_EQUAL, FOREIGN, 1, 0),
        run(RETURN, ALLOW),
    ]);
    program.extend(foreign);
}

/// Decides by the loaded number. When a filter is installed the kernel tries all numbers of both
/// architectures, to remember those that are always allowed (`seccomp_cache_prepare`, Linux 5.11):
/// a search by halves makes that, and so the start of each command, much shorter than a list.
fn push_search(program: &mut Vec<Instruction>, mut watched: Vec<Watched>) {
    watched.sort_by_key(|one| one.number);
    push_halves(program, &watched);
}

fn push_halves(program: &mut Vec<Instruction>, watched: &[Watched]) {
    if watched.len() <= LEAF {
        let mut rest: usize = watched.iter().map(|one| 1 + one.verdict.len()).sum();
        for one in watched {
            rest -= 1 + one.verdict.len();
            program.push(match one.verdict.len() {
                0 => test(IF_EQUAL, one.number, rest as u8 + 1, 0),
                length => test(IF_EQUAL, one.number, 0, length as u8),
            });
            program.extend_from_slice(&one.verdict);
        }
        program.push(run(RETURN, ALLOW));
        program.push(run(RETURN, NOTIFY));
        return;
    }
    let (low, high) = watched.split_at(watched.len() / 2);
    let mut lower = Vec::new();
    push_halves(&mut lower, low);
    program.push(test(IF_AT_LEAST, high[0].number, 0, 1));
    program.push(run(JUMP, lower.len() as u32));
    program.extend(lower);
    push_halves(program, high);
}

/// Notifies whatever the arguments are.
fn always(number: libc::c_long) -> Watched {
    Watched {
        number: number as u32,
        verdict: Vec::new(),
    }
}

/// Notifies when the argument has one of the values.
fn picked_verdict(picked: &Picked) -> Vec<Instruction> {
    let lower = argument(picked.argument);
    let (mut verdict, values) = match picked.when {
        When::OneOf(values) => (vec![run(LOAD, lower)], values),
        When::NotZero => (not_zero(lower, 1), &[][..]),
        When::Pointer => {
            let mut either = not_zero(lower, 3);
            either.extend(not_zero(lower + 4, 1));
            (either, &[][..])
        }
        When::Family(values) => (raw_internet(values.len() as u8), values),
    };
    for (value, left) in values.iter().zip((1..=values.len() as u8).rev()) {
        verdict.push(test(IF_EQUAL, *value, left, 0));
    }
    verdict.push(run(RETURN, ALLOW));
    verdict.push(run(RETURN, NOTIFY));
    verdict
}

/// Skips `more` instructions when the word is not 0.
fn not_zero(word: u32, more: u8) -> Vec<Instruction> {
    vec![run(LOAD, word), test(IF_EQUAL, 0, 0, more)]
}

/// For socket(2): skips `tests` instructions and one when it is for raw packets of the Internet,
/// else goes on with the family loaded.
fn raw_internet(tests: u8) -> Vec<Instruction> {
    vec![
        run(LOAD, argument(0)),
        test(IF_EQUAL, libc::AF_INET as u32, 1, 0),
        test(IF_EQUAL, libc::AF_INET6 as u32, 0, 3),
        run(LOAD, argument(1)),
        run(AND, SOCKET_TYPE),
        test(IF_EQUAL, libc::SOCK_RAW as u32, tests + 2, 0),
        run(LOAD, argument(0)),
    ]
}

/// Notifies when the file may be changed and exists: not for reading, new files and files without
/// a name.
fn open_verdict(rule: &Rule) -> Option<Watched> {
    let Aim::Open { path, .. } = rule.aim else {
        return None;
    };
    if rule.name == "creat" {
        return Some(always(rule.number));
    }
    let verdict = vec![
        run(LOAD, argument(path + 1)),
        test(IF_BITS, WRITES, 0, 4),
        test(IF_BITS, TEMPORARY, 3, 0),
        run(AND, NEW_FILE),
        test(IF_EQUAL, NEW_FILE, 1, 0),
        run(RETURN, NOTIFY),
        run(RETURN, ALLOW),
    ];
    let number = rule.number as u32;
    Some(Watched { number, verdict })
}

/// Notifies for devices; 0:0 is no device (overlayfs takes it as a whiteout and refuses to make it).
fn node_verdict(rule: &Rule) -> Option<Watched> {
    let Aim::Node { path } = rule.aim else {
        return None;
    };
    let verdict = vec![
        run(LOAD, argument(path + 1)),
        run(AND, libc::S_IFMT),
        test(IF_EQUAL, libc::S_IFCHR, 1, 0),
        test(IF_EQUAL, libc::S_IFBLK, 0, 3),
        run(LOAD, argument(path + 2)),
        test(IF_EQUAL, 0, 1, 0),
        run(RETURN, NOTIFY),
        run(RETURN, ALLOW),
    ];
    let number = rule.number as u32;
    Some(Watched { number, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn verdict(architecture: u32, number: i64, arguments: [u64; 6]) -> u32 {
        let program = filter();
        let (mut at, mut value) = (0, 0);
        loop {
            let step = program[at];
            at += 1;
            match step.code {
                LOAD => {
                    value = match step.operand {
                        NUMBER => number as u32,
                        ARCHITECTURE => architecture,
                        offset => {
                            let whole = arguments[(offset as usize - 16) / 8];
                            (whole >> (8 * (offset % 8))) as u32
                        }
                    }
                }
                AND => value &= step.operand,
                RETURN => return step.operand,
                JUMP => at += step.operand as usize,
                code => {
                    let is_true = match code {
                        IF_EQUAL => value == step.operand,
                        IF_BITS => value & step.operand != 0,
                        _ => value >= step.operand,
                    };
                    at += usize::from(if is_true { step.if_true } else { step.if_false });
                }
            }
        }
    }

    fn openat(flags: i32) -> u32 {
        verdict(NATIVE, libc::SYS_openat, [0, 0, flags as u64, 0, 0, 0])
    }

    #[test]
    fn only_writes_to_existing_names_are_notified() {
        assert_eq!(openat(libc::O_RDONLY | libc::O_CLOEXEC), ALLOW);
        assert_eq!(openat(libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL), ALLOW);
        assert_eq!(openat(libc::O_RDWR | libc::O_TMPFILE), ALLOW);
        assert_eq!(
            openat(libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC),
            NOTIFY
        );
        assert_eq!(openat(libc::O_RDWR), NOTIFY);
        // Without O_CREAT, O_EXCL asks for a block device of one's own (open(2)).
        assert_eq!(openat(libc::O_RDWR | libc::O_EXCL), NOTIFY);
    }

    #[test]
    fn only_device_nodes_are_notified() {
        let mknod = |mode: u32, device| {
            let arguments = [0, 0, u64::from(mode), device, 0, 0];
            verdict(NATIVE, libc::SYS_mknodat, arguments)
        };
        assert_eq!(mknod(libc::S_IFIFO | 0o600, 0), ALLOW);
        assert_eq!(mknod(libc::S_IFBLK | 0o600, 0x800), NOTIFY);
        assert_eq!(mknod(libc::S_IFCHR | 0o600, 0x103), NOTIFY);
        assert_eq!(mknod(libc::S_IFCHR | 0o600, 0), ALLOW);
    }

    #[test]
    fn every_rare_call_is_notified_and_others_are_not() {
        for rule in RARE.iter().chain(REACHING).chain(LOCAL) {
            assert_eq!(
                verdict(NATIVE, rule.number, [0; 6]),
                NOTIFY,
                "{}",
                rule.name
            );
        }
        let watched = |number| {
            let rules = RARE.iter().chain(LOCAL).chain(OPENS).chain(NODES);
            let picked = all_picked().map(|picked| &picked.rule);
            rules
                .chain(REACHING)
                .chain(picked)
                .any(|rule| rule.number == number)
        };
        for number in (0..1000).filter(|number| !watched(*number)) {
            assert_eq!(verdict(NATIVE, number, [0; 6]), ALLOW, "{number}");
        }
    }

    #[test]
    fn calls_are_picked_by_an_argument() {
        let socket =
            |family: i32| verdict(NATIVE, libc::SYS_socket, [family as u64, 1, 0, 0, 0, 0]);
        assert_eq!(socket(libc::AF_VSOCK), NOTIFY);
        assert_eq!(socket(libc::AF_PACKET), NOTIFY);
        assert_eq!(socket(libc::AF_INET), ALLOW);
        let typed = |family: i32, kind: i32| {
            let arguments = [family as u64, kind as u64, 1, 0, 0, 0];
            verdict(NATIVE, libc::SYS_socket, arguments)
        };
        let raw = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        assert_eq!(typed(libc::AF_INET, raw), NOTIFY);
        assert_eq!(typed(libc::AF_INET6, raw), NOTIFY);
        assert_eq!(typed(libc::AF_INET, libc::SOCK_DGRAM), ALLOW);
        assert_eq!(typed(libc::AF_NETLINK, raw), ALLOW);
        assert_eq!(typed(libc::AF_VSOCK, libc::SOCK_STREAM), NOTIFY);
        assert_eq!(typed(libc::AF_UNIX, libc::SOCK_STREAM), ALLOW);
        let to = |address| verdict(NATIVE, libc::SYS_sendto, [0, 0, 0, 0, address, 0]);
        assert_eq!(to(0), ALLOW);
        assert_eq!(to(0x1000), NOTIFY);
        assert_eq!(to(1 << 32), NOTIFY);
        let limits = |pid| verdict(NATIVE, libc::SYS_prlimit64, [pid, 0, 0, 0, 0, 0]);
        assert_eq!((limits(0), limits(7)), (ALLOW, NOTIFY));
        let trace = |request| verdict(NATIVE, libc::SYS_ptrace, [request, 1, 0, 0, 0, 0]);
        assert_eq!((trace(0), trace(16)), (ALLOW, NOTIFY));
        let ioctl = |request: u64| verdict(NATIVE, libc::SYS_ioctl, [0, request, 0, 0, 0, 0]);
        assert_eq!(ioctl(libc::TIOCSTI), NOTIFY);
        assert_eq!(ioctl(libc::TCGETS), ALLOW);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_that_only_the_filter_holds_back_are_watched_for_32_bit_programs() {
        const KEYCTL: i64 = 288;
        const SOCKET: i64 = 359;
        assert_eq!(verdict(FOREIGN, KEYCTL, [0; 6]), NOTIFY);
        assert_eq!(verdict(FOREIGN, SOCKET, [40, 0, 0, 0, 0, 0]), NOTIFY);
        assert_eq!(verdict(FOREIGN, SOCKET, [2, 0, 0, 0, 0, 0]), ALLOW);
        for number in 0..1000 {
            let name = FOREIGN_NUMBERS.iter().find(|(one, _)| *one == number);
            let always = name.is_some_and(|(_, name)| all_picked().all(|p| p.rule.name != *name));
            let expected = if always { NOTIFY } else { ALLOW };
            assert_eq!(verdict(FOREIGN, number, [0; 6]), expected, "{number}");
        }
        assert_eq!(verdict(0x4000_0028, KEYCTL, [0; 6]), ALLOW);
    }
}
