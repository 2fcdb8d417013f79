//! Names what a watched system call aims at, from the caller's arguments and memory. Not for
//! answering it. Upholds: reads a bounded amount, and what it reads may be anything.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::caller::{absolute, descriptor, escaped, read_memory, read_string};
use super::live::Live;
use super::reaching::{interface_words, is_interface};
use super::request::{EffectKind, EffectOutcome, Named, Sight};
use super::rule::{Aim, Answer, Rule};
use super::{peers, reach};
use crate::mounts::PROC_READ_ONLY;
use crate::sys::seccomp::Notification;

/// What is added to a name when a process tries something in a namespace of its own, where a native
/// run would have done no more. `weight` goes by it.
pub(super) const OWN_NAMESPACE: &str = ", in a namespace of its own";

/// The names in `/dev` that reach nothing live.
const HARMLESS: [&str; 15] = [
    "null", "zero", "full", "random", "urandom", "tty", "ptmx", "stdin", "stdout", "stderr", "fd",
    "pts", "mqueue", "console", "log",
];

/// Looks at a call: what its effect is, if any, and whether it fails.
pub(super) fn look(rule: &Rule, call: &Notification, live: &mut Live) -> Sight {
    match rule.aim {
        Aim::Peer => return peers::connect(call, live),
        Aim::SendTo => return peers::send_to(call, live),
        Aim::Messages { count } => return peers::send_messages(call, count, live),
        Aim::Bind => return peers::bind(call, live),
        Aim::Listen => return peers::listen(call, live),
        _ => {}
    }
    let named = name(rule, call, live);
    let fails = match (rule.answer, &named) {
        (Answer::Refuse(errno), Some(_)) => Some(errno),
        // The kernel would not find it either, but may look at other arguments before.
        (Answer::Judge, Some((_, _, EffectOutcome::Refused(errno)))) => Some(*errno),
        // What only reads may be performed though it is refused otherwise.
        (Answer::Refuse(_) | Answer::Continue | Answer::Judge, _) => None,
    };
    Sight { named, fails }
}

/// Says what the call aims at and what becomes of it; `None` when it is no effect after all.
fn name(rule: &Rule, call: &Notification, live: &Live) -> Option<Named> {
    let argument = |index: usize| call.arguments[index];
    let text = |index| escaped(&read_string(call.pid, argument(index)));
    let target = match rule.aim {
        Aim::None => String::new(),
        Aim::Path(index) | Aim::Text(index) => text(index),
        Aim::Bytes(index) => {
            let length = usize::try_from(argument(index + 1)).unwrap_or(0).min(256);
            escaped(&read_memory(call.pid, argument(index), length))
        }
        Aim::Descriptor(index) => descriptor(call.pid, argument(index) as i32)
            .map_or_else(String::new, |path| escaped(path.as_os_str().as_bytes())),
        Aim::Number(index) => format!("{:#x}", argument(index)),
        Aim::Mount => mount(&text(0), &text(1), &text(2)),
        Aim::Reboot => reboot_command(argument(2) as u32),
        Aim::Timex(index) if is_reading_clock(call, index) => return None,
        Aim::Timex(_) => String::new(),
        Aim::KernelLog if matches!(argument(0), 0 | 1 | 3 | 9 | 10) => return None,
        Aim::KernelLog => format!("command {}", argument(0)),
        Aim::Namespaces => return namespaces(argument(0) as i32),
        Aim::Node { path } => {
            let device = argument(path + 2);
            let (major, minor) = (libc::major(device), libc::minor(device));
            format!("{} ({major}:{minor})", text(path))
        }
        Aim::Open { directory, path } => {
            let directory = directory.map_or(libc::AT_FDCWD, |index| argument(index) as i32);
            return open_target(call.pid, directory, argument(path));
        }
        Aim::OpenHow => return open_how(call),
        Aim::Process(index) => return reach::live_process(argument(index) as i32, rule.kind, live),
        Aim::Signal { process, signal } => {
            return reach::signalled(argument(process) as i32, argument(signal) as i32, live);
        }
        Aim::Priority { process } => return reach::priority(call, process, rule.kind, live),
        Aim::Key(index) => format!("key {:#x}", argument(index) as u32),
        Aim::Family(index) => return Some(family(rule, argument(index) as i32)),
        Aim::Request(index) => return Some(request(rule, argument(index) as u32)),
        // What it is about is found by whoever answers it.
        Aim::Start { .. } => return None,
        // Looked at elsewhere.
        Aim::Peer | Aim::SendTo | Aim::Messages { .. } | Aim::Bind | Aim::Listen => return None,
    };
    let target = match rule.kind {
        EffectKind::Mount if live.has_own_mounts(call.pid) => format!("{target}{OWN_NAMESPACE}"),
        EffectKind::HostName if live.has_own_name(call.pid) => format!("{target}{OWN_NAMESPACE}"),
        _ => target,
    };
    let outcome = match rule.answer {
        Answer::Refuse(errno) => EffectOutcome::Refused(errno),
        // Joining other namespaces needs CAP_SYS_ADMIN, which nobody inside has.
        Answer::Continue if rule.name == "setns" => EffectOutcome::Refused(libc::EPERM),
        Answer::Continue | Answer::Judge => EffectOutcome::Contained,
    };
    Some((rule.kind, target, outcome))
}

