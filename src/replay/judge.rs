//! Says whether what ran in the scratchpad may become real. Pure. Not for doing anything about it;
//! the commit looks for conflicts once more, at the last moment. Upholds: a commit happens only
//! after success, and only of what the scratchpad really had below it.

use isconf_sandbox::capture::{Finding, FindingReason};
use isconf_sandbox::change::{Change, ChangeSet, Kind, Node};
use isconf_sandbox::child::{Effect, Exceeded, Weight, weight};

use crate::model::Handling;
use crate::model::report::{Ending, Refusal, Verdict};

/// What is known when the command has ended.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// How the command ended.
    pub ending: Ending,
    /// The signal that told isconf itself to stop.
    pub interrupted_by: Option<i32>,
    /// The limit that it went beyond.
    pub exceeded: Option<&'a Exceeded>,
    /// What it changed.
    pub changes: &'a ChangeSet,
    /// What the collection found.
    pub findings: &'a [Finding],
    /// How many live objects it found changed meanwhile.
    pub conflicts: usize,
    /// What it did or tried outside of the filesystem.
    pub effects: &'a [Effect],
    /// What is to become of that.
    pub handling: Handling,
}

/// Judges one entry. An interruption wins over everything, since the command may have ended well
/// only because it was told to; then the command's own failure; then what changed meanwhile: a
/// copy of an object that somebody else removed since looks like one that was made anew, and only
/// the collection can tell them apart.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    if let Some(signal) = evidence.interrupted_by {
        return Verdict::Interrupted(signal);
    }
    if let Some(exceeded) = evidence.exceeded {
        return Verdict::LimitExceeded(exceeded.clone());
    }
    match evidence.ending {
        Ending::Exited(exit) if !exit.is_success() => return Verdict::CommandFailed,
        Ending::CouldNotStart(_) => return Verdict::CommandFailed,
        Ending::Exited(_) | Ending::NoCommand => {}
    }
    if evidence.conflicts > 0 {
        return Verdict::Conflict;
    }
    let torn = evidence.findings.iter().filter_map(torn);
    let removed = evidence.changes.changes().iter().filter_map(removed);
    let refusals: Vec<Refusal> = torn.chain(removed).collect();
    if !refusals.is_empty() {
        return Verdict::Refused(refusals);
    }
    let is_lost = |effect: &Effect| weight(effect) == Weight::Matters;
    match evidence.handling {
        Handling::Refuse if evidence.effects.iter().any(is_lost) => Verdict::OutOfReach,
        Handling::Refuse | Handling::Contain | Handling::Live => Verdict::Approved,
    }
}

/// What no host is without (hier(7)).
const ESSENTIAL: [&str; 15] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "proc", "root", "run", "sbin", "sys",
    "tmp", "usr", "var",
];

/// Why a change cannot become real, if it takes away a part of the root that every host needs. A
/// directory may become a link to one, as when `/bin` moves to `/usr`.
fn removed(change: &Change) -> Option<Refusal> {
    let is_essential = ESSENTIAL
        .iter()
        .any(|name| change.path.as_bytes() == name.as_bytes());
    let is_kept = |node: &Node| matches!(node.kind, Kind::Directory | Kind::Symlink { .. });
    let is_lost =
        change.before.as_ref().is_some_and(is_kept) && !change.after.as_ref().is_some_and(is_kept);
    let how = match change.after {
        None => "removed",
        Some(_) => "no directory any more",
    };
    (is_essential && is_lost).then(|| Refusal {
        path: Some(change.path.clone()),
        reason: format!(
            "{} would be {how}, and no host can be without it",
            change.path
        ),
        remedy: Some("remove what is in it that has to go, not the directory itself."),
    })
}

/// Why a finding cannot become real, if it is a file whose names came apart in the scratchpad: the
/// command saw old bytes under the other names, and may have acted on them.
fn torn(finding: &Finding) -> Option<Refusal> {
    (finding.reason == FindingReason::LinksTorn).then(|| Refusal {
        path: Some(finding.path.clone()),
        reason: format!(
            "{} has further names, which a scratchpad over an overlay (a container's root) cannot \
             keep together with this one; to give this name a file of its own, remove it in one \
             entry and make it in the next",
            finding.path
        ),
        remedy: None,
    })
}

#[cfg(test)]
mod tests {
    use isconf_sandbox::change::RelPath;
    use isconf_sandbox::child::{EffectKind, EffectOutcome, Exit};

    use super::*;

    fn judged(
        ending: Ending,
        interrupted_by: Option<i32>,
        (reasons, conflicts): (&[FindingReason], usize),
    ) -> Verdict {
        let finding = |reason: &FindingReason| Finding {
            path: RelPath::root(),
            reason: *reason,
        };
        let findings: Vec<_> = reasons.iter().map(finding).collect();
        judge(Evidence {
            ending,
            interrupted_by,
            exceeded: None,
            changes: &ChangeSet::default(),
            findings: &findings,
            conflicts,
            effects: &[],
            handling: Handling::Refuse,
        })
    }

    #[test]
    fn what_is_lost_in_a_scratchpad_is_refused_unless_it_is_said_what_to_do() {
        let effect = |kind, outcome| Effect {
            kind,
            operation: "kill".to_owned(),
            target: "process 7 (x), SIGHUP".to_owned(),
            process: "sh".to_owned(),
            outcome,
            count: 1,
        };
        let judged = |effects: &[Effect], handling| {
            judge(Evidence {
                ending: Ending::Exited(Exit::Status(0)),
                interrupted_by: None,
                exceeded: None,
                changes: &ChangeSet::default(),
                findings: &[],
                conflicts: 0,
                effects,
                handling,
            })
        };
        let lost = [effect(EffectKind::Signal, EffectOutcome::Refused(3))];
        assert_eq!(judged(&lost, Handling::Refuse), Verdict::OutOfReach);
        assert_eq!(judged(&lost, Handling::Contain), Verdict::Approved);
        assert_eq!(judged(&lost, Handling::Live), Verdict::Approved);
        let kept = [effect(EffectKind::Service, EffectOutcome::Deferred)];
        assert_eq!(judged(&kept, Handling::Refuse), Verdict::Approved);
    }

    #[test]
    fn only_success_on_an_unchanged_host_is_approved() {
        use FindingReason::{LinksTorn, ShowOnly};
        let ok = Ending::Exited(Exit::Status(0));
        assert_eq!(judged(ok, None, (&[], 0)), Verdict::Approved);
        assert_eq!(judged(ok, None, (&[ShowOnly], 0)), Verdict::Approved);
        assert_eq!(judged(Ending::NoCommand, None, (&[], 0)), Verdict::Approved);
        assert_eq!(judged(ok, None, (&[ShowOnly], 1)), Verdict::Conflict);
        assert_eq!(judged(ok, Some(2), (&[], 0)), Verdict::Interrupted(2));
        let Verdict::Refused(refusals) = judged(ok, None, (&[ShowOnly, LinksTorn], 0)) else {
            panic!("what came apart is refused");
        };
        assert_eq!(refusals[0].path, Some(RelPath::root()));
        assert_eq!(judged(ok, None, (&[LinksTorn], 2)), Verdict::Conflict);
        for bad in [
            Ending::Exited(Exit::Status(1)),
            Ending::Exited(Exit::Signal(9)),
            Ending::CouldNotStart(2),
        ] {
            assert_eq!(judged(bad, None, (&[], 1)), Verdict::CommandFailed);
        }
    }
}
