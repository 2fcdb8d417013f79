//! Says whether what ran in the scratchpad may become real. Pure. Not for doing anything about it,
//! and not for conflicts with the live system: the commit looks for those itself, at the last
//! moment, and knows which of them matter. Upholds: a commit happens only after success.

use crate::model::report::{Ending, Verdict};

/// Judges one entry by how its command ended, and by the signal that told isconf itself to stop. An
/// interruption wins, since the command may have ended well only because it was told to.
pub fn judge(ending: Ending, interrupted_by: Option<i32>) -> Verdict {
    if let Some(signal) = interrupted_by {
        return Verdict::Interrupted(signal);
    }
    match ending {
        Ending::Exited(exit) if !exit.is_success() => Verdict::CommandFailed,
        Ending::CouldNotStart(_) => Verdict::CommandFailed,
        Ending::Exited(_) | Ending::NoCommand => Verdict::Approved,
    }
}

#[cfg(test)]
mod tests {
    use isconf_sandbox::child::Exit;

    use super::*;

    #[test]
    fn only_success_is_approved() {
        let ok = Ending::Exited(Exit::Status(0));
        assert_eq!(judge(ok, None), Verdict::Approved);
        assert_eq!(judge(Ending::NoCommand, None), Verdict::Approved);
        assert_eq!(judge(ok, Some(2)), Verdict::Interrupted(2));
        for bad in [
            Ending::Exited(Exit::Status(1)),
            Ending::Exited(Exit::Signal(9)),
            Ending::CouldNotStart(2),
        ] {
            assert_eq!(judge(bad, None), Verdict::CommandFailed);
        }
    }
}