/// mount(2); source and type are empty when the flags of a mount are changed.
fn mount(source: &str, target: &str, fs_type: &str) -> String {
    match (source, fs_type) {
        ("", "") => format!("on {target}"),
        (_, "") => format!("{source} on {target}"),
        _ => format!("{source} on {target} ({fs_type})"),
    }
}

/// socket(2), refused.
fn family(rule: &Rule, number: i32) -> Named {
    let outcome = EffectOutcome::Refused(libc::EPERM);
    let (kind, target) = match number {
        libc::AF_VSOCK => (rule.kind, "vsock".to_owned()),
        libc::AF_PACKET => (rule.kind, "packet".to_owned()),
        libc::AF_INET | libc::AF_INET6 => (EffectKind::Network, "raw packets".to_owned()),
        other => (rule.kind, format!("family {other}")),
    };
    (kind, target, outcome)
}

/// ioctl(2), refused.
fn request(rule: &Rule, number: u32) -> Named {
    let outcome = EffectOutcome::Refused(libc::EPERM);
    match is_interface(number) {
        true => {
            let words = interface_words(number).to_owned();
            (EffectKind::NetworkSettings, words, outcome)
        }
        false => (rule.kind, "typing into the terminal".to_owned(), outcome),
    }
}

fn reboot_command(command: u32) -> String {
    // linux/reboot.h
    match command {
        0x0123_4567 => "restart".to_owned(),
        0xcdef_0123 => "halt".to_owned(),
        0x4321_fedc => "power off".to_owned(),
        0xa1b2_c3d4 => "restart with a command".to_owned(),
        0xd000_fce2 => "suspend".to_owned(),
        0x4558_4543 => "kexec".to_owned(),
        0x89ab_cdef => "enable Ctrl-Alt-Del".to_owned(),
        0 => "disable Ctrl-Alt-Del".to_owned(),
        other => format!("{other:#x}"),
    }
}

/// A `struct timex` whose first word, `modes`, is 0 (adjtimex(2)).
fn is_reading_clock(call: &Notification, index: usize) -> bool {
    read_memory(call.pid, call.arguments[index], 4) == [0; 4]
}

fn namespaces(flags: i32) -> Option<Named> {
    let names = [
        (libc::CLONE_NEWUSER, "user"),
        (libc::CLONE_NEWNS, "mount"),
        (libc::CLONE_NEWPID, "pid"),
        (libc::CLONE_NEWNET, "network"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWCGROUP, "cgroup"),
    ];
    let asked: Vec<&str> = names
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, name)| *name)
        .collect();
    // With a user namespace of its own a process may make the others; what they hold is inside.
    let outcome = match asked.first() {
        None => return None,
        Some(&"user") => EffectOutcome::Contained,
        Some(_) => EffectOutcome::Refused(libc::EPERM),
    };
    Some((EffectKind::Process, asked.join(", "), outcome))
}

