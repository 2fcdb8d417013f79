//! What this machine can do, for people and for programs. Not for finding it out (the sandbox does).
//! Upholds: whatever is missing is named with its remedy.

use isconf_sandbox::probe::{Ability, Answer, State};
use serde::Serialize;

use super::page::Page;
use super::quantity::errno_name;
use super::report_json::{JSON_VERSION, line};
use super::style::{Role, Style};

/// The answers for people, one line each, with the remedy below what is missing.
pub fn probe_text(answers: &[Answer], style: Style) -> String {
    let mut page = Page::new(style);
    for answer in answers {
        let (role, word) = match (answer.state, answer.ability.is_needed()) {
            (State::Present, _) => (Role::Added, "yes"),
            (State::Refused(_) | State::Absent, true) => (Role::Deleted, "MISSING"),
            (State::Refused(_) | State::Absent, false) => (Role::Modified, "no"),
        };
        let errno = match answer.state {
            State::Refused(errno) => format!(" ({})", errno_name(errno as i32)),
            State::Present | State::Absent => String::new(),
        };
        let word = page.paint(role, &format!("{word:<8}"));
        page.line(0, &format!("{word} {}{errno}", what(answer.ability)));
        if answer.state != State::Present {
            page.line(9, &format!("{}.", remedy(answer.ability)));
        }
    }
    let missing = answers.iter().any(is_missing);
    page.line(
        0,
        if missing {
            "isconf cannot work on this machine before that is mended."
        } else {
            "isconf can work on this machine."
        },
    );
    page.into_text()
}

/// Whether something is missing without which nothing works.
pub fn is_missing(answer: &Answer) -> bool {
    answer.ability.is_needed() && answer.state != State::Present
}

/// The answers for programs.
pub fn probe_json(answers: &[Answer]) -> Result<String, serde_json::Error> {
    let answers = answers.iter().map(|answer| AnswerJson {
        ability: answer.ability.key(),
        needed: answer.ability.is_needed(),
        present: answer.state == State::Present,
        errno: match answer.state {
            State::Refused(errno) => Some(errno_name(errno as i32)),
            State::Present | State::Absent => None,
        },
        remedy: (answer.state != State::Present).then(|| remedy(answer.ability)),
    });
    line(&ProbeJson {
        version: JSON_VERSION,
        kind: "probe",
        answers: answers.collect(),
    })
}

#[derive(Serialize)]
struct ProbeJson {
    version: u32,
    kind: &'static str,
    answers: Vec<AnswerJson>,
}

#[derive(Serialize)]
struct AnswerJson {
    ability: &'static str,
    needed: bool,
    present: bool,
    errno: Option<String>,
    remedy: Option<&'static str>,
}

const fn what(ability: Ability) -> &'static str {
    match ability {
        Ability::Overlay => "overlayfs is in the kernel",
        Ability::MountApi => "the kernel has the new mount API",
        Ability::LowerByName => "overlay layers can be given one by one",
        Ability::Namespaces => "mount, pid, ipc and uts namespaces can be made",
        Ability::Rights => "this process has the rights of root",
        Ability::Notification => "system calls can be watched, so that effects are reported",
        Ability::Scopes => "Landlock keeps commands from sockets and processes outside",
        Ability::RootIsPlain => "the live root can be renamed into",
        Ability::HomeHoldsUpper => "the filesystem of IS_HOME can hold an upper layer",
        Ability::Exchange => "the filesystem of IS_HOME exchanges two names in one step",
        Ability::Reflink => "the filesystem of IS_HOME shares blocks between files",
    }
}

const fn remedy(ability: Ability) -> &'static str {
    match ability {
        Ability::Overlay => "load it (modprobe overlay) or boot a kernel with CONFIG_OVERLAY_FS",
        Ability::MountApi => "boot Linux 5.12 or newer",
        Ability::LowerByName => "nothing to do: mount(2) is used; Linux 6.8 has it",
        Ability::Namespaces => {
            "run isconf outside of a container that forbids them, or boot a kernel with CONFIG_NAMESPACES, CONFIG_PID_NS, CONFIG_IPC_NS and CONFIG_UTS_NS"
        }
        Ability::Rights => "run isconf as root, with CAP_SYS_ADMIN (in a container: --privileged)",
        Ability::Notification => {
            "attempts on the live system are refused all the same, and not reported; boot Linux 5.5 or newer with CONFIG_SECCOMP_FILTER"
        }
        Ability::Scopes => {
            "abstract sockets of live daemons can be reached from a scratchpad; boot Linux 6.12 or newer with Landlock"
        }
        Ability::RootIsPlain => {
            "it is itself an overlay, as in a container: commits copy, which is slower, and IS_HOME must be on another filesystem, such as a volume"
        }
        Ability::HomeHoldsUpper => "put IS_HOME on ext4, xfs, btrfs or tmpfs",
        Ability::Exchange => "put IS_HOME on ext4, xfs, btrfs or tmpfs",
        Ability::Reflink => "nothing to do: bytes are copied where blocks could be shared",
    }
}
