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
            (State::NeedsRoot, _) => (Role::Noted, "needs root"),
            (State::Refused(_) | State::Absent, true) => (Role::Deleted, "MISSING"),
            (State::Refused(_) | State::Absent, false) => (Role::Modified, "no"),
        };
        let errno = match answer.state {
            State::Refused(errno) => format!(" ({})", errno_name(errno as i32)),
            State::Present | State::Absent | State::NeedsRoot => String::new(),
        };
        let word = page.paint(role, &format!("{word:<10}"));
        page.line(0, &format!("{word} {}{errno}", what(answer.ability)));
        if let Some(remedy) = remedy_of(answer).filter(|_| answer.state != State::NeedsRoot) {
            page.line(11, &format!("{remedy}."));
        }
    }
    let conclusion = if answers.iter().any(is_missing) {
        "isconf cannot work on this machine before that is mended."
    } else if answers.iter().any(needs_root) {
        "Only root can find out the rest: `isconf probe` as root tells it."
    } else {
        "isconf can work on this machine."
    };
    page.line(0, conclusion);
    page.into_text()
}

/// Whether something is missing without which nothing works.
pub fn is_missing(answer: &Answer) -> bool {
    answer.ability.is_needed() && matches!(answer.state, State::Refused(_) | State::Absent)
}

/// Whether only root can find it out.
pub fn needs_root(answer: &Answer) -> bool {
    answer.state == State::NeedsRoot
}

/// What to do about it, if it is not there.
fn remedy_of(answer: &Answer) -> Option<&'static str> {
    match answer.state {
        State::Present => None,
        State::NeedsRoot => Some("run `isconf probe` as root"),
        State::Refused(_) | State::Absent => Some(remedy(answer.ability)),
    }
}

/// The answers for programs.
pub fn probe_json(answers: &[Answer]) -> Result<String, serde_json::Error> {
    let answers = answers.iter().map(|answer| AnswerJson {
        ability: answer.ability.key(),
        needed: answer.ability.is_needed(),
        present: (!needs_root(answer)).then_some(answer.state == State::Present),
        errno: match answer.state {
            State::Refused(errno) => Some(errno_name(errno as i32)),
            State::Present | State::Absent | State::NeedsRoot => None,
        },
        remedy: remedy_of(answer),
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
    /// Null when only root can find it out.
    present: Option<bool>,
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
        Ability::InodesStay => "directories of the live root keep their inode numbers",
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
        Ability::InodesStay => {
            "after a power cut in the middle of a commit, recovery stops and names the path; mount the overlay of the root with xino=on"
        }
        Ability::HomeHoldsUpper => "put IS_HOME on ext4, xfs, btrfs or tmpfs",
        Ability::Exchange => "put IS_HOME on ext4, xfs, btrfs or tmpfs",
        Ability::Reflink => "nothing to do: bytes are copied where blocks could be shared",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::schema::assert_valid;

    fn shown(states: &[(Ability, State)]) -> (String, serde_json::Value) {
        let answer = |&(ability, state): &(Ability, State)| Answer { ability, state };
        let answers: Vec<_> = states.iter().map(answer).collect();
        let line = probe_json(&answers).unwrap();
        assert_valid("host.schema.json", &line);
        let json = serde_json::from_str(&line).unwrap();
        (probe_text(&answers, Style::Plain), json)
    }

    #[test]
    fn what_only_root_can_find_out_is_neither_there_nor_missing() {
        let rights = (Ability::Rights, State::NeedsRoot);
        let (text, json) = shown(&[(Ability::Overlay, State::Present), rights]);
        assert_eq!(
            text,
            "yes        overlayfs is in the kernel\n\
             needs root this process has the rights of root\n\
             Only root can find out the rest: `isconf probe` as root tells it.\n"
        );
        assert_eq!(json["answers"][0]["present"], true);
        assert!(json["answers"][1]["present"].is_null());
        let refused = State::Refused(nix::errno::Errno::EPERM);
        shown(&[(Ability::Namespaces, refused)]);
        let (text, _) = shown(&[(Ability::Exchange, State::Absent), rights]);
        assert!(text.ends_with("before that is mended.\n"));
    }
}