fn open_how(call: &Notification) -> Option<Named> {
    let flags: [u8; 8] = read_memory(call.pid, call.arguments[2], 8)
        .try_into()
        .ok()?;
    let flags = u64::from_ne_bytes(flags);
    let writes = (libc::O_ACCMODE | libc::O_TRUNC) as u64;
    if flags & writes == 0 {
        return None;
    }
    open_target(call.pid, call.arguments[0] as i32, call.arguments[1])
}

/// An opened path is an effect when it, or what it leads to, is a setting of the kernel or a raw
/// device.
fn open_target(pid: i32, directory: i32, address: u64) -> Option<Named> {
    let path = absolute(pid, directory, read_string(pid, address))?;
    opened(pid, &path).or_else(|| opened(pid, &behind_links(pid, &path)?))
}

/// Where a path leads inside, when it is through links; they may change before the kernel follows
/// them, which changes the name in the report only.
fn behind_links(pid: i32, path: &Path) -> Option<PathBuf> {
    let root = File::open(format!("/proc/{pid}/root")).ok()?;
    // Links lead from the caller's root; those of /proc that lead anywhere are not followed.
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let found = openat2(&root, path.strip_prefix("/").ok()?, how).ok()?;
    let real = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
    (real != path).then_some(real)
}

/// The effect of opening what has this path, whose links are not looked at.
fn opened(pid: i32, path: &Path) -> Option<Named> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.starts_with(b"/proc/sys/") || bytes.starts_with(b"/sys/") {
        return setting(path);
    }
    if bytes == b"/proc/sysrq-trigger" && path.exists() {
        let target = path.display().to_string();
        return Some((
            EffectKind::Reboot,
            target,
            EffectOutcome::Refused(libc::EROFS),
        ));
    }
    if let Ok(below) = path.strip_prefix("/proc") {
        let part = below.components().next()?.as_os_str();
        let is_kernels = PROC_READ_ONLY.iter().any(|name| part == OsStr::new(name));
        return is_kernels.then(|| setting(path)).flatten();
    }
    if let Ok(below) = path.strip_prefix("/dev") {
        let first = below.components().next()?;
        if first.as_os_str() == OsStr::new("shm") && below.components().count() > 1 {
            let target = escaped(bytes);
            return Some((EffectKind::Ipc, target, EffectOutcome::Contained));
        }
        if HARMLESS
            .iter()
            .any(|name| first.as_os_str() == OsStr::new(name))
        {
            return None;
        }
        let live = std::fs::metadata(path).ok()?.file_type();
        let is_device = live.is_block_device() || live.is_char_device();
        let outcome = EffectOutcome::Refused(libc::EROFS);
        return is_device.then(|| (EffectKind::RawDevice, escaped(bytes), outcome));
    }
    let inside = Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?);
    let kind = std::fs::symlink_metadata(inside).ok()?.file_type();
    let is_device = kind.is_block_device() || kind.is_char_device();
    let outcome = EffectOutcome::Refused(libc::EACCES);
    is_device.then(|| (EffectKind::RawDevice, escaped(bytes), outcome))
}

/// Names a kernel setting as sysctl(8) does. One that is not there, or that nobody may write, a
/// native run could not have changed either.
fn setting(path: &Path) -> Option<Named> {
    let bytes = path.as_os_str().as_bytes();
    let (target, is_sysctl) = match bytes.strip_prefix(b"/proc/sys/") {
        Some(below) => {
            let swapped: Vec<u8> = below
                .iter()
                .map(|b| match b {
                    b'/' => b'.',
                    b'.' => b'/',
                    b => *b,
                })
                .collect();
            (escaped(&swapped), true)
        }
        None => (escaped(bytes), false),
    };
    let status = std::fs::metadata(path).ok()?;
    // /proc/sys obeys the mode even for root.
    if is_sysctl && status.mode() & 0o222 == 0 {
        return None;
    }
    let outcome = EffectOutcome::Refused(libc::EROFS);
    Some((EffectKind::Sysctl, target, outcome))
}
