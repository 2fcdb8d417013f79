//! The limits that a command went beyond, in words, with what to do. Not for the verdict around them
//! (`verdict_text`).

use isconf_sandbox::child::Exceeded;

use super::quantity::{human_bytes, human_duration};

/// What a command took too much of.
pub fn limit_text(exceeded: &Exceeded) -> String {
    match exceeded {
        Exceeded::Time(limit) => format!("it ran for longer than {}", human_duration(*limit)),
        Exceeded::Processes(limit) => format!("it had more than {limit} processes"),
        Exceeded::Disk(limit) => format!("it wrote more than {}", human_bytes(*limit)),
        Exceeded::Room(place) => format!("it left too little room on {place}"),
    }
}

/// The setting that a limit comes from, and what to do.
pub fn limit_hint(exceeded: &Exceeded) -> &'static str {
    match exceeded {
        Exceeded::Time(_) => {
            "`IS_LIMIT_TIME` says how long; set it higher for an entry that needs it, 0 for no limit."
        }
        Exceeded::Processes(_) => {
            "`IS_LIMIT_PROCESSES` says how many; set it higher for an entry that needs them, 0 for no limit."
        }
        Exceeded::Disk(_) => {
            "`IS_LIMIT_DISK` says how much; set it higher for an entry that needs it, 0 for no limit."
        }
        Exceeded::Room(_) => {
            "an entry has to leave 5 % or 256 MiB free, whatever `IS_LIMIT_DISK` says; make room and try again."
        }
    }
}

/// The setting's name; none for the room that is always left.
pub(super) fn limit_setting(exceeded: &Exceeded) -> Option<&'static str> {
    match exceeded {
        Exceeded::Time(_) => Some("IS_LIMIT_TIME"),
        Exceeded::Processes(_) => Some("IS_LIMIT_PROCESSES"),
        Exceeded::Disk(_) => Some("IS_LIMIT_DISK"),
        Exceeded::Room(_) => None,
    }
}
