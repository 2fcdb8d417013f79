//! Names the live processes that a system call reaches for by their numbers. Not for sockets (see
//! `peers`). Upholds: only what a native run would have reached is an effect; a process of the
//! scratchpad's own is none.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::live::{Live, named};
use super::request::{EffectKind, EffectOutcome, Named};
use crate::sys::seccomp::Notification;

/// What is added to the name of a process that was only looked for. `weight` goes by it.
pub(super) const LOOK: &str = ", whether it runs";

/// An effect when the number is that of a live process and of none inside, which is how a native run
/// would have found it.
pub(super) fn live_process(number: i32, kind: EffectKind, live: &Live) -> Option<Named> {
    let found = number > 1
        && Path::new(&format!("/proc/{number}")).exists()
        && !live.has_number_inside(number)
        && !live.is_inside(number);
    found.then(|| (kind, named(number), EffectOutcome::Refused(libc::ESRCH)))
}

/// A signal: to a process, to a group of them (a negative number), or to all.
pub(super) fn signalled(number: i32, signal: i32, live: &Live) -> Option<Named> {
    let (target, outcome) = match number {
        // The caller's own group.
        0 => return None,
        // Who inside asks for the first process gets the scratchpad's, which does nothing.
        1 => (named(1), EffectOutcome::Contained),
        -1 => ("every process".to_owned(), EffectOutcome::Contained),
        2.. => {
            let (_, target, outcome) = live_process(number, EffectKind::Signal, live)?;
            (target, outcome)
        }
        _ => {
            let outcome = EffectOutcome::Refused(libc::ESRCH);
            (live_group(number.checked_neg()?, live)?, outcome)
        }
    };
    let target = match signal {
        0 => format!("{target}{LOOK}"),
        signal => format!("{target}, {}", signal_name(signal)),
    };
    Some((EffectKind::Signal, target, outcome))
}

/// setpriority(2), ioprio_set(2): by process, by group, by user.
pub(super) fn priority(
    call: &Notification,
    process: u64,
    kind: EffectKind,
    live: &Live,
) -> Option<Named> {
    let which = call.arguments[0];
    let who = call.arguments[1] as i32;
    match which.checked_sub(process)? {
        _ if who == 0 => None,
        0 => live_process(who, kind, live),
        1 => {
            let target = live_group(who, live)?;
            Some((kind, target, EffectOutcome::Refused(libc::ESRCH)))
        }
        2 => {
            let target = format!("processes of user {}", who as u32);
            Some((kind, target, EffectOutcome::Contained))
        }
        _ => None,
    }
}

/// The live process group with this number, if there is none inside.
fn live_group(group: i32, live: &Live) -> Option<String> {
    // Signal 0 only asks whether there is such a group.
    let exists = !matches!(kill(Pid::from_raw(-group), None), Err(Errno::ESRCH));
    if group <= 1 || !exists || live.has_group_inside(group) || live.is_inside(group) {
        return None;
    }
    Some(format!("process group {group}, led by {}", named(group)))
}

fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_processes_are_effects_and_others_are_none() {
        let live = Live::default();
        let parent = std::os::unix::process::parent_id() as i32;
        let (_, target, outcome) = signalled(parent, libc::SIGTERM, &live).unwrap();
        assert!(
            target.starts_with(&format!("process {parent} (")),
            "{target}"
        );
        assert!(target.ends_with("), SIGTERM"), "{target}");
        assert_eq!(outcome, EffectOutcome::Refused(libc::ESRCH));
        assert_eq!(signalled(i32::MAX, libc::SIGTERM, &live), None);
        assert_eq!(signalled(i32::MIN, libc::SIGTERM, &live), None);
        assert_eq!(signalled(0, libc::SIGTERM, &live), None);
        let (_, target, _) = signalled(-1, 0, &live).unwrap();
        assert_eq!(target, format!("every process{LOOK}"));
    }
}
